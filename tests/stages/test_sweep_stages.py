"""A sweep's stages: trials on one fold, ended when they fall behind, and ranked."""

import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from pipelines.watch import references
from tenfold.challenges import find_challenge
from tenfold.challenges.kelp.tiles import unpack_mask
from tenfold.errors import RecipeError, SourceError, TrainingError
from tenfold.progress import LOG_FILE
from tenfold.stages import fold, prepare, rank, trial
from tenfold.stages.context import OK, Context
from tenfold.stages.entries import HISTORY, METRICS, RANKING
from tenfold.stages.pages import HEADLINE, page_path, show
from tenfold.store import Store
from tenfold.sweep import Sweep, plan_sweep
from tenfold.training.board import VARIABLES
from tenfold.training.engines import Finished
from tenfold.training.rivals import Rivals

MEMBER = "members.unet-quantile"
RATE, INDICES = f"{MEMBER}.training.learning_rate", f"{MEMBER}.input.indices"
TIMINGS = ("samples_per_second", "loader_wait")
SMALL = (
    "synth.train=12",
    "synth.test=2",
    "synth.coasts=5",
    "split.k=2",
    f"{MEMBER}.training.epochs=4",
    f"{MEMBER}.training.samples_per_epoch=8",
    f"{MEMBER}.training.batch=4",
    f"{MEMBER}.training.validate_every=1",
    f"{MEMBER}.training.threads=1",
)
NO_RULE = {"rule": "none"}


def planned(early_stop=NO_RULE, axes=None, fold=0, settings=SMALL):
    content = {
        "name": "tried",
        "about": "Some learning rates.",
        "recipe": "smoke",
        "method": "grid",
        "fold": fold,
        "axes": axes or {RATE: [0.3, 0.9, 0.1, 0.6]},
        "early_stop": early_stop,
    }
    return plan_sweep("kelp", Sweep.model_validate(content), settings)


class ScriptedEngine:
    """Scores a trial by its learning rate, at once; its best epoch is its last."""

    def __init__(self):
        self.fitted = []
        self.fails = {}

    def fit(self, order, workspace, resume):
        del workspace, resume
        rate, epochs = order.member.training.learning_rate, order.member.training.epochs
        self.fitted.append(rate)
        if rate in self.fails:
            raise self.fails[rate]
        history = []
        for epoch in range(1, epochs + 1):
            row = {"epoch": float(epoch), "lr": rate, "train/loss": 1 - rate}
            row |= {"val/score": rate * epoch / epochs, "val/loss": 1 - rate}
            history.append(row | dict.fromkeys(TIMINGS, 0.5))
            if order.after_epoch(history):
                break
        order.weights.mkdir()
        file = order.weights / "last.safetensors"
        file.write_bytes(b"weights")
        description = {"parameters": 7, "share": rate * len(history) / epochs}
        files = dict.fromkeys(("last", "ema"), file)
        return Finished(description, files, history)

    def load(self, task, description, weights, precision, threads=None):
        del task, precision, threads
        assert weights.read_bytes() == b"weights"

        def runner(samples, ids, batch):
            # The truth, in the rows above: the higher the rate, the more of them.
            del batch
            for id_ in ids:
                prob = unpack_mask(samples.sample(id_)) * np.uint8(255)
                prob[round(description["share"] * len(prob)) :] = 0
                yield id_, {"prob": prob}

        return runner


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """A source, and a store that has the data set and the folds of the recipe."""
    directory = tmp_path_factory.mktemp("ground")
    recipe, _ = planned()
    find_challenge("kelp").synth.synthesise(directory / "raw", recipe.synth)
    source = directory / "raw" / "data"
    prepare.run(Context(recipe, Store(directory / "store")), str(source))
    return source, directory / "store"


class Bench:
    """Runs sweeps as their graph does."""

    def __init__(self, source, store):
        self.source, self.store = str(source), store

    def context(self, recipe):
        return Context(recipe, self.store)

    def trial(self, sweep, number, **how):
        recipe, plan = sweep
        data, folds = prepare.run(self.context(recipe), self.source)
        return trial.run(
            self.context(recipe), data, folds, self.source, plan, number, **how
        )

    def trials(self, sweep):
        return [self.trial(sweep, n) for n in range(len(sweep[1].trials))]

    def rank(self, sweep, trials):
        recipe, plan = sweep
        return rank.run(self.context(recipe), plan, trials)

    def ranking(self, sweep):
        done = self.rank(sweep, self.trials(sweep))
        return self.entry(done).json(RANKING)

    def entry(self, reference):
        return self.store.open(reference.address)

    def history(self, reference):
        history = pl.read_parquet(self.entry(reference).path / HISTORY)
        return history.drop(*TIMINGS).to_dicts()

    def entries(self, stage):
        return {path.name for path in (self.store.root / stage).glob("[!.]*")}


@pytest.fixture
def real(ground, tmp_path):
    """Give a bench that trains."""
    source, store = ground
    shutil.copytree(store, tmp_path / "store")
    return Bench(source, Store(tmp_path / "store"))


@pytest.fixture
def bench(real, monkeypatch):
    """Give a bench with a scripted engine."""
    real.engine = ScriptedEngine()
    monkeypatch.setattr(fold, "find_engine", lambda _: real.engine)
    return real


# Ranking ---------------------------------------------------------------------------


def test_trials_are_ranked_by_their_score_whoever_comes_first(bench):
    sweep = planned()
    trials = bench.trials(sweep)
    ranked = bench.entry(bench.rank(sweep, trials[::-1])).json(RANKING)
    rows = ranked["trials"]
    assert [row["trial"] for row in rows] == [1, 3, 0, 2]
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4
    for row in rows:
        metrics = bench.entry(trials[row["trial"]]).json(METRICS)
        assert row["score"] == metrics["score"] == metrics["figures"]["test/dice_kelp"]
        assert (row["epochs"], row["of_epochs"], row["stopped"]) == (4, 4, False)
        assert row["parameters"] == 7
        assert row["curve"]["epochs"] == [1, 2, 3, 4]
    assert rows[0]["values"] == {"learning_rate": 0.9}
    assert f"--set {RATE}=0.9" in rows[0]["command"]
    assert ranked["failed"] == []


def test_the_page_says_that_the_best_was_chosen_on_the_fold(bench):
    sweep = planned(fold=1)
    done = bench.rank(sweep, bench.trials(sweep))
    page = show(bench.context(sweep[0]), bench.entry(done))
    html = page_path(page).read_text("utf-8")
    assert "Chosen on fold 1: the best dice_kelp is optimistic" in html
    assert "<script" not in html.lower()
    summary = page.json(HEADLINE)["summary"]
    assert "fold 1, optimistic" in summary
    assert f"tenfold run kelp --recipe smoke --set {SMALL[0]}" in summary
    assert f"--set {RATE}=0.9" in summary


def test_the_page_of_a_hundred_trials_is_a_page(bench):
    rates = [n / 1000 for n in range(1, 51)]
    sweep = planned(axes={RATE: rates, f"{MEMBER}.seed": [1, 2]})
    # One training stands for all: the page is what is looked at here.
    one = bench.trial(sweep, 0)
    trials = [replace(one, label=choice.label) for choice in sweep[1].trials]
    page = show(bench.context(sweep[0]), bench.entry(bench.rank(sweep, trials)))
    assert page_path(page).stat().st_size < 1_000_000
    assert page.json(HEADLINE)["figures"]["trials"] == 100


def test_every_trial_has_a_page_of_its_own(bench):
    sweep = planned()
    done = bench.trial(sweep, 1)
    page = show(bench.context(sweep[0]), bench.entry(done))
    assert "learning_rate=0.9" in page_path(page).read_text("utf-8")
    score = bench.entry(done).json(METRICS)["score"]
    assert page.json(HEADLINE)["figures"]["test_dice_kelp"] == score


def test_a_choice_that_cannot_be_trained_is_a_result(bench):
    bench.engine.fails = {0.9: TrainingError("the loss is not finite")}
    sweep = planned()
    trials = bench.trials(sweep)
    assert [t.status == OK for t in trials] == [True, False, True, True]
    done = bench.rank(sweep, trials)
    ranked = bench.entry(done).json(RANKING)
    assert [row["trial"] for row in ranked["trials"]] == [3, 0, 2]
    (lost,) = ranked["failed"]
    assert (lost["trial"], lost["reason"]) == (1, "the loss is not finite")
    page = show(bench.context(sweep[0]), bench.entry(done))
    assert "the loss is not finite" in page_path(page).read_text("utf-8")


@pytest.mark.parametrize("error", [MemoryError(), OSError("disk full")])
def test_a_machine_in_trouble_is_no_result(bench, error):
    bench.engine.fails = {0.9: error}
    with pytest.raises(type(error)):
        bench.trial(planned(), 1)


def test_a_sweep_in_which_nothing_can_be_trained_says_why(bench):
    bench.engine.fails = dict.fromkeys([0.3, 0.9, 0.1, 0.6], TrainingError("no memory"))
    sweep = planned()
    with pytest.raises(TrainingError, match=r"no trial .*trial 0: .*: no memory"):
        bench.ranking(sweep)


def test_a_trial_that_left_nothing_is_missed(bench):
    sweep = planned()
    trials = bench.trials(sweep)
    with pytest.raises(TrainingError, match=r"1 trials left no result.*trial 2"):
        bench.rank(sweep, [*trials[:2], trials[3]])


def test_trials_of_another_recipe_are_refused(bench):
    trials = bench.trials(planned())
    other = planned(settings=(*SMALL, "seed=7"))
    with pytest.raises(RecipeError, match="another recipe"):
        bench.rank(other, trials)


# What is kept ----------------------------------------------------------------------


def test_a_second_run_trains_nothing(bench):
    sweep = planned()
    first = [*bench.trials(sweep), bench.rank(sweep, bench.trials(sweep))]
    bench.engine.fitted.clear()
    again = [*bench.trials(sweep), bench.rank(sweep, bench.trials(sweep))]
    assert bench.engine.fitted == []
    assert all(task.reused for task in again)
    assert [t.address for t in first] == [t.address for t in again]


def test_a_trial_is_never_taken_for_a_trained_fold(bench):
    done = bench.trial(planned(), 0)
    entry = bench.entry(done)
    assert entry.stage == "trial"
    assert not (bench.store.root / "train").exists()
    assert not any("weights" in file["name"] for file in entry.manifest["files"])
    assert not (entry.path / "weights").exists()


RULES = {"none": NO_RULE, "median": {"rule": "median", "min_trials": 4}}


@pytest.mark.parametrize("rule", RULES)
def test_a_sweep_that_gets_more_trials_keeps_those_it_had(bench, rule):
    bench.trials(planned(RULES[rule], {RATE: [0.3, 0.6]}))
    bench.engine.fitted.clear()
    bench.trials(planned(RULES[rule], {RATE: [0.2, 0.6, 0.3]}))
    assert bench.engine.fitted == [0.2]


def test_another_fold_or_another_rule_is_another_trial(bench):
    sweeps = [planned(), planned(fold=1), planned(RULES["median"])]
    sweeps.append(planned({"rule": "median", "min_trials": 5}))
    addresses = {bench.trial(sweep, 0).address for sweep in sweeps}
    assert len(addresses) == len(sweeps)


def test_data_are_prepared_once_unless_a_trial_reads_others(bench):
    before = {stage: bench.entries(stage) for stage in ("ingest", "group", "split")}
    bench.trials(planned())
    assert before == {stage: bench.entries(stage) for stage in before}
    sweep = planned(axes={INDICES: [["DEMWM", "NDVI"], ["NDVI", "GNDVI", "MVI"]]})
    same, other = bench.trials(sweep)
    (data,) = before["ingest"]
    assert bench.entry(same).inputs["dataset"] == f"ingest/{data}"
    assert bench.entry(other).inputs["dataset"] != f"ingest/{data}"
    assert len(bench.ranking(sweep)["trials"]) == 2


def change_data(bench, folder):
    """Let the source hold other data than when the sweep began."""
    shutil.copytree(bench.source, folder)
    bench.source = str(folder)
    (folder / "more.txt").write_text("of another day")


def run_after_a_change(bench, sweep, number, folder):
    recipe, plan = sweep
    context = bench.context(recipe)
    data, folds = prepare.run(context, bench.source)
    change_data(bench, folder)
    return data, trial.run(context, data, folds, bench.source, plan, number)


def test_trials_of_the_same_data_do_not_read_the_source_again(bench, tmp_path):
    data, done = run_after_a_change(bench, planned(), 0, tmp_path / "changed")
    assert bench.entry(done).inputs["dataset"] == data.address


def test_a_trial_that_reads_a_source_that_has_changed_is_refused(bench, tmp_path):
    sweep = planned(axes={INDICES: [["DEMWM", "NDVI"], ["NDVI", "GNDVI", "MVI"]]})
    with pytest.raises(SourceError, match="other data than when the sweep began"):
        run_after_a_change(bench, sweep, 1, tmp_path / "changed")
    assert bench.engine.fitted == []


@pytest.mark.parametrize("other", ["seed=7", "split.k=3", "data.shard_samples=5"])
def test_a_trial_with_folds_of_its_own_prepares_them(bench, other):
    option, _, value = other.partition("=")
    sweep = planned(axes={option: [int(value)]})
    data, folds = prepare.run(bench.context(sweep[0]), bench.source)
    inputs = bench.entry(bench.trial(sweep, 0)).inputs
    assert (inputs["dataset"], inputs["folds"]) != (data.address, folds.address)


def test_a_long_reason_is_cut_and_the_trial_still_counted(bench, tmp_path):
    for reason in ("x" * 10_000, "é\n" * 5_000):
        bench.engine.fails = {0.9: TrainingError(reason)}
        failed = bench.trial(planned(), 1)
        failed.write(tmp_path / "result")
        assert references(tmp_path) == [failed]
        assert failed.reason.endswith("…")
        assert reason.startswith(failed.reason[:-1])
        assert 300 < len(failed.reason) <= 2001


def test_scores_by_other_weights_files_end_nobody(bench, tmp_path, monkeypatch):
    weights = tmp_path / "encoder.safetensors"
    kelp = type(find_challenge("kelp").model.task(*task_of(planned(MEDIAN))))
    monkeypatch.setattr(kelp, "files", lambda _: {"encoder": weights})
    weights.write_bytes(b"one")
    bench.trials(planned(MEDIAN, {RATE: [0.6, 0.9]}))
    weights.write_bytes(b"two")
    done = bench.trial(planned(MEDIAN, {RATE: [0.1]}), 0)
    assert not bench.entry(done).json(METRICS)["stopped"]
    weights.write_bytes(b"one")
    done = bench.trial(planned(MEDIAN, {RATE: [0.1]}), 0)
    assert bench.entry(done).json(METRICS)["stopped"]


def task_of(sweep):
    recipe, plan = sweep
    return recipe, recipe.member(plan.member)


def test_where_a_training_is_shown_is_no_part_of_it(bench, tmp_path, monkeypatch):
    first = bench.trial(planned(), 0)
    monkeypatch.setenv(VARIABLES[0], str(tmp_path / "board"))
    assert bench.trial(planned(), 0).address == first.address
    bench.trial(planned(), 1)
    bench.trial(planned(), 2)
    runs = sorted(path.name for path in (tmp_path / "board").iterdir())
    assert len(runs) == 2
    assert all(name.startswith("unet-quantile-fold-0-") for name in runs)


# The median rule -------------------------------------------------------------------

MEDIAN = {"rule": "median", "warmup_epochs": 2, "min_trials": 2}


def test_a_trial_behind_its_rivals_is_ended_early(bench):
    rates = [0.6, 0.9, 0.1, 0.8]
    sweep = planned(MEDIAN, {RATE: rates})
    trials = bench.trials(sweep)
    ended = bench.entry(trials[2]).json(METRICS)
    assert ended["stopped"]
    assert ended["epochs"] == len(bench.history(trials[2])) == 2
    for number in (0, 1, 3):
        whole = bench.entry(trials[number]).json(METRICS)
        assert (whole["stopped"], whole["epochs"]) == (False, 4)
    ranked = bench.entry(bench.rank(sweep, trials)).json(RANKING)
    assert [row["trial"] for row in ranked["trials"]] == [1, 3, 0, 2]
    assert [row["stopped"] for row in ranked["trials"]] == [False, False, False, True]
    page = show(bench.context(sweep[0]), bench.entry(bench.rank(sweep, trials)))
    assert "another run of this sweep may end others" in page_path(page).read_text()


def test_without_a_rule_the_same_trials_run_to_their_end(bench):
    trials = bench.trials(planned(axes={RATE: [0.6, 0.9, 0.1, 0.8]}))
    assert [bench.entry(t).json(METRICS)["epochs"] for t in trials] == [4] * 4
    assert not (bench.store.root / "sweeps").exists()


def test_scores_of_another_fold_end_nobody(bench):
    bench.trials(planned(MEDIAN, {RATE: [0.6, 0.9]}, fold=1))
    done = bench.trial(planned(MEDIAN, {RATE: [0.1, 0.2]}), 0)
    assert not bench.entry(done).json(METRICS)["stopped"]


def test_trials_on_several_machines_are_rivals_in_a_bucket(bench, bucket, tmp_path):
    machines = [
        Bench(bench.source, Store(f"{bucket}/store", mirror=tmp_path / name))
        for name in ("a", "b", "c")
    ]
    sweep = planned(MEDIAN, {RATE: [0.6, 0.9, 0.1]})
    trials = [machine.trial(sweep, n) for n, machine in enumerate(machines)]
    ended = [machines[0].entry(t).json(METRICS)["stopped"] for t in trials]
    assert ended == [False, False, True]
    assert len(bench.engine.fitted) == 3
    assert all(machines[0].trial(sweep, n).reused for n in range(3))


# With the real engine --------------------------------------------------------------


def short(epochs=3):
    return (*SMALL, f"{MEMBER}.training.epochs={epochs}")


def test_a_killed_trial_goes_on_and_ends_as_the_undisturbed_one(
    real, tmp_path, monkeypatch
):
    rule = {"rule": "median", "min_trials": 1}
    sweep = planned(rule, {RATE: [0.006, 0.003]}, settings=short())
    shutil.copytree(real.store.root, tmp_path / "other")
    undisturbed = Bench(real.source, Store(tmp_path / "other"))
    whole = undisturbed.trial(sweep, 0)

    def dying(self, history):
        if len(history) == 2:
            raise KeyboardInterrupt
        return end(self, history)

    end = Rivals.end
    with monkeypatch.context() as patch:
        patch.setattr(Rivals, "end", dying)
        with pytest.raises(KeyboardInterrupt):
            real.trial(sweep, 0)
    resumed = real.trial(sweep, 0, resume="must")
    assert resumed.address == whole.address
    assert real.history(resumed) == undisturbed.history(whole)
    for name in ("score", "tally", "stopped"):
        scores = (b.entry(resumed).json(METRICS)[name] for b in (real, undisturbed))
        assert len({json.dumps(score) for score in scores}) == 1
    log = (real.entry(resumed).path / LOG_FILE).read_text()
    assert '"event": "resume", "epoch": 2' in log


def test_a_real_training_that_falls_behind_is_ended_and_ranked(real):
    rule = {"rule": "median", "warmup_epochs": 2, "min_trials": 2}
    sweep = planned(rule, {RATE: [0.006, 0.003]}, settings=short())
    trials = [real.trial(sweep, 0)]
    # One whole training is too few; two that nobody reaches are not.
    (published,) = (real.store.root / "sweeps").glob("*/trial-*.json")
    for name in ("trial-x.json", "trial-y.json"):
        scores = [[epoch, 0.99] for epoch in (1, 2, 3)]
        content = json.dumps({"scores": scores, "ended": False})
        published.with_name(name).write_text(content)
    trials.append(real.trial(sweep, 1))
    whole, ended = (real.entry(t).json(METRICS) for t in trials)
    assert (whole["stopped"], whole["epochs"]) == (False, 3)
    assert (ended["stopped"], ended["epochs"]) == (True, 2)
    assert len(real.history(trials[1])) == 2
    assert whole["parameters"] == ended["parameters"] > 1000
    # What is scored are the weights in use, over the whole held-out samples.
    for done, metrics in zip(trials, (whole, ended), strict=True):
        validated = real.history(done)[-1]["val/score"]
        assert metrics["score"] == pytest.approx(validated)
    ranked = real.entry(real.rank(sweep, trials)).json(RANKING)["trials"]
    assert {row["trial"]: row["stopped"] for row in ranked} == {0: False, 1: True}


def test_a_network_that_cannot_be_built_is_a_result(real):
    axes = {f"{MEMBER}.net.encoder": ["tu-mobilenetv3_small_050", "tu-nothing"]}
    sweep = planned(axes=axes, settings=short(1))
    bad = real.trial(sweep, 1)
    assert bad.status != OK
    assert "tu-nothing" in bad.label


def test_missing_weights_end_the_sweep_before_it_costs_anything(real):
    axes = {f"{MEMBER}.net.weights": [None, "nowhere.safetensors"]}
    sweep = planned(axes=axes, settings=short(1))
    with pytest.raises(RecipeError, match="nowhere"):
        real.trial(sweep, 1)


def test_a_gpu_that_is_not_there_ends_the_sweep(real, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu = ("profiles.train.gpu=NVIDIA_L4", "profiles.train.gpus=1")
    sweep = planned(settings=(*SMALL, *gpu))
    with pytest.raises(TrainingError, match="no GPU"):
        real.trial(sweep, 0)
