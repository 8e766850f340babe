"""The log of runs: what a finished one says, and that no folder ends the listing."""

import csv
import fcntl
import json
import shutil

import pytest

from tenfold.errors import RecipeError, StoreError
from tenfold.recipe import digest_of
from tenfold.stages.entries import SCORES
from tenfold.stages.runs import (
    AT_WORK,
    COLUMNS,
    DAMAGED,
    FINISHED,
    FOREIGN,
    UNFINISHED,
    LoggedRun,
    find_runs,
    sort_runs,
    write_log,
)
from tests.stages.made_runs import make_run, synthesise

SHIFTS = {"unet-quantile": 0, "unet-z-score": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Give a folder with one finished run and its store, and the run's record."""
    root = tmp_path_factory.mktemp("made")
    source = synthesise(root / "raw")
    folder = root / "runs"
    record = make_run(
        folder / "good", source, folder / "store", SHIFTS, truth=0.625, optimistic=True
    )
    return folder, record


@pytest.fixture
def folder(made, tmp_path):
    """Give a copy of the run's folder; its results stay where they are."""
    shutil.copytree(made[0] / "good", tmp_path / "good")
    return tmp_path


def one(runs, name):
    (found,) = [run for run in runs if run.run == name]
    return found


def test_a_finished_run_says_what_its_store_and_recipe_say(made):
    folder, record = made
    run = one(find_runs(folder), "good")
    recipe = json.loads(record.recipe)
    scores = record.context.store.open(record.of("tune")[0].address).json(SCORES)
    assert run.status == FINISHED
    assert (run.challenge, run.recipe, run.seed) == ("kelp", "smoke", 42)
    assert run.recipe_digest == digest_of(recipe)[:12]
    assert (run.honest, run.naive) == (scores["honest"], scores["naive"])
    assert run.rule == scores["baseline"]["honest"]
    assert run.truth == 0.625
    assert run.trained == "2 × 2"
    assert run.wall_s == 12.5
    assert (run.code, run.source) == (record.code, record.fingerprint)
    assert run.remark.startswith("optimistic: unet-quantile, unet-z-score chose")
    assert len(run.when) == len("2026-01-31 12:00:00")


def test_work_is_that_of_all_entries_each_once(made):
    folder, record = made
    store = record.context.store
    entries = {task.address for task in record.tasks}
    for task in record.of("train"):
        entries.add(store.open(task.address).inputs["fit"])
    expected = sum(store.open(address).seconds for address in entries)
    assert one(find_runs(folder), "good").work_s == pytest.approx(expected, abs=0.06)


def test_a_run_whose_results_are_gone_keeps_the_rest(made, folder):
    record = made[1]
    store = folder / "elsewhere"
    raw = json.loads((folder / "good" / "run.json").read_text())
    raw["store"] = str(store)
    (folder / "good" / "run.json").write_text(json.dumps(raw))
    run = one(find_runs(folder), "good")
    assert run.status == FINISHED
    assert (run.honest, run.truth, run.work_s) == (None, None, None)
    assert run.wall_s == record.seconds
    assert run.remark == f"no scores and seconds of work: not in {store}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid JSON"),
        ("", "not valid JSON"),
        ("[]", "holds no finished run"),
        ('"text"', "not what a run writes"),
        ('{"tool": "other"}', "holds no finished run"),
        ('{"tasks": 3, "judged": null}', "holds no finished run"),
        ('{"recipe": NaN}', "not valid JSON"),
    ],
)
def test_a_damaged_record_is_listed_with_its_reason(folder, content, words):
    (folder / "bad").mkdir()
    (folder / "bad" / "run.json").write_text(content)
    runs = find_runs(folder)
    assert one(runs, "good").status == FINISHED
    bad = one(runs, "bad")
    assert bad.status == DAMAGED
    assert words in bad.remark


@pytest.mark.parametrize(
    "recipe", ["not json", "{}", "[1]", '{"challenge": "kelp", "name": "x"}']
)
def test_a_record_without_a_recipe_is_damaged(folder, recipe):
    raw = json.loads((folder / "good" / "run.json").read_text()) | {"recipe": recipe}
    (folder / "good" / "run.json").write_text(json.dumps(raw))
    assert one(find_runs(folder), "good").status == DAMAGED


def test_runs_that_began_are_told_from_those_at_work(made, folder):
    order = {"recipe": made[1].recipe, "source": "/data", "store": "/store"}
    for name in ("ended", "running", "sweep"):
        (folder / name).mkdir()
        content = order | ({"plan": "{}"} if name == "sweep" else {})
        (folder / name / "order.json").write_text(json.dumps(content))
        (folder / name / ".lock").touch()
    with (folder / "running" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        runs = find_runs(folder)
    assert one(runs, "ended").status == UNFINISHED
    assert one(runs, "running").status == AT_WORK
    sweep = one(runs, "sweep")
    assert (sweep.status, sweep.remark[:7]) == (UNFINISHED, "a sweep")
    (folder / "sweep" / "report.html").touch()
    assert one(find_runs(folder), "sweep").status == FINISHED
    assert one(runs, "ended").recipe == "smoke"
    (folder / "ended" / "order.json").write_text('{"recipe": 3}')
    assert one(find_runs(folder), "ended").status == DAMAGED


def test_folders_without_a_run_are_named_last_and_hidden_ones_left_out(folder):
    for name in ("photos", ".cache", "deep/er/run"):
        (folder / name).mkdir(parents=True)
    shutil.copy(folder / "good" / "run.json", folder / "deep" / "er" / "run")
    (folder / "good" / "pipeline").mkdir()
    (folder / "good" / "pipeline" / "order.json").write_text("{")
    runs = find_runs(folder)
    assert sorted(run.run for run in runs[:-1]) == ["deep/er/run", "good"]
    assert (runs[-1].run, runs[-1].status) == ("photos", FOREIGN)
    assert "neither run.json nor order.json" in runs[-1].remark


def test_a_runs_own_folder_is_a_log_of_one(made):
    (run,) = find_runs(made[0] / "good")
    assert (run.run, run.status) == (".", FINISHED)


def test_no_folder_is_an_error_that_says_so(tmp_path):
    with pytest.raises(StoreError, match="no folder"):
        find_runs(tmp_path / "nowhere")
    assert find_runs(tmp_path) == []


def test_numbers_sort_highest_first_text_by_the_alphabet_and_unknown_last():
    runs = [
        LoggedRun("b", FINISHED, honest=0.5, recipe="z"),
        LoggedRun("a", FINISHED, honest=0.75, recipe="y"),
        LoggedRun("c", DAMAGED),
    ]
    assert [r.run for r in sort_runs(runs, "honest")] == ["a", "b", "c"]
    assert [r.run for r in sort_runs(runs, "recipe")] == ["a", "b", "c"]
    assert [r.run for r in sort_runs(runs, "run")] == ["a", "b", "c"]
    with pytest.raises(RecipeError, match="no column 'score'; there is run, status"):
        sort_runs(runs, "score")


def test_the_csv_holds_every_column_of_every_run(tmp_path):
    runs = [
        LoggedRun("a, b", FINISHED, honest=0.5, seed=42, remark='two\nlines, "quoted"'),
        LoggedRun("c", DAMAGED, remark="gone"),
    ]
    write_log(runs, tmp_path / "log.csv")
    with (tmp_path / "log.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["run"] == "a, b"
    assert rows[0]["remark"] == 'two\nlines, "quoted"'
    assert (float(rows[0]["honest"]), rows[0]["seed"]) == (0.5, "42")
    assert (rows[1]["honest"], rows[1]["remark"]) == ("", "gone")
    write_log([], tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text().strip() == ",".join(COLUMNS)
