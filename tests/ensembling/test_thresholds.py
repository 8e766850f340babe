"""Scores from histograms against pixels that are counted one by one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.ensembling.refining import refine
from tenfold.ensembling.thresholds import (
    best_cut,
    counts_at,
    counts_of,
    cuts_without,
    dice_at,
)


@st.composite
def cases(draw, most_folds=4):
    """Draw histograms (candidates, folds, 2, steps) and thresholds to choose from."""
    candidates, folds = draw(st.integers(1, 3)), draw(st.integers(1, most_folds))
    steps = draw(st.integers(2, 6))
    size = candidates * folds * 2 * steps
    counts = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    histograms = np.array(counts, np.int64).reshape(candidates, folds, 2, steps)
    allowed = draw(st.sets(st.integers(0, steps - 1), min_size=1))
    return histograms, np.array(sorted(allowed))


def count(histogram, step):
    """Count (tp, fp, fn) pixel by pixel."""
    tp = fp = fn = 0
    for truth, value in itertools.product((0, 1), range(histogram.shape[-1])):
        for _ in range(int(histogram[truth, value])):
            predicted = value >= step
            tp += predicted and truth
            fp += predicted and not truth
            fn += truth and not predicted
    return np.array([tp, fp, fn])


def leave_one_out(histograms, allowed):
    """Score the choice of candidate and threshold, each fold left out of it."""
    chosen = best_cut(histograms.sum(axis=1), allowed)
    without = cuts_without(histograms, allowed)
    cuts = {chosen, *without}
    counts = {cut: counts_of(histograms, cut)[:, None] for cut in cuts}
    return refine(chosen, without, counts).honest


def score(counts):
    tp, fp, fn = (int(value) for value in counts)
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0


def possible_scores(histograms, allowed):
    """Return the scores that leaving each fold out can have, however ties fall."""
    n_candidates, n_folds = histograms.shape[:2]
    sums = {(0, 0, 0)}
    for fold in range(n_folds):
        others = [f for f in range(n_folds) if f != fold] or [fold]
        choices = list(itertools.product(range(n_candidates), allowed))
        scores = [score(count(histograms[c, others].sum(0), s)) for c, s in choices]
        best = [
            choice
            for choice, value in zip(choices, scores, strict=True)
            if value >= max(scores) - 1e-12
        ]
        held_out = {tuple(count(histograms[c, fold], s).tolist()) for c, s in best}
        sums = {tuple(np.add(a, b).tolist()) for a in sums for b in held_out}
    return [score(counts) for counts in sums]


@given(cases())
def test_counts_and_dice_at_every_threshold_against_brute_force(case):
    histograms, _ = case
    found = np.stack(counts_at(histograms), axis=-1)
    scores = dice_at(histograms)
    assert scores.shape == (*histograms.shape[:2], histograms.shape[-1])
    for c, fold, step in np.ndindex(*scores.shape):
        expected = count(histograms[c, fold], step)
        assert found[c, fold, step].tolist() == expected.tolist()
        assert scores[c, fold, step] == pytest.approx(score(expected))


def test_dice_of_no_pixels_and_of_background_alone():
    assert dice_at(np.zeros((2, 4), np.int64)).tolist() == [1, 1, 1, 1]
    background = np.array([[5, 5, 0, 0], [0, 0, 0, 0]])
    assert dice_at(background).tolist() == [0, 0, 1, 1]


def test_counts_beyond_32_bits_do_not_overflow():
    pixels = 3 * 2**31
    histogram = np.array([[0, pixels], [pixels, pixels]], np.int64)
    assert dice_at(histogram) == pytest.approx([4 / 5, 2 / 4])


@settings(max_examples=150, deadline=None)
@given(cases())
def test_leaving_folds_out_against_brute_force(case):
    histograms, allowed = case
    found = leave_one_out(histograms, allowed)
    assert any(
        found == pytest.approx(value) for value in possible_scores(histograms, allowed)
    )


@given(cases(most_folds=1))
def test_a_single_fold_is_scored_by_its_own_best_choice(case):
    histograms, allowed = case
    candidates = range(len(histograms))
    best = max(score(count(histograms[c, 0], s)) for c in candidates for s in allowed)
    assert leave_one_out(histograms, allowed) == pytest.approx(best)


def test_the_fold_that_is_scored_has_no_say_in_the_choice():
    # Alone, each fold would do best at another threshold than the other fold.
    low = [[0, 0, 10], [0, 10, 0]]
    high = [[0, 10, 0], [0, 0, 10]]
    histograms = np.array([[low, high]])
    # The other's best is 1 (or 2): low at 2 keeps none of its truth and ten false.
    at_two = count(histograms[0, 0], 2)
    at_one = count(histograms[0, 1], 1)
    assert at_two.tolist() == [0, 10, 10]
    assert at_one.tolist() == [10, 10, 0]
    expected = 2 * 10 / (2 * 10 + 20 + 10)
    allowed = np.array([0, 1, 2])
    assert leave_one_out(histograms, allowed) == pytest.approx(expected)
    assert dice_at(histograms.sum(axis=1)).max() > expected


def test_folds_that_agree_lose_nothing_by_being_left_out():
    fold = [[9, 1, 0, 0], [0, 0, 2, 8]]
    histograms = np.array([[fold] * 5])
    assert leave_one_out(histograms, np.arange(4)) == 1


def test_the_better_of_two_candidates_is_chosen():
    blind = [[5, 5], [5, 5]]
    sharp = [[10, 0], [0, 10]]
    histograms = np.array([[blind] * 3, [sharp] * 3])
    assert leave_one_out(histograms, np.array([0, 1])) == 1


def test_only_allowed_thresholds_are_chosen():
    fold = [[9, 1, 0, 0], [0, 0, 2, 8]]
    histograms = np.array([[fold] * 2])
    expected = score(2 * count(histograms[0, 0], 1))
    assert leave_one_out(histograms, np.array([1])) == pytest.approx(expected)
    assert expected < 1


def test_no_foreground_anywhere_and_none_predicted_is_agreement():
    histograms = np.array([[[[7, 0], [0, 0]]] * 3])
    assert leave_one_out(histograms, np.array([1])) == 1
