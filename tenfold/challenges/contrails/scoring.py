"""Contrails' metric: one global Dice over all pixels of all records at once."""

import sys
from typing import cast

import numpy as np

from tenfold.challenges import Scoring
from tenfold.challenges.contrails.outputs import STEPS
from tenfold.data.arrays import Arrays, IntArray
from tenfold.metrics.confusion import Confusion, count, dice, iou, ratio
from tenfold.recipe import Json

#: The leaderboard's figure; this is what is monitored and tuned.
MONITOR = "dice"
_HALF = STEPS // 2


def tally(outputs: Arrays, arrays: Arrays) -> Confusion:
    """Count one record against its label.

    Args:
        outputs: a prediction's mask `contrail`, or a member's `prob`, of which what is
            above one half counts.
        arrays: the record.
    """
    if "contrail" in outputs:
        found = np.asarray(outputs["contrail"]) == 1
    else:
        found = np.asarray(outputs["prob"]) > _HALF
    return count(found, np.asarray(arrays["label"]) == 1)


def from_json(value: Json) -> Confusion:
    """Read counts back."""
    return Confusion(**value)


def metrics(tally: Confusion) -> dict[str, float]:
    """Return the figures of contrail pixels, and the shares of all that they are.

    Without a labelled and a predicted pixel, `dice` and `iou` are 1.
    """
    pixels = tally.tp + tally.fp + tally.fn + tally.tn
    return {
        MONITOR: dice(tally),
        "iou": iou(tally),
        "precision": ratio(tally.tp, tally.tp + tally.fp),
        "recall": ratio(tally.tp, tally.tp + tally.fn),
        "predicted_share": ratio(tally.tp + tally.fp, pixels),
        "labelled_share": ratio(tally.tp + tally.fn, pixels),
    }


def confusion(tally: Confusion) -> tuple[tuple[str, ...], IntArray]:
    """Return class names and counts (truth, prediction)."""
    return ("background", "contrail"), tally.matrix()


def of_role(role: str) -> Scoring:
    """Return this module: members of any role paint contrails, as predictions do."""
    return cast(Scoring, sys.modules[__name__])
