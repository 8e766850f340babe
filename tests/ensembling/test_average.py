"""The streaming average against numpy's, in the memory of one member."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tenfold.ensembling.average import Average

WEIGHTS = st.floats(0.125, 8, width=32)
PLANES = npst.arrays(np.float32, (2, 3), elements=st.floats(0, 1, width=32))


@given(st.lists(st.tuples(PLANES, PLANES, WEIGHTS), min_size=1, max_size=8))
def test_the_mean_is_that_of_numpy(members):
    average = Average()
    for kelp, edge, weight in members:
        average.add({"kelp": kelp, "edge": edge}, weight)
    result = average.result()
    weights = [weight for *_, weight in members]
    for place, name in enumerate(("kelp", "edge")):
        stack = np.stack([member[place] for member in members]).astype(np.float64)
        expected = np.average(stack, axis=0, weights=weights)
        assert result[name] == pytest.approx(expected, abs=1e-5)
    assert set(result) == {"kelp", "edge"}


@given(st.lists(PLANES, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(planes, random):
    results = []
    for _ in range(2):
        average = Average()
        for plane in planes:
            average.add({"kelp": plane}, 1)
        results.append(average.result()["kelp"])
        random.shuffle(planes)
    assert results[0] == pytest.approx(results[1], abs=1e-6)


def test_a_member_of_no_weight_changes_nothing():
    average = Average()
    average.add({"kelp": np.array([0.25, 1])}, 2)
    average.add({"kelp": np.array([9.0, 9])}, 0)
    assert average.result()["kelp"].tolist() == [0.25, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_the_mean_is_of_single_precision_whatever_goes_in(dtype):
    average = Average()
    average.add({"kelp": np.array([[200, 100]], dtype)}, 1)
    average.add({"kelp": np.array([[100, 201]], dtype)}, 1)
    result = average.result()["kelp"]
    assert result.dtype == np.float32
    assert result.tolist() == [[150, 150.5]]


def test_what_was_added_is_left_as_it_was():
    plane = np.ones((2, 2), np.float32)
    average = Average()
    for _ in range(3):
        average.add({"kelp": plane}, 1)
    average.result()["kelp"][:] = 7
    assert (plane == 1).all()
    assert (average.result()["kelp"] == 1).all()


def test_changing_an_array_after_it_was_added_changes_nothing():
    plane = np.ones((2, 2), np.float32)
    average = Average()
    average.add({"kelp": plane}, 1)
    plane[:] = 100
    assert (average.result()["kelp"] == 1).all()


def test_the_mean_can_be_read_between_members():
    average = Average()
    average.add({"kelp": np.array([0.0])}, 1)
    assert average.result()["kelp"].tolist() == [0]
    average.add({"kelp": np.array([1.0])}, 3)
    assert average.result()["kelp"].tolist() == [0.75]


def test_members_of_other_shapes_are_refused():
    average = Average()
    average.add({"kelp": np.zeros((2, 3))}, 1)
    with pytest.raises(ValueError, match="shape"):
        average.add({"kelp": np.zeros((3, 2))}, 1)


def test_the_memory_is_that_of_one_member_however_many_are_added():
    plane = np.ones((256, 1024), np.float32)
    average = Average()
    tracemalloc.start()
    try:
        for _ in range(20):
            average.add({"kelp": plane, "edge": plane}, 1)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2.1 * plane.nbytes
    assert peak < 4.1 * plane.nbytes
