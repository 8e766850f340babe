"""Options of training: which go together, which do not, and in which words."""

from typing import get_args

import pytest

from tenfold.errors import RecipeError
from tenfold.recipe import Schedule, ScheduleName, Training, override, validate


def mine(*settings):
    raw = override({"epochs": 10, "batch": 8}, settings)
    return validate(Training, raw, "mine.yaml")


def refused(*settings):
    with pytest.raises(RecipeError) as error:
        mine(*settings)
    return str(error.value)


#: Option of a schedule → another value, and the schedules that read it.
SCHEDULES = {
    "warmup": (0.5, {"onecycle", "cosine"}),
    "start_divisor": (4, {"onecycle", "cosine"}),
    "final_divisor": (10, {"onecycle"}),
    "cycle_momentum": ("false", {"onecycle", "cyclic"}),
    "minimum_rate": (1e-5, {"cosine", "cosine-restarts", "plateau"}),
    "period_epochs": (3, {"cosine-restarts", "exponential"}),
    "period_factor": (1, {"cosine-restarts"}),
    "base_rate": (1e-6, {"cyclic"}),
    "up_epochs": (2, {"cyclic"}),
    "down_epochs": (2, {"cyclic"}),
    "decay": (0.9, {"cyclic"}),
    "factor": (0.5, {"exponential", "plateau"}),
    "patience": (0, {"plateau"}),
    "threshold": (0.1, {"plateau"}),
    "monitor": ("score", {"plateau"}),
    "by_epoch": ("true", {"cosine", "cosine-restarts", "exponential"}),
    "tail": ("[[3, 1e-5], [2, 5e-6]]", set(get_args(ScheduleName))),
}
NAMES = {"none", *(name for _, names in SCHEDULES.values() for name in names)}


def test_every_option_of_a_schedule_is_tried_here():
    assert set(SCHEDULES) == set(Schedule.model_fields) - {"name"}
    assert set(get_args(ScheduleName)) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("option", SCHEDULES)
def test_a_schedule_has_its_own_options_and_no_others(name, option):
    value, names = SCHEDULES[option]
    named = f"schedule.name={name}"
    setting = f"schedule.{option}={value}"
    if name in names:
        assert mine(named, setting) != mine(named)
    else:
        message = refused(named, setting)
        assert f"schedule {name} does not use {option}; leave it out" in message


def test_the_published_values_of_schedules():
    lowest = {"cosine": 1e-7, "cosine-restarts": 1e-7, "plateau": 1e-6}
    for name, rate in lowest.items():
        made = mine(f"schedule.name={name}")
        assert made.schedule.lowest == rate


@pytest.mark.parametrize("name", ["cosine", "cosine-restarts", "plateau"])
def test_a_rate_falls_to_less_than_its_peak(name):
    rate = ["learning_rate=1e-4", f"schedule.name={name}"]
    assert mine(*rate, "schedule.minimum_rate=9e-5")
    message = refused(*rate, "schedule.minimum_rate=1e-4")
    assert "its peak, is 0.0001" in message


def test_a_cycle_begins_below_its_peak():
    cyclic = "schedule.name=cyclic"
    assert "schedule cyclic is 1e-05" in refused("learning_rate=1e-5", cyclic)


def test_a_warm_up_begins_below_its_peak():
    schedule = "schedule={name: cosine, start_divisor: 0.5}"
    assert "start_divisor" in refused(schedule)


def test_a_tail_leaves_an_epoch_to_its_schedule():
    made = mine("schedule.tail=[[4, 1e-5], [5, 5e-6]]")
    assert made.schedule.tail == ((4, 1e-5), (5, 5e-6))
    assert made.schedule.tail_epochs == 9
    message = refused("schedule.tail=[[4, 1e-5], [6, 5e-6]]")
    assert "schedule.tail takes 10 epochs of the run's 10" in message
    assert "set schedule.tail=[]" in message
    assert mine("epochs=1", "schedule.tail=[]").schedule.tail == ()


def test_averaging_and_a_tail_exclude_each_other():
    message = refused("swa={}", "schedule.tail=[[1, 1e-5]]")
    assert "swa and schedule.tail both decide the last epochs' rate" in message


@pytest.mark.parametrize(
    "tail", ["[[0, 1e-5]]", "[[1, 0]]", "[[1.5, 1e-5]]", "[3]", "[[1, 1e-5, 2]]"]
)
def test_a_tail_is_epochs_and_rates(tail):
    assert "schedule.tail.0" in refused(f"schedule.tail={tail}")


def test_momentum_is_what_sgd_has_where_no_schedule_sets_it():
    momentum, sgd = "momentum=0.5", "optimiser=sgd"
    assert "adamw has no momentum" in refused(momentum)
    assert "schedule onecycle sets the momentum itself" in refused(momentum, sgd)
    for other in ("name=none", "cycle_momentum=false"):
        made = mine(momentum, sgd, f"schedule.{other}")
        assert made.momentum == 0.5


def test_weights_of_an_average_need_it():
    assert "weights: swa needs swa" in refused("weights=swa")
    made = mine("weights=swa", "swa={}")
    swa = made.swa
    assert (swa.start, swa.learning_rate, swa.annealing_epochs) == (0.75, 3e-5, 10)


@pytest.mark.parametrize(
    "setting",
    [
        "accumulate=0",
        "clip_norm=0",
        "limit_steps=0",
        "limit_validation=0",
        "optimiser=lion",
        "momentum=1",
        "swa.start=1",
        "swa.annealing_epochs=0",
        "schedule.name=step",
        "compile=maybe",
    ],
)
def test_options_of_training_that_make_no_sense_are_refused(setting):
    assert setting.partition("=")[0] in refused(setting)
