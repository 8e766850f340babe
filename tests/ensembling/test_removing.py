"""Sorted sums against taking out rows one cut after the other."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tenfold.ensembling.removing import best_cut, gains_at

ROW = st.tuples(st.integers(0, 9), st.integers(-5, 5))


@given(st.lists(ROW, max_size=30), st.sets(st.integers(-2, 11), min_size=1))
def test_each_cut_gains_what_its_rows_gain(rows, cuts):
    scores = np.array([score for score, _ in rows], float)
    gains = np.array([gain for _, gain in rows], np.int64)
    ordered = np.array(sorted(cuts), float)
    expected = [sum(g for s, g in rows if s <= cut) for cut in ordered]
    assert gains_at(scores, gains, ordered).tolist() == expected
    assert best_cut(scores, gains, ordered) == expected.index(max(expected))


def test_a_score_at_the_cut_goes_and_the_lowest_of_equal_cuts_is_taken():
    scores, gains = np.array([0.2, 0.5, 0.5]), np.array([1, 2, -2])
    cuts = np.array([0.1, 0.2, 0.3, 0.5])
    assert gains_at(scores, gains, cuts).tolist() == [0, 1, 1, 1]
    assert best_cut(scores, gains, cuts) == 1
