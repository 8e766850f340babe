"""Confusion counts and the figures of segmentation that follow from them."""

import math
from dataclasses import dataclass

import numpy as np

from tenfold.data.arrays import BoolArray, IntArray
from tenfold.recipe import Json


@dataclass(frozen=True)
class Confusion:
    """Pixels by truth and prediction; adds up over any number of images.

    Attributes:
        tp: foreground predicted as such; fp, fn, tn likewise.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(
            self.tp + other.tp,
            self.fp + other.fp,
            self.fn + other.fn,
            self.tn + other.tn,
        )

    def to_json(self) -> Json:
        """Return plain data."""
        return {"tp": self.tp, "fp": self.fp, "fn": self.fn, "tn": self.tn}

    def matrix(self) -> IntArray:
        """Return counts (truth, prediction), background first."""
        return np.array([[self.tn, self.fp], [self.fn, self.tp]], np.int64)


def count(prediction: BoolArray, truth: BoolArray) -> Confusion:
    """Count two masks of one shape against each other."""
    tp = int(np.count_nonzero(prediction & truth))
    predicted, true = int(prediction.sum()), int(truth.sum())
    fp, fn = predicted - tp, true - tp
    return Confusion(tp, fp, fn, truth.size - tp - fp - fn)


def ratio(top: float, bottom: float, empty: float = 0.0) -> float:
    """Divide, with a value of its own for nothing by nothing."""
    return top / bottom if bottom else empty


def dice(c: Confusion) -> float:
    """2|A∩B| / (|A|+|B|), the competition's score; 1 if both are empty."""
    return ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn, empty=1.0)


def iou(c: Confusion) -> float:
    """|A∩B| / |A∪B|; 1 if both are empty."""
    return ratio(c.tp, c.tp + c.fp + c.fn, empty=1.0)


def swapped(c: Confusion) -> Confusion:
    """The same counts with background as the class that is looked for."""
    return Confusion(c.tn, c.fn, c.fp, c.tp)


def figures(c: Confusion) -> dict[str, float]:
    """The published figures under their names, all finite.

    `dice` is the mean over background and foreground, as the published kelp
    system logs it: its 0.844 stands for 0.690 of kelp alone. Precision, recall
    and f1 are of the foreground.
    """
    precision, recall = ratio(c.tp, c.tp + c.fp), ratio(c.tp, c.tp + c.fn)
    values = {
        "dice": (dice(c) + dice(swapped(c))) / 2,
        "iou": iou(c),
        "iou_background": iou(swapped(c)),
        "accuracy": ratio(c.tp + c.tn, c.tp + c.fp + c.fn + c.tn),
        "precision": precision,
        "recall": recall,
        "f1": ratio(2 * precision * recall, precision + recall),
    }
    if not all(math.isfinite(value) for value in values.values()):
        raise ArithmeticError(f"a figure of {c} is not finite")
    return values
