"""Up to which score rows are best taken out: every cut at once, from sorted sums."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.data.arrays import IntArray


def gains_at(scores: NDArray[Any], gains: IntArray, cuts: NDArray[Any]) -> IntArray:
    """Return what is gained in all by taking out the rows up to each cut, (cuts,).

    Args:
        scores: of the rows.
        gains: what each row's removal adds; whole units, so that sums are exact.
        cuts: of the scores' own dtype; a row goes if its score is at or below.
    """
    order = np.argsort(scores, kind="stable")
    sums = np.concatenate([[0], np.cumsum(gains[order])])
    total: IntArray = sums[np.searchsorted(scores[order], cuts, side="right")]
    return total


def best_cut(scores: NDArray[Any], gains: IntArray, cuts: NDArray[Any]) -> int:
    """Return the place of the cut that gains most, the first of equals.

    Args:
        scores: of the rows.
        gains: see `gains_at`.
        cuts: ascending, so that the lowest of the best is taken.
    """
    return int(np.argmax(gains_at(scores, gains, cuts)))
