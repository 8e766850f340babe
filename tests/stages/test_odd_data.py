"""Data as they should not be, through every stage: a sentence or a result."""

import hashlib
import math
import shutil

import numpy as np
import polars as pl
import pytest
import rasterio

from tenfold.challenges import find_challenge, load_recipe
from tenfold.challenges.kelp.bands import BAND_INDEX, MISSING
from tenfold.data.dataset import QUARANTINE, Dataset
from tenfold.errors import RecipeError, SourceError
from tenfold.stages import group, ingest, split
from tenfold.stages.context import Context
from tenfold.stages.entries import FOLDS, LEADERBOARD, PREDICTIONS, SCORES
from tenfold.stages.pages import page_path, show
from tenfold.store import Store
from tests.contract.driver import run_stages

SETTINGS = (
    *("synth.train=10", "synth.test=3", "synth.coasts=6", "synth.bad_files=false"),
    *("data.shard_samples=5", "split.k=2", "members.0.training.epochs=1"),
    *("members.0.training.batch=4", "members.0.training.samples_per_epoch=4"),
    *("members.1.training.epochs=1", "members.1.training.batch=4"),
    "members.1.training.samples_per_epoch=4",
)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    directory = tmp_path_factory.mktemp("clean")
    recipe = load_recipe("kelp", "smoke", SETTINGS)
    find_challenge("kelp").synth.synthesise(directory, recipe.synth)
    return directory / "data"


@pytest.fixture
def source(clean, tmp_path):
    shutil.copytree(clean, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def context(tmp_path):
    recipe = load_recipe("kelp", "smoke", SETTINGS)
    return Context(recipe, Store(tmp_path / "store"))


def files(source, ending, folder=""):
    return sorted(source.rglob(f"*{folder}*/*_{ending}.tif"))


def rewrite(file, change):
    """Change a tile's pixels; its checksum in the metadata goes."""
    with rasterio.open(file) as tile:
        profile, pixels = tile.profile, tile.read()
    with rasterio.open(file, "w", **profile) as tile:
        tile.write(change(pixels))
    for table in file.parent.parent.rglob("metadata*.csv"):
        rows = pl.read_csv(table)
        mine = pl.col("filename") == file.name
        content = file.read_bytes()
        rows = rows.with_columns(
            md5_hash=pl.when(mine)
            .then(pl.lit(hashlib.md5(content).hexdigest()))  # noqa: S324
            .otherwise(pl.col("md5_hash")),
            filesize_bytes=pl.when(mine)
            .then(pl.lit(len(content)))
            .otherwise(pl.col("filesize_bytes")),
        )
        rows.write_csv(table)


def nothing(pixels):
    """Lose all bands; QA, which has no mark for it, calls every pixel faulty."""
    lost = np.full_like(pixels, MISSING)
    lost[BAND_INDEX["QA"]] = 1
    return lost


def finite(values):
    return all(isinstance(value, float) and math.isfinite(value) for value in values)


def test_labels_without_any_kelp_in_a_fold_give_finite_scores(source, tmp_path):
    # Folds that no label decides on: emptying masks leaves them as they are.
    recipe = load_recipe("kelp", "smoke", [*SETTINGS, "split.strata=[]"])
    context = Context(recipe, Store(tmp_path / "store"))
    data = ingest.run(context, str(source))
    groups = group.run(context, data)
    folds = pl.read_parquet(
        context.entry(split.run(context, data, groups)).path / FOLDS
    )
    empty = set(folds.filter(pl.col("fold") == 0)["id"])
    for mask in files(source, "kelp", "train"):
        if mask.stem.split("_")[0] in empty:
            rewrite(mask, np.zeros_like)
    run = run_stages(context, str(source))
    again = pl.read_parquet(run.entry("split").path / FOLDS)
    catalogue = Dataset(run.entry("ingest").path).catalogue
    table = again.join(catalogue, on="id").group_by("fold").agg(pl.sum("kelp_pixels"))
    kelp = dict(table.select("fold", "kelp_pixels").iter_rows())
    assert kelp[0] == 0
    assert kelp[1] > 0
    scores = run.entry("tune").json(SCORES)
    assert finite([scores["honest"], scores["naive"]])
    for row in run.entry("evaluate unet-z-score").json(LEADERBOARD):
        assert finite(row["fold_scores"].values())


def test_no_kelp_at_all_is_trained_and_said_in_finite_figures(source, context):
    for mask in files(source, "kelp", "train"):
        rewrite(mask, np.zeros_like)
    run = run_stages(context, str(source))
    scores = run.entry("tune").json(SCORES)
    assert finite([scores["honest"], scores["naive"], scores["baseline"]["honest"]])


def test_a_tile_without_any_data_predicts_no_kelp(source, context):
    for part, place in (("train", 0), ("test", 0)):
        file = files(source, "satellite", part)[place]
        rewrite(file, nothing)
        if part == "test":
            blank = file.stem.split("_")[0]
    run = run_stages(context, str(source))
    rows = pl.read_parquet(run.entry("preview").path / PREDICTIONS)
    assert rows.filter(pl.col("id") == blank)["kelp_share"].to_list() == [0.0]
    assert rows.filter(pl.col("id") == blank)["valid_share"].to_list() == [0.0]


def test_one_tile_is_too_few_and_the_sentence_says_so(source, context):
    images, masks = files(source, "satellite", "train"), files(source, "kelp", "train")
    for file in images[1:] + masks[1:]:
        file.unlink()
    for table in source.rglob("metadata*.csv"):
        table.unlink()
    data = ingest.run(context, str(source))
    groups = group.run(context, data)
    with pytest.raises(RecipeError, match="at least two places"):
        split.run(context, data, groups)


def test_one_fold_is_no_validation():
    with pytest.raises(RecipeError, match=r"split\.k"):
        load_recipe("kelp", "smoke", ["split.k=1"])


def test_markup_in_a_file_name_is_text_on_the_page(source, context):
    folder = files(source, "kelp", "train")[0].parent
    (folder / "<img src=x onerror=alert(1)>_kelp.tif").write_bytes(b"no tile")
    data = ingest.run(context, str(source))
    entry = context.entry(data)
    faults = pl.read_parquet(entry.path / QUARANTINE)["file"].to_list()
    assert any("onerror" in name for name in faults)
    html = page_path(show(context, entry)).read_text("utf-8")
    assert "&lt;img src=x" in html
    assert "<img src=x" not in html


def test_a_source_of_test_tiles_alone_has_nothing_to_learn_from(source, context):
    for file in files(source, "satellite", "train"):
        file.unlink()
    with pytest.raises(SourceError, match="train"):
        ingest.run(context, str(source))
