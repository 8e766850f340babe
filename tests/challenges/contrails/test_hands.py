"""Annotators' hands: where they draw, what they miss and what they take for another."""

from types import SimpleNamespace

import numpy as np
import pytest

from tenfold.challenges.contrails.annotators import agreement, count_votes, majority
from tenfold.challenges.contrails.fields import Camera
from tenfold.challenges.contrails.hands import annotate, exact
from tenfold.challenges.contrails.trails import Trail

CAMERA = Camera(64, (0.0, 0.0), tuple(range(8)))
LINE = Trail(
    row=30.0,
    col=32.0,
    heading=0.6,
    length=36.0,
    bend=1.0,
    width=0.8,
    depth=0.2,
    born=1.0,
    wind=(1.0, -1.0),
)


def changed(**values):
    return Trail(**(vars(LINE) | values))


def scene(*contrails, doubles=()):
    return SimpleNamespace(contrails=contrails, doubles=doubles)


def many_hands(of, count=60):
    """Masks (64, 64, annotators) of several records of one scene."""
    rngs = (np.random.default_rng(seed) for seed in range(count))
    return [annotate(of, CAMERA, rng) for rng in rngs]


def centre(weights):
    places = np.indices(weights.shape)
    return (places * weights).sum(axis=(1, 2)) / weights.sum()


def test_four_to_six_annotators_draw_half_a_pixel_off():
    # Downwards to the left, so that the shift goes straight across the line.
    falling = scene(changed(heading=-np.pi / 4, bend=0.0))
    found = many_hands(falling)
    assert {masks.shape[2] for masks in found} == {4, 5, 6}
    votes = sum(masks.sum(axis=2) for masks in found)
    shift = centre(votes) - centre(exact(falling, CAMERA))
    # Hands are unsteady by 0.3 px across, and there are 300 of them.
    assert shift.sum() == pytest.approx(0.5 + 0.5, abs=0.08)


def test_annotators_agree_on_a_clear_line_and_never_draw_the_same():
    for masks in many_hands(scene(LINE), 10):
        agreed = majority(count_votes(masks), masks.shape[2])
        assert 0.7 < agreement(masks, agreed) < 0.97
        drawn = {masks[..., who].tobytes() for who in range(masks.shape[2])}
        assert len(drawn) == masks.shape[2]


@pytest.mark.parametrize(
    ("depth", "least", "most"), [(0.2, 0.98, 1.0), (0.03, 0.4, 0.8), (0.005, 0.0, 0.1)]
)
def test_faint_lines_are_missed(depth, least, most):
    found = many_hands(scene(changed(depth=depth)))
    seen = np.concatenate([masks.any(axis=(0, 1)) for masks in found])
    assert least <= seen.mean() <= most


@pytest.mark.parametrize(
    "values", [{"length": 2.0, "width": 0.2}, {"born": 4.2}, {"row": 300.0}]
)
def test_lines_too_small_or_not_there_are_not_drawn(values):
    found = many_hands(scene(changed(**values)), 20)
    assert not any(masks.any() for masks in found)


def test_other_thin_lines_are_seldom_taken_for_one_and_wide_bands_never():
    doubles = (LINE,)
    masks = many_hands(scene(doubles=doubles))
    wrong = np.concatenate([one.any(axis=(0, 1)) for one in masks]).mean()
    assert 0 < wrong < 0.05
    wide = (changed(width=5.0),)
    assert not any(one.any() for one in many_hands(scene(doubles=wide)))


def test_what_is_exact_has_no_doubles_and_no_hand():
    true = exact(scene(LINE, doubles=(changed(row=10.0),)), CAMERA)
    np.testing.assert_array_equal(true, exact(scene(LINE), CAMERA))
    # The line stands where its middle is in the labelled frame.
    assert centre(true) == pytest.approx([30.0, 32.0], abs=0.8)
