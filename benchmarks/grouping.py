"""What it costs to find near-duplicates, and to make folds that keep them together.

The plain way is the published second-place kelp system's: a dense matrix of cosines,
and Python loops over it.
"""

import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from benchmarks.table import Answer, Row, alone, raced, row, script, timed
from tenfold.grouping.components import connected_components
from tenfold.grouping.similarity import reaching, similar_pairs

TITLE = "Near-duplicates and folds (CPU seconds on one thread)"
WIDTH, THRESHOLD = 2048, 0.97  # ResNet-50's pooled features; the published threshold
_SIDE, _REACH, _VISITS = 350, 200, 4

Floats = npt.NDArray[np.float32]
Heights = npt.NDArray[np.int16]


def embeddings(n: int) -> Floats:
    """Make (n, WIDTH) features of places that were seen three times on average.

    They are what a layer with ReLU makes of 32 hidden factors: pooled features vary
    in far fewer directions than they have columns.
    """
    rng = np.random.default_rng(0)
    layer = rng.standard_normal((32, WIDTH), dtype=np.float32)
    places = rng.standard_normal((max(1, n // 3), 32), dtype=np.float32)
    place_of = rng.integers(0, len(places), n)
    rows = np.empty((n, WIDTH), dtype=np.float32)
    for start in range(0, n, 1024):
        hidden = places[place_of[start : start + 1024]]
        hidden = hidden + 0.15 * rng.standard_normal(hidden.shape, dtype=np.float32)
        rows[start : start + 1024] = np.maximum(hidden @ layer, 0)
    return rows


class Coasts:
    """Tiles of fractal coasts, made when asked for: crops of 550 px a place.

    Attributes:
        seconds: CPU time spent on making tiles so far.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self.seconds = 0.0
        rng = np.random.default_rng(0)
        side = 1024
        frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
        frequency[0, 0] = np.inf
        # Power that falls with the fourth power of frequency is terrain-like.
        noise = np.fft.rfft2(rng.standard_normal((side, side))) * frequency**-2
        self._terrain = np.fft.irfft2(noise, s=(side, side)).astype(np.float32)
        self._ground = lru_cache(4)(self._make)

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, i: int) -> tuple[Heights, npt.NDArray[np.bool_]]:
        started = time.process_time()
        ground = self._ground(i // _VISITS)
        rng = np.random.default_rng([1, i])
        row, col = rng.integers(0, _REACH + 1, 2)
        tile = ground[row : row + _SIDE, col : col + _SIDE].copy()
        # One pixel in a hundred differs from visit to visit.
        at = tuple(rng.integers(0, _SIDE, (2, tile.size // 100)))
        tile[at] += np.where(tile[at] > 0, 1, 0).astype(np.int16)
        self.seconds += time.process_time() - started
        return tile, np.ones(tile.shape, dtype=np.bool_)

    def _make(self, place: int) -> Heights:
        """Add two windows of the terrain, which gives a new one; half is sea."""
        rng = np.random.default_rng([0, place])
        size = _SIDE + _REACH
        field = np.zeros((size, size), dtype=np.float32)
        for share in (1.0, 0.7):
            row, col = rng.integers(0, len(self._terrain) - size, 2)
            window = self._terrain[row : row + size, col : col + size]
            window = np.rot90(window, int(rng.integers(4)))
            field += share * (window - window.mean()) / window.std()
        height = np.maximum(0, field - np.median(field[::8, ::8])) * 120
        rounded: Heights = np.round(height).astype(np.int16)
        return rounded


def cosines(features: Floats) -> Floats:
    """Return the dense (N, N) matrix of cosines."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    matrix: Floats = unit @ unit.T
    return matrix


def plain_groups(cosine: Floats, threshold: float) -> list[int]:
    """Group by Python loops over the matrix, as the published system does.

    For every row a list of those above the threshold, unless the same list is there
    already; then each row joins the first group that one of its lists has a member
    in. That depends on the order of the rows, unlike connected components.

    Returns:
        The group of every row.
    """
    lists: list[list[int]] = []
    for i in range(len(cosine)):
        alike = [i]
        for j in range(len(cosine)):
            if i != j and cosine[i][j] >= threshold:
                alike.append(j)
        alike = sorted(alike)
        if alike not in lists:
            lists.append(alike)
    group_of: dict[int, int] = {}
    for i in (member for alike in lists for member in alike):
        if i not in group_of:
            group_of[i] = _joined(i, lists, group_of)
    return [group_of[i] for i in range(len(cosine))]


def _joined(i: int, lists: list[list[int]], group_of: dict[int, int]) -> int:
    """Find the first group that a list with row i has a member in, or a new one."""
    for alike in lists:
        if i in alike:
            for other in alike:
                if other in group_of:
                    return group_of[other]
    return max(group_of.values(), default=-1) + 1


def vectorised_groups(cosine: Floats, threshold: float) -> npt.NDArray[np.int64]:
    """Link as Tenfold does after the product, which is all that the bar is about.

    The shipped search goes through blocks of the product, and scores what it finds
    again in float64; `race_plain` times it too.
    """
    i, j = reaching(cosine, threshold)
    pairs = np.stack([i, j], axis=1)[i < j]
    return connected_components(len(cosine), pairs)


def rows(quick: bool) -> list[Row]:
    """Measure everything.

    Args:
        quick: leave out what takes more than a minute; all of it takes about ten
            minutes of CPU time and 2.1 GB.
    """
    sizes, tiles = [1_000, 10_000], [500, 2_000]
    if not quick:
        sizes, tiles = [*sizes, 100_000], [*tiles, 8_000, 10_000]
    return [*_against_plain(), *_searches(sizes), *_overlaps(tiles), _split()]


def race_plain(n: int) -> dict[str, float]:
    """Group both ways: from the matrix of cosines on, and from embeddings on.

    The product by itself is timed as well, to be taken off the shipped search.
    """
    features = embeddings(n)
    matrix = cosines(features)
    pairs, _ = similar_pairs(features, THRESHOLD)
    assert pairs.tolist() == np.argwhere(np.triu(matrix >= THRESHOLD, k=1)).tolist()
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: vectorised_groups(matrix, THRESHOLD),
        "plain": lambda: plain_groups(matrix, THRESHOLD),
        "whole": lambda: connected_components(n, similar_pairs(features, THRESHOLD)[0]),
        "product": lambda: cosines(features),
    }
    return dict(zip(ways, raced(list(ways.values())), strict=True))


def _against_plain() -> list[Row]:
    seconds = alone(race_plain, n=2000).value
    ours, plain = seconds["ours"], seconds["plain"]
    whole, plain_whole = seconds["whole"], plain + seconds["product"]
    what = "group 2 000 samples, "
    return [
        row(
            what + "the matrix of cosines given",
            ours,
            plain,
            plain / ours,
            "≥ 50",
            "the linking alone, beside the published double loop in Python; the"
            " product of embeddings is in neither",
        ),
        row(
            what + "the shipped search less the product",
            whole - seconds["product"],
            plain,
            plain / (whole - seconds["product"]),
            note="with unit rows and the scores in float64 that the first row lacks",
        ),
        row(
            what + "the shipped search from embeddings",
            whole,
            plain_whole,
            plain_whole / whole,
            note=f"{seconds['product']:.3g} of both is the product",
        ),
    ]


def search_embeddings(n: int, index: str) -> Row:
    """Time a search for similar embeddings, and the components of what it finds."""
    from tenfold.grouping.search import search

    features = embeddings(n)
    search(features[:100], THRESHOLD, index)  # type: ignore[arg-type]

    def work() -> Row:
        found = search(features, THRESHOLD, index)  # type: ignore[arg-type]
        groups = connected_components(n, found.pairs)
        described: Row = {"pairs": len(found.pairs), "groups": int(groups.max()) + 1}
        if found.recall is not None:
            low, high = found.recall.interval
            described |= {"recall": found.recall.value, "low": low, "high": high}
        return described

    return _timed(work)


def _searches(sizes: list[int]) -> list[Row]:
    """Compare the three searches, where blocks of a product are the plain way."""
    found = []
    for n in sizes:
        blocked = None
        for index in ("blocked", "exact", "approximate"):
            answer = alone(search_embeddings, n=n, index=index)
            value = answer.value
            note = f"peak {answer.peak_mb:,.0f} MB, {value['pairs']:,} pairs"
            if "recall" in value:
                note += f", recall {_percent(value['recall'])} (95% interval"
                note += f" {_percent(value['low'])} to {_percent(value['high'])})"
            seconds = value["seconds"]
            ratio: float | None = None if blocked is None else blocked / seconds
            what = f"search {n:,} embeddings of {WIDTH}, {index}"
            found.append(row(what, seconds, blocked, ratio, note=note))
            blocked = blocked or seconds
    return found


def search_overlaps(n: int) -> Row:
    """Time the search for exact overlaps, less what making the tiles takes."""
    from tenfold.grouping.overlap import find_overlaps

    tiles = Coasts(n)
    found = _timed(lambda: {"pairs": len(find_overlaps(tiles).overlaps)})
    return found | {"making": tiles.seconds}


def _overlaps(sizes: list[int]) -> list[Row]:
    """Compare a tile's cost among few and among many: the search is linear."""
    found: list[Row] = []
    first = None
    for n in sizes:
        answer = alone(search_overlaps, n=n)
        seconds = answer.value["seconds"] - answer.value["making"]
        note = f"{seconds:.1f} s, peak {answer.peak_mb:,.0f} MB,"
        note += f" {answer.value['pairs']:,} pairs"
        each = seconds / n
        ratio: float | None = first / each if first else None
        what = f"overlaps of {n:,} tiles, a tile"
        found.append(row(what, each, first, ratio, "≥ 0.7" if first else "", note))
        first = first or each
    return found


def make_folds(n: int) -> Row:
    """Time folds over as many groups and strata as the published data have."""
    from tenfold.folds import assign

    rng = np.random.default_rng(0)
    groups = rng.integers(0, 3313, n)
    strata = ["".join(bits) for bits in rng.choice(["0", "1"], (n, 4))]
    return {"seconds": timed(lambda: assign(groups, strata, 10, 42))}


def _split() -> Row:
    answer: Answer = alone(make_folds, n=7061)
    what = "10 folds of 7 061 samples in 3 313 groups"
    return row(what, answer.value["seconds"], None, None, "< 0.5 s")


def _timed(work: Callable[[], Row]) -> Row:
    """Return what work found, and its CPU seconds."""
    started = time.process_time()
    found = work()
    return found | {"seconds": time.process_time() - started}


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


if __name__ == "__main__":
    # Another process finds a function by the name of its module, which is not main.
    from benchmarks import grouping

    script(grouping.rows, TITLE)
