"""A choice after a choice against the same procedure written out for every fold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.ensembling.refining import refine
from tenfold.ensembling.thresholds import Cut, best_cut, counts_of, cuts_without


@st.composite
def cases(draw):
    """Draw histograms, and by every cut what options leave of its counts."""
    candidates, folds = draw(st.integers(1, 2)), draw(st.integers(1, 4))
    steps, options = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    histograms = rng.integers(0, 9, (candidates, folds, 2, steps))
    counts = {
        Cut(c, s): rng.integers(0, 9, (folds, options, 3))
        for c in range(candidates)
        for s in range(steps)
    }
    return histograms, counts


def dice(counts):
    tp, fp, fn = (int(value) for value in counts)
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0


def whole_procedure(histograms, counts, folds):
    """Choose on some folds: the best cut, then the best option at it."""
    best_score, cut = -1, None
    for c in range(len(histograms)):
        for s in range(histograms.shape[-1]):
            below = histograms[c, folds].sum(axis=0)
            tp, fp, fn = below[1, s:].sum(), below[0, s:].sum(), below[1, :s].sum()
            if dice((tp, fp, fn)) > best_score:
                best_score, cut = dice((tp, fp, fn)), Cut(c, s)
    scores = [dice(total) for total in counts[cut][folds].sum(axis=0)]
    return cut, scores.index(max(scores)), max(scores)


@settings(deadline=None, max_examples=200)
@given(cases())
def test_both_choices_are_repeated_without_each_fold(case):
    histograms, counts = case
    n_folds = histograms.shape[1]
    allowed = np.arange(histograms.shape[-1])
    everything = list(range(n_folds))
    chosen, option, naive = whole_procedure(histograms, counts, everything)
    sums = np.zeros(3, int)
    for fold in everything:
        rest = [f for f in everything if f != fold] or everything
        cut, at, _ = whole_procedure(histograms, counts, rest)
        sums += counts[cut][fold, at]

    assert best_cut(histograms.sum(axis=1), allowed) == chosen
    found = refine(chosen, cuts_without(histograms, allowed), counts)
    assert found.option == option
    assert found.naive == pytest.approx(naive)
    assert found.honest == pytest.approx(dice(sums))


def test_a_fold_has_no_say_in_the_option_it_is_scored_by():
    cut = Cut(0, 1)
    # Alone, fold 0 would do best by option 1, and fold 1 by option 0.
    counts = {cut: np.array([[[4, 6, 6], [9, 1, 1]], [[9, 1, 1], [2, 8, 8]]])}
    found = refine(cut, (cut, cut), counts)
    assert found.honest == pytest.approx(2 * (4 + 2) / (12 + 14 + 14))
    assert found.naive == pytest.approx(2 * 13 / (26 + 7 + 7))
    assert found.option == 0


def test_counts_of_a_cut_are_those_of_each_fold():
    histograms = np.array([[[[3, 1, 2], [1, 0, 5]], [[0, 0, 7], [4, 4, 0]]]])
    assert counts_of(histograms, Cut(0, 1)).tolist() == [[5, 3, 1], [4, 7, 4]]
    assert counts_of(histograms, Cut(0, 2)).tolist() == [[5, 2, 1], [0, 7, 8]]
