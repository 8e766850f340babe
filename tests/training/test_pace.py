"""Accumulated gradients: what a step is, and that it is exact."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from toy import TRAIN_IDS, ToyTask, make_job
from trainings import assert_equal_states, fit, without_timings

from tenfold.errors import TrainingError
from tenfold.recipe import Training
from tenfold.training.examples import EpochExamples, training_batches
from tenfold.training.order import epoch_order
from tenfold.training.pace import Pace, pace_of


class Plain(ToyTask):
    """Without batch normalisation and dropout, a batch is the sum of its parts."""

    def model(self, statistics):
        del statistics
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 1, 3, padding=1)
        )


@given(st.integers(1, 60), st.integers(1, 12))
def test_batches_are_cut_into_steps(batches, accumulate):
    pace, steps = Pace(batches, accumulate), []
    for place in range(batches):
        if place % accumulate == 0:
            steps.append([])
        steps[-1].append(place)
    assert pace.steps == len(steps)
    for number, step in enumerate(steps):
        assert pace.before(number) == step[0]
        assert [pace.size(place) for place in step] == [len(step)] * len(step)
        ends = [place == step[-1] for place in step]
        assert [pace.ends_step(place) for place in step] == ends
    assert pace.before(len(steps)) == batches


@pytest.mark.parametrize(
    ("options", "samples", "batches", "steps"),
    [
        ({}, 16, 4, 4),
        ({}, 19, 4, 4),
        ({}, 3, 1, 1),
        ({"accumulate": 3}, 16, 4, 2),
        ({"samples_per_epoch": 40}, 16, 10, 10),
        ({"limit_steps": 3}, 16, 3, 3),
        ({"limit_steps": 9}, 16, 4, 4),
        ({"limit_steps": 1, "accumulate": 3}, 16, 3, 1),
    ],
)
def test_the_pace_of_a_training(options, samples, batches, steps):
    pace = pace_of(Training(epochs=1, batch=4, **options), samples)
    assert (pace.batches, pace.steps) == (batches, steps)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_four_batches_are_one_of_all_their_samples(data, tmp_path, optimiser):
    options = {"optimiser": optimiser, "epochs": 3, "learning_rate": 0.01}
    parts, _ = fit(data, tmp_path / "1", Plain(), batch=4, accumulate=4, **options)
    whole, _ = fit(data, tmp_path / "2", Plain(), batch=16, **options)
    # Averages too: both took three steps.
    for kind in ("last", "ema"):
        for name, tensor in parts.weights[kind].items():
            other = whole.weights[kind][name]
            torch.testing.assert_close(tensor, other, rtol=1e-4, atol=1e-6)
    for one, other in zip(parts.history, whole.history, strict=True):
        assert one["train/loss"] == pytest.approx(other["train/loss"], rel=1e-5)
        assert one["lr"] == other["lr"]


def by_hand(data, accumulate, epochs, rate):
    """Train with plain gradient descent on the mean loss of each step's batches."""
    task = Plain()
    job = make_job(data, task)
    model = job.model.train()
    for epoch in range(epochs):
        order = epoch_order(len(TRAIN_IDS), None, None, job.seed, epoch)
        examples = EpochExamples(task, job.dataset, TRAIN_IDS, order, job.seed, epoch)
        batches = list(training_batches(examples, 4, 0, 0))
        for first in range(0, len(batches), accumulate):
            group = batches[first : first + accumulate]
            loss = torch.stack([task.step(model, batch)[0] for batch in group]).mean()
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for weight, gradient in zip(model.parameters(), gradients, strict=True):
                    weight -= rate * gradient
    return model.state_dict()


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_a_step_is_of_the_mean_loss_of_its_batches(data, tmp_path, accumulate):
    """With three a step, the epoch's second step has one batch, and its own mean."""
    fitted, _ = fit(
        data,
        tmp_path,
        Plain(),
        accumulate=accumulate,
        optimiser="sgd",
        momentum=0.0,
        weight_decay=0.0,
        learning_rate=0.5,
        schedule={"name": "none"},
        epochs=3,
    )
    expected = by_hand(data, accumulate, 3, 0.5)
    for name, tensor in fitted.weights["last"].items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)


def test_steps_are_what_is_counted(data, tmp_path):
    fit(data, tmp_path, accumulate=3, epochs=3)
    progress = json.loads((tmp_path / "progress.json").read_text())
    assert (progress["done"], progress["total"]) == (6, 6)


def test_each_batch_of_a_step_draws_its_own_dropout(data, tmp_path):
    drawn, task = [], ToyTask()
    task.on_step = lambda: drawn.append(torch.get_rng_state()[:16].tolist())
    fit(data, tmp_path, task, accumulate=4, epochs=2)
    assert len(drawn) == 8
    assert len({tuple(state) for state in drawn}) == 8


def test_a_loss_that_is_not_a_number_in_the_middle_of_a_step(data, tmp_path):
    task = ToyTask()
    task.nan_at = 6
    with pytest.raises(TrainingError, match="not finite in epoch 2, step 2"):
        fit(data, tmp_path, task, accumulate=3)


def test_one_batch_a_step_is_the_default(data, tmp_path):
    one, _ = fit(data, tmp_path / "1")
    other, _ = fit(data, tmp_path / "2", accumulate=1)
    assert_equal_states(one.weights["last"], other.weights["last"])
    assert without_timings(one.history) == without_timings(other.history)
