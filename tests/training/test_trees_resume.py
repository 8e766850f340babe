"""Boosted trees that are killed at any moment end as the undisturbed ones."""

import json
import subprocess
import sys

import pytest
import trees_toy as toy

from tenfold.errors import TrainingError
from tenfold.store import CHECKPOINTS


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees") / "data"
    toy.write_data(folder)
    return folder


@pytest.fixture(scope="module")
def launch():
    """Give a function that trains in a process of its own and returns its exit code."""
    process = subprocess.Popen(
        [sys.executable, toy.__file__, "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(**request):
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, "trees_toy.py serve died"
        return json.loads(answer)

    yield run
    process.stdin.close()
    process.wait(timeout=20)
    process.stdout.close()


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """Give the folder of an undisturbed run, with or without drawing."""
    made = {}

    def run(draws):
        if draws not in made:
            made[draws] = tmp_path_factory.mktemp("undisturbed")
            trees = toy.DRAWING if draws else {}
            finished = toy.fit(data, made[draws], trees=trees, **LONG)
            text = json.dumps({"history": finished.history})
            (made[draws] / "result.json").write_text(text)
        return made[draws]

    return run


#: More rounds than two seeds last.
LONG = {"epochs": 45, "validate_every": 7}


def history_in(folder):
    return json.loads((folder / "result.json").read_text())["history"]


def assert_as_undisturbed(folder, whole):
    assert toy.timeless(history_in(folder)) == toy.timeless(history_in(whole))
    assert toy.weights_of(folder) == toy.weights_of(whole)


@pytest.mark.parametrize("draws", [False, True])
@pytest.mark.parametrize(
    ("at", "n"),
    [
        *(("update", n) for n in (1, 20, 21, 40, 45)),
        *(("save", n) for n in (1, 21)),
        ("write_json", 2),
        *(("rows", n) for n in (4, 12, 30)),
    ],
)
def test_killed_it_goes_on_to_the_same_bits(
    launch, data, tmp_path, undisturbed, draws, at, n
):
    request = {
        "data": str(data),
        "folder": str(tmp_path),
        "trees": toy.DRAWING if draws else {},
        "training": LONG | {"checkpoint_minutes": 0.0},
    }
    stop = {"at": at, "n": n, "signal": "SIGKILL"}
    assert launch(**request, stop=stop) == -9
    assert launch(**request) == 0
    assert_as_undisturbed(tmp_path, undisturbed(draws))


@pytest.mark.parametrize("draws", [False, True])
@pytest.mark.parametrize(
    ("at", "n", "rounds"),
    [
        ("update", 1, (1, 0)),
        ("update", 22, (22, 20)),
        ("update", 43, (43, 40)),
        # Nine samples fill the table and three are validated, after round 7 first.
        ("rows", 5, (0, 0)),
        ("rows", 11, (6, 0)),
        ("rows", 20, (27, 20)),
    ],
)
def test_asked_to_end_it_saves_and_goes_on_from_there(
    launch, data, tmp_path, undisturbed, draws, at, n, rounds
):
    request = {
        "data": str(data),
        "folder": str(tmp_path),
        "trees": toy.DRAWING if draws else {},
        "training": LONG | {"checkpoint_minutes": 1e3},
    }
    stop = {"at": at, "n": n, "signal": "SIGTERM"}
    assert launch(**request, stop=stop) == 143
    assert launch(**request, resume="must") == 0
    (resumed,) = (row for row in toy.log_of(tmp_path) if row["event"] == "resume")
    assert resumed["epoch"] == rounds[draws] + 1
    assert_as_undisturbed(tmp_path, undisturbed(draws))


def test_asked_to_end_again_while_it_reads_it_loses_nothing(
    launch, data, tmp_path, undisturbed
):
    request = {"data": str(data), "folder": str(tmp_path), "training": LONG}
    for at, n in (("update", 30), ("rows", 3), ("rows", 10)):
        stop = {"at": at, "n": n, "signal": "SIGTERM"}
        assert launch(**request, stop=stop) == 143
    assert launch(**request, resume="must") == 0
    resumed = [r["epoch"] for r in toy.log_of(tmp_path) if r["event"] == "resume"]
    assert resumed == [31, 31, 35]
    assert_as_undisturbed(tmp_path, undisturbed(False))


def test_killed_after_the_last_round_it_reads_no_table_again(data, tmp_path):
    first = toy.fit(data, tmp_path)
    task = toy.make_order(data, tmp_path).task
    task.candidates = lambda *_: pytest.fail("a table was drawn")
    again = toy.fit(data, tmp_path, task=task, resume="must")
    assert again.description == first.description
    assert again.history == first.history
    assert len(list((tmp_path / CHECKPOINTS).iterdir())) == 2


def test_who_must_resume_does_not_start_over(data, tmp_path):
    with pytest.raises(TrainingError, match="resume=must will not start over"):
        toy.fit(data, tmp_path, resume="must")


def test_who_never_resumes_starts_over(data, tmp_path):
    toy.fit(data, tmp_path, after_epoch=lambda history: len(history) == 2)
    finished = toy.fit(data, tmp_path, resume="never")
    assert len(finished.history) == 8


def test_a_damaged_checkpoint_is_no_checkpoint(data, tmp_path):
    toy.fit(data, tmp_path, after_epoch=lambda history: len(history) == 2)
    (file,) = (tmp_path / CHECKPOINTS).glob("*.ubj")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(TrainingError, match="no usable checkpoint"):
        toy.fit(data, tmp_path, resume="must")
    finished = toy.fit(data, tmp_path)
    whole = toy.fit(data, tmp_path / "whole")
    assert toy.timeless(finished.history) == toy.timeless(whole.history)


def test_a_checkpoint_of_another_version_is_refused(data, tmp_path):
    toy.fit(data, tmp_path)
    pointer = tmp_path / CHECKPOINTS / "latest.json"
    pointer.write_text(pointer.read_text().replace('"schema": 1', '"schema": 0'))
    with pytest.raises(TrainingError, match="another version; resume=never"):
        toy.fit(data, tmp_path)
