"""Statistics of any channel of a tile, and a decided mask as scoring counts it."""

import numpy as np
import pytest

from tenfold.challenges import load_recipe
from tenfold.challenges.kelp import exploring, scoring
from tenfold.challenges.kelp.tiles import pack_tile
from tenfold.data.statistics import StatisticsSum

GAP = -32768


def test_every_band_and_index_is_named_once_under_each_masking():
    recipe = load_recipe("kelp", "smoke")
    every = exploring.channels(recipe, every=True).names
    assert len(every) == len(set(every)) == 66
    setting = ["members.unet-z-score.input.mask_water=false"]
    two = exploring.channels(load_recipe("kelp", "smoke", setting), every=True).names
    # Bands and masks are the same under both.
    assert len(two) == 66 + 66 - 7 - 3
    assert {"NDVI@qw", "NDVI@q", "NIR", "DEMWM"} <= set(two)


@pytest.mark.parametrize(
    ("channel", "counts"),
    [("NDVI@qw", 6), ("NDVI@q", 8), ("NDVI@w", 7), ("NDVI", 9), ("NDVI@qwu", 5)],
)
def test_a_name_says_what_an_index_leaves_out(kelp, channel, counts):
    raw = np.repeat(kelp.make_tile()[:, :1], 350, axis=1)
    raw[:, :, 10:] = GAP
    raw[5] = 0
    raw[6] = 0
    raw[0, :, 9] = GAP  # one of ten pixels of a row lacks a band,
    raw[5, :, 0] = 1  # one is marked by QA,
    raw[6, :, 1:3] = 30  # two are land,
    raw[6, :, 3] = GAP  # and one has no DEM.
    recipe = load_recipe("kelp", "winning")
    axes = exploring.channels(recipe, every=True).axes
    channels = type(exploring.channels(recipe, every=True))({channel: axes["NDVI@qwu"]})
    found = exploring.partials(pack_tile(raw, None), channels)
    assert found.count.tolist() == [counts * 350]


def test_masks_of_0_and_1_are_measured_as_they_stand(kelp):
    raw = kelp.make_tile(dem=12)
    raw[5, :35] = 1
    raw[6, :70] = -3
    recipe = load_recipe("kelp", "winning")
    channels = exploring.channels(recipe, every=False)
    assert {"QA", "DEMWM"} <= set(channels.names)
    found = exploring.partials(pack_tile(raw, None), channels)
    total = StatisticsSum(channels)
    fields = {name: value[None] for name, value in vars(found).items()}
    total.add(type(found)(**fields), [0])
    mean = total.result().mean
    assert mean["QA"] == pytest.approx(0.1)
    assert mean["DEM"] == pytest.approx(0.8 * 12 - 0.2 * 3)
    assert mean["DEMWM"] == pytest.approx(0.8 * 12)


def test_a_decided_mask_is_counted_as_it_is():
    truth, kelp = np.zeros((2, 350, 350), np.uint8)
    truth[:10] = 1
    kelp[5:20] = 1
    arrays = {"kelp": np.packbits(truth, axis=-1)}
    # The mean probability beside it is no part of the decision.
    prediction = {"kelp": kelp, "prob": np.full((350, 350), 9, np.uint8)}
    tally = scoring.tally(prediction, arrays)
    assert (tally.tp, tally.fp, tally.fn) == (5 * 350, 10 * 350, 5 * 350)
