"""tune sees outputs of held-out samples and no others."""

import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tenfold.challenges import load_recipe
from tenfold.data import shards
from tenfold.data.dataset import CATALOGUE, SHARDS, Dataset
from tenfold.data.files import write_json
from tenfold.data.shards import write_shard
from tenfold.errors import LeakError, StoreError, TenfoldError
from tenfold.folds import FoldTable
from tenfold.stages import ingest, split, tune
from tenfold.stages.context import Context, Reference
from tenfold.stages.evaluate import LEADERBOARD
from tenfold.store import Key, Store

IDS = [f"t{number:02d}" for number in range(9)]
#: Three folds of two or three samples; t08 is in none.
FOLD_OF = [0, 1, 2, 0, 1, 2, 0, 1, -1]
K = 3
MODELS = ("alpha", "beta")


def held_out(fold):
    return [id_ for id_, f in zip(IDS, FOLD_OF, strict=True) if f == fold]


def fold_table():
    table = pl.DataFrame({"id": IDS, "group": list(range(9)), "fold": FOLD_OF})
    return FoldTable(table.with_columns(stratum=pl.lit("a")), K, "fingerprint")


def value(model, id_):
    """Give the one number that a model says of a sample."""
    return MODELS.index(model) * 100.0 + [*IDS, "unknown"].index(id_)


class Bench:
    """A store with a data set, folds and trained folds that are made up."""

    def __init__(self, folder):
        self.store = Store(folder / "store")
        self.data = self._make("ingest", "data", self._fill_data)
        inputs = {"dataset": self.data.address}
        self.split = self._make("split", "folds", self._fill_split, inputs)
        self.folds = fold_table()
        self.rows = {
            model: {
                "model": model,
                "role": "segment",
                "selected_on_fold": False,
                "pseudo_labelled": False,
                "folds": {},
                "fold_scores": {},
            }
            for model in MODELS
        }
        for model in MODELS:
            for fold in range(K):
                self.train(model, fold)

    def _make(self, stage, name, fill, inputs=None):
        key = Key(stage, inputs or {}, name, "code")
        return self.store.build(key, name, {}, lambda workspace: fill(workspace.path))

    def _fill_data(self, path):
        samples = [{"truth": np.full((2, 2), n, np.float32)} for n in range(9)]
        _write_outputs(path, dict(zip(IDS, samples, strict=True)))
        write_json(path / ingest.SUMMARY, {"fingerprint": "fingerprint"})

    def _fill_split(self, path):
        table = fold_table()
        table.table.write_parquet(path / split.FOLDS)
        write_json(path / split.PROOF, table.proof())

    def train(self, model, fold, ids=None, says=None, name="", beside=None):
        """Make a trained fold; by default of exactly its held-out samples."""
        ids = held_out(fold) if ids is None else ids

        def fill(path):
            arrays = {i: {"prob": np.full(3, value(model, i))} for i in ids}
            _write_outputs(path / "out_of_fold", arrays, ids)
            says_fold = fold if says is None else says
            write_json(path / "metrics.json", {"fold": says_fold, "model": model})
            if beside is not None:
                beside(path)

        entry = self._make("train", f"{model} {fold} {name}", fill)
        self.rows[model]["folds"][str(fold)] = entry.address
        self.rows[model]["fold_scores"][str(fold)] = 0.5 + fold / 10
        return entry

    def drop(self, model, fold):
        del self.rows[model]["folds"][str(fold)]
        del self.rows[model]["fold_scores"][str(fold)]

    def held_out(self):
        rows = list(self.rows.values())
        return tune.HeldOut(self.store, Dataset(self.data.path), self.folds, rows)


def _write_outputs(path, arrays, ids=None):
    """Pack arrays by id, two in a shard; `ids` may name one twice."""
    ids = list(arrays) if ids is None else ids
    rows = []
    for first in range(0, len(ids), 2):
        name = f"{first // 2:05d}"
        part = ids[first : first + 2]
        write_shard(path / SHARDS / name, [arrays[i] for i in part], {})
        rows += [
            {"id": i, "split": "train", "shard": name, "row": row}
            for row, i in enumerate(part)
        ]
    pl.DataFrame(rows).write_parquet(path / CATALOGUE)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_each_sample_comes_once_with_the_fold_that_held_it_out(bench):
    joined = bench.held_out()
    assert joined.models == MODELS
    assert joined.folds == (0, 1, 2)
    seen = list(joined.samples())
    assert sorted(id_ for id_, *_ in seen) == IDS[:8]
    assert len(joined) == 8
    for id_, fold, sample, outputs in seen:
        assert fold == FOLD_OF[IDS.index(id_)]
        assert sample["truth"].tolist() == [[IDS.index(id_)] * 2] * 2
        assert outputs.keys() == set(MODELS)
        for model in MODELS:
            assert outputs[model]["prob"].tolist() == [value(model, id_)] * 3


def test_scores_are_those_of_the_model_by_fold(bench):
    bench.rows["beta"]["fold_scores"] = {"0": 0.25, "1": 0.5, "2": 0.75}
    assert bench.held_out().scores("beta") == {0: 0.25, 1: 0.5, 2: 0.75}
    assert bench.held_out().scores("alpha") == {0: 0.5, 1: 0.6, 2: 0.7}


@pytest.mark.parametrize("model", MODELS)
def test_a_fold_that_one_model_lacks_is_left_out_for_all(bench, model):
    bench.drop(model, 1)
    joined = bench.held_out()
    assert joined.folds == (0, 2)
    seen = [id_ for id_, *_ in joined.samples()]
    assert sorted(seen) == sorted(held_out(0) + held_out(2))
    assert len(joined) == len(seen)


def test_models_without_a_common_fold_are_refused(bench):
    """Else a decision would be tuned on nothing, and look perfect."""
    for fold in (0, 1):
        bench.drop("alpha", fold)
    bench.drop("beta", 2)
    with pytest.raises(TenfoldError, match="fold"):
        bench.held_out()


LEAKS = {
    "a training sample beside": [*held_out(1), held_out(0)[0]],
    "a training sample instead": [*held_out(1)[1:], held_out(2)[0]],
    "a sample of no fold": [*held_out(1), "t08"],
    "a sample of another data set": [*held_out(1)[1:], "unknown"],
    "one sample missing": held_out(1)[1:],
    "one sample twice": [*held_out(1), held_out(1)[0]],
    "another fold's samples": held_out(2),
    "all samples": IDS[:8],
}


@pytest.mark.parametrize("name", LEAKS)
@pytest.mark.parametrize("model", MODELS)
def test_outputs_of_other_samples_are_refused(bench, name, model):
    bench.train(model, 1, ids=LEAKS[name], name=name)
    with pytest.raises(LeakError, match="fold 1's held-out"):
        bench.held_out()


def test_an_entry_of_another_fold_is_refused_although_its_samples_fit(bench):
    """It says that it held out fold 0, so it was trained on these samples."""
    bench.train("alpha", 1, says=0, name="mislabelled")
    with pytest.raises(LeakError, match="fold 1's held-out"):
        bench.held_out()


def test_swapped_addresses_are_refused(bench):
    folds = bench.rows["beta"]["folds"]
    folds["0"], folds["2"] = folds["2"], folds["0"]
    with pytest.raises(LeakError):
        bench.held_out()


def test_the_refusal_names_the_entry(bench):
    entry = bench.train("beta", 2, ids=IDS[:8], name="leak")
    with pytest.raises(LeakError, match=entry.address):
        bench.held_out()


def test_outputs_that_were_changed_or_lost_are_refused(bench):
    entry = bench.train("beta", 1, name="changed")
    file = entry.path / "out_of_fold" / SHARDS / "00000" / "prob.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=entry.address):
        bench.held_out()


# The stage as a whole --------------------------------------------------------------


class MeanDecision:
    """Keeps every output that it is shown."""

    def __init__(self):
        self.shown = {}

    def tune(self, recipe, out_of_fold, on_progress):
        del recipe
        for done, (id_, _, _, outputs) in enumerate(out_of_fold.samples(), 1):
            for model, arrays in outputs.items():
                self.shown[model, id_] = np.array(arrays["prob"]).tolist()
            on_progress(done)
        mean = float(np.mean(list(self.shown.values())))
        return {
            "decision": {"mean": mean},
            "statement": "the mean",
            "honest": 0.5,
            "naive": 0.5,
            "baseline": {},
            "curves": [],
            "effects": [],
            "examples": [],
        }


@pytest.fixture
def stage(monkeypatch):
    """Give a function that runs the stage on a bench, and what it was shown."""

    def run(bench):
        decision = MeanDecision()
        challenge = SimpleNamespace(
            name="kelp",
            decision=decision,
            module=lambda part: f"tenfold.challenges.kelp.{part}",
        )
        monkeypatch.setattr(Context, "challenge", challenge)
        context = Context(load_recipe("kelp", "smoke"), bench.store)
        rows = list(bench.rows.values())
        board = bench._make(
            "evaluate",
            json.dumps(rows),
            lambda path: write_json(path / LEADERBOARD, rows),
        )

        def refer(entry):
            return Reference(entry.stage, entry.address, "", context.recipe.digest())

        made = tune.run(context, *map(refer, (bench.data, bench.split, board)))
        return bench.store.open(made.address), decision

    return run


@pytest.fixture
def opened(monkeypatch):
    """Collect the names of the arrays that are opened."""
    files, load = [], np.load
    monkeypatch.setattr(
        shards.np,
        "load",
        lambda path, **how: (files.append(path), load(path, **how))[1],
    )
    return files


def test_the_decision_is_made_on_held_out_outputs_alone(bench, stage):
    entry, decision = stage(bench)
    expected = {(m, i): [value(m, i)] * 3 for m in MODELS for i in IDS[:8]}
    assert decision.shown == expected
    written = entry.json(tune.DECISION)
    assert written["choice"]["mean"] == pytest.approx(
        np.mean([values[0] for values in expected.values()])
    )
    assert [member["model"] for member in written["members"]] == list(MODELS)
    assert written["members"][1]["folds"] == bench.rows["beta"]["folds"]


def test_predictions_of_training_samples_beside_are_never_opened(
    bench, stage, opened, tmp_path
):
    """Poison lies wherever a training prediction could: it changes nothing."""
    clean, _ = stage(bench)

    def poison(path):
        bad = [{"prob": np.full(3, np.nan)} for _ in IDS]
        write_shard(path / "out_of_fold" / SHARDS / "99999", bad, {})
        arrays = dict(zip(IDS, bad, strict=True))
        _write_outputs(path / "in_fold", arrays)
        _write_outputs(path / "predictions", arrays)

    poisoned = Bench(tmp_path / "poisoned")
    for model in MODELS:
        for fold in range(K):
            poisoned.train(model, fold, name="poisoned", beside=poison)
            # Folds of the same models that no board names.
            row = json.dumps(poisoned.rows[model])
            poisoned.train(model, fold, ids=IDS, name="unnamed")
            poisoned.rows[model] = json.loads(row)
    opened.clear()
    entry, decision = stage(poisoned)
    assert not np.isnan(list(decision.shown.values())).any()
    assert entry.json(tune.DECISION)["choice"] == clean.json(tune.DECISION)["choice"]
    assert entry.json(tune.SCORES) == clean.json(tune.SCORES)
    outputs = {file for file in opened if "out_of_fold" in file.parts}
    named = {
        poisoned.store.root / address / "out_of_fold"
        for row in poisoned.rows.values()
        for address in row["folds"].values()
    }
    assert {file.parents[2] for file in outputs} == named
    assert not any("99999" in file.parts for file in opened)
    assert not any({"in_fold", "predictions"} & set(file.parts) for file in opened)


def test_a_training_prediction_stops_the_stage_and_nothing_is_stored(
    bench, stage, opened
):
    bench.train("alpha", 0, ids=[*held_out(0), held_out(1)[0]], name="leaky")
    with pytest.raises(LeakError, match="fold 0's held-out"):
        stage(bench)
    assert not any("out_of_fold" in file.parts for file in opened)
    assert not list((bench.store.root / "tune").glob("*/manifest.json"))
