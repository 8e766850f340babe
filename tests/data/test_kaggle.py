"""Kaggle's own client, against a server that has its endpoints.

The server answers as Kaggle does: a call is a POST with the user's name and key, and
its answer leads to a signed address of another host. The client cannot be given an
address, so the one it has for a local Kaggle is exchanged.
"""

import base64
import importlib
import io
import json
import os
import random
import subprocess
import sys
import time
import types
import zipfile

import pytest

from tenfold.data.fetching import fetch as fetching
from tenfold.data.fetching import kaggle
from tenfold.data.fetching.listing import Download, KaggleSet
from tenfold.data.fetching.orders import Order
from tenfold.data.fetching.shelf import Shelf
from tenfold.errors import SourceError
from tests.data.file_server import File, FileServer

API = "/api/v1"
COMPETITION = KaggleSet(competition="clouds")
DATASET = KaggleSet(dataset="me/clouds")
BLOB = random.Random(3).randbytes(2_500_000)
HALF = len(BLOB) // 2


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home without credentials."""
    for name in [name for name in os.environ if name.startswith("KAGGLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home" / ".kaggle"))
    return tmp_path / "home"


class Kaggle(FileServer):
    """A Kaggle with one competition and one data set, both called clouds."""

    KEY = base64.b64encode(b"me:k3y").decode()

    def host(self, service, name, data, **of_file):
        """Let a call lead to a file."""
        self.files[f"/blobs/{name}"] = File(data, **of_file)
        signed = self.url(f"/blobs/{name}?X-Goog-Signature=s1gned")
        self.redirects[f"{API}/{service}"] = signed

    def answer(self, handler):
        known = handler.headers["Authorization"] == f"Basic {self.KEY}"
        if handler.path.startswith(API) and not known:
            self.redirects.clear()
            self.files[handler.path] = File(b"", statuses=[401])
        super().answer(handler)

    def calls(self):
        """What was asked of the service: its method, and what it was told."""
        return [
            (seen.path.rpartition("/")[2], json.loads(seen.body))
            for seen in self.seen
            if seen.method == "POST"
        ]


@pytest.fixture
def server(monkeypatch):
    """A Kaggle, known to a client that was imported with credentials."""
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "k3y")
    for name in [name for name in sys.modules if name.split(".")[0] == "kaggle"]:
        monkeypatch.delitem(sys.modules, name)
    module = importlib.import_module("kaggle.api.kaggle_api_extended")
    environment = importlib.import_module("kagglesdk.kaggle_env")
    server = Kaggle()
    monkeypatch.setattr(module.KaggleApi, "args", ["--local"])
    local = {environment.KaggleEnv.LOCAL: server.url("", host="localhost")}
    monkeypatch.setattr(environment, "_env_to_endpoint", local)
    clock = types.SimpleNamespace(sleep=lambda _s: None, mktime=time.mktime)
    monkeypatch.setattr(module, "time", clock)
    yield server
    server.close()


def get(wanted, folder):
    told = []
    path = kaggle.download(wanted, folder, None, lambda *now: told.append(now))
    return path, told


FILES = "competitions.CompetitionApiService/DownloadDataFiles"
ONE_FILE = "competitions.CompetitionApiService/DownloadDataFile"
OF_DATASET = "datasets.DatasetApiService/DownloadDataset"


@pytest.mark.parametrize(
    ("wanted", "call", "arrives", "told"),
    [
        (COMPETITION, FILES, "clouds.zip", {"competitionName": "clouds"}),
        (
            KaggleSet(competition="clouds", file="train.csv"),
            ONE_FILE,
            "blob.zip",
            {"competitionName": "clouds", "fileName": "train.csv"},
        ),
        (
            DATASET,
            OF_DATASET,
            "clouds.zip",
            {"ownerSlug": "me", "datasetSlug": "clouds"},
        ),
        (
            KaggleSet(dataset="me/clouds/3", file="a/train.csv"),
            OF_DATASET,
            "blob.zip",
            {
                "ownerSlug": "me",
                "datasetSlug": "clouds",
                "datasetVersionNumber": 3,
                "fileName": "a/train.csv",
            },
        ),
    ],
)
def test_each_kind_of_set_arrives(server, tmp_path, capfd, wanted, call, arrives, told):
    server.host(call, "blob.zip", BLOB)
    path, progress = get(wanted, tmp_path / "desk")
    assert path == tmp_path / "desk" / arrives
    assert path.read_bytes() == BLOB
    assert progress[-1] == (len(BLOB), None)
    ((method, body),) = server.calls()
    assert method == call.rpartition("/")[2]
    assert {key: body[key] for key in told} == told
    assert capfd.readouterr() == ("", "")


def test_the_key_goes_to_kaggle_alone(server, tmp_path):
    server.host(FILES, "blob.zip", BLOB, cuts=[HALF])
    get(COMPETITION, tmp_path / "desk")
    keys = [seen.headers["Authorization"] for seen in server.seen]
    assert keys == [f"Basic {Kaggle.KEY}", None, None]


def test_a_broken_connection_goes_on(server, tmp_path):
    server.host(FILES, "blob.zip", BLOB, cuts=[HALF])
    path, _ = get(COMPETITION, tmp_path / "desk")
    assert path.read_bytes() == BLOB
    assert server.sent < len(BLOB) + HALF
    assert [path.name for path in path.parent.iterdir()] == ["clouds.zip"]


def test_a_later_call_goes_on_where_it_stopped(server, tmp_path):
    server.host(FILES, "blob.zip", BLOB, cuts=[HALF] + [0] * 5)
    with pytest.raises(SourceError, match=r"clouds: Kaggle does not answer, or.*kept"):
        get(COMPETITION, tmp_path / "desk")
    here = (tmp_path / "desk" / "clouds.zip").stat().st_size
    assert 0 < here <= HALF
    server.seen.clear()
    path, _ = get(COMPETITION, tmp_path / "desk")
    assert path.read_bytes() == BLOB
    assert server.ranges() == [None, None, f"bytes={here}-"]


def test_a_refusal_in_the_middle_is_not_taken_for_data(server, tmp_path):
    """A signed address ends while the connection is broken."""
    server.host(FILES, "blob.zip", BLOB, cuts=[HALF])
    file, serve = server.files["/blobs/blob.zip"], server.answer

    def serve_once(handler):
        serve(handler)
        if handler.path.startswith("/blobs"):
            file.statuses.append(403)

    server.answer = serve_once
    with pytest.raises(SourceError, match="not the size it said, so it was removed"):
        get(COMPETITION, tmp_path / "desk")
    assert server.sent == HALF
    server.answer = serve
    file.statuses.clear()
    path, _ = get(COMPETITION, tmp_path / "desk")
    assert path.read_bytes() == BLOB


@pytest.mark.parametrize(
    ("status", "wanted", "message"),
    [
        (
            403,
            COMPETITION,
            r"refuses \(403\); accept the rules at https://www.kaggle.com"
            "/competitions/clouds/rules",
        ),
        (403, DATASET, r"refuses \(403\); see at https://www.kaggle.com/datasets/me/"),
        (404, COMPETITION, r"no such file \(404\); see https://www.kaggle.com/comp"),
        (500, COMPETITION, "answers 500; run the same command again"),
    ],
)
def test_refusals_say_what_to_do(server, tmp_path, status, wanted, message):
    call = f"{API}/{OF_DATASET if wanted.dataset else FILES}"
    server.files[call] = File(b"", statuses=[status])
    with pytest.raises(SourceError, match=message):
        get(wanted, tmp_path / "desk")


@pytest.mark.usefixtures("server")
def test_a_wrong_key_says_where_to_put_a_right_one(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLE_KEY", "wr0ng")
    with pytest.raises(SourceError, match=r"does not know these cred.*KAGGLE_K") as e:
        get(COMPETITION, tmp_path / "desk")
    assert "wr0ng" not in str(e.value)


def test_no_address_and_no_key_is_shown_whatever_is_switched_on(
    server, tmp_path, capfd, caplog, monkeypatch
):
    caplog.set_level("DEBUG")
    api = "kaggle.api.kaggle_api_extended"
    arguments = ["--local", "--verbose"]
    monkeypatch.setattr(sys.modules[api].KaggleApi, "args", arguments)
    server.host(FILES, "blob.zip", zipped(a="1"), cuts=[9] + [0] * 5)
    with pytest.raises(SourceError):
        get(COMPETITION, tmp_path / "desk")
    shown = "".join(capfd.readouterr()) + caplog.text
    assert "s1gned" not in shown
    assert Kaggle.KEY not in shown
    assert "k3y" not in shown


PROGRAM = """
import pathlib, sys
from tenfold.data.fetching import kaggle
from tenfold.data.fetching.listing import KaggleSet
from tenfold.errors import SourceError
assert 'kaggle' not in sys.modules
try:
    kaggle.download(KaggleSet(competition='x'), pathlib.Path('desk'), None, print)
except SourceError as error:
    print('sentence:', error)
"""


def test_without_credentials_a_sentence_says_where_to_put_them(home, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    line = done.stdout.splitlines()[-1]
    assert line.startswith(
        "sentence: Kaggle asks who you are: make a token at https://"
    )
    assert "~/.kaggle/kaggle.json" in line
    assert "KAGGLE_USERNAME" in line
    assert "Authentication required" not in done.stdout + done.stderr
    assert home.exists()


def order(wanted, **of_download):
    return Order(Download(name="clouds", kaggle=wanted, **of_download))


def fetch(ordered, folder):
    return fetching.fetch(ordered, Shelf(folder), None, lambda *_: None)


def test_a_whole_competition_is_unpacked(server, tmp_path):
    data = zipped(train_images__a="1", train_images__b="22", **{"train.csv": "x"})
    server.host(FILES, "blob.zip", data)
    kept = fetch(order(COMPETITION, unpack=True, target="."), tmp_path / "out")
    assert (kept.files, kept.bytes) == (3, 4)
    found = {p.name for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert found == {"a", "b", "train.csv", ".fetched.json"}


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_single_file_may_come_in_a_zip(server, tmp_path, wrapped):
    data = zipped(**{"train.csv": "a,b"}) if wrapped else b"a,b"
    server.host(ONE_FILE, f"train.csv{'.zip' * wrapped}", data)
    wanted = KaggleSet(competition="clouds", file="train.csv")
    fetch(order(wanted, target="labels/train.csv", size=3), tmp_path / "out")
    assert (tmp_path / "out" / "labels" / "train.csv").read_text() == "a,b"
    assert not (tmp_path / "out" / ".downloads").exists()


def test_a_zip_with_more_than_the_single_file_is_refused(server, tmp_path):
    server.host(ONE_FILE, "train.csv.zip", zipped(a="1", b="2"))
    wanted = KaggleSet(competition="clouds", file="train.csv")
    with pytest.raises(SourceError, match=r"holds 2 files instead of train\.csv"):
        fetch(order(wanted, target="train.csv"), tmp_path / "out")
