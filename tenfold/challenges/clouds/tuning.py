"""The search for the cascade's cuts on out-of-fold rows, a class at a time.

Each cut takes out the rows up to a score: seg1's presence, the mask's area, the
classifier's probability. What a row's removal gains is known, so sorting the rows by
the score gives the mean Dice of every cut at once. Several open cuts are chosen in
turns, each given the others, beginning with none that removes anything, until a turn
gains nothing: once in that order and once in the reverse. That is done at every pixel
cut, and the best is taken, the first of equals. With the published settings only the
classifier's cut is open, and its search is complete. The honest score repeats all of
it without each fold; of a single fold nothing can be left out.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from tenfold.challenges.clouds.cascade import forced
from tenfold.challenges.clouds.classes import CLASSES
from tenfold.challenges.clouds.measuring import Measured
from tenfold.challenges.clouds.options import CloudsTune
from tenfold.challenges.clouds.row_dice import UNIT
from tenfold.data.arrays import BoolArray, Float32Array, IntArray
from tenfold.ensembling.removing import best_cut

#: The published classifier cuts.
GRID = tuple(step / 100 for step in range(100))
#: What removes masks, in this order.
REMOVERS = ("presence", "area", "classifier")
_MOST_TURNS = 4
_SEVERAL = 2


class Cuts(NamedTuple):
    """The choice for a class.

    Attributes:
        pixel: cut.
        presence: a mask stands above it.
        area: px that a mask needs.
        classifier: a mask up to it is removed; None: there is no classifier.
        place: of the pixel cut among those of the recipe.
    """

    pixel: float
    presence: float
    area: int
    classifier: float | None
    place: int


@dataclass(frozen=True)
class ClassRows:
    """The rows of one class; attributes as in `Measured`, without the last axis.

    Attributes:
        blank: (N,) score of a row that is left blank, in units.
        forced: (N,) nothing removes its mask.
    """

    fold: IntArray
    blank: IntArray
    dice: IntArray
    core: IntArray
    presence: Float32Array
    probability: Float32Array | None
    forced: BoolArray

    def only(self, chosen: BoolArray) -> "ClassRows":
        """Return some of the rows."""
        own = self.probability
        return replace(
            self,
            fold=self.fold[chosen],
            blank=self.blank[chosen],
            dice=self.dice[:, chosen],
            core=self.core[:, chosen],
            presence=self.presence[chosen],
            probability=None if own is None else own[chosen],
            forced=self.forced[chosen],
        )

    def stands(self, cuts: Cuts, by: Collection[str] = REMOVERS) -> BoolArray:
        """Tell whose masks stand, (N,), if those cuts alone may remove them."""
        kept = np.ones(len(self.fold), np.bool_)
        if "presence" in by:
            kept &= self.presence > np.float32(cuts.presence)
        if "area" in by:
            kept &= self.core[cuts.place] >= cuts.area
        if "classifier" in by and self.probability is not None:
            kept &= self.probability > np.float32(cuts.classifier or 0)
        return kept | self.forced

    def scores(self, cuts: Cuts) -> IntArray:
        """Return the score of each row, (N,), in units."""
        return np.where(self.stands(cuts), self.dice[cuts.place], self.blank)

    def gains(self, cuts: Cuts, by: str) -> IntArray:
        """Return what removing each row by one of the cuts gains, (N,), in units."""
        others = [name for name in REMOVERS if name != by]
        open_ = self.stands(cuts, others) & ~self.forced
        return np.where(open_, self.blank - self.dice[cuts.place], 0)


@dataclass(frozen=True)
class Found:
    """The choice and what it is worth.

    Attributes:
        cuts: of each class.
        naive: mean Dice of the choice on what it was made on.
        honest: mean Dice of the way of choosing, each fold left out of its choice;
            of a single fold it is the naive one.
    """

    cuts: tuple[Cuts, ...]
    naive: float
    honest: float


def search(measured: Measured, options: CloudsTune) -> Found:
    """Choose every class's cuts, and score the way of choosing."""
    cuts, naive, honest = [], 0, 0
    for of_class in classes_of(measured, options):
        chosen = choose(of_class, options)
        cuts.append(chosen)
        naive += int(of_class.scores(chosen).sum())
        honest += _honest(of_class, options)
    whole = measured.truth.size * UNIT
    return Found(tuple(cuts), naive / whole, honest / whole)


def classes_of(measured: Measured, options: CloudsTune) -> Iterator[ClassRows]:
    """Yield the rows of each class, in the classes' order."""
    own = measured.probability
    best = np.zeros(measured.truth.shape, np.bool_)
    if options.force_best and own is not None:
        best = forced(own)
    for at in range(len(CLASSES)):
        yield ClassRows(
            fold=measured.fold,
            blank=np.where(measured.truth[:, at], 0, UNIT),
            dice=measured.dice[..., at],
            core=measured.core[..., at],
            presence=measured.presence[:, at],
            probability=None if own is None else own[:, at],
            forced=best[:, at],
        )


def _honest(rows: ClassRows, options: CloudsTune) -> int:
    """Return the sum of scores, each fold's by the cuts that the others choose."""
    total = 0
    for fold in np.unique(rows.fold):
        mine = rows.fold == fold
        # A single fold has no others to choose by.
        others = rows if mine.all() else rows.only(~mine)
        total += int(rows.only(mine).scores(choose(others, options)).sum())
    return total


def choose(rows: ClassRows, options: CloudsTune) -> Cuts:
    """Return the cuts of the highest mean Dice; see the module."""
    chosen = open_cuts(options, rows.probability is not None)
    open_ = [name for name in REMOVERS if name in chosen]
    orders = [open_] if len(open_) < _SEVERAL else [open_, open_[::-1]]
    tried = [
        _in_turns(rows, options, place, order)
        for place in range(len(options.pixel_cuts))
        for order in orders
    ]
    worth = [int(rows.scores(cuts).sum()) for cuts in tried]
    return tried[int(np.argmax(worth))]


def open_cuts(options: CloudsTune, classifier: bool) -> list[str]:
    """Name the cuts that are to be chosen, by their names in `Cuts`.

    Args:
        options: of the recipe.
        classifier: whether there is one.
    """
    is_open = {
        "pixel": len(options.pixel_cuts) > 1,
        "presence": options.presence_cut is None,
        "area": options.least_area is None,
        "classifier": classifier and options.classifier_cut is None,
    }
    return [name for name, chosen in is_open.items() if chosen]


def _in_turns(
    rows: ClassRows, options: CloudsTune, place: int, order: Collection[str]
) -> Cuts:
    """Choose what is open at a pixel cut, one after the other."""
    fixed = options.classifier_cut
    cuts = Cuts(
        pixel=options.pixel_cuts[place],
        presence=options.presence_cut or 0.0,
        area=options.least_area or 0,
        classifier=None if rows.probability is None else fixed or 0.0,
        place=place,
    )
    score = int(rows.scores(cuts).sum())
    for _ in range(_MOST_TURNS):
        before = score
        for name in order:
            better: dict[str, Any] = {name: _best(name, rows, cuts, options)}
            cuts = cuts._replace(**better)
        score = int(rows.scores(cuts).sum())
        if score == before:
            break
    return cuts


def _best(name: str, rows: ClassRows, cuts: Cuts, options: CloudsTune) -> float:
    """Return the best of one cut, given the others; the lowest of equals."""
    gains = rows.gains(cuts, name)
    if name == "area":
        # One pixel more than has the largest mask that goes.
        core = rows.core[cuts.place]
        values = np.union1d(-1, core)
        return int(values[best_cut(core, gains, values)]) + 1
    if name == "presence":
        tried = _distinct(rows.presence)
        return tried[best_cut(rows.presence, gains, np.array(tried, np.float32))]
    scores = np.asarray(rows.probability, np.float32)
    tried = list(GRID) if options.published_grid else _distinct(scores)
    return tried[best_cut(scores, gains, np.array(tried, np.float32))]


def _distinct(scores: Float32Array) -> list[float]:
    """Return all cuts that differ in what they take out, ascending from 0."""
    return [float(value) for value in np.union1d(np.float32(0), scores)]
