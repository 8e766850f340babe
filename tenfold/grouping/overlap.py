"""Own exact overlap matching: find crops of one integer grid, and their shifts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tenfold.grouping.lattices import (
    AnyIntArray,
    BoolArray,
    IntArray,
    Lattices,
    OverlapOptions,
    read_lattice,
)
from tenfold.grouping.votes import Candidates, candidates, gather


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two lattices that show the same ground.

    Value (r, c) of b is value (r + row_shift, c + col_shift) of a.

    Attributes:
        a: index of the first lattice.
        b: index of the second, larger than a.
        row_shift: rows from a's origin down to b's.
        col_shift: columns from a's origin right to b's.
        shared: pixels of the shared window that are valid in both lattices and not
            background in both.
        distinctive: shared pixels that are equal and differ from their right neighbour
            in both lattices.
        agreement: equal share of the shared pixels.
        overlap_share: area of the shared window over that of the smaller lattice.
    """

    a: int
    b: int
    row_shift: int
    col_shift: int
    shared: int
    distinctive: int
    agreement: float
    overlap_share: float


@dataclass(frozen=True)
class OverlapResult:
    """Verified overlaps, and what could not take part.

    Attributes:
        overlaps: sorted by a, then b; each pair at most once.
        featureless: indices of lattices with too few distinctive windows to match
            anything, such as flat sea or no data.
    """

    overlaps: tuple[Overlap, ...]
    featureless: tuple[int, ...]

    def edges(self) -> IntArray:
        """Return the (E, 2) pairs, ready for `connected_components`."""
        pairs = [(overlap.a, overlap.b) for overlap in self.overlaps]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def find_overlaps(
    lattices: Lattices,
    options: OverlapOptions | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> OverlapResult:
    """Find all pairs of lattices that are shifted crops of one integer grid.

    Windows are chosen by their content alone (local minima of a window hash, a 2-D
    form of winnowing: Schleimer et al., SIGMOD 2003), so two crops choose the same
    windows wherever they lie. Equal hashes vote for a pair and a shift; each pair is
    then verified by comparing all integers in the shared window.

    Time is linear in lattices and in pairs that share windows. Keypoints (at most one
    per (spacing + 1)² pixels, about 500 for 350 x 350 pixels of coast) wait in
    temporary files of 40 bytes each; memory holds two lattices, 1/256 of the
    keypoints, a million votes (about 100 MB) and the result.

    Args:
        lattices: each is read once, then again for its candidate pairs.
        options: None means the defaults.
        on_progress: called with (lattices done, total); every lattice counts twice,
            for its keypoints and for its comparisons.

    Returns:
        The verified overlaps and the lattices that have nothing to match on.

    Raises:
        SourceError: a lattice is not a 2-D integer array with a mask of its shape.
        TenfoldError: there is no room for temporary files.
    """
    options = options or OverlapOptions()
    report = on_progress or (lambda _done, _total: None)
    n = len(lattices)
    overlaps: list[Overlap] = []
    with TemporaryDirectory(prefix="tenfold-overlaps-") as folder:
        meetings = gather(
            lattices, options, Path(folder), lambda done: report(done, 2 * n)
        )
        for proposed, done in candidates(meetings, options):
            overlaps.extend(_verified(lattices, proposed, options))
            report(n + done, 2 * n)
    featureless = np.flatnonzero(meetings.counts < options.min_votes)
    return OverlapResult(tuple(overlaps), tuple(featureless.tolist()))


def compare(
    a: tuple[AnyIntArray, BoolArray],
    b: tuple[AnyIntArray, BoolArray],
    shift: tuple[int, int],
    background: int = 0,
) -> tuple[int, int, float, float]:
    """Compare two lattices pixel by pixel where one lies shifted over the other.

    Args:
        a: values (Ha, Wa) and valid (Ha, Wa).
        b: values (Hb, Wb) and valid (Hb, Wb).
        shift: rows and columns from a's origin to b's.
        background: pixels with this value in both are left out.

    Returns:
        `shared`, `distinctive`, `agreement` and `overlap_share` of an `Overlap`.
    """
    in_a, in_b = _shared_windows(a[0].shape, b[0].shape, shift)
    values_a, values_b = a[0][in_a], b[0][in_b]
    shared = (values_a != background) | (values_b != background)
    shared &= a[1][in_a] & b[1][in_b]
    equal = shared & (values_a == values_b)
    steep = values_a[:, 1:] != values_a[:, :-1]
    steep &= values_b[:, 1:] != values_b[:, :-1]
    count = int(np.count_nonzero(shared))
    agreement = int(np.count_nonzero(equal)) / count if count else 0.0
    distinctive = int(np.count_nonzero(steep & equal[:, :-1]))
    share = values_a.size / min(a[0].size, b[0].size)
    return count, distinctive, agreement, share


def _verified(
    lattices: Lattices, proposed: Candidates, options: OverlapOptions
) -> Iterator[Overlap]:
    """Compare the candidates' integers and yield those that agree, one per pair."""
    index, found = -1, (-1, -1)
    for a, b, row_shift, col_shift in zip(
        proposed.a.tolist(),
        proposed.b.tolist(),
        proposed.row_shift.tolist(),
        proposed.col_shift.tolist(),
        strict=True,
    ):
        if (a, b) == found:
            continue
        if a != index:
            index, first = a, read_lattice(lattices, a)
        shared, distinctive, agreement, share = compare(
            first, read_lattice(lattices, b), (row_shift, col_shift), options.background
        )
        enough = distinctive >= options.min_distinctive
        if enough and agreement >= options.min_agreement:
            found = (a, b)
            yield Overlap(
                a, b, row_shift, col_shift, shared, distinctive, agreement, share
            )


def _shared_windows(
    shape_a: tuple[int, ...], shape_b: tuple[int, ...], shift: tuple[int, int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Cut the window both lattices cover, in the coordinates of each."""
    in_a, in_b = [], []
    for length_a, length_b, offset in zip(shape_a, shape_b, shift, strict=True):
        low, high = max(0, offset), min(length_a, length_b + offset)
        in_a.append(slice(low, max(low, high)))
        in_b.append(slice(low - offset, max(low, high) - offset))
    return tuple(in_a), tuple(in_b)
