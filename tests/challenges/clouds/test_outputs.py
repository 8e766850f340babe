"""Probabilities in steps of 1/255."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tenfold.challenges.clouds.outputs import STEPS, decode, encode

ALL_STEPS = np.arange(STEPS + 1).astype(np.uint8)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_a_probability_comes_back_to_half_a_step(values):
    probability = np.array(values, np.float32)
    found = decode(encode(probability))
    assert found.dtype == np.float32
    assert np.abs(found - probability).max() <= 0.5 / 255 + 1e-6


def test_every_step_comes_back_exactly():
    np.testing.assert_array_equal(encode(decode(ALL_STEPS)), ALL_STEPS)
    assert decode(ALL_STEPS)[[0, -1]].tolist() == [0.0, 1.0]


def test_steps_keep_the_shape_of_four_planes():
    prob = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 2, 3)
    assert encode(prob).shape == (4, 2, 3)
    assert encode(prob).dtype == np.uint8


def test_one_half_lies_between_two_steps():
    """So a cut of 0.5 never asks which side of it a probability is on."""
    below, above = decode(np.array([127, 128], np.uint8))
    assert below < 0.5 < above
    assert not (decode(ALL_STEPS) == 0.5).any()
