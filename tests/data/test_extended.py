"""A data set with pseudo-labelled samples beside it."""

import numpy as np
import polars as pl
import pytest

from tenfold.data.dataset import CATALOGUE, SHARDS, Dataset, Extended, write_table
from tenfold.data.shards import write_shard

#: id → split of the data set's samples; the value of each is its place.
OWN = {"a": "train", "b": "train", "t": "test", "u": "test"}


def written(folder, name, rows):
    """Write samples of one number each: id → (split, value)."""
    samples = [{"x": np.full((2, 2), value, np.uint8)} for _, value in rows.values()]
    write_shard(folder / SHARDS / name, samples, {})
    table = [
        {"id": id_, "split": split, "shard": name, "row": row, "kind": f"of {name}"}
        for row, (id_, (split, _)) in enumerate(rows.items())
    ]
    write_table(folder / CATALOGUE, pl.DataFrame(table))
    return folder


@pytest.fixture
def folders(tmp_path):
    own = {id_: (split, i) for i, (id_, split) in enumerate(OWN.items())}
    labelled = {"t": ("train", 100), "u": ("train", 101)}
    data = written(tmp_path / "data", "own", own)
    return data, written(tmp_path / "extra", "pseudo", labelled)


def test_a_labelled_test_sample_is_a_training_sample_with_its_label(folders):
    found = Extended(*folders, without=())
    assert found.labelled == {"t", "u"}
    rows = found.rows("train")
    assert rows["id"].to_list() == ["a", "b", "t", "u"]
    assert rows["kind"].to_list() == ["of own", "of own", "of pseudo", "of pseudo"]
    assert [int(found.sample(id_)["x"][0, 0]) for id_ in "abtu"] == [0, 1, 100, 101]
    copies = found.copies(["t", "a"])
    assert {id_: int(c["x"][0, 0]) for id_, c in copies.items()} == {"a": 0, "t": 100}


def test_test_samples_are_as_they_were_in_the_data_set_itself(folders):
    assert Extended(*folders, without=()).rows("test")["id"].to_list() == ["t", "u"]
    assert int(Dataset(folders[0]).sample("t")["x"][0, 0]) == 2


def test_what_is_left_out_is_no_training_sample(folders):
    found = Extended(*folders, without=["t", "elsewhere"])
    assert found.labelled == {"u"}
    assert found.rows("train")["id"].to_list() == ["a", "b", "u"]
    assert int(found.sample("t")["x"][0, 0]) == 2
