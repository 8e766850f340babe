"""The split stage with the method of its recipe, on tables made by hand."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tenfold.challenges import find_challenge
from tenfold.challenges.clouds.classes import CLASSES
from tenfold.challenges.clouds.options import CloudsSplit
from tenfold.data.dataset import CATALOGUE
from tenfold.data.files import write_json
from tenfold.folds import assign, random_leak
from tenfold.stages import split
from tenfold.stages.entries import EDGES, FOLDS, GROUPS, PROOF, SUMMARY
from tenfold.store import Entry

N = 60


@pytest.fixture
def tables(tmp_path):
    """Write a catalogue of images with classes, and their groups of one or two."""
    rng = np.random.default_rng(0)
    there = rng.random((N, 4)) < 0.5
    ids = [f"{i:07x}" for i in range(N)]
    classes = [
        " ".join(name for name, on in zip(CLASSES, row, strict=True) if on)
        for row in there
    ]
    columns = {name.lower(): there[:, c] for c, name in enumerate(CLASSES)}
    place = {"split": "train", "shard": "0", "row": range(N)}
    catalogue = pl.DataFrame({"id": ids} | place | columns | {"classes": classes})
    data, groups = tmp_path / "data", tmp_path / "groups"
    made = {folder: Entry(folder.name, folder, {}) for folder in (data, groups)}
    for folder in made:
        folder.mkdir()
    # Rows come in any order; folds are made in that of ids.
    catalogue.sample(fraction=1, shuffle=True, seed=1).write_parquet(data / CATALOGUE)
    write_json(data / SUMMARY, {"fingerprint": "x"})
    group_of = np.arange(N) // 4 * 3 + np.minimum(np.arange(N) % 4, 2)
    sizes = np.bincount(group_of)[group_of]
    table = pl.DataFrame({"id": ids, "group": group_of, "size": sizes})
    table.write_parquet(groups / GROUPS)
    pairs = {"a": ids[2::4], "b": ids[3::4]}
    pl.DataFrame(pairs).write_parquet(groups / EDGES)
    write_json(groups / SUMMARY, {"searches": []})
    return SimpleNamespace(
        data=made[data], groups=made[groups], group_of=group_of, classes=classes
    )


@pytest.mark.parametrize("method", ["stratified", "rare-first"])
def test_the_recipes_method_makes_the_folds_and_what_they_are_held_against(
    tables, tmp_path, method
):
    options = CloudsSplit(k=4, method=method)
    space = SimpleNamespace(path=tmp_path)
    clouds = find_challenge("clouds")
    split._split(clouds, tables.data, tables.groups, options, 42, space)
    folds = pl.read_parquet(tmp_path / FOLDS)
    given = (tables.group_of, tables.classes, 4, 42)
    assert folds["fold"].to_list() == assign(*given, method).tolist()
    assert folds["stratum"].to_list() == tables.classes
    made = Entry("split/made", tmp_path, {})
    assert made.json(PROOF)["groups_in_two_folds"] == 0
    assert made.json(SUMMARY)["random_split"] == random_leak(*given, method)
    assert made.json(SUMMARY)["published_split"] is None
    assert made.json(SUMMARY)["statement"]["pairs"] == N // 4
    shown = made.json(SUMMARY)["folds"]
    for name in CLASSES:
        images = sum(row[f"images with {name}"] for row in shown)
        assert images == sum(name in classes.split() for classes in tables.classes)
