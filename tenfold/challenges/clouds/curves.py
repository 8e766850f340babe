"""What every value of a cut that is chosen would score, as curves for people."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.challenges.clouds.classes import CLASSES
from tenfold.challenges.clouds.measuring import Measured
from tenfold.challenges.clouds.options import CloudsTune
from tenfold.challenges.clouds.row_dice import UNIT
from tenfold.challenges.clouds.tuning import (
    GRID,
    REMOVERS,
    ClassRows,
    Cuts,
    Found,
    classes_of,
    open_cuts,
)
from tenfold.data.arrays import IntArray
from tenfold.ensembling.removing import gains_at
from tenfold.recipe import Json

#: Cut → name of its axis, and what it does to a row.
_WORDS = {
    "pixel": ("pixel cut", "the probability above which a pixel is painted"),
    "presence": ("presence cut", "seg1's presence up to which masks are removed"),
    "area": ("least area, px", "the area below which masks are removed"),
    "classifier": (
        "classifier cut",
        "the probability up to which the classifier removes masks",
    ),
}
#: The published grid, and 1.
_SHARES = np.array([*GRID, 1], np.float32)


class _Line(NamedTuple):
    """A curve of one class.

    Attributes:
        cuts: (n,) ascending.
        units: (n,) sum of the rows' scores at each.
    """

    cuts: NDArray[Any]
    units: IntArray


def curves(measured: Measured, found: Found, options: CloudsTune) -> list[Json]:
    """Return the mean Dice by each cut that was chosen, a curve a class.

    The other cuts of the class are as they were chosen. A cut that the recipe fixes
    has no curve.
    """
    of_classes = list(classes_of(measured, options))
    return [
        _described(by, name, _line(by, rows, cuts, options), cuts, len(rows.fold))
        for by in open_cuts(options, measured.probability is not None)
        for name, rows, cuts in zip(CLASSES, of_classes, found.cuts, strict=True)
    ]


def _described(by: str, name: str, line: _Line, cuts: Cuts, rows: int) -> Json:
    axis, what = _WORDS[by]
    return {
        "title": f"{name}: every {axis.partition(',')[0]}",
        "text": f"Mean Dice of all out-of-fold rows of {name} by {what}; other cuts are"
        " as chosen.",
        "x": axis,
        "lines": {name: [_plain(line.cuts), _plain(line.units / (rows * UNIT))]},
        "chosen": getattr(cuts, by),
    }


def _line(by: str, rows: ClassRows, cuts: Cuts, options: CloudsTune) -> _Line:
    """Return what a class scores by one of its cuts, the chosen one among them."""
    if by == "pixel":
        return _by_pixel(rows, cuts, options)
    if by == "area":
        core = rows.core[cuts.place]
        evenly = np.linspace(0, core.max() + 1, len(_SHARES)).astype(np.int64)
        areas = np.union1d(evenly, cuts.area)
        # A mask of the least area itself stands.
        return _Line(areas, _by_score(by, core, areas - 1, rows, cuts))
    scores = rows.presence if by == "presence" else np.asarray(rows.probability)
    shares = np.union1d(_SHARES, np.float32(getattr(cuts, by)))
    return _Line(shares, _by_score(by, scores, shares, rows, cuts))


def _by_pixel(rows: ClassRows, cuts: Cuts, options: CloudsTune) -> _Line:
    order = np.argsort(options.pixel_cuts)
    units = [rows.scores(cuts._replace(place=int(place))).sum() for place in order]
    return _Line(np.array(options.pixel_cuts)[order], np.array(units, np.int64))


def _by_score(
    by: str, scores: NDArray[Any], removed: NDArray[Any], rows: ClassRows, cuts: Cuts
) -> IntArray:
    """Return the sum of scores if all rows up to each score are removed."""
    stands = rows.stands(cuts, [name for name in REMOVERS if name != by])
    unremoved = np.where(stands, rows.dice[cuts.place], rows.blank)
    gained = gains_at(scores, rows.gains(cuts, by), removed)
    return np.asarray(unremoved.sum() + gained, np.int64)


def _plain(values: Iterable[Any]) -> list[float]:
    return [float(value) for value in values]
