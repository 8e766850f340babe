"""Own the exact search for pairs of embeddings whose cosine reaches a threshold."""

import numpy as np
import numpy.typing as npt

from tenfold.errors import RecipeError, TenfoldError

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

_PAIR_VALUES = 1 << 22  # float64 values per operand while pairs are scored: 32 MiB


def similar_pairs(
    embeddings: npt.NDArray[np.floating], threshold: float, block: int = 2048
) -> tuple[IntArray, FloatArray]:
    """Find all pairs of rows whose cosine similarity is at least a threshold.

    The search is exhaustive: N²·D/2 multiply-adds in float32, in square blocks of the
    upper triangle, so that memory is O(N·D + block²) plus the pairs found. Blocks only
    propose pairs, with a margin for float32 rounding; each proposal is then scored by
    itself in float64 as x·y / √(x·x · y·y). The result therefore does not depend on
    `block`, equal rows score exactly 1, and a tie with the threshold is included.

    Args:
        embeddings: (N, D) finite values; a row of zeros matches nothing.
        threshold: smallest cosine to report, above 0 and at most 1.
        block: rows per block; changes time and memory, never the result.

    Returns:
        (E, 2) int64 pairs i < j sorted by i, then j, and (E,) float64 cosines.

    Raises:
        RecipeError: the threshold is outside (0, 1] or the block is not positive.
        TenfoldError: an embedding holds a value that is not finite.
    """
    if not 0 < threshold <= 1:
        raise RecipeError(f"similarity threshold must be in (0, 1], got {threshold}")
    if block < 1:
        raise RecipeError(f"similarity block must be at least 1, got {block}")
    scaled, nonzero = _scaled(embeddings)
    unit = _unit(scaled)
    margin = (unit.shape[1] + 8) * float(np.finfo(np.float32).eps)
    found = [np.zeros((0, 2), dtype=np.int64)]
    scores = [np.zeros(0, dtype=np.float64)]
    for start in range(0, len(unit), block):
        pairs = _propose(unit, nonzero, start, block, threshold - margin)
        cosine = _cosines(scaled, pairs)
        keep = cosine >= threshold
        found.append(pairs[keep])
        scores.append(cosine[keep])
    return np.concatenate(found), np.concatenate(scores)


def _scaled(
    embeddings: npt.NDArray[np.floating],
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Bring each row's largest magnitude to 0.5..1, so that no square overflows.

    Scaling by powers of two is exact: it changes no cosine, not even in its last bit.

    Returns:
        (N, D) float64 rows and (N,) whether a row has any value but zero.
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise TenfoldError(
            f"embedding {int(np.argmin(finite))} holds a value that is not finite"
        )
    peak = np.abs(rows).max(axis=1, initial=0.0)
    _, exponent = np.frexp(peak)
    return np.ldexp(rows, -exponent[:, None]), peak > 0


def _unit(scaled: FloatArray) -> npt.NDArray[np.float32]:
    """Scale rows to length one in float32; rows of zeros stay zeros."""
    norm = np.sqrt(np.einsum("nd,nd->n", scaled, scaled))
    unit = scaled / np.where(norm > 0, norm, 1.0)[:, None]
    return unit.astype(np.float32)


def _propose(
    unit: npt.NDArray[np.float32],
    nonzero: npt.NDArray[np.bool_],
    start: int,
    block: int,
    floor: float,
) -> IntArray:
    """List pairs (i, j), i < j, with i in one block of rows and cosine >= floor.

    Returns:
        (P, 2) pairs sorted by i, then j.
    """
    rows = unit[start : start + block]
    proposals: list[IntArray] = []
    for other in range(start, len(unit), block):
        close = rows @ unit[other : other + block].T >= floor
        # A floor below zero would let rows of zeros in: they match nothing.
        close &= nonzero[start : start + block, None]
        close &= nonzero[None, other : other + block]
        i, j = np.nonzero(np.triu(close, k=1) if other == start else close)
        proposals.append(np.stack([i + start, j + other], axis=1))
    pairs = np.concatenate(proposals)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _cosines(scaled: FloatArray, pairs: IntArray) -> FloatArray:
    """Score pairs one by one in float64, in chunks of bounded memory.

    √(d·d) equals d in IEEE arithmetic, so equal rows score exactly 1.

    Returns:
        (P,) cosines, at most 1.
    """
    square = (scaled * scaled).sum(axis=1)
    cosine = np.empty(len(pairs), dtype=np.float64)
    step = max(1, _PAIR_VALUES // max(1, scaled.shape[1]))
    for start in range(0, len(pairs), step):
        i, j = pairs[start : start + step].T
        dot = (scaled[i] * scaled[j]).sum(axis=1)
        cosine[start : start + step] = dot / np.sqrt(square[i] * square[j])
    return np.minimum(cosine, 1.0)
