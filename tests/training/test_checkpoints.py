"""Checkpoints: whatever happens during a save, a whole one is found afterwards."""

import contextlib
import json
import os
import pickle
import shutil
import signal
from pathlib import Path

import pytest
import torch
from toy import TOUCHES, make_workspace, state_of

from tenfold.data.files import sha256_of
from tenfold.data.storage import open_storage
from tenfold.errors import TrainingError
from tenfold.progress import Progress
from tenfold.store import CHECKPOINTS, Workspace
from tenfold.training.checkpoints import SCHEMA
from tenfold.training.torch_checkpoints import TorchCheckpoints

POINTER = "latest.json"


class CrashError(Exception):
    """What a test makes a save fail with."""


@pytest.fixture
def workspace(tmp_path):
    return make_workspace(tmp_path / "entry")


@pytest.fixture
def folder(workspace):
    return workspace.path / CHECKPOINTS


def number_in(workspace):
    """Load the last state as a new process would; check that it is whole."""
    state = TorchCheckpoints(workspace).load("must")
    assert torch.equal(state["weights"], torch.full((50,), float(state["number"])))
    return state["number"]


def pointed_file(folder):
    return folder / json.loads((folder / POINTER).read_text())["file"]


def test_what_is_saved_comes_back_with_types_and_bits(workspace):
    state = {
        "schema": SCHEMA,
        "tensors": {
            "a": torch.randn(3, 4),
            "b": torch.arange(5),
            "c": torch.tensor(2.5),
        },
        "half": torch.randn(4).bfloat16(),
        "numbers": [0.1, 3, True, None, -float("inf"), "x"],
        "pair": ({"w": torch.zeros(2)}, 7),
    }
    TorchCheckpoints(workspace).save("000000001-1", state)
    for resume in ("auto", "must"):
        back = TorchCheckpoints(workspace).load(resume)
        assert back.keys() == state.keys()
        assert back["numbers"] == state["numbers"]
        assert back["pair"][1] == 7
        for name, tensor in state["tensors"].items():
            assert back["tensors"][name].dtype == tensor.dtype
            assert torch.equal(back["tensors"][name], tensor)
        assert torch.equal(back["half"], state["half"])


def test_the_last_save_is_the_one_that_is_loaded(workspace):
    checkpoints = TorchCheckpoints(workspace)
    # A name that sorts last is not what makes a checkpoint the last.
    for number in (1, 9, 3):
        checkpoints.save(str(number), state_of(number))
        assert number_in(workspace) == number


def test_older_checkpoints_go(workspace, folder):
    checkpoints = TorchCheckpoints(workspace)
    for number in range(5):
        checkpoints.save(f"{number:03d}", state_of(number))
    assert sorted(p.name for p in folder.iterdir()) == ["004.pt", POINTER]


def test_what_killed_attempts_left_goes_too(workspace, folder):
    TorchCheckpoints(workspace).save("1", state_of(1))
    (folder / ".tmp-0123456789abcdef.pt").write_bytes(b"half a checkpoint")
    (folder / "never-pointed-to.pt").write_bytes(b"whole, but no pointer")
    TorchCheckpoints(workspace).save("2", state_of(2))
    assert sorted(p.name for p in folder.iterdir()) == ["2.pt", POINTER]


def test_nothing_there_is_a_start_under_auto_and_refused_under_must(workspace):
    assert TorchCheckpoints(workspace).load("auto") is None
    assert TorchCheckpoints(workspace).load("never") is None
    with pytest.raises(TrainingError, match="resume=must will not start over"):
        TorchCheckpoints(workspace).load("must")


def test_never_starts_over_although_there_is_one(workspace):
    TorchCheckpoints(workspace).save("1", state_of(1))
    assert TorchCheckpoints(workspace).load("never") is None
    assert number_in(workspace) == 1


def flip_a_byte(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def truncate(file):
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("spoil", [flip_a_byte, truncate, Path.unlink])
def test_a_spoilt_checkpoint_is_none(workspace, folder, spoil):
    TorchCheckpoints(workspace).save("1", state_of(1))
    spoil(pointed_file(folder))
    assert TorchCheckpoints(workspace).load("auto") is None
    with pytest.raises(TrainingError, match="no usable checkpoint"):
        TorchCheckpoints(workspace).load("must")
    TorchCheckpoints(workspace).save("2", state_of(2))
    assert number_in(workspace) == 2


# A crash at every touch of the disk ------------------------------------------------


def touches_of_a_save(workspace, monkeypatch, strike_at=None, when="before"):
    """Save state 2 over state 1; return the touches, crashing at one of them."""
    TorchCheckpoints(workspace).save("1", state_of(1))
    touched = []

    def wrapped(name, inner):
        def outer(*args, **kwargs):
            touched.append(name)
            strikes = len(touched) == strike_at
            if strikes and when == "before":
                raise CrashError
            result = inner(*args, **kwargs)
            if strikes:
                raise CrashError
            return result

        return outer

    with monkeypatch.context() as patch:
        for owner, name in TOUCHES:
            patch.setattr(owner, name, wrapped(name, getattr(owner, name)))
        try:
            TorchCheckpoints(workspace).save("2", state_of(2))
        except CrashError:
            assert strike_at is not None
        else:
            assert strike_at is None
    return touched


def expected_touches(tmp_path, monkeypatch):
    return touches_of_a_save(make_workspace(tmp_path / "whole"), monkeypatch)


def test_an_exception_at_any_touch_leaves_a_whole_checkpoint(tmp_path, monkeypatch):
    touches = expected_touches(tmp_path, monkeypatch)
    # File, digest, pointer, in this order; the pointer's rename is what counts.
    assert touches.index("save") < touches.index("sha256_of")
    assert touches.index("sha256_of") < touches.index("write_json")
    renames = [place for place, name in enumerate(touches, 1) if name == "replace"]
    assert len(renames) == 2
    for place in range(1, len(touches) + 1):
        for when in ("before", "after"):
            workspace = make_workspace(tmp_path / f"{place}-{when}")
            touches_of_a_save(workspace, monkeypatch, place, when)
            renamed = place == renames[1] or touches[place - 1] == "write_json"
            pointed = place > renames[1] or (renamed and when == "after")
            assert number_in(workspace) == (2 if pointed else 1), (place, when)
            TorchCheckpoints(workspace).save("3", state_of(3))
            assert number_in(workspace) == 3


def test_a_kill_at_any_touch_leaves_a_whole_checkpoint(tmp_path, launch):
    folder = tmp_path / "whole"
    assert launch(work="save_twice", folder=str(folder), n=-1) == 0
    touched = json.loads((folder / "touched.json").read_text())
    assert len(touched) > 15
    found = []
    for place in range(1, len(touched) + 1):
        folder = tmp_path / str(place)
        code = launch(work="save_twice", folder=str(folder), n=place)
        assert code == -signal.SIGKILL
        workspace = make_workspace(folder)
        found.append(number_in(workspace))
        # The same name again, as a rerun of the same step would have it.
        TorchCheckpoints(workspace).save("2", state_of(2))
        assert number_in(workspace) == 2
        left = sorted(p.name for p in (folder / CHECKPOINTS).glob("*.pt"))
        assert left == ["2.pt"]
    assert found == sorted(found)
    assert set(found) == {1, 2}


def test_a_save_that_fails_half_way_through_the_file(workspace, folder, monkeypatch):
    TorchCheckpoints(workspace).save("1", state_of(1))

    def half(_state, path):
        Path(path).write_bytes(b"PK half a zip")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(OSError, match="No space left"):
            TorchCheckpoints(workspace).save("2", state_of(2))
    assert number_in(workspace) == 1
    assert sorted(p.name for p in folder.iterdir()) == ["1.pt", POINTER]


# Pickles ---------------------------------------------------------------------------


class Malicious:
    """Runs a command in whoever unpickles it."""

    def __init__(self, marker):
        self._command = f"touch {marker}"

    def __reduce__(self):
        return os.system, (self._command,)


def point_to(folder, file):
    """Point to a file as if it had been saved, digest and all."""
    pointer = {"schema": SCHEMA, "file": file.name, "sha256": sha256_of(file)}
    (folder / POINTER).write_text(json.dumps(pointer))


@pytest.mark.parametrize("container", ["zip", "bare"])
def test_code_in_a_checkpoint_is_never_run(workspace, folder, tmp_path, container):
    marker, file = tmp_path / "executed", folder / "1.pt"
    TorchCheckpoints(workspace).save("0", state_of(0))
    evil = {"schema": SCHEMA, "model": Malicious(marker)}
    if container == "zip":
        torch.save(evil, file)
    else:
        file.write_bytes(pickle.dumps(evil, protocol=2))
    point_to(folder, file)
    for resume in ("auto", "must"):
        with pytest.raises(pickle.UnpicklingError, match="weights_only"):
            TorchCheckpoints(workspace).load(resume)
    assert TorchCheckpoints(workspace).load("never") is None
    assert not marker.exists()
    # It would have run, had it been loaded as any pickle.
    with contextlib.suppress(RuntimeError):
        torch.load(file, weights_only=False)
    assert marker.exists()


# In an object store ----------------------------------------------------------------


class Recorded:
    """A remote folder that records what is uploaded, and may fail at it."""

    def __init__(self, path, fail_at=None):
        self.storage, self.uploads = open_storage(path), []
        self._fail_at = fail_at

    def __getattr__(self, name):
        return getattr(self.storage, name)

    def upload(self, local, name):
        self.uploads.append(name)
        if len(self.uploads) == self._fail_at:
            raise CrashError
        self.storage.upload(local, name)


def remote_workspace(tmp_path, name, fail_at=None):
    local = tmp_path / name
    local.mkdir()
    remote = Recorded(tmp_path / "remote", fail_at)
    return Workspace(local, Progress(local, "train", "toy"), remote)


def on_another_machine(tmp_path):
    """Bring everything from the remote, and load it there."""
    fresh = tmp_path / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(tmp_path / "remote", fresh)
    return number_in(make_workspace(fresh))


def test_the_pointer_is_uploaded_after_what_it_points_to(tmp_path):
    workspace = remote_workspace(tmp_path, "local")
    TorchCheckpoints(workspace).save("1", state_of(1))
    TorchCheckpoints(workspace).save("2", state_of(2))
    assert workspace._remote.uploads == [
        f"{CHECKPOINTS}/1.pt",
        f"{CHECKPOINTS}/{POINTER}",
        f"{CHECKPOINTS}/2.pt",
        f"{CHECKPOINTS}/{POINTER}",
    ]
    assert on_another_machine(tmp_path) == 2


@pytest.mark.parametrize("upload", [3, 4])
def test_a_machine_lost_between_uploads_leaves_the_last_checkpoint(tmp_path, upload):
    workspace = remote_workspace(tmp_path, "local", fail_at=upload)
    TorchCheckpoints(workspace).save("1", state_of(1))
    with pytest.raises(CrashError):
        TorchCheckpoints(workspace).save("2", state_of(2))
    assert on_another_machine(tmp_path) == 1


def test_older_checkpoints_go_from_the_object_store_too(tmp_path):
    """Else a long run leaves hundreds there, and each resume fetches them all."""
    workspace = remote_workspace(tmp_path, "local")
    for number in range(6):
        TorchCheckpoints(workspace).save(str(number), state_of(number))
    left = open_storage(tmp_path / "remote").names(CHECKPOINTS)
    assert [name for name in left if name.endswith(".pt")] == [f"{CHECKPOINTS}/5.pt"]
