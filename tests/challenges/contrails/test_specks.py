"""Specks against a walk from pixel to pixel."""

import numpy as np
import pytest

from tenfold.challenges.contrails.specks import (
    counts_by_least,
    pieces_of,
    without_specks,
)
from tests.challenges.contrails.out_of_fold import cleaned


@pytest.fixture(params=[0.05, 0.2, 0.45])
def masks(request):
    rng = np.random.default_rng(8)
    return rng.random((6, 24, 31)) < request.param, rng.random((6, 24, 31)) < 0.3


@pytest.mark.parametrize("least", [0, 1, 2, 3, 10, 1000])
def test_pieces_of_fewer_pixels_go(masks, least):
    for mask in masks[0]:
        expected = cleaned(mask, least)
        np.testing.assert_array_equal(without_specks(mask, least), expected)


def test_counts_of_every_size_are_those_of_cleaned_masks(masks):
    sizes = np.array([0, 2, 3, 7, 500])
    for mask, truth in zip(*masks, strict=True):
        expected = []
        for least in sizes:
            kept = cleaned(mask, least)
            expected.append([(kept & truth).sum(), kept.sum(), pieces_of(kept)])
        np.testing.assert_array_equal(counts_by_least(mask, truth, sizes), expected)


def test_pieces_go_on_over_corners_and_not_over_gaps():
    mask = np.zeros((9, 9), bool)
    mask[[0, 1, 2, 3], [0, 1, 2, 3]] = True  # a diagonal of four
    mask[7, 5:8] = True  # three, two rows further down
    assert pieces_of(mask) == 2
    assert without_specks(mask, 4).sum() == 4
    assert not without_specks(mask, 4)[7].any()


def test_a_mask_without_anything_stays_so():
    nothing = np.zeros((5, 6), bool)
    assert not without_specks(nothing, 9).any()
    assert pieces_of(nothing) == 0
    counts = counts_by_least(nothing, ~nothing, np.array([0, 5]))
    assert counts.tolist() == [[0, 0, 0]] * 2
