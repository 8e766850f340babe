"""What a probability above a threshold is, where probabilities are steps of 1/255.

Step k is above threshold t if k / 255 > t in double precision, which is what it is in
exact numbers: a quotient and a decimal number that are equal round to the same double,
and two that differ are further apart than rounding reaches, for thresholds of up to 12
decimals.
"""

import numpy as np

from tenfold.challenges.contrails.outputs import STEPS
from tenfold.data.arrays import ByteArray, Float32Array, IntArray

#: Of a histogram over steps; the last stays empty, as no step is above 1.
BINS = STEPS + 2
_DECIMALS = 12
_EVERY = np.arange(STEPS + 1) / STEPS


def first_above(threshold: float) -> int:
    """Return the first step that is above a threshold; 256 if none is."""
    return int(np.searchsorted(_EVERY, threshold, side="right"))


def multiples(step: float) -> tuple[float, ...]:
    """Return the thresholds to try: multiples of a step between 0 and 1."""
    values = (round(k * step, _DECIMALS) for k in range(1, int(1 / step) + 1))
    return tuple(value for value in values if value < 1)


def whole_steps(mean: Float32Array) -> ByteArray:
    """Round a mean of steps to the nearest whole one, halves to the even one."""
    return np.rint(mean).astype(np.uint8)


def histogram(steps: ByteArray, truth: ByteArray) -> IntArray:
    """Count pixels by truth and step, (2, BINS).

    Args:
        steps: (H, W), 0 to 255.
        truth: (H, W) of 0 and 1.
    """
    place = steps.ravel() + BINS * truth.ravel().astype(np.int64)
    return np.bincount(place, minlength=2 * BINS).reshape(2, BINS)
