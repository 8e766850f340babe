"""A shard gives back what was packed, and is whole or absent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tenfold.data.files import read_json
from tenfold.data.shards import ROWS, Shard, write_shard


def tile(value):
    return {
        "image": np.full((4, 4, 7), value, np.int16),
        "mask": np.full((4, 2), value, np.uint8),
        "area": np.array(value, np.float32),
    }


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@settings(max_examples=30, deadline=None)
@given(data=st.data(), count=st.integers(1, 4))
def test_what_was_packed_comes_back(tmp_path_factory, data, count):
    dtypes = {"a": np.int16, "b": np.uint8, "c": bool, "d": np.float32}
    shapes = {name: data.draw(npst.array_shapes(max_dims=3)) for name in dtypes}
    samples = [
        {name: data.draw(npst.arrays(dtypes[name], shapes[name])) for name in dtypes}
        for _ in range(count)
    ]
    folder = tmp_path_factory.mktemp("shard") / "train-00000"
    write_shard(folder, samples, {"rows": []})
    shard = Shard(folder)
    for row, expected in enumerate(samples):
        found = shard.sample(row)
        assert set(found) == set(expected)
        for name, values in expected.items():
            assert found[name].dtype == values.dtype
            assert np.array_equal(found[name], values, equal_nan=name == "d")


def test_what_is_said_of_the_samples_lies_beside_them(tmp_path):
    rows = {"rows": [{"id": "a", "row": 0}], "faults": []}

    def beside(folder):
        (folder / "partials.npz").write_bytes(b"p")

    write_shard(tmp_path / "s", [tile(1)], rows, beside)
    assert read_json(tmp_path / "s" / ROWS) == rows
    assert (tmp_path / "s" / "partials.npz").read_bytes() == b"p"
    assert names_in(tmp_path) == ["s"]


def test_a_shard_is_replaced_as_a_whole(tmp_path):
    write_shard(tmp_path / "s", [tile(1), tile(2)], {"v": 1})
    write_shard(tmp_path / "s", [{"image": tile(9)["image"]}], {"v": 2})
    assert names_in(tmp_path / "s") == ["image.npy", ROWS]
    assert read_json(tmp_path / "s" / ROWS) == {"v": 2}
    assert (Shard(tmp_path / "s").sample(0)["image"] == 9).all()


def test_a_failure_while_writing_leaves_no_half_of_a_shard(tmp_path):
    def fails(folder):
        assert (folder / "image.npy").is_file()
        raise OSError("no space left")

    for _ in range(2):
        with pytest.raises(OSError, match="no space"):
            write_shard(tmp_path / "s", [tile(1)], {}, fails)
        assert names_in(tmp_path) == []
    write_shard(tmp_path / "s", [tile(2)], {})
    assert (Shard(tmp_path / "s").sample(0)["mask"] == 2).all()


def test_samples_of_other_shapes_are_refused(tmp_path):
    odd = tile(2) | {"mask": np.zeros((5, 2), np.uint8)}
    with pytest.raises(ValueError, match="shape"):
        write_shard(tmp_path / "s", [tile(1), odd], {})
    assert names_in(tmp_path) == []


def test_a_shard_without_samples_keeps_what_is_said_of_them(tmp_path):
    rows = {"rows": [], "faults": [{"file": "a.tif", "reason": "empty"}]}
    write_shard(tmp_path / "s", [], rows)
    assert read_json(tmp_path / "s" / ROWS) == rows
    assert names_in(tmp_path / "s") == [ROWS]


def test_a_row_beyond_the_last_is_an_error(tmp_path):
    write_shard(tmp_path / "s", [tile(1)], {})
    with pytest.raises(IndexError):
        Shard(tmp_path / "s").sample(1)


def test_samples_cannot_be_changed_through_what_is_read(tmp_path):
    write_shard(tmp_path / "s", [tile(1)], {})
    with pytest.raises(ValueError, match="read-only"):
        Shard(tmp_path / "s").sample(0)["image"][:] = 5
    assert (Shard(tmp_path / "s").sample(0)["image"] == 1).all()


def test_objects_are_never_pickled(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_shard(tmp_path / "s", [{"x": np.array([{}], object)}], {})
    assert names_in(tmp_path) == []
