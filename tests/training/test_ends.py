"""How a training ends: finished, early, or on numbers that are none."""

import numpy as np
import pytest
import torch
from toy import ToyScorer, ToyTask, log_of, make_job
from trainings import EVERY_STEP, STEPS, assert_equal_states, fit

from tenfold.errors import TrainingError
from tenfold.store import CHECKPOINTS, Key, Store
from tenfold.training.engine import Trainer

# In the store ----------------------------------------------------------------------


def build(store, data, task, resume="auto", **options):
    """Train as a stage does: the weights are the entry."""

    def work(workspace):
        trainer = Trainer(make_job(data, task, **options), workspace, resume)
        state = trainer.fit().weights["last"]
        arrays = {name: tensor.numpy() for name, tensor in state.items()}
        np.savez(workspace.path / "weights.npz", allow_pickle=False, **arrays)

    return store.build(Key("train", {}, {}, "code"), "toy", {}, work)


@pytest.mark.parametrize(
    ("at", "epoch", "step"), [(1, 1, STEPS), (6, 2, STEPS), (16, 4, STEPS)]
)
def test_a_loss_that_is_not_a_number_stops_the_run(data, tmp_path, at, epoch, step):
    store, task = Store(tmp_path), ToyTask()
    task.nan_at = at
    with pytest.raises(
        TrainingError, match=f"not finite in epoch {epoch}, step {step}"
    ):
        build(store, data, task)
    assert not list(tmp_path.rglob("manifest.json"))
    assert not list(tmp_path.rglob("weights.npz"))
    (log,) = tmp_path.rglob("log.jsonl")
    failed = log_of(log.parent)[-1]
    assert failed["event"] == "failed"
    assert failed["kind"] == "TrainingError"


def test_a_long_epoch_is_not_trained_to_its_end_for_nothing(data, tmp_path):
    """A loss that is not a number is noticed within 25 steps."""
    task = ToyTask()
    task.nan_at = 3
    with pytest.raises(TrainingError, match="not finite in epoch 1, step"):
        fit(data, tmp_path, task, samples_per_epoch=400)
    assert task.steps <= 28


def test_weights_that_are_not_numbers_are_never_saved(data, tmp_path):
    """Else a fault that would pass (a GPU's, say) comes back with every rerun."""
    options = {"samples_per_epoch": 80, "checkpoint_minutes": EVERY_STEP, "epochs": 1}
    task = ToyTask()
    task.nan_at = 5
    with pytest.raises(TrainingError, match="not finite"):
        fit(data, tmp_path / "faulty", task, **options)
    again, _ = fit(data, tmp_path / "faulty", **options)
    whole, _ = fit(data, tmp_path / "whole", **options)
    assert_equal_states(again.weights["last"], whole.weights["last"])


def test_a_finished_training_goes_without_its_checkpoints(data, tmp_path):
    entry = build(Store(tmp_path), data, ToyTask())
    assert not (entry.path / CHECKPOINTS).exists()
    names = {file["name"] for file in entry.manifest["files"]}
    assert names == {"weights.npz"}


def test_a_run_lost_while_its_entry_is_completed_does_not_train_again(
    data, tmp_path, monkeypatch
):
    """Files are hashed, and to an object store uploaded, before the manifest."""
    store = Store(tmp_path)

    def lost(*_):
        raise OSError("the machine went away")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_complete", lost)
        with pytest.raises(OSError, match="went away"):
            build(store, data, ToyTask())
    task = ToyTask()
    entry = build(store, data, task, resume="must")
    assert task.steps == 0
    assert (entry.path / "weights.npz").is_file()


# Early stopping and the best epoch -------------------------------------------------


@pytest.mark.parametrize("weights", ["last", "ema", "best"])
def test_patience_ends_the_run_and_best_is_the_best_epoch(data, tmp_path, weights):
    plain = {"schedule": {"name": "none"}, "weights": weights}
    scripted = [0.2, 0.9, 0.5, 0.9, 0.3, 0.95, 0.99]
    scorer = ToyScorer(scripted=scripted)
    stopped, _ = fit(data, tmp_path / "1", None, scorer, epochs=7, patience=3, **plain)
    # The second epoch's score is not gained upon in the third, fourth and fifth.
    assert [row["val/score"] for row in stopped.history] == scripted[:5]
    assert [row["epoch"] for row in stopped.history] == [1, 2, 3, 4, 5]
    # Without a schedule, the weights of an epoch do not depend on how many follow.
    two, _ = fit(data, tmp_path / "2", None, epochs=2, **plain)
    five, _ = fit(data, tmp_path / "5", None, epochs=5, **plain)
    validated = "ema" if weights == "ema" else "last"
    assert_equal_states(stopped.weights["best"], two.weights[validated])
    for kind in ("last", "ema"):
        assert_equal_states(stopped.weights[kind], five.weights[kind])
    assert not torch.equal(
        stopped.weights["best"]["0.weight"], stopped.weights[validated]["0.weight"]
    )


def test_a_gain_starts_the_patience_anew(data, tmp_path):
    scores = [0.5, 0.4, 0.6, 0.1, 0.2, 0.9]
    fitted, _ = fit(
        data, tmp_path, None, ToyScorer(scripted=scores), epochs=6, patience=2
    )
    assert [row["val/score"] for row in fitted.history] == scores[:5]


def test_without_patience_all_epochs_are_trained(data, tmp_path):
    scores = [0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    fitted, _ = fit(data, tmp_path, None, ToyScorer(scripted=scores), epochs=6)
    assert [row["val/score"] for row in fitted.history] == scores


def test_patience_counts_epochs_however_seldom_they_are_validated(data, tmp_path):
    """`patience: epochs without gain`, says the recipe."""
    scores = [0.5, 0.4, 0.3, 0.2, 0.1]
    fitted, _ = fit(
        data,
        tmp_path,
        None,
        ToyScorer(scripted=scores),
        epochs=10,
        patience=4,
        validate_every=2,
    )
    # Best after epoch 2; four epochs without gain are over after epoch 6.
    assert len(fitted.history) == 6
