"""A member's output: the probability of contrail in steps of 1/255.

The same compact form serves out-of-fold storage and inference, so a threshold chosen on
one means the same on the other.
"""

import numpy as np

from tenfold.data.arrays import ByteArray, Float32Array, FloatArray

STEPS = 255


def encode(probability: FloatArray) -> ByteArray:
    """Round probabilities 0 … 1 to steps."""
    steps: ByteArray = np.rint(np.asarray(probability) * STEPS).astype(np.uint8)
    return steps


def decode(steps: ByteArray) -> Float32Array:
    """Return probabilities 0 … 1."""
    return np.asarray(steps, np.float32) / np.float32(STEPS)
