"""Means over views of frames, against NumPy's turns and flips."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tenfold.training.keras.views import mean_over_views, views_of

NAMES = ("none", "horizontal", "mirrors", "flips", "dihedral")
FRAMES = np.random.default_rng(1).normal(size=(2, 3, 4, 5, 2)).astype(np.float32)


def see(frames):
    """Answer in a way that is far from symmetric: sums to the left of and above."""
    first = tf.reduce_sum(frames[:, 0], -1, keepdims=True)
    return tf.sigmoid(tf.cumsum(first, 2) - 0.3 * tf.cumsum(first, 1))


def by_numpy(frames, turns, mirrored):
    """See frames turned by quarters after a mirroring, and undo both."""
    shown = frames[..., ::-1, :] if mirrored else frames
    shown = np.rot90(shown, turns, (-3, -2))
    seen = np.rot90(see(tf.constant(shown.copy())).numpy(), -turns, (-3, -2))
    return seen[..., ::-1, :] if mirrored else seen


#: Views by the quarter turns after a left-right mirroring that they are.
TURNS = {
    "none": [(0, False)],
    "horizontal": [(0, False), (0, True)],
    "mirrors": [(0, False), (0, True), (2, True)],
    "flips": [(0, False), (0, True), (2, True), (2, False)],
    "dihedral": list(itertools.product(range(4), (False, True))),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_is_that_of_views_seen_one_by_one(name):
    found = mean_over_views(see, tf.constant(FRAMES), views_of(name)).numpy()
    seen = [by_numpy(FRAMES, *turn) for turn in TURNS[name]]
    assert found.shape == (2, 4, 5, 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.mean(seen, 0), atol=1e-6)
    if name != "none":
        assert np.abs(found - seen[0]).max() > 1e-2


@pytest.mark.parametrize("view", views_of("dihedral"))
def test_every_view_is_undone_exactly(view):
    shown = view.apply(tf.constant(FRAMES))
    assert shown.shape[-3:-1] == ((5, 4) if view.transposed else (4, 5))
    assert np.array_equal(view.undo(shown).numpy(), FRAMES)


def test_half_precision_is_added_up_in_single():
    """Eight values of float16 whose sum float16 has not."""
    values = iter([0.3333, *[0.0001] * 7])
    shown = []

    def half(frames):
        value = tf.fill(frames.shape[:1] + frames.shape[2:4] + (1,), next(values))
        shown.append(float(tf.cast(value, tf.float16)[0, 0, 0, 0]))
        return tf.cast(value, tf.float16)

    found = mean_over_views(half, tf.constant(FRAMES), views_of("dihedral"))
    assert found.dtype == tf.float32
    assert float(found[0, 0, 0, 0]) == pytest.approx(sum(shown) / 8, rel=1e-6)
