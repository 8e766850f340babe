"""Boosted trees as an engine: what they learn, tell, keep, and survive."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trees_toy as toy
import xgboost as xgb
from sklearn.metrics import log_loss

from tenfold.data.dataset import Dataset
from tenfold.errors import StoreError, TrainingError
from tenfold.training import trees_backend
from tenfold.training.trees_table import draw_table


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees") / "data"
    toy.write_data(folder)
    return folder


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory):
    """The toy, trained undisturbed."""
    folder = tmp_path_factory.mktemp("fitted")
    return toy.fit(data, folder), folder


def predictions(finished, data, kind="last", batch=2):
    task = toy.make_order(data, Path()).task
    runner = trees_backend.load(task, finished.description, finished.files[kind], "", 1)
    return dict(runner(Dataset(data), toy.HELD_OUT_IDS, batch))


def all_rows(data, ids):
    samples = [Dataset(data).sample(id_) for id_ in ids]
    names = ("table", "truth", "valid")
    return [np.concatenate([sample[name] for sample in samples]) for name in names]


# What is learnt and told -------------------------------------------------------------


def test_it_learns_what_the_columns_say(fitted, data):
    finished, _ = fitted
    outputs = predictions(finished, data)
    assert list(outputs) == toy.HELD_OUT_IDS
    _, truth, _ = all_rows(data, toy.HELD_OUT_IDS)
    prob = np.concatenate([one["prob"] for one in outputs.values()])
    assert np.mean((prob > 0.5) == truth) > 0.85 > np.mean(~truth) + 0.05


def test_the_file_is_xgboosts_own_and_says_the_same(fitted, data):
    finished, _ = fitted
    rows, _, _ = all_rows(data, toy.HELD_OUT_IDS)
    booster = xgb.Booster(model_file=finished.files["last"])
    expected = booster.predict(xgb.DMatrix(rows, feature_names=list(toy.FEATURES)))
    for batch in (1, 2, 50):
        outputs = predictions(finished, data, batch=batch)
        prob = np.concatenate([one["prob"] for one in outputs.values()])
        np.testing.assert_array_equal(prob, expected)


def test_the_history_has_a_row_a_round_and_validations_where_due(fitted):
    finished, folder = fitted
    history = finished.history
    assert [row["epoch"] for row in history] == list(range(1, 9))
    assert [row["epoch"] for row in history if "val/score" in row] == [3, 6, 8]
    for row in history:
        assert row["lr"] == 0.3
        assert row["samples_per_second"] > 0
        assert 0 <= row["loader_wait"] <= 1
    assert [row["loader_wait"] > 0 for row in history] == [True] + 7 * [False]
    losses = [row["train/loss"] for row in history]
    assert losses == sorted(losses, reverse=True)
    assert history[-1]["val/score"] == history[-1]["val/accuracy"]
    logged = [row for row in toy.log_of(folder) if row["event"] == "epoch"]
    assert [row["train/loss"] for row in logged] == losses


def test_losses_are_those_of_all_rows_that_count(fitted, data):
    finished, _ = fitted
    last = finished.history[-1]
    rows, truth, valid = all_rows(data, toy.HELD_OUT_IDS)
    booster = xgb.Booster(model_file=finished.files["last"])
    chance = booster.inplace_predict(rows).astype(np.float64)
    assert last["val/loss"] == pytest.approx(log_loss(truth[valid], chance[valid]))
    assert last["val/accuracy"] == np.mean((chance > 0.5) == truth)
    order = toy.make_order(data, Path())
    table = draw_table(
        order.task, order.dataset, toy.TRAIN_IDS, toy.SEED, lambda *_: None
    )
    chance = booster.inplace_predict(table.values).astype(np.float64)
    expected = log_loss(table.truth, chance)
    assert last["train/loss"] == pytest.approx(expected, rel=1e-5)


def test_no_held_out_row_is_learnt_from(data, tmp_path):
    other = tmp_path / "other"
    toy.write_data(other)
    for shard in other.glob("shards/*"):
        for row in (1, 5):
            truth = np.load(shard / "truth.npy")
            if row < len(truth):
                truth[row] = ~truth[row]
                np.save(shard / "truth.npy", truth)
    one = toy.fit(data, tmp_path / "1")
    two = toy.fit(other, tmp_path / "2")
    assert one.history[-1]["val/score"] > 0.8 > two.history[-1]["val/score"]
    assert (
        toy.weights_of(tmp_path / "1")["last.ubj"]
        == (toy.weights_of(tmp_path / "2")["last.ubj"])
    )


def test_the_description_says_how_it_came_about(fitted, data):
    finished, _ = fitted
    description = finished.description
    booster = xgb.Booster(model_file=finished.files["last"])
    dump = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
    nodes = [int(t["tree_param"]["num_nodes"]) for t in dump["model"]["trees"]]
    assert description["parameters"] == sum(nodes)
    assert description["rounds"] == len(nodes) == 8
    assert description["features"] == list(toy.FEATURES)
    assert description["threads"] == 1
    _, truth, valid = all_rows(data, toy.TRAIN_IDS)
    learnt = description["learnt_from"]
    assert learnt["positive_rows"] == (truth & valid).sum()
    assert learnt["positive_rows"] < learnt["rows"] < valid.sum()
    assert learnt["samples"] == len(toy.TRAIN_IDS)
    json.dumps(description, allow_nan=False)


@pytest.mark.parametrize("trees", [{}, toy.DRAWING])
def test_the_same_seed_gives_the_same_bytes_and_another_others(data, tmp_path, trees):
    runs = [tmp_path / name for name in "abc"]
    toy.fit(data, runs[0], trees=trees)
    toy.fit(data, runs[1], trees=trees)
    order = replace(toy.make_order(data, runs[2], trees=trees), seed=(8, 1, 0))
    trees_backend.fit(order, toy.make_workspace(runs[2]), "auto")
    assert toy.weights_of(runs[0]) == toy.weights_of(runs[1])
    assert toy.weights_of(runs[0])["last.ubj"] != toy.weights_of(runs[2])["last.ubj"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_depth", 2),
        ("min_child_weight", 50.0),
        ("subsample", 0.5),
        ("colsample_bytree", 0.5),
        ("scale_pos_weight", 4.0),
    ],
)
def test_every_option_of_a_tree_reaches_it(fitted, data, tmp_path, option, value):
    toy.fit(data, tmp_path, trees={option: value})
    assert toy.weights_of(tmp_path)["last.ubj"] != toy.weights_of(fitted[1])["last.ubj"]


def test_pictures_are_kept_at_the_rounds_that_are_asked_for(data, tmp_path):
    finished = toy.fit(data, tmp_path, picture_epochs=(2,))
    assert "val/score" in finished.history[1]
    kept = sorted(file.name for file in (tmp_path / "pictures").iterdir())
    assert kept == ["0002_s01.npz", "0008_s01.npz"]
    with np.load(tmp_path / "pictures" / kept[1]) as picture:
        last = predictions(finished, data)["s01"]["prob"]
        np.testing.assert_array_equal(picture["prob"], last)


# Choosing and ending -----------------------------------------------------------------


def test_the_best_weights_are_the_trees_up_to_the_best_round(data, tmp_path):
    scorer = toy.ToyScorer([0.1, 0.9, 0.5])
    finished = toy.fit(data, tmp_path, scorer=scorer, weights="best")
    rows, _, _ = all_rows(data, toy.HELD_OUT_IDS)
    last = xgb.Booster(model_file=finished.files["last"])
    best = xgb.Booster(model_file=finished.files["best"])
    assert best.num_boosted_rounds() == 6 == finished.description["rounds"]
    np.testing.assert_array_equal(
        best.inplace_predict(rows), last.inplace_predict(rows, iteration_range=(0, 6))
    )


def test_what_is_best_goes_by_the_figure_that_is_monitored(data, tmp_path):
    # Big steps overfit at once, so that the loss is lowest early.
    finished = toy.fit(
        data, tmp_path, monitor="loss", weights="best", learning_rate=1.0, epochs=30
    )
    losses = {r["epoch"]: r["val/loss"] for r in finished.history if "val/loss" in r}
    best = min(losses, key=losses.get)
    assert best < 30
    assert finished.description["rounds"] == best


def test_a_figure_that_nobody_knows_is_refused_before_anything_is_read(data, tmp_path):
    task = toy.make_order(data, tmp_path).task
    task.on_rows = lambda: pytest.fail("rows were read")
    with pytest.raises(TrainingError, match=r"'f1'; there are score, loss, accuracy"):
        toy.fit(data, tmp_path, task=task, monitor="f1")


def test_it_ends_when_it_gains_no_more(data, tmp_path):
    scorer = toy.ToyScorer([0.5, 0.6, 0.6, 0.6, 0.6])
    finished = toy.fit(data, tmp_path, scorer=scorer, epochs=30, patience=5)
    # Best in round 6, the first of two alike; five rounds later is no validation.
    assert len(finished.history) == 12


def test_whoever_is_told_of_each_round_may_end_it_for_good(data, tmp_path):
    told = []

    def end(history):
        told.append(len(history))
        return len(history) == 5

    finished = toy.fit(data, tmp_path / "1", after_epoch=end)
    assert told == [1, 2, 3, 4, 5]
    assert finished.description["rounds"] == 5
    again = toy.fit(data, tmp_path / "1", after_epoch=lambda _: pytest.fail("told"))
    assert again.description == finished.description
    # An undisturbed training of five rounds is the same trees.
    toy.fit(data, tmp_path / "2", epochs=5)
    one, two = (toy.weights_of(tmp_path / name)["last.ubj"] for name in "12")
    assert one == two


# Faults ------------------------------------------------------------------------------


def changed(folder, name, change):
    """Write the data with an array changed in every sample."""
    toy.write_data(folder)
    for file in folder.glob(f"shards/*/{name}.npy"):
        np.save(file, change(np.load(file)))
    return folder


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("truth", False, r"toy: none of the \d+ rows .* is positive"),
        ("truth", True, r"toy: none of the \d+ rows .* is negative"),
        ("valid", False, r"toy: the 9 samples .* hold no usable row"),
    ],
)
def test_a_fold_that_cannot_be_learnt_says_so(tmp_path, name, value, reason):
    odd = changed(tmp_path / "data", name, lambda a: np.full_like(a, value))
    with pytest.raises(TrainingError, match=reason):
        toy.fit(odd, tmp_path / "run")


def test_samples_without_a_usable_row_give_nothing_and_are_predicted(tmp_path):
    def half(valid):
        valid[::2] = False
        return valid

    odd = changed(tmp_path / "data", "valid", half)
    finished = toy.fit(odd, tmp_path / "run")
    assert finished.description["learnt_from"]["samples"] == 3
    assert list(predictions(finished, odd)) == toy.HELD_OUT_IDS
    assert np.isfinite(finished.history[-1]["val/loss"])


def test_held_out_samples_without_a_usable_row_have_no_loss(tmp_path):
    def odd_ones(valid):
        valid[1::4] = False
        return valid

    odd = changed(tmp_path / "data", "valid", odd_ones)
    finished = toy.fit(odd, tmp_path / "run")
    assert finished.history[-1]["val/loss"] == 0
    assert finished.description["curves"] == {}
    shuffled = [r["loss_if_shuffled"] for r in finished.description["importance"]]
    assert shuffled == [0, 0, 0, 0]


def test_a_broken_file_or_one_of_other_columns_is_refused(fitted, data, tmp_path):
    finished, _ = fitted
    task = toy.make_order(data, tmp_path).task
    broken = tmp_path / "last.ubj"
    broken.write_bytes(b"{" + bytes(100))
    with pytest.raises(StoreError, match=r"last\.ubj holds no trees"):
        trees_backend.load(task, finished.description, broken, "32-true")
    task.restore = lambda _: task
    task.features = ("left", "right")
    with pytest.raises(StoreError, match=r"trees over \['left', 'right', 'idle'"):
        trees_backend.load(
            task, finished.description, finished.files["last"], "32-true"
        )


def test_no_framework_comes_with_it():
    code = (
        "import sys, tenfold.training.trees_backend\n"
        "assert 'xgboost' in sys.modules\n"
        "assert not {'torch', 'tensorflow', 'lightning_fabric'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_recipe_can_be_read_without_xgboost():
    code = (
        "import sys, tenfold.challenges.kelp.options, tenfold.training.trees_table\n"
        "assert 'xgboost' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
