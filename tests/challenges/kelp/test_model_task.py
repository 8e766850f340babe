"""A kelp member as a learning task: moves, what counts, outputs."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from tenfold.challenges.kelp.model import moved, task
from tenfold.challenges.kelp.network import KelpModel
from tenfold.challenges.kelp.network_options import KelpLoss, KelpNet
from tenfold.challenges.kelp.options import KelpInput, KelpMember
from tenfold.data.statistics import Statistics

GAP = -32768
NET = KelpNet(encoder="tu-resnet10t", decoder_channels=(8, 8, 8, 8, 8))
RED = KelpInput(bands=("R",))
ONE = {"classes": 1, "probability": "sigmoid"}


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Keep the networks of this file to one core."""


def learner(**sections):
    return task(
        None,
        KelpMember(
            name="unet",
            training={"epochs": 1, "batch": 1},
            **{"input": RED, "net": NET, **sections},
        ),
    )


def scaled(low, high, band="R"):
    """Statistics under which a band runs from 0 at `low` to 1 at `high`."""
    floor, top = {band: float(low)}, {band: float(high)}
    return Statistics(
        mean=floor, std={band: 1.0}, low=floor, high=top, q01=floor, q99=top
    )


class Fixed(nn.Module):
    """A network that says what it was told, so that a loss can be worked out."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, _):
        return self.logits


class PerPixel(nn.Module):
    """A network without neighbours: logits of -x and x."""

    def forward(self, channels):
        x = channels[:, :1] * 4 - 2
        return torch.cat([-x, x], dim=1)


def model_with(net, statistics=None, options=RED):
    model = KelpModel(options, NET, statistics or scaled(6000, 10_000))
    model.net = net
    return model


def batch_of(raw, mask, moves=None):
    moves = np.zeros((len(raw), 4)) if moves is None else np.asarray(moves)
    return {
        "raw": torch.from_numpy(raw),
        "mask": torch.from_numpy(mask),
        "moves": torch.from_numpy(moves.astype(np.float32)),
    }


# Image, mask and validity move together.

SIDE = 64
SLOPE = (37.0, 23.0)  # numbers a pixel down and to the right
#: Red is a whole number, so no pixel lies on a cut.
KELP, SEEN = (7200.5, 8100.5), 8800.5


def ramp_tile():
    """Red is a plane in space; mask and gaps are cuts through it.

    A plane is interpolated exactly, so what a moved channel says of a pixel tells
    where in the tile it came from, and with it what its mask and validity must be.
    """
    rows, columns = np.mgrid[:SIDE, :SIDE]
    # Steeper down than across, so that no mirror image looks like another.
    red = 6000 + SLOPE[0] * rows + SLOPE[1] * columns
    raw = np.full((7, SIDE, SIDE), 9000, np.int32)
    raw[2], raw[5:] = red, 0
    mask = ((red > KELP[0]) & (red < KELP[1])).astype(np.uint8)
    raw[0][red > SEEN] = GAP
    return raw, mask


RIGHT_ANGLES = [
    (left_right, up_down, turns, 0)
    for left_right in (0, 1)
    for up_down in (0, 1)
    for turns in range(4)
]


@pytest.mark.parametrize("row", RIGHT_ANGLES)
def test_right_angles_move_all_planes_alike_and_exactly(row):
    raw, mask = ramp_tile()
    model = model_with(PerPixel(), scaled(6000, 10_000))
    channels, found, valid = moved(model, batch_of(raw[None], mask[None], [row]))
    red = 6000 + 4000 * channels[0, 0].double().numpy()
    np.testing.assert_array_equal(found[0].numpy(), (red > KELP[0]) & (red < KELP[1]))
    np.testing.assert_array_equal(valid[0].numpy(), ~(red > SEEN))
    expected = raw[2]
    expected = expected[:, ::-1] if row[0] else expected
    expected = expected[::-1] if row[1] else expected
    expected = np.rot90(expected, row[2])
    np.testing.assert_allclose(red, expected, atol=0.01)


@pytest.mark.parametrize("row", [(0, 0, 0, 30), (1, 0, 1, -77), (0, 1, 3, 90)])
def test_a_rotation_takes_mask_and_validity_along(row):
    raw, mask = ramp_tile()
    model = model_with(PerPixel(), scaled(6000, 10_000))
    channels, found, valid = moved(model, batch_of(raw[None], mask[None], [row]))
    red = 6000 + 4000 * channels[0, 0].double().numpy()
    # The mask is of the nearest pixel: half a pixel away each way at most.
    slack = 0.5 * sum(SLOPE) + 0.01
    # Within a pixel of the tile's border, interpolation mixes in the outside.
    inside = from_inside(row[3], margin=1)
    sure = inside & (np.abs(red - KELP[0]) > slack) & (np.abs(red - KELP[1]) > slack)
    assert sure.sum() > 0.5 * SIDE**2
    kelp = (red > KELP[0]) & (red < KELP[1])
    np.testing.assert_array_equal(found[0].numpy()[sure] == 1, kelp[sure])
    known = inside & (np.abs(red - SEEN) > slack)
    np.testing.assert_array_equal(valid[0].numpy()[known], red[known] < SEEN)
    # The test can tell: the pattern did move.
    assert (found[0].numpy() != mask)[sure].mean() > 0.05


def from_inside(degrees, margin=0.0):
    """Say which pixels of a rotated square show what was in it."""
    angle = math.radians(degrees)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    u = math.cos(angle) * x - math.sin(angle) * y
    v = math.sin(angle) * x + math.cos(angle) * y
    return np.maximum(np.abs(u), np.abs(v)) < SIDE / 2 - margin


@pytest.mark.parametrize("degrees", [0, 15, -45, 60, 90])
def test_what_a_rotation_brings_in_is_not_valid(degrees):
    raw, mask = ramp_tile()
    raw[0] = 9000
    model = model_with(PerPixel())
    _, found, valid = moved(
        model, batch_of(raw[None], np.ones_like(mask)[None], [(0, 0, 0, degrees)])
    )
    valid = valid[0].numpy()
    assert valid[from_inside(degrees, margin=0.01)].all()
    assert not valid[~from_inside(degrees, margin=-0.01)].any()
    assert not found[0].numpy()[~valid].any()


def test_samples_of_a_batch_move_each_by_its_own():
    raw, mask = ramp_tile()
    rows = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 40), (0, 0, 1, 0)]
    batch = batch_of(np.stack([raw] * 4), np.stack([mask] * 4), rows)
    model = model_with(PerPixel())
    together = moved(model, batch)
    for i, row in enumerate(rows):
        alone = moved(model, batch_of(raw[None], mask[None], [row]))
        for one, all_ in zip(alone, together, strict=True):
            torch.testing.assert_close(all_[i], one[0], rtol=0, atol=0)


# What is invalid does not count.


def step(raw, mask, moves=None, **sections):
    model = model_with(PerPixel())
    return learner(**sections).step(model, batch_of(raw, mask, moves))


@pytest.mark.parametrize("loss", ["dice", "jaccard", "ce"])
@pytest.mark.parametrize("degrees", [0, 33])
def test_pixels_without_imagery_change_neither_loss_nor_counts(loss, degrees):
    rng = np.random.default_rng(1)
    raw = rng.integers(6000, 10_000, (2, 7, SIDE, SIDE)).astype(np.int32)
    raw[:, 5:] = 0
    mask = rng.integers(0, 2, (2, SIDE, SIDE)).astype(np.uint8)
    gap = np.zeros((SIDE, SIDE), bool)
    gap[20:40, 10:50] = True
    raw[:, 0, gap] = GAP  # short-wave infrared is missing, red is not
    other, flipped = raw.copy(), mask.copy()
    # Two pixels off the rim, since a rotation interpolates across it.
    core = np.zeros_like(gap)
    core[22:38, 12:48] = True
    other[:, 2, core] = 20_000 - other[:, 2, core]
    flipped[:, core] = 1 - flipped[:, core]
    moves = [(0, 0, 0, degrees)] * 2
    options = {"loss": KelpLoss(name=loss)}
    before, counts = step(raw, mask, moves, **options)
    after, same = step(other, flipped, moves, **options)
    assert torch.equal(before, after)
    assert {k: int(v) for k, v in counts.items()} == {
        k: int(v) for k, v in same.items()
    }
    # The same change where there is imagery does count.
    raw[:, 0] = other[:, 0] = 9000
    seen, _ = step(raw, mask, moves, **options)
    changed, _ = step(other, flipped, moves, **options)
    assert abs(seen - changed) > 1e-3


def test_no_gradient_reaches_what_is_outside_or_missing():
    raw, mask = ramp_tile()
    raw, mask = np.stack([raw] * 2), np.stack([mask] * 2)
    torch.manual_seed(0)
    net = Fixed(torch.randn(2, 2, SIDE, SIDE))
    model = model_with(net)
    batch = batch_of(raw, mask, [(0, 0, 0, 45), (0, 0, 0, 0)])
    _, _, valid = moved(model, batch)
    assert 0 < valid[0].sum() < valid[1].sum() < SIDE**2
    loss, counts = learner(loss=KelpLoss(name="ce")).step(model, batch)
    loss.backward()
    reached = (net.logits.grad != 0).any(dim=1)
    assert torch.equal(reached, valid)
    assert sum(int(v) for v in counts.values()) == int(valid.sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("loss", ["dice", "jaccard", "ce", "soft-dice", "t-loss"])
def test_a_batch_without_imagery_gives_no_loss_and_no_harm(loss, dtype):
    raw, mask = ramp_tile()
    raw[:5] = GAP
    # In half precision, the sum of these is infinite.
    net = Fixed(torch.randn(1, 2, SIDE, SIDE).add(100).to(dtype))
    found, counts = learner(loss=KelpLoss(name=loss)).step(
        model_with(net), batch_of(raw[None], mask[None])
    )
    found.backward()
    assert found.item() == 0
    assert not net.logits.grad.any()
    assert not any(int(v) for v in counts.values())


# What is counted.


def loss_of(logits, truth, options):
    """The loss of given logits (N, 2, H, W), every pixel valid."""
    raw = np.full((len(truth), 7, *truth.shape[1:]), 9000, np.int32)
    model = model_with(Fixed(torch.from_numpy(logits)))
    loss, counts = learner(loss=options).step(model, batch_of(raw, truth))
    return loss.item(), {name: int(v) for name, v in counts.items()}


def draw(truth_share, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (2, 2, 32, 32)).astype(np.float32)
    truth = (rng.random((2, 32, 32)) < truth_share).astype(np.uint8)
    flat = np.moveaxis(logits, 1, 0).reshape(2, -1).astype(np.float64)
    return logits, truth, flat


def test_counts_and_figures_of_a_step():
    logits, truth, flat = draw(0.3, seed=4)
    guess = flat[1] > flat[0]
    _, counts = loss_of(logits, truth, KelpLoss())
    true = truth.ravel() == 1
    assert counts == {
        "tp": (guess & true).sum(),
        "fp": (guess & ~true).sum(),
        "fn": (~guess & true).sum(),
        "tn": (~guess & ~true).sum(),
    }
    figures = learner().step_figures({k: float(v) for k, v in counts.items()})
    kelp = 2 * counts["tp"] / (guess.sum() + true.sum())
    rest = 2 * counts["tn"] / ((~guess).sum() + (~true).sum())
    assert figures["dice_kelp"] == pytest.approx(kelp)
    assert figures["dice"] == pytest.approx((kelp + rest) / 2)


def test_the_confusion_of_a_single_logit_cuts_at_one_half():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (2, 1, 32, 32)).astype(np.float32)
    truth = (rng.random((2, 32, 32)) < 0.3).astype(np.uint8)
    net = NET.model_copy(update=ONE)
    model = model_with(Fixed(torch.from_numpy(logits)))
    raw = np.full((2, 7, 32, 32), 9000, np.int32)
    _, counts = learner(net=net).step(model, batch_of(raw, truth))
    guess = logits[:, 0] > 0
    assert int(counts["tp"]) == (guess & (truth == 1)).sum()
    assert int(counts["fp"]) == (guess & (truth == 0)).sum()


# What the loss compares with.


def test_a_soft_boundary_is_of_the_truth_that_the_loss_sees():
    rng = np.random.default_rng(7)
    logits = rng.normal(0, 2, (1, 1, 32, 32)).astype(np.float32)
    truth = (rng.random((1, 32, 32)) < 0.3).astype(np.uint8)
    options = KelpLoss(name="bce", soft_boundary=0.5)
    taught = learner(loss=options, net=NET.model_copy(update=ONE))
    model = model_with(Fixed(torch.from_numpy(logits)))
    raw = np.full((1, 7, 32, 32), 9000, np.int32)
    loss, counts = taught.step(model, batch_of(raw, truth))
    soft = gaussian_filter(truth[0].astype(np.float64), 0.5, mode="nearest")
    p = 1 / (1 + np.exp(-logits[0, 0].astype(np.float64)))
    expected = -(soft * np.log(p) + (1 - soft) * np.log(1 - p)).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    # Counts are of the mask itself.
    assert int(counts["tp"]) + int(counts["fn"]) == truth.sum()


@pytest.mark.parametrize("degrees", [0, 30])
def test_a_resize_takes_the_loss_to_the_networks_size(degrees):
    """By hand: pixels repeated as nearest does, image, mask and gaps alike."""
    rng = np.random.default_rng(0)
    raw = rng.integers(6000, 10_000, (1, 7, 350, 350)).astype(np.int32)
    raw[:, 5:] = 0
    raw[:, 0, 40:90, 100:200] = GAP
    mask = (rng.random((1, 350, 350)) < 0.2).astype(np.uint8)
    repeated = np.arange(416) * 350 // 416
    large = np.ix_(repeated, repeated)
    options = KelpInput(bands=("R",), size=416, fit="resize", interpolation="nearest")
    taught = learner(input=options)
    resized = model_with(PerPixel(), options=options)
    if degrees:
        loss, counts = taught.step(resized, batch_of(raw, mask, [(0, 0, 0, degrees)]))
        assert torch.isfinite(loss)
        assert 0 < sum(int(v) for v in counts.values()) < 416**2
        return
    loss, counts = taught.step(resized, batch_of(raw, mask))
    plain = model_with(PerPixel())
    by_hand = batch_of(raw[:, :, *large], mask[:, *large])
    expected, same = learner().step(plain, by_hand)
    torch.testing.assert_close(loss, expected)
    assert {k: int(v) for k, v in counts.items()} == {
        k: int(v) for k, v in same.items()
    }
    held_out = {name: by_hand[name] for name in ("raw", "mask")}
    outputs, assessed = taught.assess(resized, batch_of(raw, mask))
    assert outputs["prob"].shape == (1, 350, 350)
    torch.testing.assert_close(assessed, learner().assess(plain, held_out)[1])


# Outputs.


@pytest.mark.parametrize("rule", ["softmax", "sigmoid"])
def test_outputs_are_the_probability_by_the_chosen_rule(rule):
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 3, (2, 2, 32, 32)).astype(np.float32)
    # The facts' own example: softmax says background, the sigmoid says kelp.
    logits[0, :, 0, 0] = (2.0, 0.5)
    options = NET.model_copy(update={"probability": rule})
    model = model_with(Fixed(torch.from_numpy(logits)))
    raw = np.full((2, 7, 32, 32), 9000, np.int32)
    with torch.inference_mode():
        found = learner(net=options).outputs(model, {"raw": torch.from_numpy(raw)})
    assert set(found) == {"prob"}
    prob = found["prob"]
    assert prob.shape == (2, 32, 32)
    assert prob.dtype == np.uint8
    background, kelp = (logits[:, c].astype(np.float64) for c in (0, 1))
    margin = kelp - background if rule == "softmax" else kelp
    np.testing.assert_allclose(prob / 255, 1 / (1 + np.exp(-margin)), atol=0.5 / 255)
    assert (prob[0, 0, 0] > 127) == (rule == "sigmoid")


def test_a_single_logit_is_a_sigmoid():
    logits = np.random.default_rng(2).normal(0, 3, (1, 1, 32, 32)).astype(np.float32)
    model = model_with(Fixed(torch.from_numpy(logits)))
    raw = torch.full((1, 7, 32, 32), 9000, dtype=torch.int32)
    with torch.inference_mode():
        found = learner(net=NET.model_copy(update=ONE)).outputs(model, {"raw": raw})
    expected = 1 / (1 + np.exp(-logits[0, 0].astype(np.float64)))
    np.testing.assert_allclose(found["prob"][0] / 255, expected, atol=0.5 / 255 + 1e-6)


def test_what_the_task_asks_statistics_of():
    options = KelpInput(bands=("NIR", "QA"), indices=("NDVI", "DEMWM"))
    names = learner(input=options).channels().names
    assert names == ("NIR", options.masking.key("NDVI"))
