"""How well a classifier tells which classes an image has, from all its scores.

Scores are kept as they are. A classifier that is sure gives many of them within a
thousandth of 0 or 1, and bins of equal width would call those equal.
"""

from dataclasses import dataclass

import numpy as np

from tenfold.challenges.clouds.classes import CLASSES
from tenfold.data.arrays import BoolArray, Float32Array, FloatArray, IntArray
from tenfold.metrics.confusion import ratio
from tenfold.metrics.ranking import roc_area
from tenfold.recipe import Json

_HALF = 0.5
#: Where there is nothing to rank: what tossing a coin reaches.
_CHANCE = 0.5


@dataclass(frozen=True, eq=False)
class Presence:
    """The rows of N images; a sum has the rows of both.

    Attributes:
        scores: (N, classes), 0 … 1.
        truth: (N, classes), whether each is there.
    """

    scores: Float32Array
    truth: BoolArray

    def __add__(self, other: "Presence") -> "Presence":
        return Presence(
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.truth, other.truth]),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Presence) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> Json:
        """Return plain data: for each class its scores without and with it, ascending.

        Which scores are of one image is not kept, so sums do not depend on an order.
        """
        pairs = list(zip(self.scores.T, self.truth.T, strict=True))
        return {
            "absent": [np.sort(scores[~there]).tolist() for scores, there in pairs],
            "present": [np.sort(scores[there]).tolist() for scores, there in pairs],
        }

    @classmethod
    def from_json(cls, value: Json) -> "Presence":
        """Read scores back."""
        pairs = list(zip(value["absent"], value["present"], strict=True))
        scores = [
            np.array([*absent, *present], np.float32) for absent, present in pairs
        ]
        truth = [
            np.arange(len(absent) + len(present)) >= len(absent)
            for absent, present in pairs
        ]
        return cls(np.stack(scores, axis=1), np.stack(truth, axis=1))

    def matrix(self) -> IntArray:
        """Return rows by truth and by presence above one half, (2, 2)."""
        kinds = 2 * self.truth + (self.scores > _HALF)
        matrix: IntArray = np.bincount(kinds.ravel(), minlength=4).reshape(2, 2)
        return matrix


def count_presence(probability: FloatArray, truth: BoolArray) -> Presence:
    """Count one image.

    Args:
        probability: (classes,), 0 … 1.
        truth: (classes,), whether each is there.
    """
    return Presence(np.asarray(probability, np.float32)[None], truth[None])


def presence_figures(counted: Presence) -> dict[str, float]:
    """Return the published figures, all finite.

    `auc` is the mean of the classes' areas under the ROC curve, exact for the scores. A
    class of one value only has none and is left out; without any other, `auc` is that
    of chance. `f1_empty` is the F1 of absence, from all rows cut at one half, and
    `accuracy` is of the same cut.
    """
    columns = zip(CLASSES, counted.scores.T, counted.truth.T, strict=True)
    areas = {
        f"auc_{name.lower()}": area
        for name, scores, there in columns
        if (area := _area(scores, there)) is not None
    }
    (tn, fp), (fn, tp) = counted.matrix().tolist()
    return {
        "auc": ratio(sum(areas.values()), len(areas), empty=_CHANCE),
        **areas,
        "f1_empty": ratio(2 * tn, 2 * tn + fn + fp),
        "accuracy": ratio(tn + tp, tn + fp + fn + tp),
    }


def _area(scores: Float32Array, there: BoolArray) -> float | None:
    """Return the area under the ROC curve of a class; None if it has one value only."""
    values, place = np.unique(scores, return_inverse=True)
    counts = [np.bincount(place[of], minlength=len(values)) for of in (~there, there)]
    return roc_area(np.stack(counts))
