"""Predicted masks to the submitted size, all classes at once in their bits.

It gives what `masks.resize_predictions` gives, to the bit, in a tenth of the time:
where the four pixels that one reads are alike, so is the result, and only along the
outlines is there anything to work out.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tenfold.challenges.clouds.classes import CLASSES
from tenfold.challenges.clouds.sampling import Taps, taps
from tenfold.data.arrays import ByteArray, IntArray

#: OpenCV's weights of bytes are whole numbers of 1/2048.
_UNIT = 2048
_PLANES = np.arange(len(CLASSES), dtype=np.uint8)


@dataclass(frozen=True)
class Plan:
    """How one size becomes another.

    Attributes:
        rows: the two that each target row reads.
        columns: likewise.
        answers: (target H, target W) uint16; bit k says whether the pixel is set when
            the corners that it reads are k: 1 for the upper left, 2 for the upper
            right, 4 for the lower left, 8 for the lower right.
    """

    rows: Taps
    columns: Taps
    answers: NDArray[np.uint16]


@cache
def plan_of(source: tuple[int, int], target: tuple[int, int]) -> Plan:
    """Work out a plan, once for each pair of sizes."""
    rows, columns = (taps(*sides) for sides in zip(source, target, strict=True))
    upper, lower = _weights(rows)
    left, right = _weights(columns)
    answers = np.zeros(target, np.uint16)
    for corners in range(16):
        one, two, three, four = (corners >> place & 1 for place in range(4))
        # OpenCV cuts bits off after the columns and after the rows, then rounds.
        above = (left * one + right * two) >> 4
        below = (left * three + right * four) >> 4
        quarters = (np.outer(upper, above) >> 16) + (np.outer(lower, below) >> 16)
        answers |= ((quarters + 2) >> 2 > 0).astype(np.uint16) << np.uint16(corners)
    return Plan(rows, columns, answers)


def _weights(axis: Taps) -> tuple[IntArray, IntArray]:
    """Return the weights of both pixels, (T,) each, in 1/2048."""
    first, second = (
        np.rint(weight * _UNIT).astype(np.int64)
        for weight in (1 - axis.weight, axis.weight)
    )
    return first, second


def shrink(bits: ByteArray, size: tuple[int, int]) -> ByteArray:
    """Resize predicted masks.

    Args:
        bits: (H, W), a bit a class.
        size: height and width wanted, px.
    """
    if not bits.any():
        return np.zeros(size, np.uint8)
    plan = plan_of((bits.shape[0], bits.shape[1]), size)
    upper, lower = bits[plan.rows.low], bits[plan.rows.high]
    differs = upper ^ lower
    differs[:, :-1] |= differs[:, 1:]
    differs[:, :-1] |= upper[:, :-1] ^ upper[:, 1:]
    left, right = plan.columns.low, plan.columns.high
    # `take` along an axis is several times as fast as an index.
    found = upper.take(left, axis=1)
    row, column = np.nonzero(differs.take(left, axis=1))
    corners = [
        lines[row, side[column]] for lines in (upper, lower) for side in (left, right)
    ]
    found[row, column] = _answered(corners, plan.answers[row, column])
    return found


def _answered(corners: list[ByteArray], answers: NDArray[np.uint16]) -> ByteArray:
    """Return the bits of pixels (E,) by what their four corners are."""
    result = np.zeros(len(answers), np.uint8)
    for plane in _PLANES:
        pattern = np.zeros(len(answers), np.uint16)
        for place, corner in enumerate(corners):
            pattern |= ((corner >> plane) & 1).astype(np.uint16) << np.uint16(place)
        result |= ((answers >> pattern) & 1).astype(np.uint8) << plane
    return result
