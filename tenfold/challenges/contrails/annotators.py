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
    return np.asarray(individual.sum(axis=-1, dtype=np.uint8))


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
    marked = individual.sum(axis=(0, 1), dtype=np.int64)
    shared = individual[agreed].sum(axis=0, dtype=np.int64)
    both = marked + np.count_nonzero(agreed)
    counted = both > -1
    if not counted.any():
        return None
    return float((2 * shared[counted] / both[counted]).mean())
