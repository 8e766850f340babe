"""`tenfold fetch` as a person uses it, against a real server."""

import os
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from tenfold.challenges import find_challenge, load_recipe
from tenfold.cli import main
from tenfold.recipe import DataOptions
from tests.data.file_server import File, FileServer

SMALL = ("synth.train=8", "synth.test=2", "synth.coasts=4")
SIGNED = "?X-Amz-Signature=s1gned"
TOKEN = "t0ken-of-mine"  # noqa: S105
#: The names that the competition's page gives, and the folder in each archive.
ARCHIVES = {
    "train_labels.tar_l8u2RP0.gz": "train_kelp",
    "test_features.tar_cVzb1K0.gz": "test_satellite",
    "train_features.tar_MLIC14m.gz": "train_satellite",
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Tiles, as the competition has them."""
    folder = tmp_path_factory.mktemp("raw")
    options = load_recipe("kelp", "smoke", SMALL).synth
    find_challenge("kelp").synth.synthesise(folder / "kelp", options)
    return folder / "kelp" / "data"


@pytest.fixture(scope="module")
def packed(raw, tmp_path_factory):
    """The files of the competition's page: name → bytes."""
    folder = tmp_path_factory.mktemp("packed")
    files = {}
    for name, inner in ARCHIVES.items():
        with tarfile.open(folder / name, "w:gz") as archive:
            archive.add(raw / inner, inner)
        files[name] = (folder / name).read_bytes()
    (metadata,) = raw.glob("metadata*.csv")
    return files | {"metadata_fTq0l2T.csv": metadata.read_bytes()}


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    monkeypatch.delenv("TENFOLD_FETCH_TOKEN", raising=False)


@pytest.fixture
def server(packed):
    server = FileServer()
    server.files = {f"/255/{name}": File(data) for name, data in packed.items()}
    yield server
    server.close()


@pytest.fixture
def links(server, packed, tmp_path):
    file = tmp_path / "links.txt"
    file.write_text("\n".join(server.url(f"/255/{name}{SIGNED}") for name in packed))
    return file


def fetch(out, *more, code=(0, None)):
    with pytest.raises(SystemExit) as ended:
        main(["fetch", "kelp", "--out", str(out), *map(str, more)])
    assert ended.value.code in (code if isinstance(code, tuple) else (code,))


def fails(capsys, out, *more):
    """Fetch in vain; return the one sentence."""
    capsys.readouterr()
    fetch(out, *more, code=2)
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1, error
    return error[0].removeprefix("error: ")


def below(folder):
    """All tiles and tables below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def all_bytes(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_kelp_arrives_as_ingest_reads_it(raw, server, links, tmp_path, capfd):
    out = tmp_path / "kelp"
    fetch(out, "--links", links)
    said = capfd.readouterr()
    assert below(out) == {
        "metadata_fTq0l2T.csv" if name.startswith("metadata") else name: data
        for name, data in below(raw).items()
        if not name.startswith("submission")
    }
    scan = find_challenge("kelp").reader.scan(raw, DataOptions())
    assert scan.rejected  # Synthetic data have broken tiles, too.
    lines = said.out.splitlines()
    assert lines[0] == f"metadata: from {server.url('/255/metadata_fTq0l2T.csv')}?…"
    assert any(line.endswith(", 8 files unpacked") for line in lines)
    assert "submission_format: left out, as no link is given" in lines
    assert lines[-2] == (
        f"ingest will find {len(scan.samples)} samples in {out};"
        f" {len(scan.rejected)} cannot be used"
    )
    assert lines[-1] == f"next: tenfold run kelp --source {out} --recipe baseline"
    assert "s1gned" not in said.out + said.err
    assert b"s1gned" not in all_bytes(out)


def test_nothing_is_fetched_twice(server, links, tmp_path, capsys):
    out = tmp_path / "kelp"
    fetch(out, "--links", links)
    server.seen.clear()
    capsys.readouterr()
    fetch(out)
    assert not server.seen
    assert "train_satellite: is there already" in capsys.readouterr().out


def test_a_dry_run_sends_nothing_and_makes_nothing(server, links, tmp_path, capsys):
    out = tmp_path / "kelp"
    fetch(out, "--links", links, "--dry-run")
    said = capsys.readouterr().out
    for name in ARCHIVES:
        assert f"size unknown, {server.url(f'/255/{name}')}?…" in said
    assert f"unpacked into {out / 'train_satellite'}" in said
    assert "free on the disk: " in said
    assert "s1gned" not in said
    assert not server.seen
    assert not out.exists()


def test_without_links_their_page_is_named(tmp_path, capsys):
    error = fails(capsys, tmp_path / "kelp")
    assert "no link for metadata, train_kelp, test_satellite, train_satellite;" in error
    assert "https://www.drivendata.org/competitions/255/" in error
    assert "--links FILE" in error


def test_unknown_challenges_are_named(capsys):
    with pytest.raises(SystemExit):
        main(["fetch", "kale", "--out", "x"])
    assert "unknown challenge 'kale'; there is " in capsys.readouterr().err


def test_a_link_that_ended_says_so(server, links, tmp_path, capsys):
    server.files["/255/test_features.tar_cVzb1K0.gz"].statuses = [403]
    error = fails(capsys, tmp_path / "kelp", "--links", links)
    assert "test_features.tar_cVzb1K0.gz?… is refused (403); a signed link" in error
    fetch(tmp_path / "kelp", "--links", links)
    assert "metadata: is there already" in capsys.readouterr().out


def test_what_ingest_cannot_read_is_said_at_once(server, links, tmp_path, capsys):
    server.files["/255/metadata_fTq0l2T.csv"] = File(b"tile_id,filename\nA,b\n")
    error = fails(capsys, tmp_path / "kelp", "--links", links)
    assert "no column in_train, md5_hash, type" in error


@pytest.mark.parametrize("way", ["file", "variable"])
def test_a_token_is_used_and_never_seen(
    server, packed, tmp_path, capfd, caplog, monkeypatch, way
):
    caplog.set_level("DEBUG")
    file = tmp_path / "links.txt"
    signed = f"train_labels.tar_l8u2RP0.gz{SIGNED}"
    names = [signed if signed.startswith(name) else name for name in packed]
    file.write_text("\n".join(server.url(f"/255/{name}") for name in names))
    more = ()
    if way == "file":
        token = tmp_path / "token"
        token.write_text(f"{TOKEN}\n")
        token.chmod(0o600)
        more = ("--token-file", token)
    else:
        monkeypatch.setenv("TENFOLD_FETCH_TOKEN", TOKEN)
    fetch(tmp_path / "kelp", "--links", file, *more)
    sent = {seen.path: seen.headers["Authorization"] for seen in server.seen}
    assert sent.pop(f"/255/{signed}") is None
    assert set(sent.values()) == {f"Bearer {TOKEN}"}
    said = capfd.readouterr()
    assert "with your token" in said.out
    assert TOKEN not in said.out + said.err + caplog.text
    assert TOKEN.encode() not in all_bytes(tmp_path / "kelp")


def test_a_token_that_others_may_read_is_refused(server, links, tmp_path, capsys):
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o644)
    more = ("--links", links, "--token-file", token)
    error = fails(capsys, tmp_path / "kelp", *more)
    assert error == f"others may read the token in {token}: chmod 600 {token}"
    assert not server.seen


PROGRAM = "import sys; from tenfold.cli import main; main(sys.argv[1:])"


def test_after_a_kill_only_the_rest_is_fetched(server, packed, links, tmp_path):
    out, name = tmp_path / "kelp", "train_features.tar_MLIC14m.gz"
    whole = len(packed[name])
    file = server.files[f"/255/{name}"]
    file.cuts, file.stalls = [whole * 3 // 4], True
    command = ["fetch", "kelp", "--out", str(out), "--links", str(links)]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert server.stalled.wait(60)
    part = out / ".downloads" / "train_satellite" / "train_satellite.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > whole // 4):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    here = part.stat().st_size
    server.seen.clear()
    server.sent = 0
    fetch(out, "--links", links)
    assert server.ranges() == [f"bytes={here}-"]
    assert server.sent == whole - here
    undisturbed = tmp_path / "undisturbed"
    fetch(undisturbed, "--links", links)
    assert below(out) == below(undisturbed)
    assert not (out / ".downloads").exists()
