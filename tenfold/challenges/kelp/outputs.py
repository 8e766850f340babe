"""A member's output: the probability of kelp in steps of 1/255, or a vote by it.

The same compact form serves out-of-fold storage and inference, so a threshold
chosen on one means the same on the other.
"""

import math

import numpy as np

from tenfold.data.arrays import Arrays, ByteArray, Float32Array, FloatArray

STEPS = 255


def encode(probability: FloatArray) -> ByteArray:
    """Round probabilities 0 … 1 to steps."""
    steps: ByteArray = np.rint(np.asarray(probability) * STEPS).astype(np.uint8)
    return steps


def decode(steps: ByteArray) -> Float32Array:
    """Return probabilities 0 … 1."""
    return np.asarray(steps, np.float32) / np.float32(STEPS)


def threshold_of(step: int) -> float:
    """Return the threshold just below a step, safe from rounding."""
    return (step - 0.5) / STEPS


def step_of(threshold: float) -> int:
    """Return the first step that is at or above a threshold."""
    return min(math.ceil(threshold * STEPS - 1e-9), STEPS)


def opinion(outputs: Arrays, vote: str, threshold: float | None) -> Float32Array:
    """Return what a member adds to the mean: its probability, or a vote of 0 or 1.

    Args:
        outputs: of a member.
        vote: soft or hard.
        threshold: of a hard vote.
    """
    probability = decode(np.asarray(outputs["prob"]))
    if vote == "soft" or threshold is None:
        return probability
    return (probability >= threshold).astype(np.float32)
