"""Own the exact search for pairs of embeddings whose cosine reaches a threshold."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from tenfold.errors import RecipeError, TenfoldError
from tenfold.grouping.vectors import Float32Array, Float64Array, IntArray, Vectors

#: Lists pairs of rows, none of them zero, whose cosine may reach the floor; called
#: with the vectors and the floor. A pair may come twice or turned around.
Proposals = Callable[[Vectors, float], Iterator[IntArray]]

#: Called with (rows done, rows in all).
Report = Callable[[int, int], None]

#: More pairs than this are refused: about 1 GB while they are sorted.
MOST_PAIRS = 20_000_000


def similar_pairs(
    embeddings: npt.NDArray[np.floating], threshold: float, block: int = 2048
) -> tuple[IntArray, Float64Array]:
    """Find all pairs of rows whose cosine similarity is at least a threshold.

    The search is exhaustive: N²·D/2 multiply-adds in float32, in square blocks of the
    upper triangle, so that memory is one float32 copy of the embeddings and a block,
    plus the pairs found.

    Args:
        embeddings: (N, D) finite values; a row of zeros matches nothing.
        threshold: smallest cosine to report, above 0 and at most 1.
        block: rows per block; changes time and memory, never the result.

    Returns:
        As `pairs_above`.

    Raises:
        RecipeError: the threshold is outside (0, 1] or the block is not positive.
        TenfoldError: an embedding holds a value that is not finite, or there are
            too many pairs.
    """
    return pairs_above(Vectors(embeddings), threshold, blocked(block))


def pairs_above(
    vectors: Vectors, threshold: float, proposals: Proposals
) -> tuple[IntArray, Float64Array]:
    """Keep the proposed pairs whose cosine reaches a threshold.

    Every search ends here: it only proposes, with a margin for float32 rounding, and
    each proposal is scored by itself in float64. Searches that propose all pairs
    there are therefore give the same result to the last bit, whatever their blocks
    and kernels. Equal rows score exactly 1, and a tie with the threshold is included.

    Returns:
        (E, 2) int64 pairs i < j sorted by i, then j, and (E,) float64 cosines.

    Raises:
        RecipeError: the threshold is outside (0, 1].
        TenfoldError: there are more than MOST_PAIRS pairs.
    """
    if not 0 < threshold <= 1:
        raise RecipeError(f"similarity threshold must be in (0, 1], got {threshold}")
    found = [np.zeros((0, 2), dtype=np.int64)]
    scores = [np.zeros(0, dtype=np.float64)]
    total = 0
    for proposed in proposals(vectors, threshold - vectors.margin):
        pairs = np.sort(proposed, axis=1)
        cosine = vectors.cosines(pairs)
        keep = cosine >= threshold
        found.append(pairs[keep])
        scores.append(cosine[keep])
        total += len(found[-1])
        if total > MOST_PAIRS:
            raise TenfoldError(
                f"more than {MOST_PAIRS} pairs of embeddings have a cosine of at least"
                f" {threshold}: raise groups.embedding.threshold, or look whether many"
                " samples are the same picture"
            )
    every = np.concatenate(found)
    order = np.unique(every[:, 0] * len(vectors) + every[:, 1], return_index=True)[1]
    return every[order], np.concatenate(scores)[order]


def blocked(block: int = 2048, report: Report | None = None) -> Proposals:
    """Propose by products of square blocks of unit rows; see `similar_pairs`."""
    if block < 1:
        raise RecipeError(f"similarity block must be at least 1, got {block}")

    def proposals(vectors: Vectors, floor: float) -> Iterator[IntArray]:
        units = vectors.units()
        for start in range(0, len(units), block):
            for other in range(start, len(units), block):
                yield _close(vectors, units, start, other, block, floor)
            if report is not None:
                report(min(start + block, len(units)), len(units))

    return proposals


def _close(
    vectors: Vectors,
    units: Float32Array,
    start: int,
    other: int,
    block: int,
    floor: float,
) -> IntArray:
    """List pairs (i, j), i < j, of one block of rows and one of columns."""
    i, j = reaching(
        units[start : start + block] @ units[other : other + block].T, floor
    )
    i, j = i + start, j + other
    # A floor below zero would let rows of zeros in: they match nothing.
    kept = (i < j) & vectors.nonzero[i] & vectors.nonzero[j]
    return np.stack([i[kept], j[kept]], axis=1)


def reaching(products: Float32Array, floor: float) -> tuple[IntArray, IntArray]:
    """Return the rows and columns of products that are at least the floor.

    As np.nonzero would, but it goes through a flat array several times faster.
    """
    return np.divmod(np.flatnonzero(products.ravel() >= floor), products.shape[1])
