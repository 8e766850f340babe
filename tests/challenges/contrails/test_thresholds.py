"""A probability above a threshold, against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.challenges.contrails.thresholds import (
    BINS,
    first_above,
    histogram,
    multiples,
    whole_steps,
)


def exactly(decimal):
    return next((k for k in range(256) if Fraction(k, 255) > Fraction(decimal)), 256)


@given(st.integers(0, 10**6))
def test_a_step_is_above_as_in_exact_numbers(millionths):
    decimal = f"{millionths / 10**6:.6f}"
    assert first_above(float(decimal)) == exactly(decimal)


@pytest.mark.parametrize("tenth", range(0, 11, 2))
def test_a_step_that_equals_the_threshold_is_not_above_it(tenth):
    # 0.2 is exactly step 51 of 255.
    assert first_above(tenth / 10) == 51 * tenth // 2 + 1


def test_nothing_is_above_one_and_all_but_zero_is_above_zero():
    assert first_above(1.0) == 256
    assert first_above(0.0) == 1
    assert first_above(0.5) == 128


def test_thresholds_are_the_decimals_that_people_write():
    assert multiples(0.01) == tuple(float(f"0.{k:02d}") for k in range(1, 100))
    assert multiples(0.1) == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    assert multiples(0.3) == (0.3, 0.6, 0.9)
    assert multiples(0.5) == (0.5,)


def test_means_are_rounded_to_the_nearest_step():
    mean = np.array([0, 0.4, 0.5, 1.5, 100.6, 254.9, 255], np.float32)
    found = whole_steps(mean)
    assert found.dtype == np.uint8
    assert found.tolist() == [0, 0, 0, 2, 101, 255, 255]


def test_a_histogram_counts_pixels_by_truth_and_step():
    steps = np.array([[0, 255, 7], [7, 7, 255]], np.uint8)
    truth = np.array([[0, 0, 1], [1, 0, 1]], np.uint8)
    found = histogram(steps, truth)
    assert found.shape == (2, BINS)
    expected = {(0, 0): 1, (0, 255): 1, (1, 7): 2, (0, 7): 1, (1, 255): 1}
    places = {tuple(map(int, p)): int(found[tuple(p)]) for p in np.argwhere(found)}
    assert places == expected
