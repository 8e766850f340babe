"""Paired differences against scipy's bootstrap, closed forms, and by symmetry."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from tenfold.metrics.paired import bootstrap


@dataclass(frozen=True)
class Sum:
    """A mean in the making."""

    total: float
    count: int = 1

    def __add__(self, other):
        return Sum(self.total + other.total, self.count + other.count)


def mean(counted):
    return counted.total / counted.count


def units(values):
    return {f"{i:03d}": Sum(float(value)) for i, value in enumerate(values)}


RNG = np.random.default_rng(5)
FIRST = RNG.normal(0.7, 0.1, 60)
SECOND = FIRST + RNG.normal(0.02, 0.05, 60)


def test_the_interval_is_scipys():
    found = bootstrap(units(FIRST), units(SECOND), mean, 4000)
    wanted = stats.bootstrap(
        (SECOND - FIRST,), np.mean, n_resamples=4000, method="percentile", rng=1
    ).confidence_interval
    width = wanted.high - wanted.low
    assert found.low == pytest.approx(wanted.low, abs=0.06 * width)
    assert found.high == pytest.approx(wanted.high, abs=0.06 * width)
    assert found.value == pytest.approx((SECOND - FIRST).mean())
    assert (found.first, found.second) == pytest.approx((FIRST.mean(), SECOND.mean()))
    assert found.units == 60


def test_the_same_advantage_everywhere_leaves_no_doubt():
    found = bootstrap(units(FIRST), units(FIRST + 0.1), mean, 200)
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))
    assert found.second_ahead == 1
    assert found.clear


def test_a_system_against_itself_is_a_tie():
    found = bootstrap(units(FIRST), units(FIRST), mean, 200)
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert found.second_ahead == 0.5
    assert not found.clear


def test_exchanging_the_two_mirrors_the_interval():
    there = bootstrap(units(FIRST), units(SECOND), mean, 300)
    back = bootstrap(units(SECOND), units(FIRST), mean, 300)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert back.second_ahead == pytest.approx(1 - there.second_ahead)


def test_units_of_different_size_count_by_what_they_hold():
    # One large unit decides the score; drawing it or not makes the interval wide.
    first = {"large": Sum(0.0, 1000), "small": Sum(0.0, 1)}
    second = {"large": Sum(1000.0, 1000), "small": Sum(0.0, 1)}
    found = bootstrap(first, second, mean, 400)
    assert found.value == pytest.approx(1000 / 1001)
    assert found.low == 0
    assert found.high == 1


def test_the_order_of_units_is_no_part_of_it():
    mixed = dict(reversed(units(FIRST).items()))
    assert bootstrap(mixed, units(SECOND), mean, 100) == bootstrap(
        units(FIRST), units(SECOND), mean, 100
    )


@pytest.mark.parametrize("second", [{}, {"001": Sum(1.0)}])
def test_other_units_are_refused(second):
    with pytest.raises(ValueError, match="over the same units"):
        bootstrap({"000": Sum(1.0)}, second, mean)
