"""Charts in words: the values that a reader would look for."""

import math

import pytest

from tenfold.reports import alts

LINES = {
    "train": ([1, 2, 3], [0.5, 0.75, 0.25]),
    "val": ([1, 3], [0.5, math.nan]),
    "test": ([1], [None]),
}


def test_the_ends_of_curves_are_the_last_values_there_are():
    assert alts.ends("loss", LINES) == "loss: train ends at 0.25, val ends at 0.5."


def test_the_peak_of_a_curve_is_its_first_highest_point():
    lines = {**LINES, "flat": ([0, 0.5], [1.0, 1.0])}
    assert alts.peaks("Dice by threshold", lines) == (
        "Dice by threshold: train is highest at 2, 0.75, val is highest at 1, 0.5,"
        " flat is highest at 0, 1."
    )


def test_bars_have_a_longest_and_a_shortest():
    bars = {"fold 0": 0.25, "fold 1": 0.75, "fold 2": math.nan}
    assert (
        alts.extremes("Dice", bars) == "Dice: most 0.75 (fold 1), least 0.25 (fold 0)."
    )
    assert alts.extremes("Dice", {"a": 2.0}) == "Dice: most 2 (a)."


@pytest.mark.parametrize("say", [alts.ends, alts.peaks, alts.extremes])
def test_what_is_empty_is_only_named(say):
    assert say("loss", {}) == "loss."
