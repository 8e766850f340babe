"""How what was fetched comes to its place, and what happens when it cannot."""

import hashlib
import io
import os
import tarfile

import pytest

from tenfold.data.archives import kind_of
from tenfold.data.fetching import fetch as fetching
from tenfold.data.fetching import shelf as shelves
from tenfold.data.fetching.https import Patience
from tenfold.data.fetching.listing import Download
from tenfold.data.fetching.meter import Meter
from tenfold.data.fetching.orders import Order, describe
from tenfold.data.fetching.room import said
from tenfold.data.fetching.shelf import Shelf
from tenfold.errors import SourceError
from tests.data.file_server import File, FileServer
from tests.data.test_archives import write_archive

TILES = {"a.tif": b"one", "b.tif": b"three"}


@pytest.fixture
def server():
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "out")


def packed(tmp_path, files, suffix=".tar.gz"):
    return write_archive(tmp_path / f"packed{suffix}", files).read_bytes()


def fetch(server, shelf, data, of_file=None, **of_download):
    server.files["/x"] = File(data, **of_file or {})
    values = {"name": "tiles", "unpack": True, "target": "train"} | of_download
    order = Order(Download(**values), server.url("/x"))
    patience = Patience(0.001, 0.001, 2)
    kept = fetching.fetch(order, shelf, None, lambda *_: None, patience)
    return order.download, kept


def below(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".fetched.json"
    }


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
@pytest.mark.parametrize("inner", ["", "train/", "train/x/"])
def test_archives_of_any_name_unpack_into_their_folder(
    tmp_path, server, shelf, suffix, inner
):
    files = {f"{inner}{name}": data for name, data in TILES.items()}
    junk = {"__MACOSX/train/._a.tif": b"x", "._train": b"x"} if inner else {}
    data = packed(tmp_path, files | junk, suffix)
    (tmp_path / "unnamed").write_bytes(data)
    assert kind_of(tmp_path / "unnamed") == suffix
    download, kept = fetch(server, shelf, data)
    deeper = inner.removeprefix("train/")
    assert below(shelf.folder) == {f"train/{deeper}{n}": d for n, d in TILES.items()}
    assert (kept.files, kept.bytes) == (2, 8)
    assert kept.identity.sha256 == hashlib.sha256(data).hexdigest()
    assert shelf.kept(download) == kept


def test_an_archive_of_all_unpacks_beside_what_is_there(tmp_path, server, shelf):
    shelf.folder.mkdir()
    (shelf.folder / "mine.txt").write_bytes(b"mine")
    data = packed(tmp_path, {"train/a": b"1", "b.csv": b"2"})
    download, kept = fetch(server, shelf, data, target=".")
    assert below(shelf.folder) == {
        "train/a": b"1",
        "b.csv": b"2",
        "mine.txt": b"mine",
    }
    assert kept.placed == ("b.csv", "train")
    (shelf.folder / "mine.txt").write_bytes(b"still mine")
    assert shelf.kept(download) == kept


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_checksums_are_compared(server, shelf, kind):
    right = {kind: hashlib.new(kind, b"data").hexdigest()}
    with pytest.raises(SourceError, match=rf"table is not .*its {kind} is .*removed"):
        fetch(server, shelf, b"dada", name="table", unpack=False, **right)
    assert not below(shelf.folder)
    download, _ = fetch(server, shelf, b"data", name="table", unpack=False, **right)
    assert below(shelf.folder) == {"train": b"data"}
    assert shelf.kept(download)


def test_a_size_that_the_server_does_not_tell_is_compared(server, shelf):
    with pytest.raises(SourceError, match="its size is 4, the list says 5"):
        fetch(server, shelf, b"data", {"lengthless": True}, unpack=False, size=5)


def test_what_is_no_archive_is_removed(server, shelf):
    with pytest.raises(
        SourceError, match=r"tiles is no zip, tar or tar\.gz, so it was"
    ):
        fetch(server, shelf, b"<Error>Expired</Error>")
    assert not below(shelf.folder)


def test_a_damaged_archive_is_removed(tmp_path, server, shelf):
    with pytest.raises(SourceError, match=r"tiles\.tar\.gz.*\(it was removed\)"):
        fetch(server, shelf, packed(tmp_path, TILES)[:-9])
    assert not below(shelf.folder)
    fetch(server, shelf, packed(tmp_path, TILES))


def test_an_archive_that_climbs_out_is_refused(tmp_path, server, shelf):
    with pytest.raises(SourceError, match=r"\.\./up.*leads out of the archive"):
        fetch(server, shelf, packed(tmp_path, {"../up": b"x"}, ".zip"))
    assert not (shelf.folder.parent / "up").exists()


def test_a_full_disk_under_unpacking_keeps_the_archive(
    tmp_path, server, shelf, monkeypatch
):
    def write(*_):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr("tenfold.data.archives._Intake.write", write)
        with pytest.raises(SourceError, match=r"the disk of .* is full; free some"):
            fetch(server, shelf, packed(tmp_path, TILES))
    server.seen.clear()
    fetch(server, shelf, packed(tmp_path, TILES))
    assert not server.seen
    assert below(shelf.folder) == {f"train/{n}": d for n, d in TILES.items()}


@pytest.mark.parametrize("step", ["_write", "_census"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_kill_while_placing_is_mended(
    tmp_path, server, shelf, monkeypatch, step, times
):
    """Killed at the first or second write of the record, or before."""
    data = packed(tmp_path, TILES)
    owner = Shelf if step == "_write" else shelves
    original, left = getattr(owner, step), [times]

    def killed(*arguments):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
        if (step, times) != ("_census", 2):
            with pytest.raises(KeyboardInterrupt):
                fetch(server, shelf, data)
    server.seen.clear()
    download, kept = fetch(server, shelf, data)
    assert shelf.kept(download) == kept
    assert below(shelf.folder) == {f"train/{n}": d for n, d in TILES.items()}


def test_what_is_there_and_not_fetched_stays(tmp_path, server, shelf):
    (shelf.folder / "train").mkdir(parents=True)
    (shelf.folder / "train" / "mine").write_bytes(b"mine")
    with pytest.raises(SourceError, match=r"train is there already, and not from a f"):
        fetch(server, shelf, packed(tmp_path, TILES))
    assert (shelf.folder / "train" / "mine").read_bytes() == b"mine"


def test_hidden_files_do_not_count(tmp_path, server, shelf):
    download, kept = fetch(server, shelf, packed(tmp_path, TILES))
    (shelf.folder / "train" / ".DS_Store").write_bytes(b"seen")
    assert shelf.kept(download) == kept
    with pytest.raises(SourceError, match="junk holds no data"):
        fetch(server, shelf, packed(tmp_path, {"._a": b"x"}), name="junk", target=".")


def test_what_was_changed_since_is_said(tmp_path, server, shelf):
    download, _ = fetch(server, shelf, packed(tmp_path, TILES))
    (shelf.folder / "train" / "a.tif").unlink()
    with pytest.raises(
        SourceError, match=r"train: 1 files of 5 bytes, but 2 of 8 were"
    ):
        shelf.kept(download)
    (shelf.folder / "train" / "b.tif").unlink()
    (shelf.folder / "train").rmdir()
    assert shelf.kept(download) is None


def test_a_table_that_was_changed_since_is_said(server, shelf):
    download, _ = fetch(server, shelf, b"data", unpack=False)
    (shelf.folder / "train").write_bytes(b"atad")
    with pytest.raises(
        SourceError, match=r"is not the listed tiles \(it was changed\)"
    ):
        shelf.kept(download)


def test_a_list_that_names_another_file_since_is_said(server, shelf):
    download, _ = fetch(server, shelf, b"data", unpack=False)
    other = download.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(SourceError, match=r"is not the listed tiles \(its sha256"):
        shelf.kept(other)


def test_a_record_that_is_none_is_said(shelf):
    shelf.folder.mkdir()
    (shelf.folder / ".fetched.json").write_text('{"tiles": {"placed": 1}}')
    with pytest.raises(
        SourceError, match=r"fetched\.json: .*it is the record of a fet"
    ):
        shelf.kept(Download(name="tiles", target="t"))


def test_two_fetches_to_one_folder_do_not_meet(shelf):
    with shelf.alone():
        again = Shelf(shelf.folder).alone()
        with pytest.raises(SourceError, match=r"another fetch to .*out is at work"):
            again.__enter__()
    with shelf.alone():
        pass


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (7_340_000, "7.3 MB"),
        (450_910_000_000, "450.9 GB"),
        (4_509_100_000_000, "4,509.1 GB"),
    ],
)
def test_sizes_in_words(size, words):
    assert said(size) == words


def test_a_meter_says_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    with Meter("tiles", stream, pause=0) as meter:
        meter.show(1_000_000, 4_000_000)
        meter.show(2_000_000, None)
    first, second = stream.getvalue().splitlines()
    assert first == "tiles: 1.0 MB of 4.0 MB"
    assert second.startswith("tiles: 2.0 MB, ")
    assert second.endswith("/s")
    with Meter("tiles", stream, pause=3600) as meter:
        meter.show(1, 2)
    assert len(stream.getvalue().splitlines()) == 2


def test_kinds_of_archives_are_told_by_their_bytes(tmp_path):
    file = tmp_path / "x.zip"
    file.write_bytes(b"")
    assert kind_of(file) is None
    with tarfile.open(file, "w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    assert kind_of(file) == ".tar"


def test_a_dry_run_says_what_is_here(tmp_path, shelf, server):
    data = packed(tmp_path, TILES)
    with pytest.raises(SourceError, match="connection broke"):
        fetch(server, shelf, data, {"cuts": [5, 0, 0, 0]})
    download = Download(name="tiles", unpack=True, target="train")
    order = Order(download, server.url("/x?Signature=s1gned"))
    text = "\n".join(describe([order], shelf))
    assert f"tiles: size unknown, {server.url('/x')}?…; 5 bytes are here" in text
    assert f"unpacked into {shelf.folder / 'train'}" in text
    assert "needed: at least 0 bytes, and 1 files of unknown size" in text
    fetch(server, shelf, data)
    assert "tiles: is there already" in "\n".join(describe([order], shelf))
