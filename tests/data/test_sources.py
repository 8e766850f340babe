"""Sources arrive whole or not at all, and are known by what they hold."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data import sources as sources_module
from tenfold.data.files import TEMPORARY_PREFIX
from tenfold.data.sources import fingerprint, localise
from tenfold.data.storage import Storage, open_storage
from tenfold.errors import SourceError

FILES = {"train/a.tif": b"a" * 700, "train/b.tif": b"", "labels.csv": b"id,y\n1,2\n"}


def fill(uri, files):
    place = open_storage(uri)
    for name, data in files.items():
        place.write_bytes(name, data)
    return place


def contents(directory):
    place = open_storage(directory)
    return {
        name: place.read_bytes(name)
        for name in place.names()
        if not name.startswith(".")
    }


def make_zip(path, files):
    with zipfile.ZipFile(path, "w") as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return path


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


# Fingerprints


def test_fingerprint_sees_content_behind_same_name_size_and_time(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"one")
    before, status = fingerprint(tmp_path), path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint(tmp_path) != before
    path.write_bytes(b"one")
    assert fingerprint(tmp_path) == before


def test_fingerprint_ignores_dates_place_and_hidden_files(tmp_path):
    fill(tmp_path / "a", FILES)
    hidden = dict.fromkeys([".DS_Store", "train/._a.tif", ".git/x", "__MACOSX/y"], b"")
    fill(tmp_path / "b", {**FILES, **hidden})
    os.utime(tmp_path / "b" / "labels.csv", (1, 1))
    assert fingerprint(tmp_path / "a") == fingerprint(str(tmp_path / "b"))


@settings(max_examples=15)
@given(
    files=st.lists(
        st.dictionaries(st.sampled_from("abc"), st.binary(max_size=3), min_size=1),
        min_size=2,
        max_size=2,
    )
)
def test_fingerprints_are_equal_only_for_equal_folders(tmp_path_factory, files):
    folders = [tmp_path_factory.mktemp("f") for _ in files]
    for folder, held in zip(folders, files, strict=True):
        fill(folder, held)
    same = fingerprint(folders[0]) == fingerprint(folders[1])
    assert same == (files[0] == files[1])


def test_fingerprint_of_an_archive_and_of_objects(tmp_path, any_bucket):
    archive = make_zip(tmp_path / "d.zip", FILES)
    fill(f"{any_bucket}/d", {**FILES, ".DS_Store": b""})
    fill(f"{any_bucket}/e", FILES)
    assert fingerprint(archive) == fingerprint(str(archive))
    objects = fingerprint(f"{any_bucket}/d")
    assert objects == fingerprint(f"{any_bucket}/e/")
    fill(f"{any_bucket}/d", {"labels.csv": b"id,y\n1,3\n"})
    assert fingerprint(f"{any_bucket}/d") != objects


def test_fingerprint_of_objects_reads_no_data(remote):
    fill(remote.uri, FILES)
    remote.proxy.seen.clear()
    assert len(fingerprint(remote.uri)) == 64
    assert len(remote.proxy.seen) == 1
    assert not any(name in remote.proxy.seen[0].path for name in FILES)


@pytest.mark.parametrize("call", [fingerprint, lambda uri: localise(uri, Path("s"))])
def test_sources_without_files(tmp_path, any_bucket, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "junk", {".DS_Store": b"1"})
    for uri in ("empty", "junk", "missing", "missing.zip", f"{any_bucket}/x"):
        with pytest.raises(SourceError, match=f"no files in {uri}"):
            call(uri)
    with pytest.raises(SourceError, match="bucket, does not exist"):
        call(f"{any_bucket}-misspelt/x.zip")


# Bringing a source here


def test_folder_is_returned_as_it_is(tmp_path):
    fill(tmp_path / "data", FILES)
    assert localise(tmp_path / "data", tmp_path / "scratch") == tmp_path / "data"
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("name", ["d.zip", "d.tar", "d.tar.gz", "d.tgz"])
def test_archive_is_extracted_once(tmp_path, name, monkeypatch):
    fill(tmp_path / "data", FILES)
    if name.endswith(".zip"):
        make_zip(tmp_path / name, FILES)
    else:
        mode = "w" if name.endswith("r") else "w:gz"
        with tarfile.open(tmp_path / name, mode) as opened:
            opened.add(tmp_path / "data", ".")
    folder = localise(tmp_path / name, tmp_path / "scratch")
    assert contents(folder) == FILES
    assert fingerprint(folder) == fingerprint(tmp_path / "data")
    monkeypatch.setattr(sources_module, "extract", None)
    assert localise(tmp_path / name, tmp_path / "scratch") == folder


def test_archive_that_changed_is_extracted_again(tmp_path):
    first = localise(make_zip(tmp_path / "d.zip", {"a": b"1"}), tmp_path / "s")
    second = localise(make_zip(tmp_path / "d.zip", {"a": b"2"}), tmp_path / "s")
    assert (contents(first), contents(second)) == ({"a": b"1"}, {"a": b"2"})


@pytest.mark.parametrize("damage", ["file", "marker", "size"])
def test_extraction_that_is_no_longer_whole_is_repeated(tmp_path, damage):
    archive = make_zip(tmp_path / "d.zip", FILES)
    folder = localise(archive, tmp_path / "s")
    if damage == "file":
        (folder / "labels.csv").unlink()
    elif damage == "marker":
        (folder / ".localised.json").unlink()
    else:
        (folder / "labels.csv").write_bytes(b"")
    assert localise(archive, tmp_path / "s") == folder
    assert contents(folder) == FILES


def test_damaged_archive_leaves_nothing(tmp_path):
    archive = make_zip(tmp_path / "d.zip", FILES)
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(SourceError, match=r"d\.zip"):
        localise(archive, tmp_path / "s")
    assert [path.suffix for path in (tmp_path / "s").iterdir()] == [".lock"]


def test_other_file_is_no_source(tmp_path):
    (tmp_path / "x.tif").write_bytes(b"1")
    with pytest.raises(SourceError, match="neither a folder nor an archive"):
        localise(tmp_path / "x.tif", tmp_path / "s")


def test_objects_are_downloaded_once(tmp_path, any_bucket, downloads):
    fill(f"{any_bucket}/d", {**FILES, ".DS_Store": b"1"})
    told = []
    folder = localise(f"{any_bucket}/d", tmp_path, lambda *args: told.append(args))
    assert contents(folder) == FILES
    assert told == [(1, 3, "files"), (2, 3, "files"), (3, 3, "files")]
    assert sorted(downloads) == sorted(FILES)
    assert localise(f"{any_bucket}/d", tmp_path) == folder
    assert len(downloads) == 3


def test_download_goes_on_where_it_stopped(
    tmp_path, any_bucket, downloads, monkeypatch
):
    uri = f"{any_bucket}/d"
    fill(uri, FILES)

    def stop(done, _total, _unit):
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(sources_module, "_TRANSFER_THREADS", 1)
    with pytest.raises(KeyboardInterrupt):
        localise(uri, tmp_path, stop)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("d-")]
    kept = set(downloads)
    assert len(kept) >= 2
    arrived = next(path for path in tmp_path.iterdir() if path.is_dir())
    (arrived / "stray").write_bytes(b"1")
    # The source changed and grew meanwhile.
    fill(uri, {"labels.csv": b"id,y\n9,9\n", "more.csv": b"1"})
    downloads.clear()
    folder = localise(uri, tmp_path)
    assert contents(folder) == {
        **FILES,
        "labels.csv": b"id,y\n9,9\n",
        "more.csv": b"1",
    }
    assert set(downloads) == {*FILES, "more.csv"} - (kept - {"labels.csv"})
    assert set(tmp_path.iterdir()) == {folder, arrived.with_suffix(".lock")}


def test_a_killed_download_leaves_no_half_of_a_file(tmp_path, remote):
    whole = os.urandom(1 << 20)
    fill(f"{remote.uri}/d", {"large.bin": whole, "small.bin": b"1"})
    remote.proxy.during("stall", times=1, when=is_large)
    code = (
        "import sys; from pathlib import Path\n"
        "from tenfold.data.sources import localise\n"
        "localise(sys.argv[1], Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", code, f"{remote.uri}/d", str(tmp_path)]
    with subprocess.Popen(command) as process:
        assert remote.proxy.stalled.wait(60)
        process.kill()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("d-")]
    remote.proxy.seen.clear()
    folder = localise(f"{remote.uri}/d", tmp_path)
    assert (folder / "large.bin").read_bytes() == whole
    assert list(tmp_path.rglob(f"{TEMPORARY_PREFIX}*")) == list(tmp_path.glob("*.lock"))


def is_large(seen):
    content = "alt=media" in seen.path or seen.path.endswith("large.bin")
    return seen.method == "GET" and "large.bin" in seen.path and content


def test_archive_in_a_bucket(tmp_path, any_bucket, downloads):
    open_storage(any_bucket).upload(make_zip(tmp_path / "d.zip", FILES), "d.zip")
    folder = localise(f"{any_bucket}/d.zip", tmp_path / "s")
    assert contents(folder) == FILES
    assert downloads == ["d.zip"]
    assert localise(f"{any_bucket}/d.zip", tmp_path / "s") == folder
    assert downloads == ["d.zip"]
    assert {p.suffix for p in (tmp_path / "s").iterdir()} == {"", ".lock"}
    assert len(list((tmp_path / "s").iterdir())) == 2


def test_objects_that_are_both_file_and_folder_are_refused(tmp_path, any_bucket):
    fill(f"{any_bucket}/d", {"a": b"1", "a/b": b"2"})
    with pytest.raises(SourceError, match="/d/a is a file and a folder"):
        localise(f"{any_bucket}/d", tmp_path)


def test_objects_whose_names_leave_the_folder_are_refused(tmp_path, gs):
    bucket = gs.storage._client.bucket(gs.storage.bucket)
    bucket.blob("d/a//b").upload_from_string(b"1")
    with pytest.raises(SourceError, match="is not a relative name"):
        localise(f"{gs.uri}/d", tmp_path)


def test_files_that_are_never_read_do_not_count(tmp_path, any_bucket, downloads):
    def reads(name):
        return not name.endswith("b.txt")

    files = {"in/a.txt": b"same", "in/b.txt": b"1"}
    fill(tmp_path / "one", files)
    fill(tmp_path / "two", {**files, "in/b.txt": b"2"})
    one, two = (fingerprint(tmp_path / folder, reads) for folder in ("one", "two"))
    assert one == two != fingerprint(tmp_path / "one")
    fill(tmp_path / "two", {"in/a.txt": b"not the same"})
    assert fingerprint(tmp_path / "two", reads) != one
    fill(f"{any_bucket}/d", files)
    folder = localise(f"{any_bucket}/d", tmp_path / "scratch", reads=reads)
    assert contents(folder) == {"in/a.txt": b"same"}
    assert len(downloads) == 1
    with pytest.raises(SourceError, match="no files in"):
        fingerprint(tmp_path / "one", lambda _: False)
