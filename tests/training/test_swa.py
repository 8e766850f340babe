"""Averages of the last epochs' weights, and the statistics that go with them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from toy import TRAIN_IDS, ToyTask, make_job, make_workspace
from trainings import EPOCHS, STEPS, TOTAL, accuracy_by_hand, fit

from tenfold.recipe import Swa
from tenfold.training.augment import move
from tenfold.training.engine import Trainer
from tenfold.training.examples import EpochExamples, collate
from tenfold.training.order import epoch_order
from tenfold.training.swa import epochs_before

SWA = {"start": 0.5, "learning_rate": 0.02, "annealing_epochs": 2}
STATISTICS = ("1.running_mean", "1.running_var", "1.num_batches_tracked")


def test_the_published_values_are_the_default():
    assert Swa() == Swa(start=0.75, learning_rate=3e-5, annealing_epochs=10)


@pytest.mark.parametrize(
    ("start", "epochs", "before"),
    [(0.75, 50, 37), (0.5, 50, 25), (0.75, 4, 3), (0.99, 1, 0), (0, 4, 0), (0.9, 2, 1)],
)
def test_the_epochs_before(start, epochs, before):
    assert epochs_before(Swa(start=start), epochs) == before


def trained(data, folder, task=None, **options):
    """Train with averaging; also return the state after each epoch."""
    states = []

    def note(_):
        states.append({n: t.clone() for n, t in job.model.state_dict().items()})
        return False

    job = make_job(data, task, **({"swa": SWA} | options))
    job = replace(job, after_epoch=note)
    return Trainer(job, make_workspace(folder)).fit(), states


@pytest.mark.parametrize(("start", "averaged"), [(0.5, 2), (0.75, 1), (0.0, 4)])
def test_it_is_the_mean_of_the_weights_after_each_epoch(
    data, tmp_path, start, averaged
):
    fitted, states = trained(data, tmp_path, swa=SWA | {"start": start})
    for name, tensor in fitted.weights["swa"].items():
        if name not in STATISTICS:
            mean = torch.stack([state[name] for state in states[-averaged:]]).mean(0)
            torch.testing.assert_close(tensor, mean)
    last = fitted.weights["last"]
    assert torch.equal(last["0.weight"], states[-1]["0.weight"])
    assert torch.equal(last["1.running_mean"], states[-1]["1.running_mean"])


def test_the_statistics_are_means_over_an_epoch_of_new_examples(data, tmp_path):
    """By hand: mean and unbiased variance of each batch, and their means."""
    fitted, _ = trained(data, tmp_path)
    state = fitted.weights["swa"]
    task = ToyTask()
    job = make_job(data, task)
    order = epoch_order(len(TRAIN_IDS), None, None, job.seed, EPOCHS)
    examples = EpochExamples(task, job.dataset, TRAIN_IDS, order, job.seed, EPOCHS)
    means, variances = [], []
    for first in range(0, 16, 4):
        batch = collate([examples[place] for place in range(first, first + 4)])
        image = move(batch["image"].float() / 255, batch["moves"], True)
        with torch.no_grad():
            made = nn.functional.conv2d(
                image, state["0.weight"], state["0.bias"], padding=1
            ).numpy()
        pixels = made.transpose(1, 0, 2, 3).reshape(6, -1)
        means.append(pixels.mean(axis=1))
        variances.append(pixels.var(axis=1, ddof=1))
    np.testing.assert_allclose(
        state["1.running_mean"], np.mean(means, axis=0), atol=1e-5
    )
    np.testing.assert_allclose(
        state["1.running_var"], np.mean(variances, axis=0), rtol=1e-4
    )
    assert state["1.num_batches_tracked"] == STEPS


def test_the_last_validation_is_of_the_average_that_is_used(data, tmp_path):
    used, _ = trained(data, tmp_path / "1", weights="swa")
    of_average, _ = accuracy_by_hand(data, used.weights["swa"])
    of_last, _ = accuracy_by_hand(data, used.weights["last"])
    assert of_average != pytest.approx(of_last, abs=1e-4)
    scores = [row["val/score"] for row in used.history]
    assert scores[-1] == pytest.approx(of_average, abs=1e-9)
    # Until then there are only those of the last step.
    kept, _ = trained(data, tmp_path / "2", weights="last")
    others = [row["val/score"] for row in kept.history]
    assert scores[:-1] == others[:-1]
    assert others[-1] == pytest.approx(of_last, abs=1e-9)


def test_finishing_an_average_leaves_the_training_alone(data, tmp_path):
    used, _ = trained(data, tmp_path / "1", weights="swa")
    kept, _ = trained(data, tmp_path / "2", weights="last")
    for name, tensor in kept.weights["last"].items():
        assert torch.equal(tensor, used.weights["last"][name])


def test_a_training_that_ends_before_the_start_averages_its_last_weights(
    data, tmp_path
):
    job = make_job(data, swa=SWA, weights="swa")
    job = replace(job, after_epoch=lambda history: len(history) == 1)
    fitted = Trainer(job, make_workspace(tmp_path)).fit()
    assert len(fitted.history) == 1
    last, average = fitted.weights["last"], fitted.weights["swa"]
    assert average["1.num_batches_tracked"] == STEPS
    for name in set(average) - {"1.num_batches_tracked"}:
        same = torch.equal(average[name], last[name])
        assert same == (name not in STATISTICS)


def test_what_ends_a_training_early_ends_the_average(data, tmp_path):
    job = make_job(data, swa=SWA | {"start": 0.25}, weights="swa")
    states = []

    def end(history):
        states.append(job.model.state_dict()["0.weight"].clone())
        return len(history) == 3

    fitted = Trainer(replace(job, after_epoch=end), make_workspace(tmp_path)).fit()
    mean = torch.stack(states[1:]).mean(0)
    torch.testing.assert_close(fitted.weights["swa"]["0.weight"], mean)


class NoNorm(ToyTask):
    def model(self, statistics):
        del statistics
        return nn.Sequential(nn.Conv2d(3, 1, 3, padding=1))


def test_without_batch_normalisation_no_pass_is_made(data, tmp_path):
    without, with_ = NoNorm(), ToyTask()
    trained(data, tmp_path / "1", without)
    assert without.steps == TOTAL
    trained(data, tmp_path / "2", with_)
    assert with_.steps == TOTAL + STEPS


def test_none_is_kept_unless_asked_for(data, tmp_path):
    fitted, _ = fit(data, tmp_path)
    assert sorted(fitted.weights) == ["best", "ema", "last"]
