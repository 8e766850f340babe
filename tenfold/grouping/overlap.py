"""Own exact overlap matching: find crops of one integer grid, and their shifts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tenfold.errors import RecipeError, SourceError

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
AnyIntArray = npt.NDArray[np.integer[Any]]
HashArray = npt.NDArray[np.uint64]

_NO_HASH = np.uint64(2**64 - 1)  # marks windows that may not become keypoints
_ROW_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd constants of SplitMix64 ...
_COLUMN_FACTOR = np.uint64(0xD1342543DE82EF95)  # ... and of a 64-bit LCG (Steele 2021)
_VOTES_AT_ONCE = 2_000_000  # votes counted together: about 100 MB at the peak
_MAX_SIDE = 1 << 15


class Lattices(Protocol):
    """Integer grids with random access, so that only a few need to be in memory."""

    def __len__(self) -> int:
        """Count the lattices."""

    def __getitem__(self, i: int) -> tuple[AnyIntArray, BoolArray]:
        """Read lattice i: values (H, W) of any integer type, valid (H, W)."""


@dataclass(frozen=True)
class OverlapOptions:
    """What counts as a distinctive window, a candidate pair and a verified overlap.

    Attributes:
        window: side of the hashed windows, in pixels. Larger windows are rarer by
            chance, but each must be free of changed pixels: with a share p of pixels
            changed in either lattice, (1 - p)^(2 * window²) of them survive.
        min_relief: smallest share of a window's neighbour pairs (horizontal and
            vertical) whose values differ. Keeps flat sea, plateaus and their straight
            edges from becoming keypoints; smooth lowland needs it this small.
        spacing: a keypoint has the smallest hash among informative windows up to this
            many pixels away in rows and columns, which bounds keypoints per lattice.
        max_bucket: a window seen in more lattices than this is compared only with that
            many following ones: groups stay whole, time and memory stay bounded.
        min_votes: keypoints that must agree on a shift before it is verified.
        max_shifts: shifts verified per pair, those with most votes first.
        min_agreement: smallest share of equal values among the shared pixels.
        min_distinctive: smallest number of shared pixels that are equal and differ
            from their right neighbour in both lattices; plateaus offer none.
        background: the value that carries no information, such as sea level.
    """

    window: int = 7
    min_relief: float = 0.1
    spacing: int = 4
    max_bucket: int = 256
    min_votes: int = 2
    max_shifts: int = 3
    min_agreement: float = 0.9
    min_distinctive: int = 100
    background: int = 0

    def __post_init__(self) -> None:
        """Refuse options that could not find anything."""
        if self.window < 2:
            raise RecipeError(f"overlap window must be at least 2, got {self.window}")
        if min(self.spacing, self.max_bucket, self.min_votes, self.max_shifts) < 1:
            raise RecipeError(
                "overlap spacing, max_bucket, min_votes and max_shifts must be at "
                f"least 1, got {self}"
            )
        if not (0 < self.min_relief <= 1 and 0 < self.min_agreement <= 1):
            raise RecipeError(
                "overlap min_relief and min_agreement must be in (0, 1], got "
                f"{self.min_relief} and {self.min_agreement}"
            )


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


@dataclass(frozen=True)
class _Keypoints:
    """Keypoints of all lattices sorted by hash, then lattice; lone hashes left out.

    Attributes:
        lattice: (K,) index of the lattice.
        row: (K,) top row of the window.
        col: (K,) left column of the window.
        partners: (K,) how many entries right after this one to pair it with.
        of_lattice: (K,) positions in the arrays above, ordered by lattice.
        start: (N + 1,) where each lattice begins in `of_lattice`.
        side: exclusive bound of rows and columns.
    """

    lattice: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    col: npt.NDArray[np.int32]
    partners: npt.NDArray[np.int32]
    of_lattice: IntArray
    start: IntArray
    side: int


@dataclass(frozen=True)
class _Candidates:
    """Pairs and shifts to verify: (C,) arrays sorted by a, b, falling votes."""

    a: IntArray
    b: IntArray
    row_shift: IntArray
    col_shift: IntArray


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

    Time is linear in lattices and in pairs that share windows. Memory holds about
    80 bytes per keypoint at the peak (at most one per (spacing + 1)² pixels, about 500
    for 350 x 350 pixels of coast), two lattices, and the result.

    Args:
        lattices: each is read once, then again for its candidate pairs.
        options: None means the defaults.
        on_progress: called with (lattices done, total); every lattice counts twice,
            for its keypoints and for its comparisons.

    Returns:
        The verified overlaps and the lattices that have nothing to match on.

    Raises:
        SourceError: a lattice is not a 2-D integer array with a mask of its shape.
    """
    options = options or OverlapOptions()
    report = on_progress or (lambda _done, _total: None)
    keypoints, counts = _collect(lattices, options, report)
    overlaps: list[Overlap] = []
    for candidates, done in _candidates(keypoints, options):
        overlaps.extend(_verified(lattices, candidates, options))
        report(len(lattices) + done, 2 * len(lattices))
    featureless = np.flatnonzero(counts < options.min_votes)
    return OverlapResult(tuple(overlaps), tuple(featureless.tolist()))


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


def _read(lattices: Lattices, i: int) -> tuple[AnyIntArray, BoolArray]:
    """Read one lattice and refuse it if it is not what `Lattices` promises."""
    values, valid = lattices[i]
    if values.ndim != 2 or values.shape != valid.shape:
        raise SourceError(
            f"lattice {i} has values {values.shape} and mask {valid.shape}; "
            "both must be (H, W)"
        )
    if not np.issubdtype(values.dtype, np.integer):
        raise SourceError(
            f"lattice {i} holds {values.dtype}; exact matching needs integers"
        )
    if max(values.shape) >= _MAX_SIDE:
        raise SourceError(
            f"lattice {i} is {values.shape}; sides must be below {_MAX_SIDE} pixels"
        )
    return values, np.asarray(valid, dtype=np.bool_)


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


def _collect(
    lattices: Lattices, options: OverlapOptions, report: Callable[[int, int], None]
) -> tuple[_Keypoints, IntArray]:
    """Choose the keypoints of all lattices and sort them by hash.

    Returns:
        The keypoints that more than one lattice has, and (N,) keypoints per lattice.
    """
    n = len(lattices)
    parts: list[tuple[HashArray, npt.NDArray[np.int32]]] = []
    side = 1
    for i in range(n):
        values, valid = _read(lattices, i)
        hashes, rows, cols = find_keypoints(values, valid, options)
        parts.append((hashes, (rows * _MAX_SIDE + cols).astype(np.int32)))
        side = max(side, *values.shape)
        report(i + 1, 2 * n)
    counts = np.array([len(hashes) for hashes, _ in parts], dtype=np.int64)
    hashes = np.concatenate([np.zeros(0, np.uint64), *(part[0] for part in parts)])
    place = np.concatenate([np.zeros(0, np.int32), *(part[1] for part in parts)])
    parts.clear()
    lattice = np.repeat(np.arange(n, dtype=np.int32), counts)
    order = np.argsort(hashes, kind="stable")
    hashes, place, lattice = hashes[order], place[order], lattice[order]
    return _index(hashes, place, lattice, n, side, options.max_bucket), counts


def _index(
    hashes: HashArray,
    place: npt.NDArray[np.int32],
    lattice: npt.NDArray[np.int32],
    n: int,
    side: int,
    max_bucket: int,
) -> _Keypoints:
    """Index keypoints, given as (K,) arrays sorted by hash, then lattice."""
    first = np.flatnonzero(np.diff(hashes, prepend=~hashes[:1]) != 0)
    size = np.diff(first, append=len(hashes))
    shared = np.repeat(size > 1, size)
    size = size[size > 1]
    end = np.repeat(np.cumsum(size), size)
    after = end - np.arange(len(end)) - 1
    lattice, place = lattice[shared], place[shared]
    of_lattice = np.argsort(lattice, kind="stable")
    return _Keypoints(
        lattice=lattice,
        row=place // _MAX_SIDE,
        col=place % _MAX_SIDE,
        partners=np.minimum(after, max_bucket).astype(np.int32),
        of_lattice=of_lattice,
        start=np.searchsorted(lattice[of_lattice], np.arange(n + 1)),
        side=side,
    )


def _candidates(
    keypoints: _Keypoints, options: OverlapOptions
) -> Iterator[tuple[_Candidates, int]]:
    """Propose pairs and shifts, with all votes of a lattice counted together.

    Yields:
        Candidates of a run of first lattices, and how many lattices are done.
    """
    start = keypoints.start
    votes = np.concatenate([[0], np.cumsum(keypoints.partners[keypoints.of_lattice])])
    votes_before = votes[start]
    n = len(start) - 1
    done = 0
    while done < n:
        limit = votes_before[done] + _VOTES_AT_ONCE
        until = int(np.searchsorted(votes_before, limit, side="right")) - 1
        until = min(n, max(until, done + 1))
        positions = keypoints.of_lattice[start[done] : start[until]]
        yield _count_votes(keypoints, positions, options), until
        done = until


def _count_votes(
    keypoints: _Keypoints, positions: IntArray, options: OverlapOptions
) -> _Candidates:
    """Count which pairs and shifts the keypoints at some positions vote for."""
    partners = keypoints.partners[positions]
    left = np.repeat(positions, partners)
    begin = np.cumsum(partners, dtype=np.int64) - partners
    right = left + 1 + np.arange(len(left)) - np.repeat(begin, partners)
    side, n = keypoints.side, len(keypoints.start) - 1
    key = keypoints.lattice[left].astype(np.int64) * n + keypoints.lattice[right]
    for axis in (keypoints.row, keypoints.col):
        key = key * (2 * side) + (axis[left] - axis[right] + side)
    key, votes = np.unique(key, return_counts=True)
    key, votes = key[votes >= options.min_votes], votes[votes >= options.min_votes]
    key = key[np.lexsort((key, -votes, key // (2 * side) ** 2))]
    pair, shift = np.divmod(key, (2 * side) ** 2)
    first = np.searchsorted(pair, pair)
    tried = np.arange(len(pair)) - first < options.max_shifts
    pair, shift = pair[tried], shift[tried]
    return _Candidates(
        a=pair // n,
        b=pair % n,
        row_shift=shift // (2 * side) - side,
        col_shift=shift % (2 * side) - side,
    )


def _verified(
    lattices: Lattices, candidates: _Candidates, options: OverlapOptions
) -> Iterator[Overlap]:
    """Compare the candidates' integers and yield those that agree, one per pair."""
    index, found = -1, (-1, -1)
    for a, b, row_shift, col_shift in zip(
        candidates.a.tolist(),
        candidates.b.tolist(),
        candidates.row_shift.tolist(),
        candidates.col_shift.tolist(),
        strict=True,
    ):
        if (a, b) == found:
            continue
        if a != index:
            index, first = a, _read(lattices, a)
        shared, distinctive, agreement, share = compare(
            first, _read(lattices, b), (row_shift, col_shift), options.background
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
