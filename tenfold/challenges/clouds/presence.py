"""How well a classifier tells which classes an image has, in counts that add up."""

from dataclasses import dataclass

import numpy as np

from tenfold.challenges.clouds.classes import CLASSES
from tenfold.data.arrays import BoolArray, FloatArray, IntArray
from tenfold.metrics.confusion import ratio
from tenfold.metrics.ranking import roc_area
from tenfold.recipe import Json

#: Bin b holds the probabilities in (b, b + 1] / BINS, and the first one 0 too, so a
#: cut of `> 1/2` lies between two bins.
BINS = 1024
_SHAPE = (len(CLASSES), 2, BINS)
#: Where there is nothing to rank: what tossing a coin reaches.
_CHANCE = 0.5


@dataclass(frozen=True)
class Presence:
    """Rows by class, truth and bin of their probability.

    Attributes:
        counts: (classes, 2, BINS) int64, absent first.
    """

    counts: IntArray

    def __add__(self, other: "Presence") -> "Presence":
        return Presence(self.counts + other.counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Presence) and bool((self.counts == other.counts).all())

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> Json:
        """Return plain data: the places in use, flat, and their counts."""
        places = np.flatnonzero(self.counts)
        return {
            "places": places.tolist(),
            "counts": self.counts.ravel()[places].tolist(),
        }

    @classmethod
    def from_json(cls, value: Json) -> "Presence":
        """Read counts back."""
        counts = np.zeros(_SHAPE, np.int64)
        counts.ravel()[np.array(value["places"], np.int64)] = value["counts"]
        return cls(counts)

    def matrix(self) -> IntArray:
        """Return rows by truth and by presence above one half, (2, 2)."""
        halves = self.counts.reshape(len(CLASSES), 2, 2, BINS // 2)
        matrix: IntArray = halves.sum(axis=(0, 3))
        return matrix


def count_presence(probability: FloatArray, truth: BoolArray) -> Presence:
    """Count one image.

    Args:
        probability: (classes,), 0 … 1.
        truth: (classes,), whether each is there.
    """
    bins = np.ceil(np.asarray(probability, np.float64) * BINS).astype(np.int64) - 1
    counts = np.zeros(_SHAPE, np.int64)
    places = np.arange(len(CLASSES)), truth.astype(np.int64), bins.clip(0, BINS - 1)
    counts[places] = 1
    return Presence(counts)


def presence_figures(counted: Presence) -> dict[str, float]:
    """Return the published figures, all finite.

    `auc` is the mean of the classes' areas under the ROC curve, exact for binned
    probabilities. A class of one value only has none and is left out; without any
    other, `auc` is that of chance. `f1_empty` is the F1 of absence, from all rows
    cut at one half, and `accuracy` is of the same cut.
    """
    areas = {
        f"auc_{name.lower()}": area
        for name, counts in zip(CLASSES, counted.counts, strict=True)
        if (area := roc_area(counts)) is not None
    }
    (tn, fp), (fn, tp) = counted.matrix().tolist()
    return {
        "auc": ratio(sum(areas.values()), len(areas), empty=_CHANCE),
        **areas,
        "f1_empty": ratio(2 * tn, 2 * tn + fn + fp),
        "accuracy": ratio(tn + tp, tn + fp + fn + tp),
    }
