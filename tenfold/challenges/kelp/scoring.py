"""Kelp's metric: one global Dice of kelp over all 350×350 pixels."""

import sys
from typing import cast

import numpy as np

from tenfold.challenges import Scoring
from tenfold.challenges.kelp.outputs import STEPS
from tenfold.challenges.kelp.tiles import unpack_mask
from tenfold.data.arrays import Arrays, IntArray
from tenfold.metrics.confusion import Confusion, count, dice, figures, iou
from tenfold.recipe import Json

#: The leaderboard's figure; this is what is monitored and tuned.
MONITOR = "dice_kelp"
_HALF = STEPS // 2


def tally(outputs: Arrays, arrays: Arrays) -> Confusion:
    """Count one tile against its mask.

    Args:
        outputs: a prediction's mask `kelp`, or a member's `prob`, cut at one half.
        arrays: the tile.
    """
    if "kelp" in outputs:
        found = np.asarray(outputs["kelp"]) == 1
    else:
        found = np.asarray(outputs["prob"]) > _HALF
    return count(found, unpack_mask(arrays) == 1)


def from_json(value: Json) -> Confusion:
    """Read counts back."""
    return Confusion(**value)


def metrics(tally: Confusion) -> dict[str, float]:
    """Return the published figures, and the one that decides."""
    return {MONITOR: dice(tally), "iou_kelp": iou(tally), **figures(tally)}


def confusion(tally: Confusion) -> tuple[tuple[str, ...], IntArray]:
    """Return class names and counts (truth, prediction)."""
    return ("background", "kelp"), tally.matrix()


def of_role(role: str) -> Scoring:
    """Return this module: members of any role paint kelp, as predictions do."""
    return cast(Scoring, sys.modules[__name__])
