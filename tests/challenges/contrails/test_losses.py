"""Losses against closed forms and NumPy in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tenfold.challenges.contrails.losses import SMOOTH, dice_sums, pixel_loss
from tenfold.challenges.contrails.options import ContrailsLoss

BCE, DICE = ContrailsLoss(), ContrailsLoss(bce=0.0, dice=1.0)
SHAPE = (3, 8, 8, 1)


def batch(seed=0, shape=SHAPE):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, shape).astype(np.float32)
    return logits, rng.random(shape).astype(np.float32)


def found(options, logits, truth, counts=None):
    loss = pixel_loss(options, tf.constant(logits), tf.constant(truth), counts)
    assert loss.dtype == tf.float32
    assert loss.shape == ()
    return float(loss)


def by_numpy(logits, truth):
    """Cross-entropy and Dice loss of all pixels, in float64."""
    z, y = np.asarray(logits, np.float64), np.asarray(truth, np.float64)
    p = 1 / (1 + np.exp(-z))
    bce = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    dice = (2 * (p * y).sum() + SMOOTH) / (p.sum() + y.sum() + SMOOTH)
    return bce, 1 - dice


def test_both_parts_against_numpy():
    logits, truth = batch()
    bce, dice = by_numpy(logits, truth)
    assert found(BCE, logits, truth) == pytest.approx(bce, rel=1e-5)
    assert found(DICE, logits, truth) == pytest.approx(dice, rel=1e-5)
    both = ContrailsLoss(bce=50.0, dice=0.2)
    expected = 50 * bce + 0.2 * dice
    assert found(both, logits, truth) == pytest.approx(expected, rel=1e-5)


def test_closed_forms():
    zeros, ones = np.zeros(SHAPE, np.float32), np.ones(SHAPE, np.float32)
    assert found(BCE, zeros, ones) == pytest.approx(math.log(2))
    # Half of everything against everything: 2/2 of 3/2.
    assert found(DICE, zeros, ones) == pytest.approx(1 / 3, rel=1e-4)
    assert found(BCE, 20 * ones, zeros) == pytest.approx(20)
    # Nothing found where nothing is: alike.
    assert found(DICE, -50 * ones, zeros) == pytest.approx(0, abs=1e-6)
    assert found(DICE, 50 * ones, zeros) == pytest.approx(1, abs=1e-4)


def test_logits_of_any_size_have_a_finite_loss():
    for logit in (-1e4, 1e4):
        logits = np.full(SHAPE, logit, np.float32)
        for truth in (np.zeros(SHAPE), np.ones(SHAPE)):
            assert math.isfinite(found(BCE, logits, truth.astype(np.float32)))


def test_dice_is_of_the_batch_not_of_its_samples():
    logits = np.full((2, 4, 4, 1), -50, np.float32)
    truth = np.zeros((2, 4, 4, 1), np.float32)
    # A sample with all of its 16 pixels found, and one with 1 pixel missed.
    logits[0], truth[0], truth[1, 0, 0] = 50, 1, 1
    assert found(DICE, logits, truth) == pytest.approx(1 - 32 / 33, rel=1e-3)


def test_an_untrained_batch_of_sixteen_frames_in_half_precision():
    """Sums of 16 × 65,536 pixels pass 65,504, the largest float16: a Dice of 0."""
    shape = (16, 256, 256, 1)
    truth = np.zeros(shape, np.float16)
    truth.reshape(-1)[:3468] = 1
    logits = np.zeros(shape, np.float16)
    expected = by_numpy(logits, truth)[1]
    # 3468 of 524,288 + 3468 pixels: what float16 would call 0.
    assert 1 - expected == pytest.approx(3468 / (524_288 + 3468), rel=1e-4)
    assert found(DICE, logits, truth) == pytest.approx(expected, rel=1e-6)
    assert 1 - found(DICE, logits, truth) > 0.006


# Samples that count.


@pytest.mark.parametrize("options", [BCE, DICE])
def test_samples_that_count_are_weighed_by_their_share(options):
    logits, truth = batch()
    counts = np.array([True, False, True])
    alone = found(options, logits[counts], truth[counts])
    expected = 2 / 3 * alone
    assert found(options, logits, truth, counts) == pytest.approx(expected, rel=1e-5)


def test_micro_batches_add_up_to_their_batch():
    logits, truth = batch(shape=(6, 8, 8, 1))
    counts = np.array([True, False, False, False, False, True])
    parts = [
        found(BCE, logits[i : i + 2], truth[i : i + 2], counts[i : i + 2])
        for i in (0, 2, 4)
    ]
    whole = found(BCE, logits, truth, counts)
    assert np.mean(parts) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("options", [BCE, DICE])
def test_a_batch_without_samples_that_count_teaches_nothing(options):
    logits, truth = batch()
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = pixel_loss(options, variable, truth, np.zeros(3, bool))
    assert float(loss) == 0
    assert (tape.gradient(loss, variable).numpy() == 0).all()


@pytest.mark.parametrize("options", [BCE, DICE])
def test_gradients_against_differences(options):
    logits, truth = batch(shape=(2, 3, 3, 1))
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = pixel_loss(options, variable, truth)
    gradient = tape.gradient(loss, variable).numpy().ravel()
    part = 0 if options is BCE else 1
    for place in range(0, 18, 5):
        step = np.zeros(18)
        step[place] = 1e-4
        step = step.reshape(logits.shape)
        high = by_numpy(logits + step, truth)[part]
        low = by_numpy(logits - step, truth)[part]
        assert gradient[place] == pytest.approx((high - low) / 2e-4, abs=1e-5)


def test_sums_of_a_dice_are_of_each_sample():
    guess, truth = (np.random.default_rng(i).random(SHAPE) for i in (0, 1))
    overlap, total = (part.numpy() for part in dice_sums(guess, truth))
    np.testing.assert_allclose(overlap, (guess * truth).sum((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(total, (guess + truth).sum((1, 2, 3)), rtol=1e-5)
