"""Own the proposals of FAISS: an exact index, and cells that may miss pairs."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tenfold.errors import RecipeError
from tenfold.grouping.similarity import Proposals, Report, reaching
from tenfold.grouping.vectors import Float32Array, IntArray, Vectors

_BLOCK = 1024  # queries, or rows of a product, at once
#: k-means wants at least 39 points a cell and warns below (FAISS,
#: ClusteringParameters.min_points_per_centroid).
_POINTS_A_CELL = 39
_ITERATIONS, _SEED = 10, 0


def flat(block: int = _BLOCK, report: Report | None = None) -> Proposals:
    """Propose every pair, by FAISS's exact index of inner products.

    Each block of rows is added to the index and then looks for partners among all
    rows up to itself, so that every pair is met once and results are held for one
    block at a time. The index keeps a float32 copy of the embeddings. FAISS takes as
    many threads as OpenMP gives it (OMP_NUM_THREADS).

    Args:
        block: rows at once; changes time and memory, never the result.
        report: hears of every block.
    """

    def proposals(vectors: Vectors, floor: float) -> Iterator[IntArray]:
        index = _faiss().IndexFlatIP(vectors.width)
        for start in range(0, len(vectors), block):
            rows = vectors.unit(slice(start, start + block))
            index.add(rows)
            limits, _, found = index.range_search(rows, floor)
            counts = np.diff(limits.astype(np.int64))
            query = np.repeat(np.arange(start, start + len(rows)), counts)
            wanted = (found < query) & vectors.nonzero[found] & vectors.nonzero[query]
            yield np.stack([found[wanted], query[wanted]], axis=1)
            if report is not None:
                report(start + len(rows), len(vectors))

    return proposals


def cells(probes: int, report: Report | None = None) -> Proposals:
    """Propose pairs that lie in nearby cells of a k-means clustering.

    An inverted file, as FAISS's IndexIVFFlat: the rows are clustered, and each is
    compared with those of its `probes` nearest cells only. The comparison goes cell
    by cell, as matrix products, and not row by row: with as many queries as rows that
    reads every cell once (the idea of faiss.contrib.big_batch_search, which knows no
    range search). HNSW is the other common index; FAISS's range search in it was
    reported to ignore the threshold of inner products (facebookresearch/faiss issue
    3684), and its graph depends on the order in which threads insert, where k-means
    has a fixed seed.

    Args:
        probes: cells that a row is compared with; more miss less and take longer.
        report: hears of every cell.
    """
    if probes < 1:
        raise RecipeError(f"embedding probes must be at least 1, got {probes}")

    def proposals(vectors: Vectors, floor: float) -> Iterator[IntArray]:
        units = vectors.units()
        count = cell_count(len(units))
        cell_of = _nearest_cells(units, count, probes)
        home = cell_of[:, 0]
        rows = np.arange(len(units))
        living = _by_cell(rows, home, count)
        visiting = _by_cell(rows.repeat(cell_of.shape[1]), cell_of.ravel(), count)
        done = 0
        for members, visitors in zip(living, visiting, strict=True):
            yield from _products(vectors, units, home, members, visitors, floor)
            done += len(members)
            if report is not None:
                report(done, len(units))

    return proposals


def cell_count(rows: int) -> int:
    """Return how many cells a clustering of so many rows has: 2·√N, if N allows.

    Clustering costs 10 · 39 · cells² dot products (so many iterations and points a
    cell), comparing probes · N² / cells. For 8 probes their sum is least near 2·√N
    up to N = 10⁵ and changes little above. (FAISS's wiki, "Guidelines to choose an
    index", names 4·√N to 16·√N for indexes that are built once and asked often.)
    """
    return max(1, min(int(2 * rows**0.5), rows // _POINTS_A_CELL))


def _nearest_cells(units: Float32Array, count: int, probes: int) -> IntArray:
    """Cluster unit rows by spherical k-means; return the cells nearest to each.

    Returns:
        (N, min(probes, count)) cells, the nearest first.
    """
    rows, width = units.shape
    probes = min(probes, count)
    if count == 1:
        return np.zeros((rows, 1), dtype=np.int64)
    rng = np.random.default_rng(_SEED)
    sample = rng.choice(rows, min(rows, count * _POINTS_A_CELL), replace=False)
    clustering = _faiss().Kmeans(
        width, count, niter=_ITERATIONS, spherical=True, seed=_SEED
    )
    clustering.train(units[np.sort(sample)])
    nearest = np.empty((rows, probes), dtype=np.int64)
    for start in range(0, rows, _BLOCK):
        block = slice(start, start + _BLOCK)
        nearest[block] = clustering.index.search(units[block], probes)[1]
    return nearest


def _by_cell(rows: IntArray, cell: IntArray, count: int) -> list[IntArray]:
    """Sort rows into `count` cells, of which some may stay empty."""
    order = np.argsort(cell, kind="stable")
    ends = np.cumsum(np.bincount(cell, minlength=count))
    return np.split(rows[order], ends[:-1])


def _products(
    vectors: Vectors,
    units: Float32Array,
    home: IntArray,
    members: IntArray,
    visitors: IntArray,
    floor: float,
) -> Iterator[IntArray]:
    """Compare those who visit a cell with those who live in it, block by block."""
    members = members[vectors.nonzero[members]]
    visitors = visitors[vectors.nonzero[visitors]]
    for first in range(0, len(visitors), _BLOCK):
        left = visitors[first : first + _BLOCK]
        for second in range(0, len(members), _BLOCK):
            right = members[second : second + _BLOCK]
            i, j = reaching(units[left] @ units[right].T, floor)
            i, j = left[i], right[j]
            # Two that live together meet in both orders, and each meets itself.
            once = (i < j) | (home[i] != home[j])
            yield np.stack([i[once], j[once]], axis=1)


def _faiss() -> Any:
    """Import FAISS, which only these searches need.

    Raises:
        RecipeError: it is not installed here.
    """
    try:
        import faiss
    except ImportError as error:
        raise RecipeError(
            "FAISS is not installed here: install faiss-cpu, or set"
            " groups.embedding.index to blocked, which needs none and finds the same"
            " pairs as exact"
        ) from error
    return faiss
