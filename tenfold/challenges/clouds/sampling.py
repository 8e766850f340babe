"""Where bilinear resizing without antialiasing reads, and its arithmetic of bytes.

The published system resizes with OpenCV's INTER_LINEAR, both bytes and floats. Its
places and its whole numbers are restated here, so that results are the same to the
bit (compared with OpenCV 4.6 and 5.0).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tenfold.data.arrays import ByteArray, Float32Array, IntArray

#: Weights of bytes are whole numbers of 1/2048.
_UNIT = np.float32(2048)
#: Target rows that are worked on at once, so that they stay in the cache.
_BLOCK = 32
_Int32Array = NDArray[np.int32]


@dataclass(frozen=True)
class Taps:
    """The two source pixels that each target pixel reads along an axis.

    Attributes:
        low: (T,) index of the first.
        high: (T,) index of the second; the first again where that weighs nothing or
            there is none, at the border.
        weight: (T,) of the second, 0 … below 1; the first has the rest.
    """

    low: IntArray
    high: IntArray
    weight: Float32Array


def taps(source: int, target: int) -> Taps:
    """Place the centres of `target` pixels among those of `source` pixels.

    Args:
        source: pixels along the axis.
        target: pixels that they become.
    """
    # OpenCV's own detour; source / target may be rounded otherwise.
    scale = 1 / (target / source)
    place = ((np.arange(target) + 0.5) * scale - 0.5).astype(np.float32)
    low = np.floor(place).astype(np.int64)
    weight = place - low.astype(np.float32)
    high = low + (weight > 0)
    return Taps(low.clip(0, source - 1), high.clip(0, source - 1), weight)


def resize_bytes(values: ByteArray, size: tuple[int, int]) -> ByteArray:
    """Resize bytes as OpenCV's INTER_LINEAR does, to the bit.

    It works in whole numbers, columns first. Of their sums, and of what each row has
    in the end, the last bits are cut off; only the last step rounds.

    Args:
        values: (H, W, C).
        size: height and width wanted, px.

    Returns:
        (*size, C).
    """
    rows, columns = taps(values.shape[0], size[0]), taps(values.shape[1], size[1])
    first, second = (weights[:, None, None] for weights in _whole_weights(rows))
    result = np.empty((*size, values.shape[2]), np.uint8)
    for start in range(0, size[0], _BLOCK):
        some = slice(start, start + _BLOCK)
        needed, place = np.unique(
            [rows.low[some], rows.high[some]], return_inverse=True
        )
        low, high = place.reshape(2, -1)
        across = _across(values[needed], columns)
        total = across[low] * first[some] >> 16
        total += across[high] * second[some] >> 16
        result[some] = (total + 2) >> 2
    return result


def _across(values: ByteArray, columns: Taps) -> _Int32Array:
    """Resize (H, W, C) along the columns only; in 1/128, (H, T, C)."""
    first, second = _whole_weights(columns)
    sums = values[:, columns.low] * first[:, None]
    sums += values[:, columns.high] * second[:, None]
    sums >>= 4
    return sums


def _whole_weights(axis: Taps) -> tuple[_Int32Array, _Int32Array]:
    """Return the weights of both pixels, (T,) each, in 1/2048."""
    first = np.rint((1 - axis.weight) * _UNIT).astype(np.int32)
    return first, np.rint(axis.weight * _UNIT).astype(np.int32)
