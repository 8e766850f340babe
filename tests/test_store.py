"""Store entries exist when they are complete and true, and at no other time."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold import store as store_module
from tenfold.data.files import TEMPORARY_PREFIX
from tenfold.data.storage import Storage, open_storage
from tenfold.errors import StoreError
from tenfold.store import CHECKPOINTS, MANIFEST, Key, Store

KEY = Key("train", {"dataset": "ingest/0a1b"}, {"epochs": 3, "rate": [0.1]}, "c0de")
RECIPE = {"name": "smoke", "seed": 42}
FILES = {"metrics.json": b'{"dice": 0.5}', "shards/a/x.npy": bytes(range(256))}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=6,
)


class InterruptedWorkError(Exception):
    pass


class Work:
    """Fills a workspace and remembers what it found there, call by call."""

    def __init__(self, files=FILES, fails=False):
        self.files, self.fails, self.found = files, fails, []

    def __call__(self, workspace):
        names = open_storage(workspace.path).names()
        self.found.append(
            {name: (workspace.path / name).read_bytes() for name in names}
        )
        put(workspace.path, self.files)
        if self.fails:
            raise InterruptedWorkError("out of memory")


def put(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def build(store, work=None, key=KEY):
    return store.build(key, "train unet, fold 2", RECIPE, work or Work())


def fail(store, files, key=KEY):
    with pytest.raises(InterruptedWorkError):
        build(store, Work(files, fails=True), key)


def contents(entry):
    names = [file["name"] for file in entry.manifest["files"]]
    return {name: (entry.path / name).read_bytes() for name in names}


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1])


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


# An entry


def test_an_entry_holds_what_work_made(store):
    entry = build(store)
    assert contents(entry) == FILES
    assert entry.path == store.root / KEY.address
    assert entry.stage == "train"
    assert entry.inputs == {"dataset": "ingest/0a1b"}
    assert entry.json("metrics.json") == {"dice": 0.5}


def test_another_process_opens_the_same_entry(store, tmp_path):
    built = build(store)
    opened = Store(tmp_path / "store").open(KEY.address)
    assert contents(opened) == FILES
    assert opened == built


def test_the_manifest_says_what_was_made_from_what(store):
    build(store)
    manifest = json.loads((store.root / KEY.address / MANIFEST).read_bytes())
    assert manifest["files"] == [
        {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in sorted(FILES.items())
    ]
    assert manifest["recipe"] == RECIPE
    assert manifest["inputs"] == KEY.inputs
    assert manifest["section"] == KEY.section
    assert manifest["code"] == "c0de"
    assert manifest["address"] == KEY.address
    assert manifest["label"] == "train unet, fold 2"
    assert manifest["versions"]["python"].startswith("3.")


def test_a_finished_entry_is_not_made_again(store, tmp_path):
    build(store)
    again = Work({"metrics.json": b"{}"})
    for place in (store, Store(tmp_path / "store")):
        assert contents(build(place, again)) == FILES
    assert again.found == []


def test_nothing_is_found_where_nothing_was_made(store):
    assert store.find(KEY.address) is None
    with pytest.raises(StoreError, match=f"{KEY.address} is missing or incomplete"):
        store.open(KEY.address)


def test_work_that_makes_no_files_makes_an_empty_entry(store):
    assert contents(build(store, Work({}))) == {}
    assert store.open(KEY.address).manifest["files"] == []


# Addresses


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "tune"},
        {"inputs": {"dataset": "ingest/0a1c"}},
        {"inputs": {"data": "ingest/0a1b"}},
        {"inputs": {**KEY.inputs, "folds": "split/1"}},
        {"inputs": {}},
        {"section": {"epochs": 4, "rate": [0.1]}},
        {"section": {"epochs": 3, "rate": [0.2]}},
        {"section": {}},
        {"code": "c0df"},
    ],
)
def test_whatever_an_entry_depends_on_is_in_its_address(store, change):
    other = replace(KEY, **change)
    assert other.address != KEY.address
    build(store)
    made_anew = Work()
    assert build(store, made_anew, other).address == other.address
    assert len(made_anew.found) == 1


def test_the_address_does_not_depend_on_the_order_of_names():
    one = Key("tune", {"a": "x/1", "b": "y/2"}, {"p": 1, "q": [2]}, "c")
    two = Key("tune", {"b": "y/2", "a": "x/1"}, {"q": [2], "p": 1}, "c")
    assert one.address == two.address
    assert one.address.startswith("tune/")


@given(one=JSON, two=JSON)
def test_sections_have_one_address_only_if_they_are_equal_as_json(one, two):
    texts = [json.dumps(section, sort_keys=True) for section in (one, two)]
    addresses = [replace(KEY, section=section).address for section in (one, two)]
    assert (addresses[0] == addresses[1]) == (texts[0] == texts[1])


def test_the_label_is_not_part_of_the_address(store):
    build(store)
    again = Work()
    store.build(KEY, "another name", {"name": "another recipe"}, again)
    assert again.found == []


# Failed attempts


def test_failed_work_makes_no_entry_and_its_error_goes_on(store):
    with pytest.raises(InterruptedWorkError, match="out of memory"):
        build(store, Work(fails=True))
    assert store.find(KEY.address) is None
    log = (store.root / KEY.address / "log.jsonl").read_text().splitlines()
    failures = [line for line in map(json.loads, log) if line["event"] == "failed"]
    assert [(f["kind"], f["message"]) for f in failures] == [
        ("InterruptedWorkError", "out of memory")
    ]


def test_the_next_attempt_finds_what_the_last_one_left(store):
    fail(store, {"shards/0/x.npy": b"part"})
    goes_on = Work()
    entry = build(store, goes_on)
    assert goes_on.found[0]["shards/0/x.npy"] == b"part"
    assert contents(entry) == FILES | {"shards/0/x.npy": b"part"}


def test_there_is_no_entry_until_the_manifest_is_written(store, monkeypatch):
    def crash(path, _):
        raise InterruptedWorkError(path.name)

    with monkeypatch.context() as patched:
        patched.setattr(store_module, "write_json", crash)
        with pytest.raises(InterruptedWorkError, match=r"manifest\.json"):
            build(store)
    assert all((store.root / KEY.address / name).is_file() for name in FILES)
    assert store.find(KEY.address) is None
    assert contents(build(store)) == FILES


def test_there_is_no_entry_while_work_goes_on(store):
    seen = []

    def work(workspace):
        put(workspace.path, FILES)
        seen.append(Store(store.root).find(KEY.address))

    build(store, work)
    assert seen == [None]


def test_half_written_files_are_no_part_of_an_entry(store):
    half = {f"{TEMPORARY_PREFIX}1.npy": b"h", f"shards/{TEMPORARY_PREFIX}b/x": b"h"}
    assert contents(build(store, Work(FILES | half))) == FILES


def test_checkpoints_go_when_the_work_is_done(store):
    checkpoints = {f"{CHECKPOINTS}/0001.pt": b"w", f"{CHECKPOINTS}/latest.json": b"{}"}
    fail(store, checkpoints)
    goes_on = Work()
    entry = build(store, goes_on)
    assert goes_on.found[0].items() >= checkpoints.items()
    assert contents(entry) == FILES
    assert not (entry.path / CHECKPOINTS).exists()


def test_progress_and_log_are_no_part_of_an_entry(store):
    def work(workspace):
        put(workspace.path, FILES)
        workspace.progress.update(1, 1, "epochs")

    entry = build(store, work)
    assert contents(entry) == FILES
    for name in ("progress.json", "log.jsonl"):
        assert (entry.path / name).is_file()
        (entry.path / name).unlink()
    assert store.open(KEY.address).address == KEY.address


def test_a_file_deeper_down_is_part_of_an_entry_whatever_its_name(store):
    deep = {"model/manifest.json": b"{}", "curves/log.jsonl": b"1"}
    assert contents(build(store, Work(deep))) == deep


# Truth


@pytest.mark.parametrize("damage", [flip_a_byte, cut_short, Path.unlink])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_entry_does_not_exist_and_is_made_again(store, name, damage):
    entry = build(store)
    damage(entry.path / name)
    assert store.find(KEY.address) is None
    with pytest.raises(StoreError, match=KEY.address):
        store.open(KEY.address)
    again = Work()
    assert contents(build(store, again)) == FILES
    assert len(again.found) == 1
    assert contents(store.open(KEY.address)) == FILES


@pytest.mark.parametrize("damage", [flip_a_byte, cut_short])
def test_damage_is_not_taken_for_a_finished_part(store, damage):
    def work(workspace):
        for name, data in FILES.items():
            if not (workspace.path / name).exists():
                put(workspace.path, {name: data})

    entry = build(store, work)
    damage(entry.path / "shards/a/x.npy")
    assert contents(build(store, work)) == FILES


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"schema": 0, "files": []}', '{"schema": 1}']
)
def test_an_entry_with_a_damaged_manifest_does_not_exist(store, text):
    entry = build(store)
    (entry.path / MANIFEST).write_text(text)
    assert store.find(KEY.address) is None
    with pytest.raises(StoreError, match="missing or incomplete"):
        store.open(KEY.address)
    assert contents(build(store)) == FILES


def test_damage_that_happens_while_it_is_remade_is_not_believed(store):
    entry = build(store)
    manifest = entry.path / MANIFEST
    flip_a_byte(entry.path / "metrics.json")
    fail(store, {})
    assert not manifest.exists()
    put(entry.path, FILES)
    assert store.find(KEY.address) is None


# Processes

SCRIPT = """
import sys, time
from pathlib import Path
from tenfold.store import Key, Store

root, how = Path(sys.argv[1]), sys.argv[2]

def work(workspace):
    with (root / "journal").open("a") as journal:
        journal.write(how + "\\n")
    (workspace.path / "part").write_text("whole")
    (root / f"{how}-works").touch()
    if how == "hangs":
        time.sleep(100)
    if how == "first":
        while not (root / "second-comes").exists():
            time.sleep(0.01)
        time.sleep(0.5)
    (workspace.path / "result").write_text(how)

(root / f"{how}-comes").touch()
entry = Store(root / "store").build(Key("train", {}, {}, "c"), "label", {}, work)
print((entry.path / "result").read_text())
"""


def start(folder, how):
    command = [sys.executable, "-c", SCRIPT, str(folder), how]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_killed_process_leaves_no_entry_and_holds_up_nobody(tmp_path):
    process = start(tmp_path, "hangs")
    try:
        wait_for(tmp_path / "hangs-works")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    key = Key("train", {}, {}, "c")
    store = Store(tmp_path / "store")
    assert store.find(key.address) is None
    goes_on = Work({"result": b"done"})
    entry = build(store, goes_on, key)
    assert goes_on.found[0]["part"] == b"whole"
    assert contents(entry) == {"part": b"whole", "result": b"done"}


def test_two_processes_that_want_one_entry_make_it_once(tmp_path):
    first = start(tmp_path, "first")
    wait_for(tmp_path / "first-works")
    second = start(tmp_path, "second")
    said = [process.communicate(timeout=60) for process in (first, second)]
    assert [out.strip() for out, _ in said] == ["first", "first"], said
    assert (tmp_path / "journal").read_text() == "first\n"


# Object stores


@pytest.fixture
def machine(bucket, tmp_path):
    """Give one store as seen from machines with names."""
    return lambda name: Store(f"{bucket}/runs/store", tmp_path / name)


@pytest.fixture
def objects(bucket):
    return open_storage(f"{bucket}/runs/store/{KEY.address}")


@pytest.fixture
def uploads(monkeypatch):
    names = []
    original = Storage.upload

    def upload(self, local, name):
        names.append(name)
        original(self, local, name)

    monkeypatch.setattr(Storage, "upload", upload)
    return names


def test_an_entry_made_on_one_machine_is_there_on_another(machine):
    build(machine("a"))
    entry = machine("b").open(KEY.address)
    assert contents(entry) == FILES
    assert entry.path.is_relative_to(machine("b").root)
    again = Work()
    build(machine("c"), again)
    assert again.found == []


def test_an_object_store_has_nothing_before_something_is_made(machine):
    assert machine("a").find(KEY.address) is None
    with pytest.raises(StoreError, match=r"gs://.*is missing or incomplete"):
        machine("a").open(KEY.address)


def test_a_bucket_that_does_not_exist_is_an_error_and_not_an_empty_store(
    bucket, tmp_path
):
    store = Store(f"{bucket}-misspelt/store", tmp_path / "a")
    with pytest.raises(StoreError, match="misspelt"):
        store.find(KEY.address)


def test_the_manifest_is_uploaded_last(machine, uploads):
    build(machine("a"))
    assert set(FILES) <= set(uploads)
    assert uploads[-1] == MANIFEST
    assert uploads.count(MANIFEST) == 1


def test_an_upload_cut_short_makes_no_entry_anywhere(machine, monkeypatch):
    original = Storage.upload

    def upload(self, local, name):
        if name == MANIFEST:
            raise StoreError("the network is gone")
        original(self, local, name)

    with monkeypatch.context() as patched:
        patched.setattr(Storage, "upload", upload)
        with pytest.raises(StoreError, match="network"):
            build(machine("a"))
    assert machine("b").find(KEY.address) is None
    build(machine("a"))
    assert contents(machine("b").open(KEY.address)) == FILES


def test_another_machine_goes_on_with_persisted_parts(machine):
    parts = {f"{CHECKPOINTS}/0001.pt": b"weights", "shards/0/x.npy": b"part"}

    def preempted(workspace):
        put(workspace.path, parts | {"not-persisted": b"lost"})
        workspace.persist(*parts)
        raise InterruptedWorkError

    with pytest.raises(InterruptedWorkError):
        build(machine("a"), preempted)
    assert machine("b").find(KEY.address) is None
    goes_on = Work()
    entry = build(machine("b"), goes_on)
    found = goes_on.found[0]
    assert {name: found.get(name) for name in parts} == parts
    assert "not-persisted" not in found
    expected = FILES | {"shards/0/x.npy": b"part"}
    assert contents(entry) == expected
    assert contents(machine("c").open(KEY.address)) == expected


def test_persisted_checkpoints_leave_the_bucket_when_the_work_is_done(machine, objects):
    def work(workspace):
        put(workspace.path, FILES | {f"{CHECKPOINTS}/0001.pt": b"weights"})
        workspace.persist(f"{CHECKPOINTS}/0001.pt")

    build(machine("a"), work)
    assert [name for name in objects.names() if name.startswith(CHECKPOINTS)] == []


def test_persisting_to_a_folder_changes_nothing(store):
    def work(workspace):
        put(workspace.path, FILES)
        workspace.persist(*FILES)

    assert contents(build(store, work)) == FILES


@pytest.mark.parametrize("damage", [flip_a_byte, cut_short, Path.unlink])
def test_a_damaged_mirror_is_fetched_again(machine, damage):
    build(machine("a"))
    damage(machine("b").open(KEY.address).path / "shards/a/x.npy")
    assert contents(machine("b").open(KEY.address)) == FILES
    again = Work()
    damage(machine("b").root / KEY.address / "shards/a/x.npy")
    assert contents(build(machine("b"), again)) == FILES
    assert again.found == []


def test_an_interrupted_download_goes_on(machine, monkeypatch):
    build(machine("a"))
    original = Storage.download

    def download(self, name, local):
        if name == "shards/a/x.npy":
            raise StoreError("the network is gone")
        original(self, name, local)

    with monkeypatch.context() as patched:
        patched.setattr(Storage, "download", download)
        with pytest.raises(StoreError, match="network"):
            machine("b").find(KEY.address)
    assert contents(machine("b").open(KEY.address)) == FILES


def test_an_entry_that_lost_an_object_does_not_exist_and_is_made_again(
    machine, objects
):
    build(machine("a"))
    objects.delete("metrics.json")
    assert machine("b").find(KEY.address) is None
    again = Work()
    build(machine("c"), again)
    assert len(again.found) == 1
    assert contents(machine("d").open(KEY.address)) == FILES


def test_an_object_that_changed_is_not_believed(machine, objects):
    build(machine("a"))
    objects.write_bytes("metrics.json", b'{"dice": 0.6}')
    assert machine("b").find(KEY.address) is None
    assert contents(build(machine("b"))) == FILES
    assert contents(machine("c").open(KEY.address)) == FILES


def test_mirrors_lie_in_the_cache_folder_apart_for_each_store(monkeypatch, tmp_path):
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path))
    roots = [Store(f"gs://bucket/{name}").root for name in ("one", "two", "one")]
    assert all(root.is_relative_to(tmp_path) for root in roots)
    assert roots[0] == roots[2] != roots[1]
