"""Masks at another size: one rule for predictions, and two for labels.

The published rule of labels resizes them as floats and takes what is above 0, so that
a pixel is set if any of the up to four source pixels it reads is; labels grow by up
to a pixel a side. Predictions are resized as bytes, which rounds, and do not grow.
"""

from functools import cache
from math import gcd
from typing import Any, Literal

import numpy as np
from scipy import sparse

from tenfold.challenges.clouds.sampling import Taps, resize_bytes, taps
from tenfold.codecs.run_length import any_between, mask_of
from tenfold.data.arrays import BoolArray, IntArray

Rule = Literal["any", "area"]


def resize_labels(
    masks: BoolArray, size: tuple[int, int], rule: Rule = "any"
) -> BoolArray:
    """Resize labels.

    Args:
        masks: (..., H, W).
        size: height and width wanted, px.
        rule: any sets a pixel if a pixel that it reads is set, as published; area if
            at least half of the area it covers is.

    Returns:
        (..., *size).
    """
    return _by_any(masks, size) if rule == "any" else _by_area(masks, size)


def resize_runs(
    runs: IntArray, shape: tuple[int, int], size: tuple[int, int], rule: Rule = "any"
) -> BoolArray:
    """Resize a label given as runs down the columns.

    It is `resize_labels(mask_of(runs, shape), size, rule)`, but by the published rule,
    which reads few of a mask's pixels, the whole mask is not made.

    Args:
        runs: (N, 2) start and length, from 1.
        shape: height and width of the label, px.
        size: height and width wanted, px.
        rule: as for `resize_labels`.

    Returns:
        (*size); by the published rule contiguous in Fortran's order.

    Raises:
        CodecError: as `mask_of`.
    """
    if rule == "area":
        return resize_labels(mask_of(runs, shape), size, rule)
    rows, columns, (left, right) = _reads(shape, size)
    lines = any_between(runs, shape, rows.low, rows.high, columns).T
    found: BoolArray = lines[left] | lines[right]
    return found.T


def resize_predictions(masks: BoolArray, size: tuple[int, int]) -> BoolArray:
    """Resize predicted masks: set where the bilinear mean is at least a half.

    The mean is that of bytes of 0 and 1 in OpenCV's whole numbers. It cuts off bits,
    so that some pixels with a mean of little more than a half are not set.

    Args:
        masks: (C, H, W).
        size: height and width wanted, px.

    Returns:
        (C, *size).
    """
    values = np.moveaxis(masks, 0, -1).astype(np.uint8, order="C")
    return np.moveaxis(resize_bytes(values, size) > 0, -1, 0)


def _by_any(masks: BoolArray, size: tuple[int, int]) -> BoolArray:
    rows, columns = (taps(*sides) for sides in zip(masks.shape[-2:], size, strict=True))
    wide = masks[..., columns.low] | masks[..., columns.high]
    found: BoolArray = wide[..., rows.low, :] | wide[..., rows.high, :]
    return found


@cache
def _reads(
    shape: tuple[int, int], size: tuple[int, int]
) -> tuple[Taps, IntArray, IntArray]:
    """Return what target pixels read: their rows, all columns, and those of each.

    Returns:
        rows; columns in order, each once; and (2, width) places of each among them.
    """
    rows, columns = (taps(*sides) for sides in zip(shape, size, strict=True))
    read, places = np.unique([columns.low, columns.high], return_inverse=True)
    return rows, read, places.reshape(2, -1)


def _by_area(masks: BoolArray, size: tuple[int, int]) -> BoolArray:
    """Compare areas in whole units, so that exactly a half counts as a half."""
    rows, columns = (
        _overlaps(*sides) for sides in zip(masks.shape[-2:], size, strict=True)
    )
    covered = rows[:1].sum() * columns[:1].sum()
    flat = masks.reshape(-1, *masks.shape[-2:])
    found = [2 * (rows @ mask.astype(np.int32) @ columns.T) >= covered for mask in flat]
    return np.stack(found).reshape(*masks.shape[:-2], *size)


@cache
def _overlaps(source: int, target: int) -> Any:
    """Return how much of each source pixel lies in each target pixel.

    Args:
        source: pixels along an axis.
        target: pixels that the same length is divided into.

    Returns:
        (target, source) sparse int32, in the largest unit that makes them whole.
    """
    common = gcd(source, target)
    source_units, target_units = target // common, source // common
    length = source * source_units
    edges = np.union1d(
        np.arange(0, length + 1, source_units), np.arange(0, length + 1, target_units)
    )
    place = (edges[:-1] // target_units, edges[:-1] // source_units)
    pieces = np.diff(edges).astype(np.int32)
    return sparse.csr_array((pieces, place), shape=(target, source))
