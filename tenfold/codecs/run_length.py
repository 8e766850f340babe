"""Run-length codes of binary masks: "start length start length …", and back, exactly.

Pixels are numbered down the columns ("column", as Kaggle does) or along the rows
("row"), from `base` on. Down the columns from 1, pixel (r, c) of a mask of height H
has the number c × H + r + 1.
"""

import re
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tenfold.codecs.decimal import spaced
from tenfold.data.arrays import BoolArray, IntArray
from tenfold.errors import CodecError

Order = Literal["column", "row"]

#: Whether the pixels in this order are those of the transposed mask along its rows.
_TRANSPOSED: dict[Order, bool] = {"column": True, "row": False}
_PLAIN = b"0123456789 "
_WHOLE_NUMBER = re.compile(r"-?[0-9]+", re.ASCII)


def encode(
    mask: ArrayLike, order: Order = "column", base: int = 1, empty: str = ""
) -> str:
    """Return the run-length code of a mask.

    Args:
        mask: (H, W), what is not zero is set.
        order: in which pixels are numbered.
        base: number of the first pixel, 0 or more.
        empty: what stands for a mask without a set pixel.
    """
    runs = runs_of(mask, order, base)
    return spaced(runs.ravel(), np.size(mask) + base) or empty


def decode(
    text: str,
    shape: tuple[int, int],
    order: Order = "column",
    base: int = 1,
    empty: str = "",
) -> BoolArray:
    """Return the mask (H, W) of a run-length code.

    Args:
        text: whole numbers separated by blanks.
        shape: height and width, px.
        order: in which pixels are numbered.
        base: number of the first pixel.
        empty: what stands for a mask without a set pixel.

    Raises:
        CodecError: the code is malformed.
    """
    stripped = text.strip(" ")
    if stripped == empty:
        return np.zeros(shape, bool)
    if not stripped:
        raise CodecError(
            f"a run-length code is blank; a mask without a set pixel is {empty!r}"
        )
    return mask_of(read_runs(stripped), shape, order, base)


def read_runs(text: str) -> IntArray:
    """Return the start and length of each run of a code, (N, 2), as they stand there.

    Args:
        text: whole numbers separated by blanks; none are no run.

    Raises:
        CodecError: these are no numbers, or they do not come in pairs.
    """
    stripped = text.strip(" ")
    numbers = _numbers(stripped) if stripped else np.empty(0, np.int64)
    if numbers.size % 2:
        raise CodecError(
            f"a run-length code has {numbers.size} numbers; starts and lengths come "
            "in pairs"
        )
    return numbers.reshape(-1, 2)


def runs_of(mask: ArrayLike, order: Order = "column", base: int = 1) -> IntArray:
    """Return the start and length of each run of set pixels, (N, 2), sorted.

    Args:
        mask: (H, W), what is not zero is set.
        order: in which pixels are numbered.
        base: number of the first pixel.
    """
    pixels = np.asarray(mask).astype(bool, copy=False)
    edges = _edges(pixels.T if _TRANSPOSED[order] else pixels)
    runs = edges.reshape(-1, 2)
    runs[:, 1] -= runs[:, 0]
    runs[:, 0] += base
    return runs


def mask_of(
    runs: IntArray, shape: tuple[int, int], order: Order = "column", base: int = 1
) -> BoolArray:
    """Return the mask (H, W) of runs; runs that touch are allowed.

    Down the columns it is a transposed view, contiguous in Fortran's order.

    Args:
        runs: (N, 2) start and length, sorted.
        shape: height and width, px.
        order: in which pixels are numbered.
        base: number of the first pixel.

    Raises:
        CodecError: a run is empty, outside the mask, overlaps another or is not in
            its place.
    """
    height, width = shape
    pixels = _filled(_ends(runs, shape, base))
    if _TRANSPOSED[order]:
        return pixels.reshape(width, height).T
    return pixels.reshape(height, width)


def any_between(
    runs: IntArray,
    shape: tuple[int, int],
    first: IntArray,
    last: IntArray,
    columns: IntArray,
    base: int = 1,
) -> BoolArray:
    """Return where any pixel between two rows of a column is set, (R, C).

    The mask is that of runs down the columns, and is not made: each of its runs covers
    cells, of a column and two rows, that follow each other.

    Args:
        runs: (N, 2) start and length, sorted.
        shape: height and width of the mask, px.
        first: (R,) rows, sorted.
        last: (R,) rows, sorted; none is above its first.
        columns: (C,) that are looked at, sorted, each once.
        base: number of the first pixel.

    Returns:
        A transposed view, contiguous in Fortran's order.

    Raises:
        CodecError: as `mask_of`.
    """
    height, width = shape
    lines, places = np.divmod(_ends(runs, shape, base), height)
    before = np.searchsorted(columns, np.arange(width + 2))
    # Of the cells in a run's own column, those that end before it starts come before
    # it, and those that start before it ends are not behind it.
    inside = np.empty_like(places)
    inside[1::2] = np.searchsorted(last, places[1::2])
    inside[::2] = np.searchsorted(first, places[::2])
    inside[before[lines + 1] == before[lines]] = 0
    cells = before[lines] * len(first) + inside
    # Two runs may be in one cell.
    found = _filled(np.maximum.accumulate(cells))
    return found.reshape(len(columns), len(first)).T


def _ends(runs: IntArray, shape: tuple[int, int], base: int) -> IntArray:
    """Return 0, where each run starts and ends, from 0, and the number of pixels.

    Raises:
        CodecError: a run is empty, outside the mask, overlaps another or is not in
            its place.
    """
    height, width = shape
    ends = np.empty(2 * len(runs) + 2, np.int64)
    ends[0], ends[-1] = 0, height * width
    ends[1:-1:2] = runs[:, 0] - base
    ends[2:-1:2] = ends[1:-1:2] + runs[:, 1]
    steps = ends[1:] - ends[:-1]
    # None is larger than the mask either, lest huge numbers wrap around and add up.
    if steps.min() < 0 or steps.max() > ends[-1] or not runs[:, 1].all():
        raise CodecError(next(_faults(runs, shape, base)))
    return ends


def _filled(ends: IntArray) -> BoolArray:
    """Return flags: none are set up to the second end, all to the third, and so on."""
    steps = ends[1:] - ends[:-1]
    values = np.zeros(steps.size, bool)
    values[1::2] = True
    return np.repeat(values, steps)


def _edges(pixels: BoolArray) -> IntArray:
    """Return where runs start and end, along the rows from 0: an even number."""
    _, width = pixels.shape
    if pixels.flags.c_contiguous:
        flat = pixels.ravel()
        edges = np.flatnonzero(np.concatenate([flat[:1], flat[1:] != flat[:-1]]))
    else:
        # numpy.nonzero of two axes takes ten times as long.
        changed, height = np.flatnonzero(_changes(pixels.T)), len(pixels)
        places = changed // height  # and not divmod, which takes twice as long
        lines = changed - places * height
        edges = np.sort(lines * width + places)
    # The last run may go on to the end, where nothing follows that is not set.
    return np.append(edges, pixels.size) if edges.size % 2 else edges


def _changes(pixels: BoolArray) -> BoolArray:
    """Return whether each pixel differs from the one before, down the columns.

    Whole rows are compared, as they lie in memory; a transposed copy costs more.
    """
    changes = np.empty(pixels.shape, bool)
    np.not_equal(pixels[1:], pixels[:-1], out=changes[1:])
    # Before the top of a column comes the foot of the column to its left.
    changes[:1, :1] = pixels[:1, :1]
    np.not_equal(pixels[:1, 1:], pixels[-1:, :-1], out=changes[:1, 1:])
    return changes


def _numbers(text: str) -> IntArray:
    """Return the numbers of a text; those beyond int64 become its largest."""
    if text.encode("ascii", "replace").translate(None, _PLAIN):
        for place, word in enumerate(filter(None, text.split(" ")), 1):
            if not _WHOLE_NUMBER.fullmatch(word):
                raise CodecError(
                    f"number {place} of a run-length code is {word!r}; whole numbers "
                    "separated by blanks are expected"
                )
    return np.fromstring(text, dtype=np.int64, sep=" ")


def _faults(runs: IntArray, shape: tuple[int, int], base: int) -> Iterator[str]:
    """Say of each run that is at fault what is wrong with it."""
    height, width = shape
    last = height * width + base - 1
    before, reached = base, base - 1
    for place, (start, length) in enumerate(runs.tolist(), 1):
        run, end = f"run {place} ({start} {length})", start + length - 1
        if length < 1:
            yield f"{run} has length {length}; a run has at least 1 pixel"
        elif start < base:
            yield f"{run} starts at {start}; the first pixel is {base}"
        elif end > last:
            yield f"{run} ends at pixel {end}; the last of {height} × {width} is {last}"
        elif start < before:
            yield f"{run} starts before run {place - 1}, at {before}; runs are sorted"
        elif start <= reached:
            yield f"{run} overlaps run {place - 1}, which ends at pixel {reached}"
        before, reached = start, end
