"""Own the choice of a lattice's distinctive windows by their content alone."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.grouping.lattices import (
    AnyIntArray,
    BoolArray,
    IntArray,
    OverlapOptions,
)

HashArray = npt.NDArray[np.uint64]

_NO_HASH = np.uint64(2**64 - 1)  # marks windows that may not become keypoints
_ROW_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd constants of SplitMix64 ...
_COLUMN_FACTOR = np.uint64(0xD1342543DE82EF95)  # ... and of a 64-bit LCG (Steele 2021)


def find_keypoints(
    values: AnyIntArray, valid: BoolArray, options: OverlapOptions
) -> tuple[HashArray, IntArray, IntArray]:
    """Choose a lattice's distinctive windows by their content alone.

    Args:
        values: (H, W) integers.
        valid: (H, W) where the values mean something.
        options: window, min_relief and spacing are used.

    Returns:
        (K,) hashes, unique and ascending; (K,) top rows; (K,) left columns.
    """
    k = options.window
    if min(values.shape) < k:
        empty = np.zeros(0, dtype=np.int64)
        return np.zeros(0, dtype=np.uint64), empty, empty
    usable = _slide(valid, k, np.logical_and) & _has_relief(values, options)
    hashes = np.where(usable, _window_hashes(values, k), _NO_HASH)
    around = np.pad(hashes, options.spacing, constant_values=_NO_HASH)
    lowest = _slide(around, 2 * options.spacing + 1, np.minimum)
    rows, cols = np.nonzero(usable & (hashes == lowest))
    chosen, first, times = np.unique(
        hashes[rows, cols], return_index=True, return_counts=True
    )
    # A window that repeats within one lattice says nothing about the shift.
    once = times == 1
    return chosen[once], rows[first[once]], cols[first[once]]


def _slide(array: npt.NDArray[Any], width: int, reduce: np.ufunc) -> npt.NDArray[Any]:
    """Reduce every width x width window, for a reduction that allows repeats.

    Doubling the span takes log2(width) passes per axis; min and "and" allow it, because
    counting an element twice does not change them.

    Returns:
        (H - width + 1, W - width + 1) reduced windows.
    """
    for _axis in range(2):
        span = 1
        while span < width:
            step = min(span, width - span)
            array = reduce(array[:-step], array[step:])
            span += step
        array = array.T
    return array


def _window_hashes(values: AnyIntArray, k: int) -> HashArray:
    """Hash every k x k window by a polynomial in two variables modulo 2^64.

    Horner's rule along columns, then rows, and the mixer of SplitMix64 (Steele et al.
    2014) at the end, because the low bits of a polynomial are weak.

    Returns:
        (H - k + 1, W - k + 1) uint64.
    """
    hashes = values.astype(np.int64).view(np.uint64)
    for factor in (_COLUMN_FACTOR, _ROW_FACTOR):
        lines = hashes.T
        hashes = lines[: lines.shape[0] - k + 1].copy(order="K")
        for j in range(1, k):
            hashes *= factor
            hashes += lines[j : lines.shape[0] - k + 1 + j]
    for bits, mixer in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashes ^= hashes >> np.uint64(bits)
        hashes *= np.uint64(mixer)
    hashes ^= hashes >> np.uint64(31)
    return hashes


def _has_relief(values: AnyIntArray, options: OverlapOptions) -> BoolArray:
    """Mark windows in which enough neighbours differ.

    Returns:
        (H - k + 1, W - k + 1) booleans.
    """
    k = options.window
    rows, cols = values.shape[0] - k + 1, values.shape[1] - k + 1
    steps = np.zeros((rows, cols), dtype=np.uint16)
    for grid in (values, values.T):
        differ = (grid[:, 1:] != grid[:, :-1]).view(np.uint8).astype(np.uint16)
        across = np.zeros((differ.shape[0], differ.shape[1] - k + 2), dtype=np.uint16)
        for j in range(k - 1):
            across += differ[:, j : differ.shape[1] - k + 2 + j]
        down = np.zeros((across.shape[0] - k + 1, across.shape[1]), dtype=np.uint16)
        for j in range(k):
            down += across[j : across.shape[0] - k + 1 + j]
        steps += down if grid is values else down.T
    return steps >= options.min_relief * 2 * k * (k - 1)
