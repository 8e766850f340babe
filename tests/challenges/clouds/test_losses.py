"""Losses against closed forms, loops in double precision, and smp's Dice."""

import itertools
import math

import numpy as np
import pytest
import torch
from segmentation_models_pytorch.losses import DiceLoss

from tenfold.challenges.clouds.losses import presence_loss, segmentation_loss
from tenfold.challenges.clouds.options import CloudsLoss, CloudsPresenceLoss

E = 1e-9


def draw(seed=0, count=3, empty=((0, 1), (1, 0), (1, 3), (2, 2))):
    """Logits (N, 4, 6, 8), presence logits (N, 4), and truth with some empty rows."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(0, 2, (count, 4, 6, 8)).astype(np.float32)
    presence = rng.normal(0, 2, (count, 4)).astype(np.float32)
    truth = rng.random(pixels.shape) < rng.uniform(0.1, 0.7, (count, 4, 1, 1))
    for row in empty:
        truth[row] = False
    return pixels, presence, truth


def total(options, pixels, presence, truth):
    loss, _ = segmentation_loss(
        options,
        torch.from_numpy(pixels),
        None if presence is None else torch.from_numpy(presence),
        torch.from_numpy(truth),
    )
    return loss.item()


# The published formulas, row by row in double precision.


def bce_of(logit, truth):
    return max(logit, 0) - logit * truth + math.log1p(math.exp(-abs(logit)))


def dice_of(logits, truth):
    s = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return 1 - (2 * (s * truth).sum() + E) / (s.sum() + truth.sum() + E)


def by_hand(options, pixels, presence, truth):
    """L = w_presence L_presence + w_dice L_dice + w_bce L_bce, in loops."""
    rows = list(itertools.product(range(len(pixels)), range(4)))
    there = [row for row in rows if truth[row].any()]
    bce_rows = there if options.rows == "positive" else rows
    bce = [
        bce_of(float(z), float(t))
        for row in bce_rows
        for z, t in zip(pixels[row].ravel(), truth[row].ravel(), strict=True)
    ]
    if options.rows != "all":
        dice = [dice_of(pixels[row], truth[row]) for row in there]
    elif options.dice_over == "row":
        dice = [dice_of(pixels[row], truth[row]) for row in rows]
    elif options.dice_over == "class":
        dice = [dice_of(pixels[:, c], truth[:, c]) for c in range(4)]
    else:
        dice = [dice_of(z, t) for z, t in zip(pixels, truth, strict=True)]
    empty = [row for row in rows if row not in there]
    of_presence = empty if options.rows == "positive" else rows
    seen = [
        bce_of(
            float(pixels[row].max() if presence is None else presence[row]),
            float(row in there),
        )
        for row in of_presence
    ]
    return (
        options.bce * np.mean(bce)
        + options.dice * np.mean(dice)
        + options.presence * np.mean(seen)
    )


@pytest.mark.parametrize("rows", ["all", "positive", "dice-positive"])
@pytest.mark.parametrize("over", ["row", "class", "image"])
@pytest.mark.parametrize(
    "weights", [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0.3, 0.5, 2.0), (0, 1, 1)]
)
@pytest.mark.parametrize("headed", [False, True])
def test_every_mix_is_the_sum_in_loops(rows, over, weights, headed):
    presence_weight, dice, bce = weights
    options = CloudsLoss(
        bce=bce, dice=dice, presence=presence_weight, rows=rows, dice_over=over
    )
    pixels, presence, truth = draw()
    presence = presence if headed else None
    expected = by_hand(options, pixels, presence, truth)
    assert total(options, pixels, presence, truth) == pytest.approx(expected, rel=1e-5)


def test_parts_are_those_with_a_weight_and_add_up():
    pixels, presence, truth = (torch.from_numpy(a) for a in draw())
    options = CloudsLoss(bce=0.5, dice=2.0)
    loss, parts = segmentation_loss(options, pixels, presence, truth)
    assert set(parts) == {"bce", "dice"}
    assert loss.item() == pytest.approx(
        0.5 * parts["bce"].item() + 2 * parts["dice"].item()
    )


# Closed forms.


def test_logits_of_zero_cost_log_two_and_a_known_dice():
    """s = 1/2 everywhere, k of P pixels set: 1 - 2 (k/2) / (P/2 + k)."""
    pixels = np.zeros((1, 4, 4, 6), np.float32)
    truth = np.zeros((1, 4, 4, 6), bool)
    truth[0, 0, :2], truth[0, 2, 0, :3] = True, True  # 12 and 3 of 24
    assert total(CloudsLoss(bce=1), pixels, None, truth) == pytest.approx(math.log(2))
    dice = CloudsLoss(dice=1, rows="positive")
    expected = ((1 - 12 / (12 + 12)) + (1 - 3 / (12 + 3))) / 2
    assert total(dice, pixels, None, truth) == pytest.approx(expected)


def test_sure_and_right_costs_nothing():
    _, _, truth = draw()
    pixels = np.where(truth, 40.0, -40.0).astype(np.float32)
    for options in (
        CloudsLoss(bce=1),
        CloudsLoss(dice=1, rows="positive"),
        CloudsLoss(presence=1),
    ):
        assert total(options, pixels, None, truth) == pytest.approx(0, abs=1e-6)


def test_denominators_are_sums_and_not_squares():
    """One pixel, s = 1/4, set: 1 - 2 × ¼ / (¼ + 1), not 1 - ½ / (1/16 + 1)."""
    pixels = np.full((1, 4, 1, 1), math.log(1 / 3), np.float32)
    truth = np.ones((1, 4, 1, 1), bool)
    assert total(CloudsLoss(dice=1), pixels, None, truth) == pytest.approx(0.6)


# smp's own, where it means the same.


def test_dice_over_a_class_is_smps_multilabel_dice():
    """It leaves classes out that nobody has; here every class is somewhere."""
    pixels, _, truth = draw(5)
    assert truth.any(axis=(0, 2, 3)).all()
    theirs = DiceLoss("multilabel", smooth=E, eps=0.0)(
        torch.from_numpy(pixels), torch.from_numpy(truth).long()
    )
    ours = total(CloudsLoss(dice=1, dice_over="class"), pixels, None, truth)
    assert ours == pytest.approx(theirs.item(), rel=1e-6)


def test_dice_of_positive_rows_is_smps_binary_dice_a_row():
    pixels, _, truth = draw(6)
    measure = DiceLoss("binary", smooth=E, eps=0.0)
    theirs = [
        measure(
            torch.from_numpy(pixels[row])[None, None],
            torch.from_numpy(truth[row])[None, None].float(),
        ).item()
        for row in itertools.product(range(3), range(4))
        if truth[row].any()
    ]
    options = CloudsLoss(dice=1, rows="positive")
    found = total(options, pixels, None, truth)
    assert found == pytest.approx(np.mean(theirs), rel=1e-5)


# Gradients, and nothing to learn from.


def gradient_of(options, pixels, truth, presence=None):
    leaf = torch.from_numpy(pixels).requires_grad_()
    given = None if presence is None else torch.from_numpy(presence)
    loss, _ = segmentation_loss(options, leaf, given, torch.from_numpy(truth))
    loss.backward()
    return loss.item(), leaf.grad


def test_empty_rows_teach_the_shape_nothing():
    pixels, _, truth = draw()
    _, gradient = gradient_of(CloudsLoss(dice=1, rows="positive"), pixels, truth)
    there = torch.from_numpy(truth.any(axis=(2, 3)))
    reached = (gradient != 0).flatten(2).any(dim=2)
    assert torch.equal(reached, there)


@pytest.mark.parametrize(
    ("options", "fills"),
    [
        (CloudsLoss(dice=1, rows="positive"), False),
        (CloudsLoss(dice=1, rows="dice-positive"), False),
        (CloudsLoss(bce=1, dice=1, rows="positive"), False),
        (CloudsLoss(presence=1, rows="positive"), True),
    ],
)
@pytest.mark.parametrize("scale", [1, 60])
def test_a_batch_without_its_rows_costs_nothing_and_moves_nothing(
    options, fills, scale
):
    """The published code logs not a number; at ×60 sigmoids are 0 and 1 in float32."""
    pixels, _, truth = draw()
    loss, gradient = gradient_of(options, pixels * scale, np.full_like(truth, fills))
    assert loss == 0
    assert not gradient.any()


@pytest.mark.parametrize("scale", [1, 60, 1000])
def test_empty_rows_among_all_stay_finite(scale):
    pixels, _, truth = draw()
    for over in ("row", "class", "image"):
        options = CloudsLoss(dice=1, bce=1, presence=1, dice_over=over)
        loss, gradient = gradient_of(options, pixels * scale, np.zeros_like(truth))
        assert math.isfinite(loss)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_logits_are_summed_in_single(dtype):
    """10⁵ pixels of probability 1 are no number of float16."""
    logits = torch.full((1, 4, 300, 400), 10.0, dtype=dtype)
    truth = torch.zeros(1, 4, 300, 400, dtype=torch.bool)
    truth[..., :100, :] = True
    options = CloudsLoss(dice=1, bce=1, presence=1)
    with torch.autocast("cpu", dtype=dtype):
        loss, _ = segmentation_loss(options, logits, None, truth)
    expected, _ = segmentation_loss(options, logits.double(), None, truth)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


# Presence.


def presence_by_hand(logits, there, positive, negative):
    costs = {True: [], False: []}
    for z, t in zip(logits.ravel(), there.ravel(), strict=True):
        costs[bool(t)].append(bce_of(float(z), float(t)))
    return positive * np.mean(costs[True]) + negative * np.mean(costs[False])


@pytest.mark.parametrize(("positive", "negative"), [(1, 1), (2.5, 0.5), (0, 1)])
def test_balanced_is_the_sum_of_two_means(positive, negative):
    _, logits, truth = draw(3)
    there = truth.any(axis=(2, 3))
    options = CloudsPresenceLoss(positive=positive, negative=negative)
    found = presence_loss(options, torch.from_numpy(logits), torch.from_numpy(there))
    expected = presence_by_hand(logits, there, positive, negative)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_unbalanced_is_the_plain_mean_of_torch():
    _, logits, truth = draw(3)
    there = truth.any(axis=(2, 3))
    z, t = torch.from_numpy(logits), torch.from_numpy(there)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(z, t.float())
    options = CloudsPresenceLoss(balanced=False)
    torch.testing.assert_close(presence_loss(options, z, t), plain)
    # Weights are of entries: the positive ones' and the negative ones' parts.
    parts = [
        presence_loss(
            options.model_copy(update={"positive": p, "negative": n}), z, t
        ).item()
        for p, n in ((1, 0), (0, 1))
    ]
    assert sum(parts) == pytest.approx(plain.item(), rel=1e-6)


def test_balance_makes_one_rare_entry_count_as_many():
    """Logits of 0: each kind costs log 2, whatever there is of it."""
    there = torch.zeros(8, 4, dtype=torch.bool)
    there[0, 0] = True
    found = presence_loss(CloudsPresenceLoss(), torch.zeros(8, 4), there)
    assert found.item() == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("there", [True, False])
def test_a_kind_that_is_not_there_costs_nothing(there):
    logits = torch.full((2, 4), 0.7, requires_grad=True)
    truth = torch.full((2, 4), there)
    loss = presence_loss(CloudsPresenceLoss(), logits, truth)
    assert loss.item() == pytest.approx(bce_of(0.7, float(there)))
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    missing = CloudsPresenceLoss(positive=float(not there), negative=float(there))
    assert presence_loss(missing, logits, truth).item() == 0
