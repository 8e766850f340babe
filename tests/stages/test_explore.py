"""Tables of explore against tiles counted by hand, its page, and what it refuses."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tenfold.challenges import Challenge, find_challenge, load_recipe
from tenfold.challenges.kelp.tiles import unpack_mask, unpack_tile
from tenfold.data import describe
from tenfold.data.dataset import Dataset
from tenfold.errors import StoreError
from tenfold.stages import explore, group, ingest, split
from tenfold.stages.context import Context
from tenfold.stages.entries import FOLDS, GROUPS
from tenfold.stages.pages import HEADLINE, page_path, show
from tenfold.stages.pages.explore import chosen
from tenfold.store import Store

SETTINGS = (
    *("synth.train=12", "synth.test=3", "synth.coasts=4", "data.shard_samples=5"),
    *("split.k=2", "split.strata=[has_kelp]"),
)
NASTY = "<b>&nbsp;_satellite.tif"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Give a context, and references of a data set, its groups and its folds."""
    directory = tmp_path_factory.mktemp("made")
    recipe = load_recipe("kelp", "smoke", SETTINGS)
    find_challenge("kelp").synth.synthesise(directory, recipe.synth)
    (directory / "data" / "train_satellite" / NASTY).write_bytes(b"no tile")
    context = Context(recipe, Store(directory / "store"))
    data = ingest.run(context, str(directory / "data"))
    groups = group.run(context, data)
    return context, data, groups, split.run(context, data, groups)


@pytest.fixture(scope="module")
def entry(made):
    context, *references = made
    return context.entry(explore.run(context, *references))


def table(entry, name):
    found = pl.read_parquet(entry.path / f"{name}.parquet")
    written = pl.read_csv(entry.path / f"{name}.csv", schema=found.schema)
    assert written.equals(found)
    return found


def published(raw, mask):
    """The published columns of a tile, from its pixels."""
    pixels, dem, qa = 350 * 350, raw[6], raw[5]
    kelp = None if mask is None else int((mask == 1).sum())
    water = int((dem <= 0).sum())
    return {
        "has_kelp": None if kelp is None else kelp > 0,
        "kelp_pixels": kelp,
        "non_kelp_pixels": None if kelp is None else pixels - kelp,
        "kelp_pixels_pct": None if kelp is None else kelp / pixels,
        "high_kelp_pixels_pct": None if kelp is None else kelp / pixels > 0.4,
        "dem_nan_pixels": int((dem < 0).sum()),
        "dem_has_nans": bool((dem < 0).any()),
        "dem_nan_pixels_pct": float((dem < 0).mean()),
        "dem_zero_pixels": int((dem == 0).sum()),
        "dem_zero_pixels_pct": float((dem == 0).mean()),
        "water_pixels": water,
        "water_pixels_pct": water / pixels,
        "almost_all_water": water / pixels > 0.98,
        "qa_corrupted_pixels": int((qa == 1).sum()),
        "qa_ok": not (qa == 1).any(),
        "qa_corrupted_pixels_pct": float((qa == 1).mean()),
        "high_corrupted_pixels_pct": bool((qa == 1).mean() > 0.4),
    }


def test_every_sample_has_the_published_columns_its_group_and_its_fold(made, entry):
    context, data, groups, folds = made
    samples = table(entry, explore.SAMPLES)
    dataset = Dataset(context.entry(data).path)
    groups = pl.read_parquet(context.entry(groups).path / GROUPS)
    group_of = dict(groups.select("id", "group").iter_rows())
    folds = pl.read_parquet(context.entry(folds).path / FOLDS)
    fold_of = dict(folds.select("id", "fold").iter_rows())
    assert sorted(samples["id"]) == sorted(dataset.catalogue["id"])
    for row in samples.iter_rows(named=True):
        arrays = dataset.sample(row["id"])
        mask = unpack_mask(arrays) if row["split"] == "train" else None
        expected = published(unpack_tile(arrays), mask)
        assert {n: row[n] for n in expected} == pytest.approx(expected)
        assert row["group"] == group_of.get(row["id"])
        fold = fold_of.get(row["id"], -1)
        assert row["fold"] == (None if fold == -1 else fold)


def test_the_other_tables_are_of_these_samples(entry):
    samples = table(entry, explore.SAMPLES)
    assert table(entry, explore.SPLITS).to_dicts() == (
        describe.splits(samples).to_dicts()
    )
    kelp = table(entry, explore.PROPORTIONS).filter(column="has_kelp", split="all")
    assert kelp["yes"][0] == (samples["kelp_pixels"] > 0).sum()
    assert kelp["unknown"][0] == 3
    mean = table(entry, explore.DESCRIPTION).filter(
        column="dem_nan_pixels", split="train"
    )["mean"][0]
    train = samples.filter(split="train")
    assert mean == pytest.approx(train["dem_nan_pixels"].to_numpy().mean())
    matrix = table(entry, explore.CORRELATIONS).drop("column").to_numpy()
    np.testing.assert_allclose(matrix, matrix.T)
    sizes = table(entry, explore.GROUP_SIZES)
    assert sizes["samples"].sum() == len(train)
    balance = table(entry, explore.FOLD_BALANCE)
    assert balance.filter(fold="all")["samples"][0] == samples["fold"].count()
    assert f"train_satellite/{NASTY}" in table(entry, explore.SET_ASIDE)["file"]


def test_the_page_shows_all_of_it_and_escapes_names(made, entry):
    context = made[0]
    page = show(context, entry)
    html = page_path(page).read_text("utf-8")
    words = ("Counts", "Distributions", "Correlations", "Groups", "Folds", "Samples")
    for heading in (*words, "Set aside", "Tables"):
        assert f">{heading}</h2>" in html
    for drawn in context.challenge.exploring.COLUMNS.values():
        assert drawn in html
    assert "&lt;b&gt;&amp;nbsp;_satellite.tif" in html
    assert NASTY not in html
    assert "<script" not in html
    assert len(html.encode()) <= 2_000_000
    assert html.count("<img ") >= 4 * 6
    assert page.json(HEADLINE)["figures"]["samples"] == len(
        table(entry, explore.SAMPLES)
    )


def test_groups_come_with_the_folds_and_both_may_be_absent(made):
    context, data, _, folds = made
    alone = context.entry(explore.run(context, data))
    columns = table(alone, explore.SAMPLES).columns
    assert not {"group", "fold"} & set(columns)
    assert not (alone.path / f"{explore.GROUP_SIZES}.csv").exists()
    html = page_path(show(context, alone)).read_text("utf-8")
    assert ">Folds</h2>" not in html
    assert ">Groups</h2>" not in html
    with_folds = context.entry(explore.run(context, data, folds=folds))
    assert {"group", "fold"} <= set(table(with_folds, explore.SAMPLES).columns)


def test_the_recipe_decides_nothing(made, entry):
    context, *references = made
    other = Context(load_recipe("kelp", "baseline"), context.store)
    again = explore.run(other, *references)
    assert again.reused
    assert again.address == entry.address


def test_without_the_part_every_column_is_drawn_under_its_own_name(made, monkeypatch):
    context, data, *_ = made
    monkeypatch.setattr(Challenge, "exploring", None)
    entry = context.entry(explore.run(context, data))
    drawn = dict(entry.json("summary.json")["drawn"])
    samples = table(entry, explore.SAMPLES)
    assert list(drawn) == [*describe.numbers(samples), *describe.flags(samples)]
    assert all(name == words for name, words in drawn.items())
    assert "qa_corrupted_pixels" in page_path(show(context, entry)).read_text("utf-8")


def test_other_groups_and_what_is_no_data_set_are_refused(made, tmp_path):
    context, data, groups, folds = made
    with pytest.raises(StoreError, match="not what ingest made"):
        explore.run(context, groups)
    with pytest.raises(StoreError, match="not what group made"):
        explore.run(context, data, folds)
    with pytest.raises(StoreError, match="failed: no memory"):
        explore.run(context, replace(data, status="failed", reason="no memory"))
    recipe = load_recipe("kelp", "smoke", (*SETTINGS, "synth.seed=7"))
    find_challenge("kelp").synth.synthesise(tmp_path, recipe.synth)
    other = ingest.run(Context(recipe, context.store), str(tmp_path / "data"))
    with pytest.raises(StoreError, match="groups are of another data set"):
        explore.run(context, other, groups)
    with pytest.raises(StoreError, match="the folds are of data set"):
        explore.run(context, other, None, folds)


def test_folds_of_other_groups_are_refused(made):
    context, data, groups, folds = made
    recipe = load_recipe("kelp", "smoke", (*SETTINGS, "groups.overlap.agreement=0.99"))
    others = group.run(Context(recipe, context.store), data_of(data, recipe))
    assert others.address != groups.address
    with pytest.raises(StoreError, match="other groups"):
        explore.run(context, data, others, folds)


def data_of(data, recipe):
    """The same data set, as a run of another recipe names it."""
    return replace(data, recipe=recipe.digest())


def test_the_gallery_holds_chance_and_extremes_with_the_reason():
    samples = pl.DataFrame(
        {
            "id": list("abcdef"),
            "split": ["train"] * 5 + ["test"],
            "x": [1, 9, 3, 9, 2, None],
            "flat": [1.0] * 6,
        }
    )
    found = chosen(samples, {"x": "most of x", "flat": "nothing"})
    assert "most most of x" in found["b"]
    assert not any("nothing" in why for why in found.values())
    assert found["f"] == "test, at random"
    assert sum("train, at random" in why for why in found.values()) == 3
