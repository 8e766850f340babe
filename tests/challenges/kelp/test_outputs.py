"""Probabilities in steps of 1/255, and thresholds that fall between steps."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tenfold.challenges.kelp.outputs import STEPS, decode, encode, threshold_of

ALL_STEPS = np.arange(STEPS + 1).astype(np.uint8)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_a_probability_comes_back_to_half_a_step(values):
    probability = np.array(values, np.float32)
    found = decode(encode(probability))
    assert found.dtype == np.float32
    assert np.abs(found - probability).max() <= 0.5 / 255 + 1e-6


def test_every_step_comes_back_exactly():
    assert STEPS == 255
    np.testing.assert_array_equal(encode(decode(ALL_STEPS)), ALL_STEPS)
    assert decode(ALL_STEPS)[[0, -1]].tolist() == [0.0, 1.0]


def test_order_is_kept():
    fine = np.linspace(0, 1, 10_001)
    assert (np.diff(encode(fine).astype(int)) >= 0).all()


def test_a_threshold_parts_its_step_from_the_one_below():
    probability = decode(ALL_STEPS)
    for step in range(1, STEPS + 1):
        above = probability >= np.float32(threshold_of(step))
        assert above.tolist() == [s >= step for s in range(STEPS + 1)]
