"""Own the exact search for scenes that overlap in space and time, by their boxes."""

import math
from collections.abc import Iterator

import numpy as np
import polars as pl

from tenfold.data.arrays import Float64Array, IntArray
from tenfold.errors import TenfoldError
from tenfold.recipe import FootprintSearch

#: What a box has, in degrees; east of west, so that 170 to -170 is 20 degrees wide.
SIDES = ("west", "south", "east", "north")
#: More pairs than this are refused: about 1 GB while they are sorted.
MOST_PAIRS = 20_000_000
#: Scenes are looked up by the squares of this grid that they touch. Contrails' scenes
#: are about 5 degrees wide: most touch one to four.
_CELL_DEGREES = 8.0
_COLUMNS = int(360 / _CELL_DEGREES)
_AT_ONCE = 1 << 20  # candidates that are compared at once


def edges(scenes: pl.DataFrame, options: FootprintSearch) -> pl.DataFrame:
    """Find the pairs of scenes that a search is after.

    Args:
        scenes: columns id, time (s) and the sides of its box (degrees), none null.
        options: what makes two scenes a pair.

    Returns:
        Columns a, b (ids, a before b) and strength, the share of the smaller box.

    Raises:
        TenfoldError: naming a scene whose box is none.
    """
    scenes = scenes.sort("id")
    boxes = scenes.select(pl.col(SIDES).cast(pl.Float64)).to_numpy()
    _check(scenes["id"], boxes)
    # Times are whole seconds; the summand mends products such as 0.35 * 3600.
    seconds = math.floor(options.hours * 3600 + 1e-6)
    times = scenes["time"].cast(pl.Int64).to_numpy()
    pairs, share = sharing_pairs(times, boxes, options.overlap, seconds)
    ids = scenes["id"]
    return pl.DataFrame(
        {"a": ids.gather(pairs[:, 0]), "b": ids.gather(pairs[:, 1]), "strength": share}
    )


def sharing_pairs(
    times: IntArray, boxes: Float64Array, overlap: float, seconds: int
) -> tuple[IntArray, Float64Array]:
    """Find all pairs of boxes that share enough of their area at about one time.

    Areas are those of a sphere, (sin north - sin south) · (east - west). A scene is
    compared with those that touch a square of the grid that it touches, too, and are
    within the time; the cost grows with their number, and memory with the pairs found.

    Args:
        times: (N,) seconds.
        boxes: (N, 4) west, south, east, north in degrees, -180 to 180 and -90 to 90.
            A box whose east is below its west crosses the 180th meridian.
        overlap: share of the smaller box that a pair has to exceed, 0 up to 1.
        seconds: largest difference of a pair's times.

    Returns:
        (E, 2) int64 pairs i < j sorted by i, then j, and (E,) shares of the smaller
        box, 0 to 1.

    Raises:
        TenfoldError: there are more than MOST_PAIRS pairs.
    """
    spans = _spans(boxes)
    area = _widths(spans) * _heights(spans)
    found, shares = [np.zeros((0, 2), np.int64)], [np.zeros(0)]
    total = 0
    for rows in _cells(times, spans):
        for i, j in _candidates(times[rows], seconds):
            pairs = np.sort(np.stack([rows[i], rows[j]], axis=1), axis=1)
            share = _shared_area(spans, pairs) / area[pairs].min(axis=1)
            kept = share > overlap
            found.append(pairs[kept])
            shares.append(np.minimum(share[kept], 1.0))
            total += len(found[-1])
            if total > MOST_PAIRS:
                raise TenfoldError(
                    f"more than {MOST_PAIRS} pairs of scenes overlap: raise"
                    " groups.footprint.overlap or lower groups.footprint.hours"
                )
    every = np.concatenate(found)
    # Scenes that touch several squares together were found in each of them.
    order = np.unique(every[:, 0] * len(times) + every[:, 1], return_index=True)[1]
    return every[order], np.concatenate(shares)[order]


def _check(ids: pl.Series, boxes: Float64Array) -> None:
    west, south, east, north = boxes.T
    there = np.isfinite(boxes).all(axis=1) & (west != east) & (south < north)
    there &= (np.abs(boxes) <= [180.0, 90.0, 180.0, 90.0]).all(axis=1)
    if there.all():
        return
    first = int(np.argmin(there))
    values = zip(SIDES, boxes[first].tolist(), strict=True)
    box = ", ".join(f"{side} {value:g}" for side, value in values)
    raise TenfoldError(
        f"the scene of {ids[first]} is no box on a map ({box}); mend its metadata, or"
        " set groups.footprint.enabled to false"
    )


def _spans(boxes: Float64Array) -> Float64Array:
    """Let east grow past 180 where a box crosses that meridian."""
    spans = np.array(boxes, np.float64)
    spans[:, 2] += np.where(spans[:, 2] < spans[:, 0], 360.0, 0.0)
    return spans


def _widths(spans: Float64Array) -> Float64Array:
    return spans[:, 2] - spans[:, 0]


def _heights(spans: Float64Array) -> Float64Array:
    sines = np.sin(np.radians(spans[:, [1, 3]]))
    return sines[:, 1] - sines[:, 0]


def _shared_area(spans: Float64Array, pairs: IntArray) -> Float64Array:
    """Return the area (E,) that the boxes of each pair have in common."""
    one, other = spans[pairs[:, 0]], spans[pairs[:, 1]]
    low, high = np.maximum(one, other), np.minimum(one, other)
    north = np.maximum(high[:, 3], low[:, 1])
    height = _heights(np.stack([low[:, 0], low[:, 1], high[:, 2], north], axis=1))
    width = np.zeros(len(pairs))
    # Once around the globe is the same place.
    for turn in (-360.0, 0.0, 360.0):
        west = np.maximum(one[:, 0], other[:, 0] + turn)
        east = np.minimum(one[:, 2], other[:, 2] + turn)
        width += np.maximum(east - west, 0.0)
    return width * height


def _cells(times: IntArray, spans: Float64Array) -> Iterator[IntArray]:
    """Yield the rows of the scenes that touch each square, in order of time."""
    low = np.floor((spans[:, :2] + [180.0, 90.0]) / _CELL_DEGREES).astype(np.int64)
    high = np.floor((spans[:, 2:] + [180.0, 90.0]) / _CELL_DEGREES).astype(np.int64)
    wide, tall = (high - low + 1).T
    wide = np.minimum(wide, _COLUMNS)
    counts = wide * tall
    rows = np.repeat(np.arange(len(times)), counts)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = (low[rows, 0] + place % wide[rows]) % _COLUMNS
    cell = (low[rows, 1] + place // wide[rows]) * _COLUMNS + column
    order = np.lexsort((times[rows], cell))
    starts = np.flatnonzero(np.diff(cell[order])) + 1
    yield from np.split(rows[order], starts)


def _candidates(times: IntArray, seconds: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield pairs of places in sorted times that are at most so far apart."""
    counts = np.searchsorted(times, times + seconds, side="right")
    counts -= np.arange(1, len(times) + 1)
    ends = np.cumsum(counts)
    start = 0
    while start < len(times):
        before = ends[start] - counts[start]
        stop = int(np.searchsorted(ends, before + _AT_ONCE, side="right"))
        stop = max(stop, start + 1)
        some = counts[start:stop]
        i = np.repeat(np.arange(start, stop), some)
        nth = np.arange(len(i)) - np.repeat(ends[start:stop] - some - before, some)
        yield i, i + 1 + nth
        start = stop
