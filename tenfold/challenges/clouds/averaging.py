"""Making pictures smaller: each pixel becomes a weighted mean of those it covers."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

from tenfold.data.arrays import ByteArray, IntArray

#: Weights of a mean are whole numbers that add up to it, so that a mean of bytes fits
#: into 16 bits.
_UNIT = 256
#: Target rows that are worked on at once, so that they stay in the cache.
_BLOCK = 32
_Words = NDArray[np.uint16]


@dataclass(frozen=True)
class _Axis:
    """What each of T target pixels reads along an axis.

    Attributes:
        places: (K, T) source pixels.
        weights: (K, T) of each; a target pixel's add up to `_UNIT`.
    """

    places: IntArray
    weights: _Words


def average(pixels: ByteArray, size: tuple[int, int]) -> ByteArray:
    """Resize a picture: the rows first, then the columns of those; each rounds.

    It is as near to exact means of areas as Pillow's HAMMING filter, in half the time.

    Args:
        pixels: (H, W, 4), RGB and a byte that says nothing. As words of four bytes,
            pixels are gathered twice as fast.
        size: height and width wanted, px.

    Returns:
        (*size, 3), RGB.
    """
    height, width, depth = pixels.shape
    rows, columns = _axis(height, size[0]), _axis(width, size[1])
    repeated = np.repeat(columns.weights, depth, axis=1)
    lines = pixels.reshape(height, width * depth)
    result = np.empty((*size, 3), np.uint8)
    # All memory to work in is taken once: fresh memory costs as much as the work.
    tall, wide = (np.empty((2, _BLOCK, n * depth), np.uint16) for n in (width, size[1]))
    short = np.empty((_BLOCK, width * depth), np.uint8)
    small = np.empty((_BLOCK, size[1]), np.uint32)
    for start in range(0, size[0], _BLOCK):
        some = slice(start, min(start + _BLOCK, size[0]))
        last = some.stop - start
        line, word = short[:last], small[:last]
        parts = (lines.take(near, 0, line, "clip") for near in rows.places[:, some])
        line[...] = _mean(parts, rows.weights[:, some, None], tall[:, :last])
        words = line.view(np.uint32)
        taken = (words.take(near, 1, word, "clip") for near in columns.places)
        parts = (word.view(np.uint8) for word in taken)
        found = _mean(parts, repeated, wide[:, :last])
        for colour in range(3):
            result[some, :, colour] = found[:, colour::depth]
    return result


def _mean(parts: Iterable[ByteArray], weights: _Words, memory: _Words) -> _Words:
    """Return the weighted mean of bytes, rounded.

    Args:
        parts: K, of one shape; the next may overwrite the last.
        weights: (K, ...) of each, add up to `_UNIT`.
        memory: (2, ...) to work in.
    """
    total: _Words = memory[0]
    term: _Words = memory[1]
    pairs = zip(parts, weights, strict=True)
    _multiply(*next(pairs), total)
    for part, weight in pairs:
        _multiply(part, weight, term)
        total += term
    total += _UNIT // 2
    total //= _UNIT
    return total


def _multiply(part: ByteArray, weight: _Words, out: _Words) -> None:
    # Faster than a product of two types.
    out[...] = part
    out *= weight


@cache
def _axis(source: int, target: int) -> _Axis:
    """Weigh the source pixels that are nearest to the centre of each target pixel.

    As many count as a target pixel can cover. Weights are those of Pillow's HAMMING, a
    sinc in a Hamming window, which goes on to the centres of the neighbours; what it
    has there is little.
    """
    scale = max(source / target, 1.0)
    count = ceil(scale) + 1
    centres = (np.arange(target) + 0.5) * source / target
    first = np.floor(centres - (count - 1) / 2).astype(np.int64)
    places = first + np.arange(count)[:, None]
    offsets = np.abs(places + 0.5 - centres) / scale
    shares = np.sinc(offsets) * (0.54 + 0.46 * np.cos(np.pi * offsets))
    shares[(offsets >= 1) | (places < 0) | (places >= source)] = 0
    weights = np.rint(shares / shares.sum(0) * _UNIT).astype(np.int64)
    # What rounding leaves over goes to the heaviest.
    weights[weights.argmax(0), np.arange(target)] += _UNIT - weights.sum(0)
    return _Axis(places.clip(0, source - 1), weights.astype(np.uint16))
