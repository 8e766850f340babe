"""A folder and a bucket behave alike, and sources arrive whole or not at all."""

import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data import storage as storage_module
from tenfold.data.files import TEMPORARY_PREFIX
from tenfold.data.storage import Storage, fingerprint, localise, open_storage
from tenfold.errors import SourceError, StoreError

FILES = {"train/a.tif": b"a" * 700, "train/b.tif": b"", "labels.csv": b"id,y\n1,2\n"}
ODD_NAMES = ["sp ace.txt", "é#%?+&=.txt", "a/b/c/d", ".hidden", "x~1"]


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    """An empty place of either kind."""
    if request.param == "folder":
        return open_storage(tmp_path / "place")
    return open_storage(f"{request.getfixturevalue('bucket')}/some/prefix")


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


# One place, two kinds


def test_round_trip(place):
    for data in (b"first", b"", b"second"):
        place.write_bytes("a/b.bin", data)
        assert place.read_bytes("a/b.bin") == data
        assert place.size("a/b.bin") == len(data)
    assert place.exists("a/b.bin")
    assert not place.exists("a")
    assert not place.exists("a/b")
    place.delete("a/b.bin")
    place.delete("a/b.bin")
    assert not place.exists("a/b.bin")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(place, name):
    place.write_bytes(name, b"1")
    assert place.names() == [name]
    assert place.exists(name)
    assert place.read_bytes(name) == b"1"
    place.delete(name)
    assert place.names() == []


def test_names_are_relative_sorted_and_start_with_the_prefix(place):
    for name in ("b/2", "b/10", "a", "bc/1", "b/c/3"):
        place.write_bytes(name, b"")
    assert place.names() == ["a", "b/10", "b/2", "b/c/3", "bc/1"]
    assert place.names("b/") == ["b/10", "b/2", "b/c/3"]
    assert place.names("b") == ["b/10", "b/2", "b/c/3", "bc/1"]
    assert place.names("b/1") == ["b/10"]
    assert place.names("none/") == []


def test_neighbours_are_not_listed(place):
    place.child("x").write_bytes("in", b"")
    place.child("xy").write_bytes("out", b"")
    place.write_bytes("x.txt", b"")
    assert place.child("x").names() == ["in"]
    assert place.child("x").child("y").names() == []


def test_upload_and_download(place, tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(os.urandom(6 << 20))  # more than a single request holds
    place.upload(source, "models/m.bin")
    place.download("models/m.bin", tmp_path / "new" / "copy.bin")
    assert (tmp_path / "new" / "copy.bin").read_bytes() == source.read_bytes()
    assert place.names() == ["models/m.bin"]


def test_missing_files_name_their_address(place, tmp_path):
    local = tmp_path / "local"
    for call in (place.read_bytes, place.size, lambda n: place.download(n, local)):
        with pytest.raises(StoreError, match=r"cannot .*/gone/x: .*does not exist"):
            call("gone/x")
    with pytest.raises(StoreError, match=r"/gone/x: "):
        place.upload(local, "gone/x")
    assert not local.exists()


@pytest.mark.parametrize("name", ["", "/x", "../x", "a/../x", "a//b", "a/", ".", "\0"])
def test_names_that_leave_the_place(place, name):
    for call in (place.exists, place.read_bytes, place.delete, place.child):
        with pytest.raises(StoreError, match="is not a relative name"):
            call(name)


def test_places_travel_between_processes(place):
    place.write_bytes("a", b"1")
    again = pickle.loads(pickle.dumps(place))  # noqa: S301
    assert again == place
    assert again.read_bytes("a") == b"1"


def test_interrupted_download_leaves_the_old_file(place, tmp_path, monkeypatch):
    place.write_bytes("a", b"new")
    (tmp_path / "a").write_bytes(b"old")

    def download(_self, _name, temporary):
        temporary.write_bytes(b"ne")
        raise ConnectionResetError("gone")

    monkeypatch.setattr(type(place), "_download", download)
    with pytest.raises(StoreError, match="gone"):
        place.download("a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert not list(tmp_path.glob(f"{TEMPORARY_PREFIX}*"))


def test_short_upload_is_noticed(place, tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"whole")
    monkeypatch.setattr(
        type(place), "_upload", lambda self, _, name: self._write(name, b"who")
    )
    with pytest.raises(StoreError, match="has 3 bytes after the upload"):
        place.upload(tmp_path / "a", "a")


# What only a folder does


def test_half_written_files_are_not_listed(tmp_path):
    (tmp_path / f"{TEMPORARY_PREFIX}abc.json").write_bytes(b"{")
    (tmp_path / "a.json").write_bytes(b"{}")
    assert open_storage(tmp_path).names() == ["a.json"]


def test_killed_write_leaves_nothing_under_the_name(tmp_path):
    code = (
        "import os, sys; from pathlib import Path\n"
        "from tenfold.data.storage import open_storage\n"
        "Path.replace = lambda *_: os._exit(9)\n"
        "open_storage(sys.argv[1]).write_bytes('a', b'1')\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == 9
    assert list(tmp_path.iterdir())
    assert open_storage(tmp_path).names() == []
    assert not open_storage(tmp_path).exists("a")


def test_addresses_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").mkdir()
    for uri in (
        "a b",
        tmp_path / "a b",
        str(tmp_path / "a b"),
        f"file://{tmp_path}/a b",
    ):
        assert open_storage(uri) == open_storage(Path("a b"))
        assert open_storage(uri).local_path == tmp_path / "a b"
    assert open_storage((tmp_path / "a b").as_uri()).local_path == tmp_path / "a b"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("ftp://x/y", r"'ftp://' is not supported; use one of a path, file://, gs://"),
        ("gs://", "names no bucket"),
        ("file://host/x", "another machine"),
    ],
)
def test_addresses_that_make_no_sense(uri, message):
    with pytest.raises(StoreError, match=message):
        open_storage(uri)
    with pytest.raises(SourceError, match=message):
        fingerprint(uri)


def test_import_is_light():
    code = (
        "import sys, tenfold.data.storage\n"
        "heavy = {'fsspec', 'gcsfs', 'aiohttp', 'google'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    # -S: some packages of this environment add 'google' at start-up by a .pth file.
    root = Path(storage_module.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-S", "-c", code], check=True, env=environment)


# What only a bucket does


def test_missing_bucket_is_never_created_nor_taken_for_an_empty_one(bucket):
    place = open_storage(f"{bucket}-misspelt/x")
    assert place.local_path is None
    for call in (
        place.names,
        lambda: place.exists("a"),
        lambda: place.delete("a"),
        lambda: place.write_bytes("a", b"1"),
    ):
        with pytest.raises(StoreError, match=r"misspelt.*bucket, does not exist"):
            call()


def test_folders_that_a_console_made_are_no_files(bucket):
    client = storage_module._gs_client()
    client.pipe_file(f"{bucket[5:]}/data/train/", b"")
    client.pipe_file(f"{bucket[5:]}/data/", b"")
    client.pipe_file(f"{bucket[5:]}/data/train/a", b"1")
    assert open_storage(f"{bucket}/data").names() == ["train/a"]
    assert open_storage(bucket).names() == ["data/train/a"]
    assert not open_storage(bucket).exists("data")


def test_damaged_transfer_is_noticed(bucket, tmp_path, monkeypatch):
    place = fill(bucket, {"a": b"right"})
    client = storage_module._gs_client()
    monkeypatch.setattr(
        client, "get_file", lambda _key, local: Path(local).write_bytes(b"wrong")
    )
    with pytest.raises(StoreError, match="differs from the object's checksum"):
        place.download("a", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_denied_access_tells_the_cure(bucket, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError("Forbidden: https://…")

    monkeypatch.setattr(storage_module._gs_client(), "info", refuse)
    with pytest.raises(StoreError, match="gcloud auth application-default login"):
        open_storage(bucket).exists("a")


def test_checksums_of_composed_objects():
    # The CRC32C of "123456789", from RFC 3720.
    stamp = storage_module._stamp_of("a", {"size": "9", "crc32c": "4waSgw=="})
    assert stamp.digest == "crc32c:4waSgw=="


def test_crc32c_of_a_known_text(tmp_path):
    (tmp_path / "a").write_bytes(b"123456789")
    stamp = storage_module._stamp_of("a", {"size": "9", "crc32c": "4waSgw=="})
    assert storage_module._is_copy(tmp_path / "a", stamp)
    (tmp_path / "a").write_bytes(b"123456780")
    assert not storage_module._is_copy(tmp_path / "a", stamp)


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


def test_fingerprint_of_an_archive_and_of_objects(tmp_path, bucket):
    archive = make_zip(tmp_path / "d.zip", FILES)
    fill(f"{bucket}/d", {**FILES, ".DS_Store": b""})
    fill(f"{bucket}/e", FILES)
    assert fingerprint(archive) == fingerprint(str(archive))
    objects = fingerprint(f"{bucket}/d")
    assert objects == fingerprint(f"{bucket}/e/")
    fill(f"{bucket}/d", {"labels.csv": b"id,y\n1,3\n"})
    assert fingerprint(f"{bucket}/d") != objects


def test_fingerprint_of_objects_reads_no_data(bucket, monkeypatch):
    fill(bucket, FILES)
    monkeypatch.setattr(storage_module._Bucket, "_download", None)
    monkeypatch.setattr(storage_module._Bucket, "_read", None)
    assert len(fingerprint(bucket)) == 64


@pytest.mark.parametrize("call", [fingerprint, lambda uri: localise(uri, Path("s"))])
def test_sources_without_files(tmp_path, bucket, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "junk", {".DS_Store": b"1"})
    for uri in ("empty", "junk", "missing", "missing.zip", f"{bucket}/x"):
        with pytest.raises(SourceError, match=f"no files in {uri}"):
            call(uri)
    with pytest.raises(SourceError, match="bucket, does not exist"):
        call(f"{bucket}-misspelt/x.zip")


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
    monkeypatch.setattr(storage_module, "extract", None)
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


def test_objects_are_downloaded_once(tmp_path, bucket, downloads):
    fill(f"{bucket}/d", {**FILES, ".DS_Store": b"1"})
    told = []
    folder = localise(f"{bucket}/d", tmp_path, lambda *args: told.append(args))
    assert contents(folder) == FILES
    assert told == [(1, 3, "files"), (2, 3, "files"), (3, 3, "files")]
    assert sorted(downloads) == sorted(FILES)
    assert localise(f"{bucket}/d", tmp_path) == folder
    assert len(downloads) == 3


def test_download_goes_on_where_it_stopped(tmp_path, bucket, downloads, monkeypatch):
    uri = f"{bucket}/d"
    fill(uri, FILES)

    def stop(done, _total, _unit):
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(storage_module, "_TRANSFER_THREADS", 1)
    with pytest.raises(KeyboardInterrupt):
        localise(uri, tmp_path, stop)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("d-")]
    partial = next(path for path in tmp_path.iterdir() if path.is_dir())
    kept = set(contents(partial))
    (partial / "stray").write_bytes(b"1")
    # The source changed and grew meanwhile.
    fill(uri, {"labels.csv": b"id,y\n9,9\n", "more.csv": b"1"})
    downloads.clear()
    folder = localise(uri, tmp_path)
    assert contents(folder) == {
        **FILES,
        "labels.csv": b"id,y\n9,9\n",
        "more.csv": b"1",
    }
    assert len(kept) >= 2
    assert set(downloads) == {*FILES, "more.csv"} - (kept - {"labels.csv"})


def test_archive_in_a_bucket(tmp_path, bucket, downloads):
    open_storage(bucket).upload(make_zip(tmp_path / "d.zip", FILES), "d.zip")
    folder = localise(f"{bucket}/d.zip", tmp_path / "s")
    assert contents(folder) == FILES
    assert downloads == ["d.zip"]
    assert localise(f"{bucket}/d.zip", tmp_path / "s") == folder
    assert downloads == ["d.zip"]
    assert {p.suffix for p in (tmp_path / "s").iterdir()} == {"", ".lock"}
    assert len(list((tmp_path / "s").iterdir())) == 2


def test_objects_that_are_both_file_and_folder_are_refused(tmp_path, bucket):
    fill(f"{bucket}/d", {"a": b"1", "a/b": b"2"})
    with pytest.raises(SourceError, match="/d"):
        localise(f"{bucket}/d", tmp_path)


def test_objects_whose_names_leave_the_folder_are_refused(tmp_path, bucket):
    storage_module._gs_client().pipe_file(f"{bucket[5:]}/d/a//b", b"1")
    with pytest.raises(SourceError, match="is not a relative name"):
        localise(f"{bucket}/d", tmp_path)
