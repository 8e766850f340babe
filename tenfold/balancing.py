"""Scikit-learn's stratified folds of groups, a group placed in one step of arrays."""

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from tenfold.data.arrays import Float64Array, IntArray


class BalancedGroups(StratifiedGroupKFold):  # type: ignore[misc]
    """The same folds as scikit-learn 1.9's, all of which are tried at once.

    There every fold is tried for every group in Python, ten times the time for ten
    folds. A release that no longer asks `_find_best_fold` is right, but slower.
    """

    def _find_best_fold(
        self,
        y_counts_per_fold: Float64Array,
        y_cnt: IntArray,
        group_y_counts: Float64Array,
    ) -> int:
        """Return the fold whose taking of a group leaves strata most even.

        Args:
            y_counts_per_fold: (K, C) samples so far, by fold and stratum.
            y_cnt: (C,) samples in all.
            group_y_counts: (C,) of the group.
        """
        folds = len(y_counts_per_fold)
        taken = np.eye(folds)[:, :, None] * group_y_counts
        shares = (y_counts_per_fold + taken) / y_cnt
        unevenness = shares.std(axis=1).mean(axis=1).tolist()
        samples = y_counts_per_fold.sum(axis=1).tolist()
        best = 0
        for fold in range(1, folds):
            low, value = unevenness[best], unevenness[fold]
            # The tolerances of numpy.isclose: of equals, the emptier fold.
            equal = abs(value - low) <= 1e-8 + 1e-5 * abs(low)
            if value < low or (equal and samples[fold] < samples[best]):
                best = fold
        return best
