"""Weights come from a folder or a bucket, and are what its SHA256SUMS says."""

import hashlib

import pytest

from tenfold.data.storage import Storage, open_storage
from tenfold.data.weights import find_weights
from tenfold.errors import RecipeError, StoreError

NAME = "net.safetensors"


@pytest.fixture(params=["folder", "bucket", "s3_bucket"])
def mirror(request, tmp_path, monkeypatch):
    """An empty mirror of each kind, the one that is used."""
    uri = tmp_path / "mirror"
    if request.param != "folder":
        uri = f"{request.getfixturevalue(request.param)}/weights"
    monkeypatch.setenv("TENFOLD_WEIGHTS", str(uri))
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    return open_storage(uri)


@pytest.fixture
def downloads(monkeypatch):
    """The names that are downloaded from now on."""
    names = []
    original = Storage.download

    def download(self, name, local):
        names.append(name)
        original(self, name, local)

    monkeypatch.setattr(Storage, "download", download)
    return names


def line(data, name, mark=" "):
    return f"{hashlib.sha256(data).hexdigest()} {mark}{name}\n"


def test_a_file_of_the_mirror_is_found_here(mirror, tmp_path):
    mirror.write_bytes(NAME, b"one")
    path = find_weights(NAME, "net")
    assert path.read_bytes() == b"one"
    assert path.name == NAME
    if mirror.local_path is None:
        assert path.is_relative_to(tmp_path / "cache")


def test_a_file_of_a_bucket_is_downloaded_when_it_changed(mirror, downloads):
    for data in (b"one", b"two"):
        mirror.write_bytes(NAME, data)
        assert find_weights(NAME, "net") == find_weights(NAME, "net")
        assert find_weights(NAME, "net").read_bytes() == data
    assert downloads == ([] if mirror.local_path else [NAME, NAME])


def test_a_missing_file_says_where_to_put_it(mirror):
    place = f"put {NAME} in {mirror.uri} .*TENFOLD_WEIGHTS"
    with pytest.raises(RecipeError, match=f"no pretrained weights for net: {place}"):
        find_weights(NAME, "net")


def test_a_mirror_that_cannot_be_read_is_no_missing_file(any_bucket, monkeypatch):
    monkeypatch.setenv("TENFOLD_WEIGHTS", f"{any_bucket}-misspelt")
    with pytest.raises(StoreError, match=r"misspelt.*bucket, does not exist"):
        find_weights(NAME, "net")


@pytest.mark.parametrize("mark", [" ", "*"])
def test_sums_that_are_right(mirror, mark):
    sums = line(b"x", "other", mark) + line(b"one", f"./{NAME}", mark)
    mirror.write_bytes("SHA256SUMS", sums.encode())
    mirror.write_bytes(NAME, b"one")
    assert find_weights(NAME, "net").read_bytes() == b"one"


def test_sums_need_not_name_every_file(mirror):
    mirror.write_bytes("SHA256SUMS", line(b"x", "other").encode())
    mirror.write_bytes(NAME, b"one")
    assert find_weights(NAME, "net").read_bytes() == b"one"


def test_sums_that_differ_refuse_the_file_until_it_is_right(mirror):
    mirror.write_bytes("SHA256SUMS", line(b"right", NAME).encode())
    mirror.write_bytes(NAME, b"wrong")
    for _ in range(2):
        with pytest.raises(RecipeError, match=rf"{NAME} is not the file .*SHA256SUMS"):
            find_weights(NAME, "net")
    mirror.write_bytes(NAME, b"right")
    assert find_weights(NAME, "net").read_bytes() == b"right"


@pytest.mark.parametrize("sums", [b"nonsense\n", b"\xff\xfe\n"])
def test_sums_that_are_none_say_how_to_write_them(mirror, sums):
    mirror.write_bytes("SHA256SUMS", sums)
    mirror.write_bytes(NAME, b"one")
    with pytest.raises(RecipeError, match=r"sha256sum \*\.safetensors > SHA256SUMS"):
        find_weights(NAME, "net")


def test_an_absolute_path_needs_no_mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("TENFOLD_WEIGHTS", "gs://nowhere")
    (tmp_path / NAME).write_bytes(b"one")
    assert find_weights(str(tmp_path / NAME), "net") == tmp_path / NAME
