"""What several annotators marked: votes, their majority, and how far they agree."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.data.arrays import BoolArray, ByteArray, Float32Array


def count_votes(individual: NDArray[Any]) -> ByteArray:
    """Count the annotators who marked a pixel.

    Args:
        individual: (H, W, R), 0 or 1, of at most 255 annotators.

    Returns:
        (H, W), 0 to R.
    """
    # Plane by plane: sums over a short last axis take twice as long as all the rest.
    votes = np.zeros(individual.shape[:2], np.uint8)
    for place in range(individual.shape[-1]):
        votes += individual[..., place].astype(np.uint8, copy=False)
    return votes


def majority(votes: ByteArray, annotators: int) -> BoolArray:
    """Return the pixels that more than half of the annotators marked: (H, W).

    A tie is no contrail; so says the competition's page.
    """
    return np.asarray(votes > annotators // 2)


def soft_label(votes: ByteArray, annotators: int) -> Float32Array:
    """Return the share of the annotators who marked a pixel: (H, W), 0 to 1."""
    return np.asarray(votes / np.float32(annotators), np.float32)


def agreement(individual: NDArray[Any], agreed: BoolArray) -> float | None:
    """Return the mean Dice of the annotators with their majority.

    Args:
        individual: (H, W, R), 0 or 1.
        agreed: (H, W), the majority.

    Returns:
        0 to 1. An annotator who marked nothing where the majority has nothing either
        has no Dice and is left out; None if that is so for all of them.
    """
    planes = [individual[..., place] for place in range(individual.shape[-1])]
    marked = np.array([np.count_nonzero(plane) for plane in planes])
    shared = np.array([np.count_nonzero(plane[agreed]) for plane in planes])
    both = marked + np.count_nonzero(agreed)
    counted = both > 0
    if not counted.any():
        return None
    return float((2 * shared[counted] / both[counted]).mean())
