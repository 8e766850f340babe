"""What tune hands on, and what a decision does to records."""

import json

import numpy as np
import pytest

from tenfold.challenges.contrails import decision as decisions
from tenfold.challenges.contrails import scoring
from tenfold.ensembling.average import Average
from tests.challenges.contrails.out_of_fold import (
    OutOfFold,
    above,
    cleaned,
    dice,
    recipe_with,
)

SHAPE = (4, 6)


def tuned(source, **tune):
    recipe = recipe_with({"frames": 2, "before": 1}, **tune)
    return decisions.tune(recipe, source, lambda _: None)


@pytest.fixture(scope="module")
def source():
    return OutOfFold()


def decided(members, choice):
    """Decide on what members say, as (H, W) of steps; all are folds of one model."""
    average = Average()
    for fold, steps in enumerate(members):
        contribution = decisions.contribute({"prob": steps}, choice)
        average.add(contribution, decisions.fold_weight(choice, "m", fold))
    mean = decisions.conclude(average.result(), "m", choice)
    return decisions.decide({"predict": mean}, {}, choice)


def test_everything_that_is_handed_on_is_plain_data(source):
    result = tuned(source, least_pixels=(0, 3, 6))
    assert json.loads(json.dumps(result)).keys() == result.keys()
    assert set(result) == {
        *("decision", "honest", "naive", "baseline"),
        *("curves", "effects", "examples", "statement"),
    }
    assert result["decision"].keys() == {"threshold", "least_pixels"}
    rule = result["baseline"]
    assert rule["honest"] < result["honest"]
    assert rule["name"].startswith("band 1")


@pytest.mark.parametrize("least", [(0,), (0, 3, 6), (5,)])
def test_a_decision_does_to_records_what_was_scored(source, least):
    result = tuned(source, least_pixels=least)
    choice = json.loads(json.dumps(result["decision"]))
    total = None
    for _, _, arrays, outputs in source.samples():
        average = Average()
        for model, output in outputs.items():
            contribution = decisions.contribute(output, choice)
            concluded = decisions.conclude(contribution, model, choice)
            average.add(concluded, decisions.model_weight(choice, model))
        prediction = decisions.decide({"predict": average.result()}, arrays, choice)
        tally = scoring.tally(prediction, arrays)
        total = tally if total is None else total + tally
    assert scoring.metrics(total)["dice"] == pytest.approx(result["naive"])
    masks = above(source.mean(), choice["threshold"])
    masks = [cleaned(mask, choice["least_pixels"]) for mask in masks]
    assert dice(np.stack(masks), source.truth) == pytest.approx(result["naive"])


def test_the_mean_of_folds_is_cut_strictly_above_the_threshold():
    low, high = np.full(SHAPE, 41, np.uint8), np.full(SHAPE, 61, np.uint8)
    # 51 of 255 is 0.2.
    choice = {"threshold": 0.2, "least_pixels": 0}
    found = decided([low, high], choice)
    assert found.keys() == {"contrail", "prob"}
    assert (found["prob"] == 51).all()
    assert not found["contrail"].any()
    assert decided([low, high], choice | {"threshold": 0.199})["contrail"].all()
    assert found["prob"].dtype == found["contrail"].dtype == np.uint8


def test_mask_and_probability_that_are_kept_say_the_same():
    rng = np.random.default_rng(0)
    members = rng.integers(0, 256, (7, 50, 60)).astype(np.uint8)
    for threshold in (0.0, 0.37, 0.5, 1.0):
        found = decided(members, {"threshold": threshold, "least_pixels": 0})
        mask = above(found["prob"], threshold)
        np.testing.assert_array_equal(found["contrail"], mask)
        exact = members.astype(float).mean(axis=0)
        assert np.abs(found["prob"] - exact).max() <= 0.5


def test_specks_go_after_the_cut():
    steps = np.zeros((9, 9), np.uint8)
    steps[1, 1:5], steps[6, 6:8] = 200, 255
    choice = {"threshold": 0.5, "least_pixels": 3}
    found = decided([steps], choice)
    assert np.argwhere(found["contrail"]).tolist() == [[1, c] for c in range(1, 5)]
    assert found["prob"][6, 7] == 255


@pytest.mark.parametrize(
    ("tune", "expected"),
    [
        ({}, (0.5, 0)),
        ({"threshold": 0.3}, (0.3, 0)),
        ({"least_pixels": [10]}, (0.5, 10)),
        ({"least_pixels": [4, 10]}, (0.5, 0)),
    ],
)
def test_one_member_alone_is_cut_at_one_half_unless_the_recipe_says(tune, expected):
    choice = decisions.untuned(recipe_with(**tune), "m", 0)
    assert (choice["threshold"], choice["least_pixels"]) == expected
    steps = np.full((5, 5), 140, np.uint8)
    assert decided([steps], choice)["contrail"].all()


def test_a_prediction_is_described_by_its_shares():
    prob = np.zeros((10, 10), np.uint8)
    prob[0, :4], prob[5, 5] = 255, 102  # 102 is 0.4
    prediction = {"contrail": (prob > 100).astype(np.uint8), "prob": prob}
    found = decisions.describe(prediction, {}, {"threshold": 0.35})
    assert found == pytest.approx(
        {
            "contrail_share": 0.05,
            "contrail_pixels": 5,
            "pieces": 2,
            "uncertainty": 0.4 * 0.6 * 4 / 100,
            "near_threshold": 0.01,
        }
    )
