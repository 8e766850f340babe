"""Statistics of channels against NumPy on all pixels at once, and what they reuse."""

import json
import math

import numpy as np
import pytest
import rasterio

from tenfold.challenges import Challenge, find_challenge, load_recipe
from tenfold.challenges.kelp.tiles import unpack_tile
from tenfold.data.dataset import Dataset
from tenfold.data.files import write_json
from tenfold.errors import RecipeError, StoreError
from tenfold.stages import ingest, prepare, statistics
from tenfold.stages.context import Context
from tenfold.stages.entries import FOLDS
from tenfold.stages.proof import open_folds
from tenfold.store import Store

SETTINGS = (
    *("synth.train=9", "synth.test=2", "synth.coasts=4", "synth.bad_files=false"),
    *("data.shard_samples=4", "split.k=2", "split.strata=[has_kelp]"),
)
GAP = -32768
FIELDS = ("mean", "std", "min", "max", "q01", "q99")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("measured")
    recipe = load_recipe("kelp", "smoke", SETTINGS)
    find_challenge("kelp").synth.synthesise(directory, recipe.synth)
    context = Context(recipe, Store(directory / "store"))
    return context, *prepare.run(context, str(directory / "data"))


def pixels_of(context, data, ids):
    """All pixels of some tiles, (7, pixels) in double precision."""
    dataset = Dataset(context.entry(data).path)
    tiles = [unpack_tile(dataset.sample(id_)).reshape(7, -1) for id_ in ids]
    return np.concatenate(tiles, axis=1).astype(np.float64)


def expected(raw, name):
    """The values that count of one channel of the smoke recipe, or of a band."""
    swir, nir, red, green, blue, qa, dem = raw
    there = (raw[:5] != GAP).all(axis=0)
    clear_sea = there & (qa == 0) & (dem <= 0)
    if name == "DEM":
        return dem[dem != GAP]
    if name == "R":
        return red[red != GAP]
    if name == "QA":
        return qa
    if name == "DEMWM":
        return np.maximum(dem, 0)[dem != GAP]
    planes = {
        "NDVI@qw": (nir - red) / (nir + red),
        "GNDVI@qw": (nir - green) / (nir + green),
        "SABI@qw": (nir - red) / (green + blue),
        "MVI@qw": nir / swir,
    }
    return planes[name][clear_sea]


def check(row, values, total):
    assert row["count"] == len(values)
    assert row["share_missing"] == pytest.approx(1 - len(values) / total)
    close = {"rel": 1e-4, "abs": 1e-6}
    assert row["mean"] == pytest.approx(values.mean(), **close)
    assert row["std"] == pytest.approx(values.std(), **close)
    assert row["min"] == pytest.approx(values.min(), **close)
    assert row["max"] == pytest.approx(values.max(), **close)
    # Quantiles are exact to the width of a bin, here a hundredth of the spread.
    width = 0.02 * (values.max() - values.min()) + 1e-6
    for field, share in (("q01", 0.01), ("q99", 0.99)):
        low, high = np.quantile(values, [max(share - 1e-3, 0), min(share + 1e-3, 1)])
        assert low - width <= row[field] <= high + width


def train_ids(made):
    context, data, _ = made
    return Dataset(context.entry(data).path).rows("train")["id"].to_list()


def test_the_recipes_channels_are_those_of_all_training_pixels(made):
    context, data, _ = made
    found = statistics.run(context, data)
    raw = pixels_of(context, data, train_ids(made))
    assert found.samples == 9
    rows = {row["channel"]: row for row in found.rows}
    bands = {"R", "G", "B", "SWIR", "NIR", "QA", "DEM"}
    assert set(rows) == bands | {"DEMWM", "NDVI@qw", "GNDVI@qw", "SABI@qw"}
    for name in ("R", "DEM", "QA", "DEMWM", "NDVI@qw", "GNDVI@qw", "SABI@qw"):
        check(rows[name], expected(raw, name), raw.shape[1])


def test_a_folds_statistics_are_of_the_other_folds(made):
    context, data, folds = made
    table = open_folds(context.entry(folds), context.entry(data))
    for fold in (0, 1):
        found = statistics.run(context, data, folds, fold)
        raw = pixels_of(context, data, table.training(fold))
        assert found.samples == len(table.training(fold))
        (row,) = [row for row in found.rows if row["channel"] == "NDVI@qw"]
        check(row, expected(raw, "NDVI@qw"), raw.shape[1])


def test_every_channel_is_finite_and_valid_json(made, tmp_path):
    context, data, _ = made
    found = statistics.run(context, data, every=True)
    assert len(found.rows) == 7 + 59
    for row in found.rows:
        assert all(math.isfinite(row[field]) for field in FIELDS)
        assert row["min"] <= row["q01"] <= row["q99"] <= row["max"]
    write_json(tmp_path / "all.json", found.rows)
    assert json.loads((tmp_path / "all.json").read_text()) == found.rows
    raw = pixels_of(context, data, train_ids(made))
    (row,) = [row for row in found.rows if row["channel"] == "MVI@qw"]
    check(row, expected(raw, "MVI@qw"), raw.shape[1])


def test_only_what_ingest_did_not_count_is_read_and_only_once(made, monkeypatch):
    context, data, _ = made
    statistics.run(context, data)
    part, made_of = context.challenge.exploring, []
    original = part.partials
    monkeypatch.setattr(
        part, "partials", lambda a, c: made_of.append(c.names) or original(a, c)
    )
    again = statistics.run(context, data)
    assert len(again.rows) == 11
    assert made_of == []
    setting = "members.unet-quantile.input.indices=[CI]"
    other = Context(load_recipe("kelp", "smoke", (*SETTINGS, setting)), context.store)
    statistics.run(other, data)
    assert set(made_of) == {("QA", "CI@qw")}
    assert len(made_of) == 9


def test_a_killed_pass_keeps_the_shards_it_finished(made, monkeypatch):
    context, data, _ = made
    setting = "members.unet-quantile.input.indices=[KIVU]"
    other = Context(load_recipe("kelp", "smoke", (*SETTINGS, setting)), context.store)
    part, done = context.challenge.exploring, []
    original = part.partials

    def dying(arrays, channels):
        if len(done) == 6:
            raise KeyboardInterrupt
        done.append(channels)
        return original(arrays, channels)

    monkeypatch.setattr(part, "partials", dying)
    monkeypatch.setattr(statistics.os, "sched_getaffinity", lambda _: {0})
    with pytest.raises(KeyboardInterrupt):
        statistics.run(other, data)
    again = []
    monkeypatch.setattr(
        part, "partials", lambda a, c: again.append(c) or original(a, c)
    )
    statistics.run(other, data)
    assert len(again) == 9 - 4


def test_masks_of_the_members_are_kept_apart(made):
    context, data, _ = made
    settings = ("members.unet-z-score.input.mask_qa=false",)
    other = Context(load_recipe("kelp", "smoke", (*SETTINGS, *settings)), context.store)
    rows = {row["channel"]: row for row in statistics.run(other, data).rows}
    assert {"NDVI@qw", "NDVI@w"} <= set(rows)
    assert rows["NDVI@w"]["count"] > rows["NDVI@qw"]["count"]
    assert "q what QA marks" in statistics.run(other, data).legend


def test_a_channel_that_nothing_counts_for_has_no_figures(tmp_path):
    recipe = load_recipe("kelp", "smoke", SETTINGS)
    find_challenge("kelp").synth.synthesise(tmp_path / "raw", recipe.synth)
    for file in (tmp_path / "raw" / "data").glob("train_satellite/*.tif"):
        with rasterio.open(file) as tile:
            profile, raw = tile.profile, tile.read()
        raw[5] = 1
        with rasterio.open(file, "w", **profile) as tile:
            tile.write(raw)
    next((tmp_path / "raw" / "data").glob("metadata*.csv")).unlink()
    context = Context(recipe, Store(tmp_path / "store"))
    data = ingest.run(context, str(tmp_path / "raw" / "data"))
    rows = {row["channel"]: row for row in statistics.run(context, data).rows}
    ndvi = rows["NDVI@qw"]
    assert (ndvi["count"], ndvi["share_missing"]) == (0, 1)
    assert all(ndvi[field] is None for field in FIELDS)
    assert rows["QA"]["mean"] == 1


def test_what_cannot_be_measured_is_said(made, monkeypatch):
    context, data, folds = made
    with pytest.raises(RecipeError, match="both --folds and --fold"):
        statistics.run(context, data, folds)
    with pytest.raises(RecipeError, match="no fold 2"):
        statistics.run(context, data, folds, 2)
    with pytest.raises(StoreError, match="not what ingest made"):
        statistics.run(context, folds)
    monkeypatch.setattr(Challenge, "exploring", None)
    with pytest.raises(RecipeError, match="kelp has no statistics of channels"):
        statistics.run(context, data)


def test_the_fold_table_is_the_one_that_is_checked(made):
    context, data, folds = made
    entry = context.entry(folds)
    kept = (entry.path / FOLDS).read_bytes()
    (entry.path / FOLDS).write_bytes(kept[:-1])
    with pytest.raises(StoreError, match="missing or incomplete"):
        statistics.run(context, data, folds, 0)
    (entry.path / FOLDS).write_bytes(kept)
