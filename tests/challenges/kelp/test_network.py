"""From raw tiles to logits: preprocessing and the whole model."""

import json

import numpy as np
import pytest
import torch

from tenfold.challenges import load_recipe
from tenfold.challenges.kelp.channels import wanted
from tenfold.challenges.kelp.indices import WINNING
from tenfold.challenges.kelp.model import task
from tenfold.challenges.kelp.network import KelpModel, Preprocess, valid_pixels
from tenfold.challenges.kelp.network_options import KelpNet
from tenfold.challenges.kelp.options import KelpInput, KelpMember
from tenfold.data.statistics import Statistics

GAP = -32768
BANDS = {"SWIR": 0, "NIR": 1, "R": 2, "G": 3, "B": 4, "QA": 5, "DEM": 6}
SMALL = KelpNet(encoder="tu-resnet10t", decoder_channels=(16, 8, 8, 8, 8))


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Keep the networks of this file to one core."""


def awkward_tile(size=12, seed=0):
    """Land, sea, faulty pixels, gaps of all kinds and zeros that divide."""
    rng = np.random.default_rng(seed)
    raw = np.zeros((7, size, size), np.int32)
    raw[:5] = rng.integers(6000, 30_000, (5, size, size))
    raw[5] = rng.random((size, size)) < 0.2
    raw[6] = rng.choice([0, 0, 0, 3, 250, -4, GAP], (size, size))
    raw[:5][rng.random((5, size, size)) < 0.03] = GAP
    raw[:5, 0, 0] = GAP
    # No blue makes mCRIG infinite, on the sea and clear of faults; no blue and no
    # near infrared makes it not a number.
    raw[4:7, 1, 1] = 0
    raw[4:7, 1, 2] = 0
    raw[1, 1, 2] = 0
    raw[:4, 1, 1] = 9000
    raw[[0, 2, 3], 1, 2] = 9000
    return raw


def plain_planes(raw, options, published):
    """Return (values, counts) by channel in double precision, pixel by pixel."""
    size = raw.shape[-1]
    made = {name: np.full((size, size), np.nan) for name in options.channels}
    counts = {name: np.zeros((size, size), bool) for name in options.channels}
    for r in range(size):
        for c in range(size):
            pixel = raw[:, r, c]
            swir, nir, red, green, blue, qa, dem = (int(v) for v in pixel)
            spectral = all(v != GAP for v in pixel[:5])
            index = spectral
            if options.mask_qa:
                index = index and qa == 0
            if options.mask_water:
                index = index and dem <= 0
                if options.unknown_is_land:
                    index = index and dem != GAP
            values = {}
            if spectral:
                values = published(*map(float, (swir, nir, red, green, blue, dem)))
            for name in options.channels:
                if name in BANDS:
                    made[name][r, c] = pixel[BANDS[name]]
                    counts[name][r, c] = pixel[BANDS[name]] != GAP
                elif name == "DEMWM":
                    made[name][r, c] = max(dem, 0)
                    counts[name][r, c] = dem != GAP
                else:
                    counts[name][r, c] = index
                    made[name][r, c] = values.get(name, np.nan)
    return made, counts


def statistics_of(made, counts, options):
    """Return statistics that a fold might have, a bit narrower than the tile."""
    tables = {name: {} for name in ("mean", "std", "low", "high", "q01", "q99")}
    for name in options.channels:
        kept = made[name][counts[name] & np.isfinite(made[name])]
        key = options.masking.key(name)
        low, q01, q99, high = np.quantile(kept, (0.05, 0.1, 0.85, 0.95))
        row = (kept.mean(), kept.std(), low, high, q01, q99)
        for table, value in zip(tables.values(), row, strict=True):
            table[key] = float(value)
    return Statistics(**tables)


#: By tile: the share of its own values beyond each limit.
TAILS = {"tile-min-max": 0.0, "tile-quantile": 0.01}
EVERY = ("quantile", "z-score", "min-max", *TAILS)


def plain_preprocess(made, counts, options, statistics):
    planes = []
    for name in options.channels:
        key = options.masking.key(name)
        if name in ("QA", "DEMWM"):
            low, high, shift, span = 0, 1, 0, 1
        elif options.normalise in TAILS:
            known = made[name][counts[name] & np.isfinite(made[name])]
            tail = TAILS[options.normalise]
            low, high = np.quantile(known, (tail, 1 - tail))
            shift, span = low, high - low
        else:
            low, high = statistics.low[key], statistics.high[key]
            if options.normalise == "quantile":
                shift, span = statistics.q01[key], statistics.q99[key]
                span = span - shift + 1e-10
            elif options.normalise == "min-max":
                shift, span = low, high - low
            else:
                shift, span = statistics.mean[key], statistics.std[key]
        values = np.where(counts[name], made[name], np.nan)
        values = np.where(values == np.inf, high, values)
        values = np.where(np.isfinite(values), values, low)
        scaled = (values - shift) / span
        if options.normalise != "z-score":
            scaled = np.clip(scaled, 0, 1)
        planes.append(scaled)
    return np.stack(planes)


@pytest.fixture(scope="module")
def winning():
    recipe = load_recipe("kelp", "winning", ["members.unet-b5.net.weights=null"])
    return recipe, recipe.members[0]


# Preprocessing.


@pytest.mark.parametrize("normalise", EVERY)
@pytest.mark.parametrize("unknown_is_land", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_preprocessing_is_the_published_arithmetic(
    published, normalise, unknown_is_land, masked
):
    options = KelpInput(
        indices=WINNING,
        mask_qa=masked,
        mask_water=masked,
        unknown_is_land=unknown_is_land,
        normalise=normalise,
    )
    raw = awkward_tile()
    made, counts = plain_planes(raw, options, published)
    statistics = statistics_of(made, counts, options)
    expected = plain_preprocess(made, counts, options, statistics)
    # The tile must hold what the test is about.
    assert np.isposinf(made["mCRIG"][counts["mCRIG"]]).any()
    assert np.isnan(made["mCRIG"][counts["mCRIG"]]).any()
    assert not all(c.all() for c in counts.values())
    found = Preprocess(options, statistics)(torch.from_numpy(raw)[None])[0].numpy()
    assert found.shape == (24, 12, 12)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("normalise", EVERY)
def test_no_data_can_be_a_raw_0_that_indices_are_made_of(published, normalise):
    options = KelpInput(indices=WINNING, missing="zero", normalise=normalise)
    raw = awkward_tile()
    filled = np.where(raw == GAP, 0, raw)
    made, counts = plain_planes(filled, options, published)
    statistics = statistics_of(made, counts, options)
    expected = plain_preprocess(made, counts, options, statistics)
    tile = torch.from_numpy(raw)[None]
    found = Preprocess(options, statistics)(tile)[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    # The tile is not changed, and what has no data is still not valid.
    np.testing.assert_array_equal(tile[0].numpy(), raw)
    assert not valid_pixels(tile)[0, 0, 0]


@pytest.mark.parametrize("normalise", EVERY)
def test_each_tile_of_a_batch_is_prepared_alone(published, normalise):
    options = KelpInput(indices=("DEMWM", "NDVI"), normalise=normalise)
    tiles = [awkward_tile(seed=s) for s in (1, 2)]
    statistics = statistics_of(*plain_planes(tiles[0], options, published), options)
    prepare = Preprocess(options, statistics)
    both = prepare(torch.from_numpy(np.stack(tiles)))
    for tile, found in zip(tiles, both, strict=True):
        alone = prepare(torch.from_numpy(tile)[None])[0]
        torch.testing.assert_close(found, alone, rtol=0, atol=0)


@pytest.mark.parametrize("normalise", EVERY)
def test_a_tile_without_any_data_is_finite(published, normalise):
    options = KelpInput(indices=WINNING, normalise=normalise)
    seen = awkward_tile()
    statistics = statistics_of(*plain_planes(seen, options, published), options)
    raw = np.full((7, 12, 12), GAP, np.int32)
    raw[5] = 1
    found = Preprocess(options, statistics)(torch.from_numpy(raw)[None])
    assert torch.isfinite(found).all()
    # Nothing varies where nothing was seen.
    assert (found == found[..., :1, :1]).all()


@pytest.mark.parametrize("normalise", EVERY)
def test_a_channel_that_never_varied_stays_finite(normalise):
    options = KelpInput(bands=("NIR",), normalise=normalise)
    one = {"NIR": 8000.0}
    flat = Statistics(mean=one, std={"NIR": 0.0}, low=one, high=one, q01=one, q99=one)
    raw = np.full((1, 7, 4, 4), 8000, np.int32)
    raw[..., 0, :] = 65535
    assert torch.isfinite(Preprocess(options, flat)(torch.from_numpy(raw))).all()


def test_validity_is_of_the_spectral_bands_alone():
    raw = np.zeros((2, 7, 3, 3), np.int32)
    raw[0, 4, 1, 1] = GAP
    raw[1, 6] = GAP
    raw[1, 5] = 1
    valid = valid_pixels(torch.from_numpy(raw)).numpy()
    assert valid[0].sum() == 8
    assert not valid[0, 1, 1]
    assert valid[1].all()


@pytest.mark.parametrize("pad", ["zero", "reflect", "replicate"])
def test_a_whole_tile_gives_logits_of_its_size(pad):
    options = KelpInput(bands=("R", "NIR"), pad=pad)
    model = KelpModel(options, SMALL, None).eval()
    raw = torch.randint(6000, 9000, (1, 7, 350, 350), dtype=torch.int32)
    with torch.inference_mode():
        logits = model(raw)
    assert logits.shape == (1, 2, 350, 350)
    assert torch.isfinite(logits).all()


# The network.


def test_the_winning_network_is_the_published_one(winning):
    recipe, member = winning
    model = task(recipe, member).model(None)
    assert sum(p.numel() for p in model.parameters()) == 30_165_634
    assert model.net.encoder.state_dict()["model.conv_stem.weight"].shape[1] == 24


def test_the_winning_network_learns_from_one_step_on_a_cpu(winning, published):
    recipe, member = winning
    learner = task(recipe, member)
    options = member.input
    tile = awkward_tile(12)
    statistics = statistics_of(*plain_planes(tile, options, published), options)
    assert set(statistics.mean) >= set(
        wanted([(options.channels, options.masking)]).names
    )
    torch.manual_seed(0)
    model = learner.model(statistics).train()
    raw = torch.from_numpy(np.stack([awkward_tile(64, s) for s in (1, 2)]))
    mask = torch.zeros(2, 64, 64, dtype=torch.uint8)
    mask[:, 10:40, 20:50] = 1
    moves = torch.tensor([[0.0, 1.0, 0.0, 30.0], [1.0, 0.0, 0.0, 0.0]])
    before = {name: t.clone() for name, t in model.state_dict().items()}
    loss, counts = learner.step(model, {"raw": raw, "mask": mask, "moves": moves})
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 3e-4 * parameter.grad
    assert torch.isfinite(loss)
    assert 0 < loss.item() < 1
    assert 0 < sum(int(v) for v in counts.values()) < 2 * 64 * 64
    after = model.state_dict()
    assert all(torch.isfinite(t).all() for t in after.values())
    changed = {n for n, t in after.items() if not torch.equal(t, before[n])}
    learned = {n for n, _ in model.named_parameters()}
    # The statistics are no parameters: they stay what the fold says.
    assert not any(name.startswith("preprocess") for name in changed)
    assert "net.encoder.model.conv_stem.weight" in changed
    assert "net.segmentation_head.0.weight" in changed
    assert len(changed & learned) > 0.9 * len(learned)


def test_a_model_comes_back_from_its_description_and_weights(published):
    member = KelpMember(
        name="small",
        training={"epochs": 1, "batch": 1},
        input=KelpInput(indices=("DEMWM", "NDVI"), pad="reflect"),
        net=SMALL,
    )
    options = member.input
    raw = awkward_tile(64)
    statistics = statistics_of(
        *plain_planes(raw[:, :12, :12], options, published), options
    )
    learner = task(None, member)
    model = learner.model(statistics).eval()
    description = json.loads(json.dumps(learner.describe(model)))
    assert description["channels"] == [*BANDS_IN_ORDER, "DEMWM", "NDVI"]
    assert description["parameters"] == sum(p.numel() for p in model.parameters())
    back = learner.restore(description).eval()
    tile = torch.from_numpy(raw)[None]
    with torch.inference_mode():
        expected = model(tile)
        assert not torch.equal(back(tile), expected)
        back.load_state_dict(model.state_dict())
        torch.testing.assert_close(back(tile), expected, rtol=0, atol=0)


BANDS_IN_ORDER = ("R", "G", "B", "SWIR", "NIR", "QA", "DEM")
