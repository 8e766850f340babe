"""Dice of rows, pairs of image and class, in counts that add up without rounding."""

from dataclasses import dataclass, fields

import numpy as np

from tenfold.challenges.clouds.classes import CLASSES
from tenfold.data.arrays import BoolArray, Float64Array, IntArray
from tenfold.metrics.confusion import ratio
from tenfold.recipe import Json

#: A Dice of 1 in whole numbers. Sums of them do not depend on their order, so equal
#: scores are equal, and 64 bits hold eight million rows.
UNIT = 2**40


def in_units(scores: Float64Array) -> IntArray:
    """Round scores 0 … 1 to whole units."""
    units: IntArray = np.rint(np.asarray(scores, np.float64) * UNIT).astype(np.int64)
    return units


def anywhere(masks: BoolArray) -> BoolArray:
    """Tell which masks (..., H, W) have a pixel."""
    return np.asarray(masks.any(axis=(-2, -1)), np.bool_)


def dice_of_rows(
    painted: BoolArray, truth: BoolArray, smooth: float = 0.0
) -> Float64Array:
    """Return (2|p∩t| + s) / (|p| + |t| + s) of each row; 1 where both are empty.

    Args:
        painted: (rows, H, W).
        truth: likewise.
        smooth: s; the published training has 1e-9, the competition none.
    """
    both, first, second = (
        np.count_nonzero(masks, axis=(-2, -1)).astype(np.float64)
        for masks in (painted & truth, painted, truth)
    )
    bottom = first + second + smooth
    dice: Float64Array = np.ones_like(bottom)
    np.divide(2 * both + smooth, bottom, out=dice, where=bottom > 0)
    return dice


@dataclass(frozen=True)
class RowDice:
    """Sums over the rows of any number of images; each field is (classes,) int64.

    Attributes:
        empty: rows without the class.
        positive: rows with it.
        empty_units: sum of the Dice of the former, in units.
        positive_units: of the latter.
        silent: rows without the class that are said to be without it.
        found: rows with it that are said to have it.
    """

    empty: IntArray
    positive: IntArray
    empty_units: IntArray
    positive_units: IntArray
    silent: IntArray
    found: IntArray

    def __add__(self, other: "RowDice") -> "RowDice":
        return RowDice(
            *(getattr(self, f.name) + getattr(other, f.name) for f in fields(self))
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowDice) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> Json:
        """Return plain data, one number a key, so that it may be a table's row too."""
        return {
            f"{field.name}_{name}": int(value)
            for field in fields(self)
            for name, value in zip(_NAMES, getattr(self, field.name), strict=True)
        }

    @classmethod
    def from_json(cls, value: Json) -> "RowDice":
        """Read sums back."""
        return cls(
            *(
                np.array([value[f"{field.name}_{name}"] for name in _NAMES], np.int64)
                for field in fields(cls)
            )
        )


_NAMES = tuple(name.lower() for name in CLASSES)


def count_rows(units: IntArray, truth: BoolArray, said: BoolArray) -> RowDice:
    """Count the rows of some images.

    Args:
        units: (..., classes) Dice of each row.
        truth: likewise, whether the row has the class.
        said: likewise, whether it is said to have it.
    """

    def total(values: IntArray | BoolArray) -> IntArray:
        flat = np.asarray(values, np.int64).reshape(-1, len(CLASSES))
        return np.asarray(flat.sum(axis=0), np.int64)

    return RowDice(
        empty=total(~truth),
        positive=total(truth),
        empty_units=total(np.where(truth, 0, units)),
        positive_units=total(np.where(truth, units, 0)),
        silent=total(~truth & ~said),
        found=total(truth & said),
    )


def row_figures(sums: RowDice) -> dict[str, float]:
    """Return the published figures, all finite; of rows that are not there, 0.

    `dice` is the mean over all rows, which have as many of each class; `dice_empty`
    and `dice_positive` are of rows without and with the class; `tnr` and `tpr` are
    the shares of those that are said to be so, and `accuracy` of all.
    """
    units = sums.empty_units + sums.positive_units
    rows = sums.empty + sums.positive
    right = sums.silent + sums.found
    values = {
        "dice": _mean(units, rows),
        "dice_empty": _mean(sums.empty_units, sums.empty),
        "dice_positive": _mean(sums.positive_units, sums.positive),
        "tnr": ratio(int(sums.silent.sum()), int(sums.empty.sum())),
        "tpr": ratio(int(sums.found.sum()), int(sums.positive.sum())),
        "accuracy": ratio(int(right.sum()), int(rows.sum())),
    }
    for at, name in enumerate(_NAMES):
        values[f"dice_{name}"] = _mean(units[at], rows[at])
        values[f"dice_positive_{name}"] = _mean(
            sums.positive_units[at], sums.positive[at]
        )
        values[f"tnr_{name}"] = ratio(int(sums.silent[at]), int(sums.empty[at]))
        values[f"tpr_{name}"] = ratio(int(sums.found[at]), int(sums.positive[at]))
    return values


def presence_matrix(sums: RowDice) -> IntArray:
    """Return rows by truth and by what was said, (2, 2), absent first."""
    tn, tp = int(sums.silent.sum()), int(sums.found.sum())
    empty, positive = int(sums.empty.sum()), int(sums.positive.sum())
    return np.array([[tn, empty - tn], [positive - tp, tp]], np.int64)


def _mean(units: IntArray, rows: IntArray) -> float:
    return ratio(int(units.sum()) / UNIT, int(rows.sum()))
