"""A folder and the buckets behave alike; what goes wrong is one clear sentence."""

import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tenfold.data import storage as storage_module
from tenfold.data.files import TEMPORARY_PREFIX
from tenfold.data.sources import fingerprint
from tenfold.data.storage import open_storage
from tenfold.errors import SourceError, StoreError

ODD_NAMES = ["sp ace.txt", "é#%?+&=.txt", "a/b/c/d", ".hidden", "x~1"]


@pytest.fixture(params=["folder", "bucket", "s3_bucket"])
def place(request, tmp_path):
    """An empty place of each kind."""
    if request.param == "folder":
        return open_storage(tmp_path / "place")
    return open_storage(f"{request.getfixturevalue(request.param)}/some/prefix")


# One place, three kinds


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
    source.write_bytes(os.urandom(9 << 20))  # more than a single request holds
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
        ("ftp://x/y", r"'ftp://' is not supported; use one of a path, .*gs://, s3://"),
        ("gs://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
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
        "import sys, tenfold.data.sources, tenfold.data.weights\n"
        "heavy = {'google', 'requests', 'boto3', 'botocore'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    # -S: some packages of this environment add 'google' at start-up by a .pth file.
    root = Path(storage_module.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-S", "-c", code], check=True, env=environment)


def test_addresses_with_a_password_are_refused_without_telling_it():
    for uri in ("s3://KEY:hush@bucket/x", "https://me:hush@host/x?sig=hush"):
        with pytest.raises(StoreError) as caught:
            open_storage(uri)
        assert "hush" not in str(caught.value)


# What only buckets do


def of_size(tmp_path, size):
    (tmp_path / "whole").write_bytes(os.urandom(size))
    return tmp_path / "whole"


def test_missing_bucket_is_never_created_nor_taken_for_an_empty_one(
    any_bucket, tmp_path
):
    place = open_storage(f"{any_bucket}-misspelt/x")
    assert place.local_path is None
    local = of_size(tmp_path, 9)
    for call in (
        place.names,
        lambda: place.exists("a"),
        lambda: place.delete("a"),
        lambda: place.write_bytes("a", b"1"),
        lambda: place.upload(local, "a"),
        lambda: place.names(),
    ):
        with pytest.raises(StoreError, match=r"misspelt.*bucket, does not exist"):
            call()


def test_folders_that_a_console_made_are_no_files(remote):
    for key in ("data/train/", "data/"):
        make_object(remote, key)
    remote.storage.write_bytes("data/train/a", b"1")
    assert open_storage(f"{remote.uri}/data").names() == ["train/a"]
    assert open_storage(remote.uri).names() == ["data/train/a"]
    assert not open_storage(remote.uri).exists("data")


def make_object(remote, key):
    """Make an object under a key that this project would not use."""
    client, name = remote.storage._client, remote.storage.bucket
    if remote.kind == "gs":
        client.bucket(name).blob(key).upload_from_string(b"")
    else:
        client.put_object(Bucket=name, Key=key, Body=b"")


def test_a_service_that_fails_in_passing_is_asked_again(remote, tmp_path):
    local = of_size(tmp_path, 11 << 20)
    storage, proxy = remote.storage, remote.proxy
    storage.write_bytes("gone", b"")

    def all_works():
        storage.write_bytes("small", b"1")
        storage.upload(local, "large")
        assert storage.read_bytes("small") == b"1"
        storage.download("large", tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == local.read_bytes()
        storage.delete("gone")
        assert not storage.exists("gone")
        assert storage.names() == ["large", "small"]

    tried = set()

    def for_the_first_time(seen):
        kind = seen.method, seen.path.partition("?")[0], seen.headers.get("Range")
        new = kind not in tried
        tried.add(kind)
        return new

    proxy.during(503, when=for_the_first_time)
    all_works()
    assert {kind[0] for kind in tried} >= {"GET", "PUT", "POST", "DELETE"}


def hasty(storage):
    return replace(storage, give_up=0.5) if hasattr(storage, "give_up") else storage


def test_a_service_that_keeps_failing_is_an_error_that_names_the_address(remote):
    remote.proxy.during(503)
    storage = hasty(remote.storage)
    for call in (
        lambda: storage.write_bytes("a", b"1"),
        lambda: storage.read_bytes("a"),
        storage.names,
    ):
        before = len(remote.proxy.seen)
        with pytest.raises(StoreError, match=f"cannot .*{remote.uri}.*503"):
            call()
        assert len(remote.proxy.seen) - before > 1


def test_nobody_at_the_endpoint_is_an_error_that_tells_the_cure(remote, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but not listening
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        cure = {"gs": "STORAGE_EMULATOR_HOST", "s3": "AWS_ENDPOINT_URL"}[remote.kind]
        monkeypatch.setenv(cure, address)
        with pytest.raises(StoreError, match=f"nothing answers at {address}.*{cure}"):
            hasty(remote.storage).read_bytes("a")


def test_denied_access_tells_the_cure_and_is_not_tried_again(remote, tmp_path):
    local = of_size(tmp_path, 6 << 20)
    remote.proxy.during(403)
    cure = {"gs": "gcloud auth application-default login", "s3": "AWS_ACCESS_KEY_ID"}
    for call in (
        lambda: remote.storage.exists("a"),
        lambda: remote.storage.read_bytes("a"),
        lambda: remote.storage.upload(local, "a"),
        remote.storage.names,
    ):
        before = len(remote.proxy.seen)
        with pytest.raises(StoreError, match=f"denied.*{cure[remote.kind]}") as caught:
            call()
        assert "\n" not in str(caught.value)
        assert len(remote.proxy.seen) - before == 1


def test_no_error_tells_a_key_or_a_signature(remote, tmp_path):
    local = of_size(tmp_path, 11 << 20)
    remote.proxy.during(403, when=lambda seen: seen.method == "PUT")
    with pytest.raises(StoreError, match="denied") as caught:
        remote.storage.upload(local, "a")
    sent = [seen.headers.get("Authorization") for seen in remote.proxy.seen]
    assert "a-secret-key" not in str([caught.value, sent])
    for secret in ("upload_id", "uploadId", "Signature", "Credential"):
        assert secret not in str(caught.value)
    assert caught.value.__suppress_context__  # nor does a traceback


def test_a_large_object_arrives_in_parts_side_by_side(remote, tmp_path):
    local = of_size(tmp_path, 2 * remote.storage.part + 1)
    remote.storage.upload(local, "a")
    remote.storage.download("a", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == local.read_bytes()
    ranges = {seen.headers["Range"] for seen in remote.proxy.asked("GET", "Range")}
    assert len(ranges) == 3


@pytest.mark.parametrize("parts", [0, 2])
def test_a_damaged_download_is_noticed(remote, tmp_path, parts):
    local = of_size(tmp_path, parts * remote.storage.part + 9)
    remote.storage.upload(local, "a")
    (tmp_path / "copy").write_bytes(b"old")
    remote.proxy.during("damage reply", when=is_content)
    with pytest.raises(StoreError, match=r"cannot read .*/a: .*differs from the check"):
        remote.storage.download("a", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"old"
    assert not list(tmp_path.glob(f"{TEMPORARY_PREFIX}*"))


def is_content(seen):
    return seen.method == "GET" and ("alt=media" in seen.path or "/a" in seen.path)


def test_a_damaged_read_is_noticed(remote):
    remote.storage.write_bytes("a", b"right")
    remote.proxy.during("damage reply", when=is_content)
    with pytest.raises(StoreError, match="differs from the checksum"):
        remote.storage.read_bytes("a")


def test_a_download_that_is_cut_off_goes_on(remote, tmp_path):
    local = of_size(tmp_path, 2 * remote.storage.part + 9)
    remote.storage.upload(local, "a")
    remote.proxy.during("hang up", times=2, when=is_content)
    remote.storage.download("a", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == local.read_bytes()


def _read_often(storage, name, done):
    wanted = name.encode() * 1000
    done.put(all(storage.read_bytes(name) == wanted for _ in range(10)))


def test_forked_processes_do_not_share_a_connection(remote):
    for name in "abcd":
        remote.storage.write_bytes(name, name.encode() * 1000)
    assert remote.storage.exists("a")  # the parent has a connection by now
    context = multiprocessing.get_context("fork")
    done = context.Queue()
    workers = [
        context.Process(target=_read_often, args=(remote.storage, name, done))
        for name in "abcd"
    ]
    for worker in workers:
        worker.start()
    assert [done.get(timeout=60) for _ in workers] == [True] * 4
    for worker in workers:
        worker.join()
