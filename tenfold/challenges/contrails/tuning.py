"""The search for contrails' threshold and least size on out-of-fold records.

First the threshold of the highest Dice is found among all, as if nothing were removed.
Where specks may be, each least size is then tried at the thresholds around that one,
five to either side, and the best pair is taken: where specks go, a lower threshold may
be better, but not one far away. The honest score repeats all of it without each part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tenfold.challenges import OutOfFold
from tenfold.challenges.contrails.measuring import (
    Measured,
    OnProgress,
    measure,
    measure_pieces,
)
from tenfold.challenges.contrails.options import ContrailsRecipe, ContrailsTune
from tenfold.challenges.contrails.thresholds import first_above, multiples
from tenfold.data.arrays import IntArray
from tenfold.ensembling.refining import refine
from tenfold.ensembling.thresholds import best_cut, counts_at, cuts_without

_AROUND = 5
#: Where nothing was tuned: the more likely class.
HALF = 0.5
#: The published search: nine thresholds on the first records in order of id, by the
#: mean over batches of 2·tp / (predicted + labelled), a constant added to both.
PUBLISHED_THRESHOLDS = tuple(k / 10 for k in range(1, 10))
PUBLISHED_RECORDS = 256
_BATCH, _SMOOTH = 16, 1e-3


class Pair(NamedTuple):
    """What is chosen together."""

    threshold: float
    least: int


@dataclass(frozen=True)
class Found:
    """The choice, what it is worth, and the counts that this follows from.

    Attributes:
        measured: the records.
        chosen: of all of them.
        naive: its Dice on the records that it was made on.
        honest: Dice of the way of choosing, each part left out of its choice.
        least: sizes that were measured, 0 first; of one, nothing could be removed.
        by_least: (N, sizes, 3) tp, predicted pixels and pieces of every record at the
            chosen threshold; pieces are 0 if there was no second pass.
        published: the threshold that the published search takes.
    """

    measured: Measured
    chosen: Pair
    naive: float
    honest: float
    least: IntArray
    by_least: IntArray
    published: float

    @property
    def final(self) -> IntArray:
        """Tp, predicted pixels and pieces of each record as decided, (N, 3)."""
        return self.by_least[:, _place_of(self.chosen.least, self.least)]


def search(
    recipe: ContrailsRecipe, out_of_fold: OutOfFold, on_progress: OnProgress
) -> Found:
    """Choose what the recipe leaves open.

    Args:
        recipe: its options, and how records were packed.
        out_of_fold: outputs of every model; read record by record.
        on_progress: told how many records of a pass are done.
    """
    measured = measure(recipe.data, out_of_fold, on_progress)
    grid = thresholds_of(recipe.tune)
    by_part = measured.by_part(measured.histograms)[None]
    allowed = np.array([first_above(threshold) for threshold in grid])
    chosen = best_cut(by_part.sum(axis=1), allowed)
    cuts = (chosen, *(without := cuts_without(by_part, allowed)))
    tried = np.unique(recipe.tune.least_pixels)
    removes = bool(tried[-1] > 1)
    pairs = {cut: _pairs(grid, cut.step, tried, removes) for cut in cuts}
    least = np.union1d([0], tried) if removes else np.zeros(1, np.int64)
    steps = {first_above(pair.threshold) for cut in cuts for pair in pairs[cut]}
    if removes:
        counted = measure_pieces(out_of_fold, steps, least, on_progress)
    else:
        counted = {step: _plain(measured, step) for step in steps}
    counts = {cut: _counts(measured, counted, least, pairs[cut]) for cut in cuts}
    scores = refine(chosen, without, counts)
    pair = pairs[chosen][scores.option]
    return Found(
        measured=measured,
        chosen=pair,
        naive=scores.naive,
        honest=scores.honest,
        least=least,
        by_least=counted[first_above(pair.threshold)],
        published=_published(measured),
    )


def thresholds_of(options: ContrailsTune) -> tuple[float, ...]:
    """Return the thresholds to choose from; of a fixed one, itself."""
    if options.threshold is not None:
        return (options.threshold,)
    return multiples(options.step)


def _pairs(
    grid: tuple[float, ...], step: int, tried: IntArray, removes: bool
) -> list[Pair]:
    """Return what may be chosen once a cut was, smallest sizes first.

    Args:
        grid: all thresholds, ascending.
        step: first one above the threshold that was chosen of them.
        tried: least sizes.
        removes: any of them may remove something.
    """
    # Several may cut alike; the lowest of them was taken.
    place = next(i for i, value in enumerate(grid) if first_above(value) == step)
    if not removes:
        return [Pair(grid[place], int(tried[0]))]
    near = grid[max(place - _AROUND, 0) : place + _AROUND + 1]
    return [Pair(threshold, int(size)) for size in tried for threshold in near]


def _place_of(size: int, least: IntArray) -> int:
    """Return where a size is among those measured, of which the only one is nothing."""
    return int(np.searchsorted(least, size)) if len(least) > 1 else 0


def _plain(measured: Measured, step: int) -> IntArray:
    """Return (N, 1, 3) of tp, predicted pixels and 0, with nothing removed."""
    predicted = measured.histograms[..., step:].sum(axis=-1, dtype=np.int64)
    tp, both = predicted[:, 1], predicted.sum(axis=1)
    return np.stack([tp, both, np.zeros_like(tp)], axis=-1)[:, None]


def _counts(
    measured: Measured,
    counted: Mapping[int, IntArray],
    least: IntArray,
    pairs: list[Pair],
) -> IntArray:
    """Return (parts, pairs, 3) of tp, fp and fn."""
    found = []
    labelled = measured.by_part(measured.labelled)
    for pair in pairs:
        at = _place_of(pair.least, least)
        sums = measured.by_part(counted[first_above(pair.threshold)][:, at])
        tp, predicted = sums[:, 0], sums[:, 1]
        found.append(np.stack([tp, predicted - tp, labelled - tp], axis=-1))
    return np.stack(found, axis=1)


def _published(measured: Measured) -> float:
    """Return what the published search chooses, with less than it to choose from.

    Its records are the first of the validation part; these are the first of all that
    were held out, which are the same ones where the split is the published one.
    """
    order = sorted(range(len(measured.ids)), key=lambda place: measured.ids[place])
    first = measured.histograms[order[:PUBLISHED_RECORDS]]
    starts = np.arange(0, len(first), _BATCH)
    batches = np.add.reduceat(first, starts, axis=0, dtype=np.int64)
    steps = [first_above(threshold) for threshold in PUBLISHED_THRESHOLDS]
    tp, fp, fn = (counts[:, steps] for counts in counts_at(batches))
    dice = (2 * tp + _SMOOTH) / (2 * tp + fp + fn + _SMOOTH)
    return PUBLISHED_THRESHOLDS[int(np.argmax(dice.mean(axis=0)))]
