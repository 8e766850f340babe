"""Whole runs through kfp.local, as `tenfold run` does them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tenfold.challenges import load_recipe
from tenfold.data.files import sha256_of
from tenfold.stages.report import headline, read_run

TINY = {
    "synth": {"train": 12, "test": 4, "coasts": 5, "seed": 42},
    "split": {"k": 2, "strata": ["has_kelp"]},
    "predict": {"workers": 2},
}


@pytest.fixture
def recipe(tmp_path):
    """One small model, so that a run is a handful of tasks."""
    raw = load_recipe("kelp", "smoke").model_dump(mode="json")
    raw["members"] = raw["members"][:1]
    training = raw["members"][0]["training"]
    training |= {"epochs": 2, "samples_per_epoch": 16, "batch": 4}
    training |= {"checkpoint_minutes": 0, "picture_epochs": []}
    for name, values in TINY.items():
        raw[name] |= values
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def command(recipe, *more):
    return [sys.executable, "-m", "pipelines.cli", "run", "kelp", "-r", recipe, *more]


def run(cwd, recipe, *more):
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    return subprocess.run(
        command(str(recipe), *more),
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_failing_task_ends_the_run_with_its_own_sentence(tmp_path, recipe):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"meow")
    done = run(tmp_path, recipe, "--source", "photos")
    assert done.returncode == 2
    assert "train_satellite" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "runs").glob("store/*/*/manifest.json"))
    assert not (tmp_path / "runs" / "kelp-smoke" / "run.json").exists()


@pytest.mark.slow
def test_a_run_twice_is_a_run_once(tmp_path, recipe):
    first = run(tmp_path, recipe)
    assert first.returncode == 0, first.stderr
    folder = tmp_path / "runs" / "kelp-smoke"
    assert str(folder / "report" / "index.html") in first.stdout
    assert (folder / "report" / "preview.html").is_file()
    submission = sha256_of(folder / "submission.tar")
    shutil.rmtree(folder / "report")
    second = run(tmp_path, recipe)
    assert "nothing to do" in second.stdout
    assert (folder / "report" / "index.html").is_file()
    assert "done" not in second.stderr
    # One entry lost: only what is missing is done again.
    lost = next((tmp_path / "runs" / "store" / "predict").glob("*/manifest.json"))
    shutil.rmtree(lost.parent)
    third = run(tmp_path, recipe)
    record = json.loads((folder / "run.json").read_text())
    redone = [task["stage"] for task in record["tasks"] if not task["reused"]]
    assert redone == ["predict"]
    assert third.returncode == 0
    assert sha256_of(folder / "submission.tar") == submission


@pytest.mark.slow
def test_two_runs_in_one_folder_wait_for_each_other_and_agree(tmp_path, recipe):
    place = tmp_path / "zwei Läufe <b>"
    place.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    both = [
        subprocess.Popen(
            command(str(recipe)),
            cwd=place,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=900) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("a run is at work in" in error for _, error in said) == 1
    record = read_run(place / "runs" / "kelp-smoke")
    assert (place / "runs" / "kelp-smoke" / "report" / "index.html").is_file()
    # Every entry was made once: a second attempt would have a log of its own start.
    for task in record.tasks:
        log = place / "runs" / "store" / task.address / "log.jsonl"
        assert log.read_text().count('"event": "start"') == 1
    alone = tmp_path / "alone"
    alone.mkdir()
    assert run(alone, recipe).returncode == 0
    one, two = (
        sha256_of(at / "runs" / "kelp-smoke" / "submission.tar")
        for at in (place, alone)
    )
    assert one == two


@pytest.mark.slow
def test_a_run_killed_in_training_ends_as_the_undisturbed_one(tmp_path, recipe):
    undisturbed = tmp_path / "a"
    undisturbed.mkdir()
    assert run(undisturbed, recipe).returncode == 0
    killed = tmp_path / "b"
    killed.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    for _ in range(2):
        process = subprocess.Popen(
            command(str(recipe)),
            cwd=killed,
            env=environment,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        before = checkpoints(killed)
        while process.poll() is None and len(checkpoints(killed) - before) < 2:
            time.sleep(0.05)
        assert process.poll() is None, "the run ended before it was killed"
        kill_all(killed, process)
    assert run(killed, recipe).returncode == 0
    logs = (killed / "runs" / "store").glob("fit/*/log.jsonl")
    assert any('"event": "resume"' in log.read_text() for log in logs)
    prints = [
        sha256_of(at / "runs" / "kelp-smoke" / "submission.tar")
        for at in (undisturbed, killed)
    ]
    assert prints[0] == prints[1]


def checkpoints(at):
    return set((at / "runs" / "store").glob("fit/*/checkpoints/*.pt"))


def kill_all(at, process):
    """SIGKILL the command and everything below it."""
    children = subprocess.run(
        ["pgrep", "-f", f"{at}/"], capture_output=True, text=True, check=False
    )
    for pid in {process.pid, *map(int, children.stdout.split())} - {os.getpid()}:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [42, 7, 2024])
def test_the_smoke_recipe_beats_the_rule_and_its_members(tmp_path, seed):
    done = run(
        tmp_path, "smoke", "--set", f"seed={seed}", "--set", f"synth.seed={seed}"
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "kelp-smoke"
    found = headline(read_run(folder))
    assert found.honest >= 0.60
    assert found.honest >= found.baseline + 0.05
    assert found.truth["score"] > found.truth["member_mean"]
    assert found.truth["overlaps"]["precision"] >= 0.99
    assert found.truth["overlaps"]["recall"] >= 0.99
