"""A kelp member as a learning task: moves, crops, losses, chances, outputs."""

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from tenfold.challenges.kelp.model import moved, sample_weights, task
from tenfold.challenges.kelp.network import KelpModel
from tenfold.challenges.kelp.options import (
    KelpAugment,
    KelpInput,
    KelpLoss,
    KelpMember,
    KelpNet,
    KelpSampler,
)
from tenfold.challenges.kelp.tiles import pack_tile
from tenfold.data.statistics import Statistics
from tenfold.errors import TrainingError

GAP = -32768
NET = KelpNet(encoder="tu-resnet10t", decoder_channels=(8, 8, 8, 8, 8))
RED = KelpInput(bands=("R",))


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


@pytest.mark.parametrize("loss", ["dice", "jaccard", "ce"])
def test_a_batch_without_imagery_gives_no_loss_and_no_harm(loss):
    raw, mask = ramp_tile()
    raw[:5] = GAP
    net = Fixed(torch.randn(1, 2, SIDE, SIDE))
    found, counts = learner(loss=KelpLoss(name=loss)).step(
        model_with(net), batch_of(raw[None], mask[None])
    )
    found.backward()
    assert found.item() == 0
    assert not net.logits.grad.any()
    assert not any(int(v) for v in counts.values())


# Losses by hand.


def softmax(logits):
    e = np.exp(logits - logits.max(axis=0))
    return e / e.sum(axis=0)


def overlap_loss(probability, truth, kind):
    """Two classes, each half; sums over all pixels of the batch."""
    total = 0.0
    for c in (0, 1):
        y = (truth == c).astype(np.float64)
        p = probability[c]
        both, sums = (p * y).sum(), (p + y).sum()
        score = 2 * both / sums if kind == "dice" else both / (sums - both)
        total += (1 - score) * (y.sum() > 0)
    return total / 2


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


@pytest.mark.parametrize("kind", ["dice", "jaccard"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_dice_and_jaccard_are_the_published_sums(kind, share):
    logits, truth, flat = draw(share)
    expected = overlap_loss(softmax(flat), truth.ravel(), kind)
    found, _ = loss_of(logits, truth, KelpLoss(name=kind))
    assert found == pytest.approx(expected, rel=1e-4)


def test_dice_of_two_pixels_by_hand():
    # One tile; all logits are 0 but for 32 kelp pixels that are sure of kelp.
    logits = np.zeros((1, 2, 32, 32), np.float32)
    logits[0, 1, 0] = 50
    truth = np.zeros((1, 32, 32), np.uint8)
    truth[0, 0] = 1
    # Kelp: p·y = 32, p + y = 32 + 992/2 + 32. Background: 496, 496 + 992.
    kelp, background = 2 * 32 / 560, 2 * 496 / 1488
    found, counts = loss_of(logits, truth, KelpLoss(name="dice"))
    assert found == pytest.approx(((1 - kelp) + (1 - background)) / 2, rel=1e-5)
    assert counts == {"tp": 32, "fp": 0, "fn": 0, "tn": 992}


@pytest.mark.parametrize("weights", [None, (0.4, 0.6), (0.1, 0.9)])
def test_cross_entropy_is_the_weighted_mean(weights):
    logits, truth, flat = draw(0.3)
    chosen = softmax(flat)[truth.ravel().astype(int), np.arange(truth.size)]
    weight = np.array(weights or (1, 1))[truth.ravel().astype(int)]
    expected = (weight * -np.log(chosen)).sum() / weight.sum()
    found, _ = loss_of(logits, truth, KelpLoss(name="ce", class_weights=weights))
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weights", [None, (0.4, 0.6)])
def test_class_weights_are_on_the_device_of_the_batch(weights):
    """PyTorch's meta device stands for a GPU: it refuses to mix devices alike."""
    options = KelpLoss(name="ce", class_weights=weights)
    logits = torch.zeros(1, 2, 8, 8, device="meta")
    truth = torch.zeros(1, 8, 8, device="meta")
    loss = learner(loss=options)._loss_of(
        logits, truth, torch.ones(1, 8, 8, dtype=torch.bool)
    )
    assert loss.device.type == "meta"


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


# Examples.


@pytest.fixture
def islands(kelp):
    """A tile with three small patches of kelp, one of them in a corner."""
    raw = kelp.make_tile(seed=6)
    raw[0, 5:9, 300:320] = GAP
    mask = np.zeros((350, 350), np.uint8)
    mask[0, 349] = mask[200, 7] = mask[110:112, 160:163] = 1
    return raw, mask, pack_tile(raw, mask)


def test_a_whole_tile_is_an_example_of_itself(islands):
    raw, mask, arrays = islands
    example = learner(augment=KelpAugment(flips=False)).example(
        arrays, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(example["raw"], raw)
    np.testing.assert_array_equal(example["mask"], mask)
    assert example["moves"].tolist() == [0, 0, 0, 0]
    assert set(learner().whole(arrays)) == {"raw"}
    np.testing.assert_array_equal(learner().whole(arrays)["raw"], raw)


def test_a_crop_cuts_image_and_mask_at_one_place(islands):
    raw, mask, arrays = islands
    cutter = learner(augment=KelpAugment(crop=48, crop_on_kelp=0.5))
    corners = set()
    for seed in range(40):
        example = cutter.example(arrays, np.random.default_rng(seed))
        assert example["raw"].shape == (7, 48, 48)
        # The noise of one band tells where a crop is from.
        (top,), (left,) = np.where(
            (raw[1, :303, :303] == example["raw"][1, 0, 0])
            & (raw[2, :303, :303] == example["raw"][2, 0, 0])
        )
        window = np.s_[top : top + 48, left : left + 48]
        np.testing.assert_array_equal(example["raw"], raw[:, *window])
        np.testing.assert_array_equal(example["mask"], mask[window])
        corners.add((int(top), int(left)))
    assert len(corners) > 30


@pytest.mark.parametrize("crop", [32, 100, 350])
def test_crops_on_kelp_always_hold_some(islands, crop):
    _, mask, arrays = islands
    cutter = learner(augment=KelpAugment(crop=crop, crop_on_kelp=1))
    for seed in range(30):
        example = cutter.example(arrays, np.random.default_rng(seed))
        assert example["mask"].shape == (crop, crop)
        assert example["mask"].any()
    by_chance = learner(augment=KelpAugment(crop=32, crop_on_kelp=0))
    held = [
        by_chance.example(arrays, np.random.default_rng(seed))["mask"].any()
        for seed in range(30)
    ]
    assert not all(held)
    assert mask.sum() == 8


def test_crops_on_kelp_of_a_tile_without_any_are_random(kelp):
    blank = np.zeros((350, 350), np.uint8)
    arrays = pack_tile(kelp.make_tile(), blank)
    cutter = learner(augment=KelpAugment(crop=64, crop_on_kelp=1))
    first = [
        int(cutter.example(arrays, np.random.default_rng(s))["raw"][1, 0, 0])
        for s in range(10)
    ]
    assert len(set(first)) > 5


def test_an_example_is_a_function_of_its_generator(islands):
    _, _, arrays = islands
    augment = KelpAugment(quarter_turns=True, rotate_degrees=90, crop=40)
    maker = learner(augment=augment)
    one, two, other = (
        maker.example(arrays, np.random.default_rng(s)) for s in (3, 3, 4)
    )
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    assert not np.array_equal(one["moves"], other["moves"])


def test_moves_are_drawn_as_the_recipe_says(islands):
    _, _, arrays = islands
    augment = KelpAugment(rotate_degrees=90, rotate_share=0.5)
    maker = learner(augment=augment)
    moves = np.stack(
        [maker.example(arrays, np.random.default_rng(s))["moves"] for s in range(200)]
    )
    # Five deviations of 200 tosses of a coin are 35.
    for column in (moves[:, 0], moves[:, 1], moves[:, 3] != 0):
        assert abs((column != 0).sum() - 100) < 36
    assert Counter(moves[:, 2]) == {0.0: 200}
    assert moves[:, 3].min() < -45
    assert moves[:, 3].max() > 45
    assert np.abs(moves[:, 3]).max() <= 90


# The chance of a tile to be drawn.

TILES = pl.DataFrame(
    {
        "has_kelp": [True, False, True, False],
        "kelp_pixels_pct": [0.3, 0.0, 0.01, 0.0],
        "qa_ok": [True, False, False, True],
        "qa_corrupted_pixels_pct": [0.0, 0.6, 0.1, 0.0],
        "water_pixels_pct": [0.5, 0.9, 0.7, 1.0],
        "dem_nan_pixels_pct": [0.0, 0.2, 0.0, 1.0],
        "dem_zero_pixels_pct": [0.5, 0.7, 0.7, 0.0],
    }
)


def published_chances(a, b, c, d, f, g, h):
    raw = [
        a * t["has_kelp"]
        + b * (1 - t["kelp_pixels_pct"])
        + c * t["qa_ok"]
        + d * (1 - t["qa_corrupted_pixels_pct"])
        + f * (1 - t["water_pixels_pct"])
        + g * (1 - t["dem_nan_pixels_pct"])
        + h * (1 - t["dem_zero_pixels_pct"])
        for t in TILES.iter_rows(named=True)
    ]
    return [(w - min(raw)) / (max(raw) - min(raw)) for w in raw]


@pytest.mark.parametrize(
    "factors",
    [
        (3.0, 0.2, 0.0, -1.0, 0.5, 0.25, -1.0),
        (2, 0.5, 0.5, -0.5, -1, 0, -0.25),
        (1.0, 7.0, -2.0, 0.3, 11.0, 5.0, 0.9),
    ],
)
def test_chances_follow_the_seven_published_factors(factors):
    names = (
        *("has_kelp", "not_kelp_share", "qa_ok", "not_faulty_share"),
        *("not_water_share", "not_unknown_dem_share", "not_zero_dem_share"),
    )
    sampler = KelpSampler(**dict(zip(names, factors, strict=True)))
    found = sample_weights(sampler, TILES)
    np.testing.assert_allclose(found, published_chances(*factors), atol=1e-12)
    by_task = learner(sampler=sampler).draw_weights(TILES)
    np.testing.assert_array_equal(by_task, found)


def test_the_default_factors_are_the_best_published_ones():
    expected = published_chances(3.0, 0.2, 0.0, -1.0, 0.5, 0.25, -1.0)
    np.testing.assert_allclose(
        sample_weights(KelpSampler(), TILES), expected, atol=1e-12
    )


def test_equal_tiles_have_equal_chances_not_none():
    alike = pl.concat([TILES.head(1)] * 3)
    assert sample_weights(KelpSampler(), alike).tolist() == [1, 1, 1]


def test_without_a_sampler_each_tile_comes_once():
    assert learner(sampler=None).draw_weights(TILES) is None


def test_chances_of_unknown_tiles_are_an_error():
    unknown = TILES.with_columns(kelp_pixels_pct=pl.lit(math.nan))
    with pytest.raises(TrainingError, match="not finite"):
        sample_weights(KelpSampler(), unknown)


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


def test_what_the_task_asks_statistics_of():
    options = KelpInput(bands=("NIR", "QA"), indices=("NDVI", "DEMWM"))
    names = learner(input=options).channels().names
    assert names == ("NIR", options.masking.key("NDVI"))
