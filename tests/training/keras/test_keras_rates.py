"""The learning rate of every step, against closed forms, and a plateau by hand."""

import math

import pytest

from tenfold.recipe import Training
from tenfold.training.keras.rates import LearningRate
from tenfold.training.pace import Pace

STEPS, PEAK = 5, 0.1


def rates_of(epochs, schedule, losses=()):
    """Return the rate of every step, and of what would come after the run."""
    training = Training.model_validate(
        {"epochs": epochs, "batch": 1, "learning_rate": PEAK, "schedule": schedule}
    )
    rate = LearningRate(training, Pace(STEPS, 1))
    taken, losses = [], list(losses)
    for epoch in range(epochs):
        for step in range(STEPS):
            taken.append(rate.value)
            rate.after_step(epoch * STEPS + step + 1)
        if losses:
            rate.after_validation(epoch + 1, {"val/loss": losses.pop(0)})
        rate.after_epoch(epoch + 1)
        # Whatever it goes on with is in its state.
        other = LearningRate(training, Pace(STEPS, 1))
        other.load(rate.to_state())
        rate = other
    return taken, rate.value


def half_cosine(start, end, many):
    return [
        end + (start - end) * (1 + math.cos(math.pi * place / many)) / 2
        for place in range(many)
    ]


def test_none_is_constant():
    assert rates_of(2, {"name": "none"}) == ([PEAK] * 10, PEAK)


def test_cosine_falls_from_the_peak_to_the_lowest():
    taken, end = rates_of(4, {"name": "cosine", "warmup": 0, "minimum_rate": 0.01})
    assert taken == pytest.approx(half_cosine(PEAK, 0.01, 20))
    # There is no rate for a step after the last.
    assert end == taken[-1]


def test_cosine_is_warmed_up_in_a_straight_line():
    schedule = {"name": "cosine", "warmup": 0.25, "start_divisor": 5.0}
    taken, _ = rates_of(4, schedule | {"minimum_rate": 0.0})
    rising = [0.02 + 0.08 * place / 5 for place in range(5)]
    assert taken == pytest.approx(rising + half_cosine(PEAK, 0.0, 15))


def test_cosine_that_only_rises():
    taken, _ = rates_of(2, {"name": "cosine", "warmup": 1.0, "start_divisor": 2.0})
    assert taken == pytest.approx([0.05 + 0.05 * place / 10 for place in range(10)])


def test_cosine_by_the_epoch():
    schedule = {"name": "cosine", "warmup": 0, "by_epoch": True, "minimum_rate": 0.0}
    taken, end = rates_of(4, schedule)
    expected = [rate for rate in half_cosine(PEAK, 0.0, 4) for _ in range(STEPS)]
    assert taken == pytest.approx(expected)
    assert end == taken[-1]


def test_cosine_restarts_with_longer_periods():
    schedule = {"name": "cosine-restarts", "minimum_rate": 0.0}
    taken, _ = rates_of(4, schedule)
    first, second, third = (half_cosine(PEAK, 0.0, many) for many in (5, 10, 20))
    assert taken == pytest.approx([*first, *second, *third[:5]])


@pytest.mark.parametrize("by_epoch", [False, True])
def test_exponential_falls_by_its_factor_in_a_period(by_epoch):
    schedule = {"name": "exponential", "factor": 0.5, "period_epochs": 2}
    taken, _ = rates_of(4, schedule | {"by_epoch": by_epoch})
    moves = [step // STEPS * STEPS if by_epoch else step for step in range(20)]
    assert taken == pytest.approx([PEAK * 0.5 ** (move / 10) for move in moves])


def test_one_cycle_rises_and_falls():
    schedule = {"warmup": 0.3, "start_divisor": 4.0, "final_divisor": 10.0}
    taken, _ = rates_of(4, schedule | {"cycle_momentum": False})
    # Five moves up to the peak at step 5, and fourteen down.
    rising = half_cosine(PEAK / 4, PEAK, 5)
    falling = [*half_cosine(PEAK, PEAK / 40, 14), PEAK / 40]
    assert taken == pytest.approx(rising + falling)


@pytest.mark.parametrize("warmup", [0.0, 0.05, 1.0])
def test_one_cycle_without_a_way_up_or_down(warmup):
    taken, _ = rates_of(4, {"warmup": warmup, "cycle_momentum": False})
    assert max(taken) <= PEAK * (1 + 1e-12)
    top = 19 if warmup == 1.0 else 0
    assert taken[top] == pytest.approx(PEAK, rel=0.02)
    assert taken == sorted(taken, reverse=warmup < 1.0)


def test_plateau_goes_by_validations():
    schedule = {"name": "plateau", "factor": 0.5, "patience": 1, "threshold": 0.1}
    #        best  gain  none  none: halved, none, none: halved, gain
    losses = [1.0, 0.8, 0.75, 0.73, 0.74, 0.80, 0.5]
    taken, end = rates_of(7, schedule | {"minimum_rate": 0.03}, losses)
    by_epoch = [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.03]
    assert taken == [rate for rate in by_epoch for _ in range(STEPS)]
    assert end == 0.03


def test_plateau_of_a_figure_that_is_better_when_higher():
    schedule = {"name": "plateau", "factor": 0.5, "patience": 0, "monitor": "+loss"}
    taken, _ = rates_of(3, schedule, [1.0, 0.5, 2.0])
    assert taken[::STEPS] == [0.1, 0.1, 0.05]


def test_no_number_is_no_gain():
    schedule = {"name": "plateau", "factor": 0.5, "patience": 0}
    taken, _ = rates_of(3, schedule, [math.nan, 1.0, 2.0])
    assert taken[::STEPS] == [0.1, 0.05, 0.05]


def test_a_tail_takes_over_after_the_schedule():
    schedule = {"name": "cosine", "warmup": 0, "minimum_rate": 0.0}
    taken, end = rates_of(5, schedule | {"tail": [[2, 0.003], [1, 0.001]]})
    assert taken[:10] == pytest.approx(half_cosine(PEAK, 0.0, 10))
    assert taken[10:] == [0.003] * 10 + [0.001] * 5
    assert end == 0.001


def test_a_plateau_is_over_when_the_tail_begins():
    schedule = {"name": "plateau", "factor": 0.5, "patience": 0, "tail": [[2, 0.003]]}
    taken, _ = rates_of(4, schedule, [1.0, 2.0, 3.0, 4.0])
    assert taken[::STEPS] == [0.1, 0.1, 0.003, 0.003]
