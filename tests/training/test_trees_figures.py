"""What is said of trained trees, against scikit-learn and brute force."""

import json

import numpy as np
import pytest
import trees_toy as toy
import xgboost as xgb
from sklearn.metrics import (
    average_precision_score,
    log_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from tenfold.data.dataset import Dataset
from tenfold.training.trees_figures import curves, importance, permutation_losses


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """Trained trees, their description, and the held-out rows with their labels."""
    folder = tmp_path_factory.mktemp("figures")
    toy.write_data(folder / "data")
    finished = toy.fit(folder / "data", folder / "run")
    booster = xgb.Booster(model_file=finished.files["last"])
    dataset = Dataset(folder / "data")
    samples = [dataset.sample(id_) for id_ in toy.HELD_OUT_IDS]
    valid = np.concatenate([sample["valid"] for sample in samples])
    rows = np.concatenate([sample["table"] for sample in samples])[valid]
    truth = np.concatenate([sample["truth"] for sample in samples])[valid]
    return booster, finished.description, rows, truth


def counted(steps, truth):
    counts = np.zeros((2, 256), np.int64)
    np.add.at(counts, (truth.astype(int), steps), 1)
    return counts


@pytest.mark.parametrize("seed", range(4))
def test_curves_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth = rng.random(500) < 0.1
    steps = np.clip(rng.normal(60 + 80 * truth, 50), 0, 255).astype(int)
    found = curves(counted(steps, truth))
    precision, recall, _ = precision_recall_curve(truth, steps)
    # Theirs ends with a point without a threshold, and runs the other way.
    assert found["recall"] == pytest.approx(recall[-2::-1].tolist(), abs=1e-5)
    assert found["precision"] == pytest.approx(precision[-2::-1].tolist(), abs=1e-5)
    expected = average_precision_score(truth, steps)
    assert found["average_precision"] == pytest.approx(expected)
    assert found["roc_area"] == pytest.approx(roc_auc_score(truth, steps))
    alarms, _, _ = roc_curve(truth, steps, drop_intermediate=False)
    assert found["false_positive_rate"] == pytest.approx(alarms[1:].tolist(), abs=1e-5)


@pytest.mark.parametrize("truth", [False, True])
def test_one_label_has_no_curves(truth):
    steps = np.arange(256)
    assert curves(counted(steps, np.full(256, truth))) == {}


def test_the_curves_of_a_training_are_those_of_its_held_out_rows(ground):
    booster, description, rows, truth = ground
    steps = np.rint(booster.inplace_predict(rows) * 255).astype(int)
    expected = average_precision_score(truth, steps)
    assert description["curves"]["average_precision"] == pytest.approx(expected)


def test_gain_and_splits_are_those_of_the_trees(ground):
    booster, description, _, _ = ground
    gains, splits = dict.fromkeys(toy.FEATURES, 0.0), dict.fromkeys(toy.FEATURES, 0)

    def walk(node):
        if "split" in node:
            gains[node["split"]] += node["gain"]
            splits[node["split"]] += 1
        for child in node.get("children", ()):
            walk(child)

    for tree in booster.get_dump(with_stats=True, dump_format="json"):
        walk(json.loads(tree))
    rows = {row["channel"]: row for row in description["importance"]}
    assert rows.keys() == set(toy.FEATURES)
    for name, row in rows.items():
        assert row["splits"] == splits[name]
        mean = gains[name] / splits[name] if splits[name] else 0.0
        assert row["gain"] == pytest.approx(mean, rel=1e-4)
    order = [row["gain"] for row in description["importance"]]
    assert order == sorted(order, reverse=True)
    assert {row["channel"] for row in description["importance"][:2]} == {
        "left",
        "right",
    }


def test_a_shuffled_column_costs_what_it_told(ground):
    booster, _, rows, truth = ground
    found = permutation_losses(booster, rows, truth, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    before = log_loss(truth, booster.inplace_predict(rows).astype(float))
    for column in range(rows.shape[1]):
        mixed = rows.copy()
        mixed[:, column] = rng.permutation(mixed[:, column])
        chance = booster.predict(xgb.DMatrix(mixed, feature_names=list(toy.FEATURES)))
        expected = log_loss(truth, chance.astype(float)) - before
        assert found[column] == pytest.approx(expected, abs=1e-6)
    assert min(found[:2]) > 0.1
    assert found[2] == pytest.approx(0, abs=0.01)


def test_a_column_that_no_tree_asks_for_tells_nothing():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 2)).astype(np.float32)
    rows[:, 1] = 1
    truth = rows[:, 0] > 0
    matrix = xgb.QuantileDMatrix(rows, truth, feature_names=["a", "b"])
    booster = xgb.train({"objective": "binary:logistic", "nthread": 1}, matrix, 3)
    shuffled = permutation_losses(booster, rows, truth, rng)
    assert shuffled[1] == 0 < shuffled[0]
    first, second = importance(booster, ("b", "a"), shuffled[::-1])
    assert (first["channel"], second["channel"]) == ("a", "b")
    assert second == {"channel": "b", "gain": 0, "splits": 0, "loss_if_shuffled": 0}
