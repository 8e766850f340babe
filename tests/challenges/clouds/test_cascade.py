"""The parts of the cascade against plain ways of saying the same."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.challenges.clouds import decision as decisions
from tenfold.challenges.clouds.cascade import (
    Cascade,
    above,
    forced,
    highest_mean,
    masks_of,
    present,
    shown_up_to,
    voted,
)
from tenfold.challenges.clouds.masks import resize_predictions
from tenfold.challenges.clouds.outputs import decode
from tests.challenges.clouds.out_of_fold import SUBMITTED, recipe_with

LEVELS = decode(np.arange(256, dtype=np.uint8))
EVERY = np.tile(np.arange(256, dtype=np.uint8), (4, 1)).reshape(4, 16, 16)


def cascade_with(**options):
    decision = decisions.untuned(recipe_with(**options), "where", 0)
    return Cascade.from_json(decision)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_steps_are_cut_as_the_probabilities_they_stand_for(cuts):
    np.testing.assert_array_equal(above(EVERY, cuts), above(decode(EVERY), cuts))


def test_a_cut_at_a_probability_leaves_it_out():
    cuts = [0.0, float(LEVELS[77]), 0.5, 1.0]
    counts = above(EVERY, cuts).sum(axis=(1, 2)).tolist()
    assert counts == [255, 178, 128, 0]


def test_masks_are_cut_first_and_resized_then():
    rng = np.random.default_rng(0)
    prob = rng.random((4, 40, 60)).astype(np.float32)
    cuts = [0.2, 0.5, 0.8, 0.5]
    binary = np.stack([prob[c] > np.float32(cuts[c]) for c in range(4)])
    expected = resize_predictions(binary, SUBMITTED)
    np.testing.assert_array_equal(masks_of(prob, cuts), expected)


def test_the_level_up_to_which_something_shows_is_found_by_trying_all():
    rng = np.random.default_rng(5)
    # Lone peaks, which may vanish as they shrink, on something flat; and nothing.
    steps = rng.integers(0, 40, (4, 384, 576)).astype(np.uint8)
    for place in range(3):
        top, left = rng.integers(5, 370, 2)
        steps[place, top, left] = 200
        steps[place, top + 1, left + 1] = 150
        steps[place, top : top + 2, left - 1] = 90
    steps[3] = 0
    found = shown_up_to(steps, LEVELS)
    for place in range(4):
        shown = [
            resize_predictions(steps[place : place + 1] > k, SUBMITTED).any()
            for k in (0, *range(35, 202, 5))
        ]
        tried = LEVELS[[0, *range(35, 202, 5)]]
        assert [level < found[place] for level in tried] == shown
    assert found[3] == 0
    assert len(set(found.tolist())) > 2


def test_the_only_level_is_passed_or_not():
    painting = np.zeros((4, 50, 50), np.uint8)
    painting[1:3] = 200
    found = shown_up_to(painting, np.array([0.5], np.float32))
    assert found.tolist() == [0.5, np.inf, np.inf, 0.5]


def test_published_presence_needs_a_pixel_that_outlives_the_resize():
    """A lone pixel between those that are read most is lost; a larger spot is not."""
    cascade = cascade_with()
    lost = 0
    for at in range(12):
        prob = np.zeros((4, 384, 576), np.float32)
        prob[0, at, at] = 0.9
        prob[1, at : at + 3, at : at + 3] = 0.9
        prob[2, at : at + 3, at : at + 3] = 0.5
        seen = present({"prob": prob}, "where", cascade).tolist()
        small = resize_predictions(prob > 0.5, SUBMITTED).any(axis=(1, 2))
        assert seen == small.tolist()
        assert seen[1:] == [True, False, False]
        lost += not seen[0]
    assert lost > 0


@pytest.mark.parametrize("pixels", [1, 3, 40, 10**6])
def test_the_mean_of_the_highest_pixels(pixels):
    prob = np.random.default_rng(pixels).random((4, 7, 9)).astype(np.float32)
    expected = [np.sort(plane.ravel())[::-1][:pixels].mean() for plane in prob]
    np.testing.assert_allclose(highest_mean(prob, pixels), expected, rtol=1e-6)


def test_presence_of_several_pixels_is_their_mean_above_the_cut():
    prob = np.zeros((4, 10, 10), np.float32)
    prob[0, 0, :2] = (1.0, 0.5)
    prob[1, 0, :2] = (1.0, 0.25)
    cascade = cascade_with(presence_pixels=2, presence_cut=0.625)
    assert present({"prob": prob}, "where", cascade).tolist() == [True] + [False] * 3


def test_presence_of_a_head_is_what_it_says():
    outputs = {
        "prob": np.ones((4, 10, 10), np.float32),
        "presence": np.float32([0.6, 0.5, 0.4, 1.0]),
    }
    cascade = cascade_with(presence_from="head")
    assert present(outputs, "where", cascade).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("models", "votes", "needed"), [(5, 2, 3), (5, 2.5, 3), (4, 2.0, 3), (3, 1.5, 2)]
)
def test_more_models_than_votes_paint(models, votes, needed):
    count = np.arange(models + 1)
    assert voted(count, votes).tolist() == [n >= needed for n in count]


def test_the_likeliest_class_is_the_first_of_equals():
    probability = np.float32([[0.1, 0.7, 0.7, 0.2], [0, 0, 0, 0], [0, 0, 0.1, 0.2]])
    assert np.argwhere(forced(probability)).tolist() == [[0, 1], [1, 0], [2, 3]]


def test_a_cascade_travels_as_json():
    for options in ({}, {"core_cut": 0.7, "votes": 1, "force_best": True}):
        cascade = cascade_with(**options)
        assert Cascade.from_json(json.loads(json.dumps(cascade.to_json()))) == cascade
    assert cascade.classifier_cuts is None
    which = decisions.untuned(recipe_with(), "which", 0)
    assert Cascade.from_json(which).classifier_cuts == (0.5,) * 4
