"""The area under the ROC curve against scikit-learn's, and by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tenfold.metrics.ranking import roc_area


@pytest.mark.parametrize("bins", [2, 7, 1024])
def test_the_area_is_scikit_learns_of_the_bins(bins):
    rng = np.random.default_rng(bins)
    truth = rng.random(300) < 0.3
    place = rng.integers(0, bins, 300)
    counts = np.stack([np.bincount(place[truth == t], minlength=bins) for t in (0, 1)])
    assert roc_area(counts) == pytest.approx(roc_auc_score(truth, place), abs=1e-14)


def test_pairs_are_won_lost_or_shared():
    # Two absent in bins 0 and 1, one present in bin 1: one pair won, one shared.
    assert roc_area(np.array([[1, 1, 0], [0, 1, 0]])) == 0.75
    assert roc_area(np.array([[0, 3], [2, 0]])) == 0
    assert roc_area(np.array([[3, 0], [0, 2]])) == 1


@pytest.mark.parametrize("counts", [[[0, 0], [1, 2]], [[1, 2], [0, 0]]])
def test_one_side_alone_has_no_area(counts):
    assert roc_area(np.array(counts)) is None
