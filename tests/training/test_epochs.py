"""What an epoch trains on and validates, and the figures and pictures it leaves."""

import copy
import json
import signal

import numpy as np
import pytest
import torch
from toy import (
    HELD_OUT_IDS,
    IDS,
    TRAIN_IDS,
    ToyTask,
    log_of,
    make_job,
)
from trainings import (
    STEPS,
    TOTAL,
    accuracy_by_hand,
    assert_equal_states,
    assert_same_result,
    fit,
    numbers,
    result_of,
)

from tenfold.training.inference import assess
from tenfold.training.precision import fabric_of

# What is trained on, what is validated ---------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_held_out_samples_are_never_trained_on(data, tmp_path, weighted):
    task = ToyTask()
    if weighted:
        task.weights = np.linspace(0.1, 1.0, len(TRAIN_IDS))
    fit(data, tmp_path, task, epochs=6)
    assert len(task.seen) == 6 * 16
    assert set(task.seen) == numbers(TRAIN_IDS)
    assert set(task.whole_seen) == numbers(HELD_OUT_IDS)
    assert not set(task.seen) & numbers(HELD_OUT_IDS)


def test_each_sample_comes_once_an_epoch_in_changing_order(data, tmp_path):
    task = ToyTask()
    fit(data, tmp_path, task, epochs=3)
    epochs = [task.seen[at : at + 16] for at in (0, 16, 32)]
    for epoch in epochs:
        assert set(epoch) == numbers(TRAIN_IDS)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_samples_of_weight_0_are_never_drawn(data, tmp_path):
    task = ToyTask()
    task.weights = np.tile([0.0, 1.0, 3.0, 0.0], 4)
    fit(data, tmp_path, task, epochs=4, samples_per_epoch=80)
    drawn = np.bincount(task.seen, minlength=len(IDS))
    by_weight = {
        weight: sum(
            drawn[IDS.index(id_)]
            for id_, w in zip(TRAIN_IDS, task.weights, strict=True)
            if w == weight
        )
        for weight in (0.0, 1.0, 3.0)
    }
    assert by_weight[0.0] == 0
    assert sum(by_weight.values()) == len(task.seen) == 320
    # 240 are expected of weight 3, with a deviation of 8.
    assert by_weight[3.0] == pytest.approx(240, abs=40)


def test_an_epoch_smaller_than_a_batch_is_one_step(data, tmp_path):
    task = ToyTask()
    fit(data, tmp_path, task, epochs=2, batch=64)
    assert task.steps == 2
    assert sorted(task.seen) == sorted([*numbers(TRAIN_IDS)] * 2)


@pytest.mark.parametrize("weights", ["last", "ema", "best"])
def test_validation_scores_the_weights_that_will_be_used(data, tmp_path, weights):
    fitted, _ = fit(data, tmp_path, weights=weights, ema=0.98)
    row = fitted.history[-1]
    of_last, _ = accuracy_by_hand(data, fitted.weights["last"])
    of_ema, _ = accuracy_by_hand(data, fitted.weights["ema"])
    assert of_last != pytest.approx(of_ema, abs=1e-4)
    expected = of_ema if weights == "ema" else of_last
    assert row["val/score"] == pytest.approx(expected, abs=1e-9)
    assert row["val/accuracy"] == row["val/score"]
    of_best, _ = accuracy_by_hand(data, fitted.weights["best"])
    best = max(row["val/score"] for row in fitted.history)
    assert of_best == pytest.approx(best, abs=1e-9)


def test_validating_does_not_change_the_training(data, tmp_path):
    often, _ = fit(data, tmp_path / "1", weights="ema", validate_every=1)
    seldom, _ = fit(data, tmp_path / "2", weights="ema", validate_every=3)
    for kind in ("last", "ema"):
        assert_equal_states(often.weights[kind], seldom.weights[kind])
    scored = ["val/score" in row for row in seldom.history]
    assert scored == [False, False, True, True]
    assert seldom.history[3]["val/score"] == often.history[3]["val/score"]


def test_the_training_figures_are_those_of_the_steps(data, tmp_path):
    losses, task = [], ToyTask()
    inner = task.step

    def step(model, batch):
        loss, counts = inner(model, batch)
        losses.append((float(loss.detach()), float(counts["hits"])))
        return loss, counts

    task.step = step
    fitted, _ = fit(data, tmp_path, task)
    for number, row in enumerate(fitted.history):
        part = losses[number * STEPS : (number + 1) * STEPS]
        assert row["train/loss"] == pytest.approx(np.mean([p[0] for p in part]))
        assert row["train/accuracy"] == sum(p[1] for p in part) / (16 * 256)


def test_training_learns(data, tmp_path):
    """The mask is brighter or not than average in two bands: an easy task."""
    fitted, _ = fit(data, tmp_path, epochs=30, ema=0.8, weights="ema")
    losses = [row["train/loss"] for row in fitted.history]
    assert losses[-1] < 0.75 * losses[0]
    assert fitted.history[-1]["val/score"] > 0.8


def test_loader_processes_do_not_change_the_result(train, tmp_path):
    for workers in (0, 2):
        code = train(tmp_path / str(workers), training={"workers": workers})
        assert code == 0
    assert_same_result(result_of(tmp_path / "0"), result_of(tmp_path / "2"))


# Pictures and outputs --------------------------------------------------------------


def test_pictures_are_kept_at_the_chosen_epochs_and_the_last(data, tmp_path):
    pictured = HELD_OUT_IDS[1:4:2]
    fitted, _ = fit(
        data,
        tmp_path,
        epochs=5,
        weights="ema",
        validate_every=4,
        picture_epochs=[1, 3],
        pictured=pictured,
    )
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == [
        f"{epoch:04d}_{id_}.npz" for epoch in (1, 3, 5) for id_ in pictured
    ]
    _, by_hand = accuracy_by_hand(data, fitted.weights["ema"])
    for id_ in pictured:
        with np.load(tmp_path / "pictures" / f"0005_{id_}.npz") as picture:
            assert picture.files == ["prob"]
            np.testing.assert_allclose(picture["prob"], by_hand[id_], atol=1e-6)
        with np.load(tmp_path / "pictures" / f"0001_{id_}.npz") as picture:
            assert not np.allclose(picture["prob"], by_hand[id_], atol=1e-3)
    # A picture needs a validation, so its epoch has a score.
    scored = [int(row["epoch"]) for row in fitted.history if "val/score" in row]
    assert scored == [1, 3, 4, 5]


def test_outputs_are_of_the_asked_samples_in_order(data):
    job = make_job(data, batch=4)
    ids = [IDS[place] for place in (20, 3, 11, 3, 0, 7)]
    state = {name: t.clone() for name, t in job.model.state_dict().items()}
    task, fabric = job.task, fabric_of("32-true")
    assessed = assess(task, job.model, job.dataset, ids, fabric, batch=4)
    together = [(id_, outputs) for id_, outputs, _ in assessed]
    assert [id_ for id_, _ in together] == ids
    reference = copy.deepcopy(job.model).eval()
    for id_, outputs in together:
        image = np.array(job.dataset.sample(id_)["image"])[None]
        with torch.no_grad():
            expected = torch.sigmoid(reference(torch.from_numpy(image).float() / 255))
        np.testing.assert_allclose(outputs["prob"], expected[0, 0], atol=1e-6)
    # No statistics of batch normalisation are taken in while predicting.
    assert_equal_states(job.model.state_dict(), state)


def test_progress_names_the_steps_done(data, tmp_path):
    fit(data, tmp_path)
    progress = json.loads((tmp_path / "progress.json").read_text())
    assert (progress["done"], progress["total"]) == (TOTAL, TOTAL)
    assert progress["unit"] == "steps"
    epochs = [line for line in log_of(tmp_path) if line["event"] == "epoch"]
    assert [line["epoch"] for line in epochs] == [1, 2, 3, 4]


def test_a_resumed_run_has_the_pictures_of_the_undisturbed_one(train, tmp_path):
    request = {"training": {"picture_epochs": [1, 2]}, "pictured": HELD_OUT_IDS[:2]}
    assert train(tmp_path / "whole", **request) == 0
    folder = tmp_path / "killed"
    for n in (10, 1):
        stop = {"at": "step", "n": n, "signal": "SIGKILL"}
        assert train(folder, stops=[stop], **request) == -signal.SIGKILL
    assert train(folder, **request) == 0
    pictures = sorted(path.name for path in (tmp_path / "whole/pictures").iterdir())
    assert len(pictures) == 6
    assert sorted(path.name for path in (folder / "pictures").iterdir()) == pictures
    for name in pictures:
        with (
            np.load(tmp_path / "whole/pictures" / name) as one,
            np.load(folder / "pictures" / name) as other,
        ):
            np.testing.assert_array_equal(one["prob"], other["prob"])


# Limits for trial runs -------------------------------------------------------------


@pytest.mark.parametrize(("accumulate", "steps"), [(1, 3), (2, 2), (4, 1)])
def test_an_epoch_has_no_more_steps_than_its_limit(data, tmp_path, accumulate, steps):
    task = ToyTask()
    options = {"limit_steps": 3, "accumulate": accumulate, "epochs": 2}
    fitted, _ = fit(data, tmp_path, task, **options)
    batches = min(3 * accumulate, 4)
    assert task.steps == 2 * batches
    assert len(task.seen) == 2 * 4 * batches
    progress = json.loads((tmp_path / "progress.json").read_text())
    assert (progress["done"], progress["total"]) == (2 * steps, 2 * steps)
    assert len(fitted.history) == 2


def test_the_samples_of_a_limited_epoch_are_the_first_of_the_whole_one(data, tmp_path):
    whole, limited = ToyTask(), ToyTask()
    fit(data, tmp_path / "1", whole, epochs=1)
    fit(data, tmp_path / "2", limited, epochs=1, limit_steps=2)
    assert limited.seen == whole.seen[:8]


@pytest.mark.parametrize(
    ("limit", "places"), [(1, [0]), (2, [0, 5]), (3, [0, 2, 5]), (6, range(6))]
)
def test_a_limited_validation_is_spread_over_the_held_out(
    data, tmp_path, limit, places
):
    task = ToyTask()
    fit(data, tmp_path, task, epochs=1, limit_validation=limit)
    assert task.whole_seen == [IDS.index(HELD_OUT_IDS[place]) for place in places]


def test_pictured_samples_are_validated_beyond_the_limit(data, tmp_path):
    task, pictured = ToyTask(), HELD_OUT_IDS[3:5]
    fit(data, tmp_path, task, epochs=1, limit_validation=1, pictured=pictured)
    assert set(task.whole_seen) == numbers([HELD_OUT_IDS[0], *pictured])
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_a_quick_run_of_everything(data, tmp_path):
    """Two steps and a validation, as the recipe's docstring says."""
    task = ToyTask()
    fitted, _ = fit(data, tmp_path, task, epochs=1, limit_steps=2, limit_validation=1)
    assert (task.steps, len(task.whole_seen)) == (2, 1)
    assert "val/score" in fitted.history[-1]
