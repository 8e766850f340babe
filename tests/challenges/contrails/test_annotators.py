"""Votes and agreement, counted by hand and by brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.challenges.contrails.annotators import (
    agreement,
    count_votes,
    majority,
    soft_label,
)


def masks(*rows):
    """Masks (1, W, R) of a row of pixels an annotator."""
    return np.array(rows, np.uint8).T[None]


@pytest.mark.parametrize(
    ("annotators", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4)]
)
def test_more_than_half_of_the_annotators_make_a_contrail(annotators, needed):
    votes = np.arange(annotators + 1, dtype=np.uint8)[None]
    found = majority(votes, annotators)
    assert found.tolist() == [[count >= needed for count in range(annotators + 1)]]


def test_many_annotators_do_not_overflow():
    votes = count_votes(np.ones((2, 2, 255), np.uint8))
    assert votes.tolist() == [[255, 255], [255, 255]]
    assert majority(votes, 255).all()
    assert not majority(np.full((1, 1), 127, np.uint8), 255).any()


def test_soft_labels_are_shares():
    found = soft_label(np.array([[0, 1, 4]], np.uint8), 4)
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 0.25, 1]]


def test_agreement_is_the_mean_dice_with_the_majority():
    individual = masks([1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 0, 1])
    agreed = majority(count_votes(individual), 3)
    assert agreed.tolist() == [[True, True, False, False]]
    # 2·2/(2+2), 2·2/(3+2) and 2·1/(2+2).
    assert agreement(individual, agreed) == pytest.approx((1 + 0.8 + 0.5) / 3)


def test_who_marked_nothing_where_nothing_is_agreed_is_left_out():
    individual = masks([0, 0, 0], [0, 1, 0], [0, 0, 0])
    agreed = majority(count_votes(individual), 3)
    assert not agreed.any()
    assert agreement(individual, agreed) == 0
    empty = np.zeros((3, 3, 4), np.uint8)
    assert agreement(empty, np.zeros((3, 3), bool)) is None


def test_who_marked_nothing_where_something_is_agreed_counts_as_0():
    individual = masks([1, 0], [1, 0], [0, 0])
    assert agreement(individual, np.array([[True, False]])) == pytest.approx(2 / 3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.floats(0, 1))
def test_votes_and_agreement_against_brute_force(seed, annotators, share):
    individual = np.random.default_rng(seed).random((6, 5, annotators)) < share
    votes = count_votes(individual.astype(np.uint8))
    agreed = majority(votes, annotators)
    dice = []
    for row, col in np.ndindex(6, 5):
        marks = [bool(individual[row, col, who]) for who in range(annotators)]
        assert votes[row, col] == sum(marks)
        assert agreed[row, col] == (sum(marks) / annotators > 0.5)
    for who in range(annotators):
        mine = individual[..., who]
        if mine.any() or agreed.any():
            dice.append(2 * (mine & agreed).sum() / (mine.sum() + agreed.sum()))
    found = agreement(individual.astype(np.uint8), agreed)
    if dice:
        assert found == pytest.approx(np.mean(dice))
    else:
        assert found is None
