"""The metric: one Dice over the pixels of all records at once."""

from functools import reduce
from operator import add

import numpy as np
import pytest

from tenfold.challenges.contrails import scoring


def record(marked, pixels=100):
    label = np.zeros(pixels, np.uint8)
    label[:marked] = 1
    return {"label": label.reshape(10, -1)}


def predicted(first, last, pixels=100):
    mask = np.zeros(pixels, np.uint8)
    mask[first:last] = 1
    return {"contrail": mask.reshape(10, -1)}


def test_counts_add_up_before_they_are_divided():
    # 6 of 10 found with 4 too many; nothing of 2; 5 where there is nothing.
    pairs = [
        (predicted(4, 14), record(10)),
        (predicted(0, 0), record(2)),
        (predicted(50, 55), record(0)),
    ]
    total = reduce(add, (scoring.tally(*pair) for pair in pairs))
    found = scoring.metrics(total)
    assert found[scoring.MONITOR] == pytest.approx(2 * 6 / (15 + 12))
    assert found["iou"] == pytest.approx(6 / 21)
    assert found["precision"] == pytest.approx(6 / 15)
    assert found["recall"] == pytest.approx(6 / 12)
    assert found["predicted_share"] == pytest.approx(15 / 300)
    assert found["labelled_share"] == pytest.approx(12 / 300)
    # The mean over records would be 0.2.
    alone = [scoring.metrics(scoring.tally(*pair))["dice"] for pair in pairs]
    assert np.mean(alone) == pytest.approx(0.2)


@pytest.mark.parametrize(("step", "found"), [(127, 0), (128, 100), (255, 100)])
def test_a_members_probability_is_cut_at_one_half(step, found):
    outputs = {"prob": np.full((10, 10), step, np.uint8)}
    tally = scoring.tally(outputs, record(3))
    assert tally.tp + tally.fp == found


def test_a_decision_is_counted_as_it_is_whatever_probability_is_beside_it():
    outputs = predicted(0, 5) | {"prob": np.full((10, 10), 255, np.uint8)}
    tally = scoring.tally(outputs, record(3))
    assert (tally.tp, tally.fp, tally.fn, tally.tn) == (3, 2, 0, 95)


def test_nothing_found_of_nothing_is_right_and_all_figures_are_finite():
    found = scoring.metrics(scoring.tally(predicted(0, 0), record(0)))
    assert found["dice"] == 1
    assert all(np.isfinite(value) for value in found.values())


def test_counts_travel_as_json_and_are_shown_by_truth_and_prediction():
    tally = scoring.tally(predicted(4, 14), record(10))
    assert scoring.from_json(tally.to_json()) == tally
    names, matrix = scoring.confusion(tally)
    assert names == ("background", "contrail")
    assert matrix.tolist() == [[86, 4], [4, 6]]
    assert scoring.of_role("predict") is scoring
