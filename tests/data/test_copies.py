"""Samples in memory: equal to the mapped ones, and nothing stays mapped."""

import gc
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tenfold.data.dataset import CATALOGUE, SHARDS, Dataset, InMemory
from tenfold.data.shards import write_shard
from tenfold.errors import StoreError


@pytest.fixture
def dataset(tmp_path):
    rows = []
    for shard in range(3):
        samples = [{"x": np.arange(5) + 10 * shard + row} for row in range(2)]
        write_shard(tmp_path / SHARDS / str(shard), samples, {})
        rows += [
            {"id": f"s{shard}{row}", "split": "train", "shard": str(shard), "row": row}
            for row in range(2)
        ]
    pl.DataFrame(rows).write_parquet(tmp_path / CATALOGUE)
    return Dataset(tmp_path)


def mapped(folder):
    gc.collect()
    return str(folder) in Path("/proc/self/maps").read_text("utf-8")


def test_copies_are_the_samples_and_leave_no_shard_mapped(dataset):
    ids = ["s21", "s00", "s20"]
    copies = dataset.copies(ids)
    assert set(copies) == set(ids)
    assert not mapped(dataset.directory)
    for id_, arrays in copies.items():
        assert arrays["x"].flags.owndata
        np.testing.assert_array_equal(arrays["x"], dataset.sample(id_)["x"])
    # Views are what stays mapped, so the test can tell.
    assert mapped(dataset.directory)


def test_samples_in_memory_outlive_their_files(dataset):
    kept = InMemory(dataset, ["s10", "s11"])
    expected = [np.array(dataset.sample(id_)["x"]) for id_ in ("s10", "s11")]
    (dataset.directory / SHARDS / "1" / "x.npy").unlink()
    for id_, values in zip(("s10", "s11"), expected, strict=True):
        np.testing.assert_array_equal(kept.sample(id_)["x"], values)


def test_a_sample_that_is_not_there_is_named(dataset):
    with pytest.raises(StoreError, match="sample s99 is not in"):
        dataset.copies(["s00", "s99"])
