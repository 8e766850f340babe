"""A data set finds each sample by its id, and sums the statistics of some."""

import gc
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tenfold.data.dataset import (
    CATALOGUE,
    PARTIALS,
    SHARDS,
    Dataset,
    InMemory,
    write_table,
)
from tenfold.data.records import RecordOptions
from tenfold.data.shards import write_shard
from tenfold.data.statistics import Axis, Channels, partials_of, save_partials
from tenfold.errors import StoreError

CHANNELS = Channels({"NIR": Axis(0.0, 1.0, 1000.0)})
#: Shard → ids, out of order on purpose.
PLACES = {"train-0": ["d", "a"], "train-1": ["c"], "test-0": ["b", "e"]}


def plane_of(id_):
    return np.random.default_rng(ord(id_)).normal(100, 20, (5, 5)).astype(np.float32)


def partials(id_):
    return partials_of({"NIR": (plane_of(id_), np.ones((5, 5), bool))}, CHANNELS)


@pytest.fixture(params=["arrays", "records"])
def dataset(tmp_path, request):
    rows = []
    for shard, ids in PLACES.items():

        def beside(folder, ids=ids):
            save_partials(folder / PARTIALS, CHANNELS.names, map(partials, ids))

        samples = [{"image": plane_of(id_), "n": np.array(ord(id_))} for id_ in ids]
        records = RecordOptions(ids, ("n",)) if request.param == "records" else None
        write_shard(tmp_path / SHARDS / shard, samples, {}, beside, records)
        split = shard.partition("-")[0]
        rows += [
            {"id": id_, "split": split, "shard": shard, "row": row}
            for row, id_ in enumerate(ids)
        ]
    write_table(tmp_path / CATALOGUE, pl.DataFrame(rows))
    return Dataset(tmp_path)


def test_every_sample_is_found_by_its_id(dataset):
    assert len(dataset) == 5
    for id_ in "abcde":
        sample = dataset.sample(id_)
        assert np.array_equal(sample["image"], plane_of(id_))
        assert int(sample["n"]) == ord(id_)


def test_samples_come_in_the_order_they_are_asked_for(dataset):
    ids = ["e", "a", "d", "a"]
    found = list(dataset.samples(ids))
    assert [id_ for id_, _ in found] == ids
    assert [int(sample["n"]) for _, sample in found] == [ord(id_) for id_ in ids]


def test_an_unknown_sample_is_named_with_the_data_set(dataset):
    with pytest.raises(StoreError, match="sample nobody is not in ") as error:
        dataset.sample("nobody")
    assert str(dataset.directory) in str(error.value)
    with pytest.raises(StoreError, match="sample nobody"):
        list(dataset.samples(["a", "nobody"]))


@pytest.mark.parametrize("dataset", ["records"], indirect=True)
def test_a_record_of_another_sample_is_never_returned(dataset):
    catalogue = dataset.catalogue.with_columns(row=1 - pl.col("row"))
    write_table(
        dataset.directory / CATALOGUE, catalogue.filter(pl.col("shard") == "train-0")
    )
    turned = Dataset(dataset.directory)
    said = r"train-0/samples.tfrecord, record 0: is of sample 'd', not 'a'; run ingest"
    with pytest.raises(StoreError, match=said):
        turned.sample("a")
    with pytest.raises(StoreError, match=said):
        turned.copies(["a"])


def test_copies_are_the_samples_and_leave_no_file_mapped(dataset):
    def mapped():
        gc.collect()
        return str(dataset.directory) in Path("/proc/self/maps").read_text("utf-8")

    kept = InMemory(dataset, list("abcde"))
    assert not mapped()
    for id_ in "abcde":
        expected = dataset.sample(id_)
        assert set(kept.sample(id_)) == set(expected)
        for name, values in kept.sample(id_).items():
            np.testing.assert_array_equal(values, expected[name], strict=True)
    # Views are what stays mapped, so the test can tell.
    assert mapped()


def test_rows_are_those_of_a_split_in_order_of_id(dataset):
    assert dataset.rows("train")["id"].to_list() == ["a", "c", "d"]
    assert dataset.rows("test")["id"].to_list() == ["b", "e"]
    assert dataset.rows("other").is_empty()


@pytest.mark.parametrize("ids", ["a", "ac", "dac", "abcde", "e"])
def test_statistics_are_those_of_the_named_samples(dataset, ids):
    found = dataset.statistics(CHANNELS, list(ids))
    values = np.stack([plane_of(id_) for id_ in ids]).astype(np.float64)
    assert found.mean["NIR"] == pytest.approx(values.mean())
    assert found.std["NIR"] == pytest.approx(values.std())
    assert found.low["NIR"] == pytest.approx(values.min())
    assert found.high["NIR"] == pytest.approx(values.max())


def test_statistics_do_not_depend_on_the_order_of_ids(dataset):
    one = dataset.statistics(CHANNELS, list("abcd"))
    assert dataset.statistics(CHANNELS, list("dcba")) == one


def test_statistics_of_no_samples_are_neutral(dataset):
    found = dataset.statistics(CHANNELS, [])
    assert (found.mean["NIR"], found.std["NIR"]) == (0, 1)


def test_statistics_of_an_unknown_sample_name_it(dataset):
    with pytest.raises(StoreError, match="sample nobody is not in "):
        dataset.statistics(CHANNELS, ["a", "nobody"])


def test_statistics_of_an_unknown_channel_name_it(dataset):
    more = Channels({"SWIR": CHANNELS.axes["NIR"]})
    with pytest.raises(StoreError, match="no statistics of SWIR"):
        dataset.statistics(more, ["a"])


def test_a_table_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(path, content):
        with path.open("wb") as stream:
            stream.write(content[: len(content) // 2])
        raise OSError("no space left")

    table = pl.DataFrame({"id": ["a", "b"], "fold": [0, -1]})
    write_table(tmp_path / "t.parquet", table)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space"):
        write_table(tmp_path / "t.parquet", table.head(1))
    assert pl.read_parquet(tmp_path / "t.parquet").equals(table)
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
