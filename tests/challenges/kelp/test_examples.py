"""Examples of a kelp member: crops, moves, and the chance of a tile to be drawn."""

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest

from tenfold.challenges.kelp.model import sample_weights, task
from tenfold.challenges.kelp.network_options import KelpNet
from tenfold.challenges.kelp.options import KelpAugment, KelpMember, KelpSampler
from tenfold.challenges.kelp.tiles import pack_tile
from tenfold.errors import TrainingError

GAP = -32768
NET = KelpNet(encoder="tu-resnet10t", decoder_channels=(8, 8, 8, 8, 8))


def learner(**sections):
    training = {"epochs": 1, "batch": 1}
    return task(None, KelpMember(name="unet", training=training, net=NET, **sections))


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


def test_a_fold_without_kelp_still_has_chances():
    bare = TILES.with_columns(has_kelp=pl.lit(False), kelp_pixels_pct=pl.lit(0.0))
    chances = sample_weights(KelpSampler(), bare)
    assert np.isfinite(chances).all()
    assert chances.max() == 1


def test_a_single_tile_is_drawn():
    assert sample_weights(KelpSampler(), TILES.head(1)).tolist() == [1]


def test_an_example_of_a_tile_without_data_is_that_tile(kelp):
    raw = kelp.make_tile()
    raw[:5] = GAP
    raw[6] = GAP
    arrays = pack_tile(raw, np.zeros((350, 350), np.uint8))
    cutter = learner(augment=KelpAugment(crop=64, crop_on_kelp=1, rotate_degrees=30))
    example = cutter.example(arrays, np.random.default_rng(0))
    assert (example["raw"][:5] == GAP).all()
    assert not example["mask"].any()
