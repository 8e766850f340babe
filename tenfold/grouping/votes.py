"""Own the step from keypoints to pairs worth comparing, in bounded memory.

Keypoints wait on disk in buckets by their hash, where equal ones meet; the meetings
wait on disk in buckets by their first lattice, where the votes of a pair are counted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tenfold.grouping.buckets import Buckets, Rows, on_disk
from tenfold.grouping.keypoints import find_keypoints
from tenfold.grouping.lattices import (
    IntArray,
    Lattices,
    OverlapOptions,
    read_lattice,
)

_KEYPOINT = np.dtype([("hash", "u8"), ("lattice", "i4"), ("row", "i2"), ("col", "i2")])
_PLACE = np.dtype([("lattice", "i4"), ("row", "i2"), ("col", "i2")])
_LINK = np.dtype([("position", "i8"), ("lattice", "i4"), ("partners", "i4")])

_BUCKETS = 256  # of hashes, and of lattices; what is in one is in memory at once
_KEYPOINTS_AT_ONCE = 1 << 19  # kept before they go to disk: 8 MiB
_VOTES_AT_ONCE = 1_000_000  # counted together: about 100 MB at the peak


@dataclass(frozen=True)
class Candidates:
    """Pairs and shifts to verify: (C,) arrays sorted by a, b, falling votes."""

    a: IntArray
    b: IntArray
    row_shift: IntArray
    col_shift: IntArray


@dataclass(frozen=True)
class Meetings:
    """Which keypoints have equal hashes, on disk.

    Attributes:
        places: (K,) lattice, row and column of keypoints, mapped into memory; equal
            hashes lie together, in the order of their lattices.
        links: for every keypoint its position in `places` and how many entries right
            after it to pair it with, in buckets of `width` lattices.
        width: lattices per bucket of links.
        counts: (N,) keypoints found in each lattice.
        side: exclusive bound of rows and columns.
    """

    places: Rows
    links: Buckets
    width: int
    counts: IntArray
    side: int


def gather(
    lattices: Lattices,
    options: OverlapOptions,
    folder: Path,
    report: Callable[[int], None],
) -> Meetings:
    """Find the keypoints of all lattices and bring equal ones together.

    Args:
        lattices: each is read once.
        options: what a keypoint is, and `max_bucket`.
        folder: takes 40 bytes a keypoint.
        report: called with the lattices read.
    """
    keypoints = Buckets(folder / "keypoints", _KEYPOINT, _BUCKETS)
    counts, side = _collect(lattices, options, keypoints, report)
    width = max(1, -(-len(lattices) // _BUCKETS))
    links = Buckets(folder / "links", _LINK, _BUCKETS)
    places = folder / "places"
    position = 0
    with on_disk(folder), places.open("wb") as stream:
        for bucket in range(_BUCKETS):
            rows, partners = _meet(keypoints.read(bucket), options.max_bucket)
            stream.write(rows.tobytes())
            link = np.empty(len(rows), dtype=_LINK)
            link["position"] = np.arange(position, position + len(rows))
            link["lattice"], link["partners"] = rows["lattice"], partners
            links.add(link, rows["lattice"] // width)
            position += len(rows)
    # A mapping of nothing is refused.
    mapped = np.memmap(places, _PLACE, "r") if position else np.zeros(0, _PLACE)
    return Meetings(mapped, links, width, counts, side)


def candidates(
    meetings: Meetings, options: OverlapOptions
) -> Iterator[tuple[Candidates, int]]:
    """Propose pairs and shifts, with all votes of a lattice counted together.

    Yields:
        Candidates of a run of first lattices, and how many lattices are done.
    """
    n = len(meetings.counts)
    for start in range(0, n, meetings.width):
        links = meetings.links.read(start // meetings.width)
        links = links[np.argsort(links["lattice"], kind="stable")]
        until = min(start + meetings.width, n)
        first = np.searchsorted(links["lattice"], np.arange(start, until + 1))
        votes = np.concatenate([[0], np.cumsum(links["partners"], dtype=np.int64)])
        for low, high in _runs(votes[first]):
            part = links[first[low] : first[high]]
            yield _count_votes(meetings, part, options), start + high


def _collect(
    lattices: Lattices,
    options: OverlapOptions,
    keypoints: Buckets,
    report: Callable[[int], None],
) -> tuple[IntArray, int]:
    """Put the keypoints of all lattices into buckets by their hash.

    A keypoint has the smallest hash around, so hashes are not spread evenly; their
    last bits are.

    Returns:
        (N,) keypoints per lattice, and the exclusive bound of rows and columns.
    """
    counts = np.zeros(len(lattices), dtype=np.int64)
    waiting: list[Rows] = []
    side = 1
    for i in range(len(lattices)):
        values, valid = read_lattice(lattices, i)
        hashes, rows, cols = find_keypoints(values, valid, options)
        found = np.empty(len(hashes), dtype=_KEYPOINT)
        found["hash"], found["lattice"] = hashes, i
        found["row"], found["col"] = rows, cols
        waiting.append(found)
        counts[i] = len(found)
        side = max(side, *values.shape)
        last = i + 1 == len(lattices)
        if last or sum(map(len, waiting)) >= _KEYPOINTS_AT_ONCE:
            every = np.concatenate(waiting)
            keypoints.add(every, (every["hash"] % _BUCKETS).astype(np.int64))
            waiting.clear()
        report(i + 1)
    return counts, side


def _meet(keypoints: Rows, max_bucket: int) -> tuple[Rows, IntArray]:
    """Sort keypoints by hash, then lattice, and leave out those that are alone.

    Args:
        keypoints: (K,) with those of one lattice after those of lattices before it.
        max_bucket: most partners of a keypoint.

    Returns:
        Places of the keypoints that are left, and how many of those right after each
        to pair it with.
    """
    keypoints = keypoints[np.argsort(keypoints["hash"], kind="stable")]
    hashes = keypoints["hash"]
    first = np.flatnonzero(np.diff(hashes, prepend=~hashes[:1]) != 0)
    size = np.diff(first, append=len(hashes))
    kept = keypoints[np.repeat(size > 1, size)]
    size = size[size > 1]
    after = np.repeat(np.cumsum(size), size) - np.arange(len(kept)) - 1
    places = np.empty(len(kept), dtype=_PLACE)
    for name in ("lattice", "row", "col"):
        places[name] = kept[name]
    return places, np.minimum(after, max_bucket)


def _runs(votes_before: IntArray) -> Iterator[tuple[int, int]]:
    """Cut lattices into runs of few enough votes, though of one lattice at least.

    Args:
        votes_before: (L + 1,) votes before each lattice, and of all.

    Yields:
        The first lattice of a run and the one after its last.
    """
    low, end = 0, len(votes_before) - 1
    while low < end:
        limit = votes_before[low] + _VOTES_AT_ONCE
        high = int(np.searchsorted(votes_before, limit, side="right")) - 1
        high = min(end, max(high, low + 1))
        yield low, high
        low = high


def _count_votes(
    meetings: Meetings, links: Rows, options: OverlapOptions
) -> Candidates:
    """Count which pairs and shifts the keypoints behind some links vote for."""
    partners = links["partners"]
    left = np.repeat(links["position"], partners)
    begin = np.cumsum(partners, dtype=np.int64) - partners
    right = left + 1 + np.arange(len(left)) - np.repeat(begin, partners)
    side, n = meetings.side, len(meetings.counts)
    # Counted from the run's first lattice, since n² alone may leave 64 bits little.
    base = int(links["lattice"][0]) if len(links) else 0
    a, b = np.asarray(meetings.places[left]), np.asarray(meetings.places[right])
    key = (a["lattice"].astype(np.int64) - base) * n + b["lattice"]
    for axis in ("row", "col"):
        key = key * (2 * side) + (a[axis].astype(np.int64) - b[axis] + side)
    key, votes = np.unique(key, return_counts=True)
    key, votes = key[votes >= options.min_votes], votes[votes >= options.min_votes]
    key = key[np.lexsort((key, -votes, key // (2 * side) ** 2))]
    pair, shift = np.divmod(key, (2 * side) ** 2)
    first = np.searchsorted(pair, pair)
    tried = np.arange(len(pair)) - first < options.max_shifts
    pair, shift = pair[tried], shift[tried]
    return Candidates(
        a=pair // n + base,
        b=pair % n,
        row_shift=shift // (2 * side) - side,
        col_shift=shift % (2 * side) - side,
    )
