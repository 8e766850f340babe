"""Files are whole or absent, whatever interrupts their writer."""

import errno
import math
import os
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data.files import (
    TEMPORARY_PREFIX,
    atomic_directory,
    atomic_path,
    files_below,
    is_hidden,
    naming,
    read_json,
    sha256_of,
    write_json,
)
from tenfold.errors import StoreError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    # -0.0 equals 0.0, so it may come back as either.
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=40)
@given(value=JSON)
def test_json_comes_back(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def test_json_text_is_stable(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [0.1]})
    text = (tmp_path / "a.json").read_text()
    assert text == '{\n  "a": [\n    0.1\n  ],\n  "b": 1\n}\n'


def test_json_that_is_not_finite_is_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"dice": 0.5})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"dice": math.nan})
    assert read_json(path) == {"dice": 0.5}
    assert files_and_leftovers(tmp_path) == ["metrics.json"]


@pytest.mark.parametrize("text", ["", '{"a": 1', "NaN", "\xff"])
def test_damaged_json_names_the_file(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match=r"broken\.json is not valid JSON"):
        read_json(path)


def test_missing_json_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_interrupted_write_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        interrupted_write(path)
    assert path.read_bytes() == b"old"
    assert files_and_leftovers(tmp_path) == ["model.bin"]


def write_to_a_full_disk(path):
    with atomic_path(path) as temporary:
        temporary.symlink_to("/dev/full")
        temporary.write_text("no room")


def test_a_full_disk_names_the_file_that_was_wanted(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught:
        write_to_a_full_disk(tmp_path / "a.json")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "a.json")
    assert caught.value.filename2 is None
    assert files_and_leftovers(tmp_path) == []


@pytest.mark.parametrize("place", [".", "folder", "/"])
def test_a_folder_is_no_file_and_nothing_is_written(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught, atomic_path(Path(place)):
        pytest.fail("the block must not begin")
    assert caught.value.filename == place
    assert list(tmp_path.rglob("*")) == [tmp_path / "folder"]


def test_an_error_that_is_not_of_the_disk_keeps_its_words(tmp_path):
    with (
        pytest.raises(OSError, match=r"^connection lost$") as caught,
        atomic_path(tmp_path / "a"),
    ):
        raise OSError("connection lost")
    assert caught.value.filename is None


# Where an error of the system happened


@pytest.mark.parametrize(
    ("error", "number", "words"),
    [
        (OSError(errno.ENOSPC, "No space left"), errno.ENOSPC, "No space left"),
        (OSError("2 requested and 1 written"), None, "2 requested and 1 written"),
        (OSError("full (os error 28): a"), errno.ENOSPC, os.strerror(errno.ENOSPC)),
    ],
)
def test_an_error_without_a_place_gets_one_and_keeps_its_words(error, number, words):
    with pytest.raises(OSError, match="folder") as caught, naming(Path("a/folder")):
        raise error
    assert (caught.value.errno, caught.value.strerror) == (number, words)
    assert caught.value.filename == "a/folder"


def test_an_error_with_a_place_keeps_it():
    with pytest.raises(FileNotFoundError) as caught, naming(Path("a/folder")):
        Path("b/file").read_bytes()
    assert str(caught.value.filename) == "b/file"


def test_polars_on_a_full_disk_is_known_by_its_number():
    with pytest.raises(OSError, match="device") as caught, naming(Path("a/folder")):
        pl.DataFrame({"a": range(100_000)}).write_csv("/dev/full")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == "a/folder"


def test_temporary_path_keeps_the_suffix_and_makes_folders(tmp_path):
    with atomic_path(tmp_path / "a" / "b.npy") as temporary:
        assert temporary.suffix == ".npy"
        temporary.write_bytes(b"x")
    assert files_and_leftovers(tmp_path) == ["a/b.npy"]


def test_writer_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        pass
    assert files_and_leftovers(tmp_path) == []


def test_interrupted_folder_is_absent_and_what_a_kill_left_is_removed(tmp_path):
    target = tmp_path / "out"
    killed = tmp_path / f"{TEMPORARY_PREFIX}out"
    killed.mkdir()
    (killed / "stale").write_bytes(b"1")
    with pytest.raises(KeyboardInterrupt):
        interrupted_folder(target)
    assert files_and_leftovers(tmp_path) == []
    with atomic_directory(target) as temporary:
        (temporary / "new").write_bytes(b"2")
    assert files_and_leftovers(tmp_path) == ["out/new"]


def test_listing_follows_links_but_not_in_circles(tmp_path):
    data, disk = tmp_path / "data", tmp_path / "disk"
    (data / "a").mkdir(parents=True)
    disk.mkdir()
    (disk / "x.tif").write_bytes(b"x")
    (data / "train").symlink_to(disk)
    (data / "a" / "circle").symlink_to(data)
    (data / "broken").symlink_to(tmp_path / "nowhere")
    (data / f"{TEMPORARY_PREFIX}1.tif").write_bytes(b"half")
    (data / "a" / "y.tif").write_bytes(b"y")
    assert files_below(data) == ["a/y.tif", "train/x.tif"]


def test_hidden_names():
    hidden = [".DS_Store", "a/._x.tif", ".git/HEAD", "__MACOSX/a/x.tif"]
    assert all(is_hidden(name) for name in hidden)
    assert not any(is_hidden(name) for name in ["a.b/c.tif", "MACOSX/x", "x._y"])


def test_sha256_of_a_known_text(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "abc") == digest


def interrupted_write(path):
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"half of the n")
        raise KeyboardInterrupt


def interrupted_folder(path):
    with atomic_directory(path) as temporary:
        assert list(temporary.iterdir()) == []
        (temporary / "new").write_bytes(b"2")
        raise KeyboardInterrupt


def files_and_leftovers(directory):
    found = (path for path in directory.rglob("*") if not path.is_dir())
    return sorted(path.relative_to(directory).as_posix() for path in found)
