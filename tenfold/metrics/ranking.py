"""How well scores rank what is present above what is absent, from binned counts."""

import numpy as np

from tenfold.data.arrays import IntArray


def roc_area(counts: IntArray) -> float | None:
    """Return the area under the ROC curve; a pair in one bin counts half.

    It is the share of pairs of an absent and a present one in which the present one
    lies higher (Hanley and McNeil 1982), so it is exact for what was binned.

    Args:
        counts: (2, bins) absent and present ones by bin, the lowest score first.

    Returns:
        None where either are missing.
    """
    absent, present = np.asarray(counts, np.int64)
    pairs = int(absent.sum()) * int(present.sum())
    if not pairs:
        return None
    below = np.cumsum(absent) - absent
    # Twice the pairs won, so that ties stay whole numbers.
    won = int((present * (2 * below + absent)).sum())
    return won / (2 * pairs)
