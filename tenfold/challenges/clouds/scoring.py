"""Clouds' metric, the mean Dice over rows, and what each role's members go by."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tenfold.challenges.clouds.outputs import STEPS
from tenfold.challenges.clouds.planes import unpack_planes
from tenfold.challenges.clouds.presence import (
    Presence,
    count_presence,
    presence_figures,
)
from tenfold.challenges.clouds.row_dice import (
    RowDice,
    anywhere,
    count_rows,
    dice_of_rows,
    in_units,
    presence_matrix,
    row_figures,
)
from tenfold.data.arrays import Arrays, IntArray
from tenfold.recipe import Json

#: The leaderboard's figure, of decided predictions.
MONITOR = "dice"
_HALF = STEPS // 2
_SMOOTH = 1e-9  # of the published validation
_NAMES = ("absent", "present")


def tally(outputs: Arrays, arrays: Arrays) -> RowDice:
    """Count a decided prediction's rows against truth at the size that is scored."""
    painted, truth = unpack_planes(outputs["classes"]), unpack_planes(arrays["truth"])
    units = in_units(dice_of_rows(painted, truth))
    return count_rows(units, anywhere(truth), anywhere(painted))


def from_json(value: Json) -> RowDice:
    """Read sums back."""
    return RowDice.from_json(value)


def metrics(tally: RowDice) -> dict[str, float]:
    """Return the figures of rows; `dice` is the one that decides."""
    return row_figures(tally)


def confusion(tally: RowDice) -> tuple[tuple[str, ...], IntArray]:
    """Return names and counts of rows (truth, prediction) by presence."""
    return _NAMES, presence_matrix(tally)


def of_role(role: str) -> Any:
    """Return what the outputs of a role's members are scored by.

    seg1 goes by all rows, seg2 by those with the class only, since what it paints
    elsewhere is taken away; cls by the area under the ROC curve.
    """
    return _OF_ROLE[role]


@dataclass(frozen=True)
class SegmenterScoring:
    """Rows of a segmenter's probabilities at the prepared size, cut at one half.

    Attributes:
        MONITOR: name of the figure that it goes by.
    """

    MONITOR: str

    def tally(self, outputs: Arrays, arrays: Arrays) -> RowDice:
        """Count one image; presence is said by the head, or by the highest pixel."""
        painted = np.asarray(outputs["prob"]) > _HALF
        truth = unpack_planes(arrays["classes"])
        said = anywhere(painted)
        if "presence" in outputs:
            said = np.asarray(outputs["presence"]) > 1 / 2
        units = in_units(dice_of_rows(painted, truth, _SMOOTH))
        return count_rows(units, anywhere(truth), said)

    def from_json(self, value: Json) -> RowDice:
        """Read sums back."""
        return RowDice.from_json(value)

    def metrics(self, tally: RowDice) -> dict[str, float]:
        """Return the figures of rows."""
        return row_figures(tally)

    def confusion(self, tally: RowDice) -> tuple[tuple[str, ...], IntArray]:
        """Return names and counts of rows (truth, prediction) by presence."""
        return _NAMES, presence_matrix(tally)


@dataclass(frozen=True)
class ClassifierScoring:
    """Rows of a classifier's probabilities."""

    MONITOR: str = "auc"

    def tally(self, outputs: Arrays, arrays: Arrays) -> Presence:
        """Count one image; a class is there if the prepared mask has a pixel of it."""
        truth = anywhere(unpack_planes(arrays["classes"]))
        return count_presence(np.asarray(outputs["presence"]), truth)

    def from_json(self, value: Json) -> Presence:
        """Read counts back."""
        return Presence.from_json(value)

    def metrics(self, tally: Presence) -> dict[str, float]:
        """Return the figures of presence."""
        return presence_figures(tally)

    def confusion(self, tally: Presence) -> tuple[tuple[str, ...], IntArray]:
        """Return names and counts of rows (truth, prediction) above one half."""
        return _NAMES, tally.matrix()


_OF_ROLE: dict[str, SegmenterScoring | ClassifierScoring] = {
    "seg1": SegmenterScoring("dice"),
    "seg2": SegmenterScoring("dice_positive"),
    "cls": ClassifierScoring(),
}
