"""Every precision trains, is saved, comes back and says the same at inference."""

import math
from typing import get_args

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn
from toy import (
    HELD_OUT_IDS,
    TRAIN_IDS,
    ToyScorer,
    ToyTask,
    after,
    make_job,
    make_workspace,
)
from trainings import EVERY_STEP, fit

from tenfold.data.dataset import Dataset
from tenfold.errors import TrainingError
from tenfold.recipe import Member, Precision
from tenfold.training import torch_backend
from tenfold.training.engine import Trainer
from tenfold.training.engines import Order
from tenfold.training.precision import fabric_of
from tenfold.training.torch_checkpoints import TorchCheckpoints

PRECISIONS = get_args(Precision)
#: Of weights, and of what the network's layers give.
DTYPES = {
    "32-true": (torch.float32, torch.float32),
    "16-mixed": (torch.float32, torch.float16),
    "bf16-mixed": (torch.float32, torch.bfloat16),
    "16-true": (torch.float16, torch.float16),
    "bf16-true": (torch.bfloat16, torch.bfloat16),
}


def test_all_precisions_are_tested():
    assert set(DTYPES) == set(PRECISIONS)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_training(data, tmp_path, precision):
    seen = []
    job = make_job(
        data,
        precision=precision,
        epochs=12,
        ema=0.8,
        swa={"start": 0.5, "learning_rate": 0.02},
    )
    job.model[0].register_forward_hook(lambda *at: seen.append(at[2].dtype))
    fitted = Trainer(job, make_workspace(tmp_path)).fit()
    weights, given = DTYPES[precision]
    assert set(seen) == {given}
    assert fitted.history[-1]["train/loss"] < 0.85 * fitted.history[0]["train/loss"]
    assert fitted.history[-1]["val/score"] > 0.7
    assert all(math.isfinite(v) for row in fitted.history for v in row.values())
    for kind, state in fitted.weights.items():
        averaged = kind in ("ema", "swa")
        expected = torch.float32 if averaged else weights
        floats = {t.dtype for t in state.values() if t.is_floating_point()}
        assert floats == {expected}, kind
        assert all(bool(torch.isfinite(t).all()) for t in state.values())


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("weights", ["last", "ema"])
def test_a_saved_model_says_what_it_said_in_training(
    data, tmp_path, precision, weights
):
    """Scores of saved weights are those of the last validation, to the last bit."""
    training = {"epochs": 2, "batch": 4, "precision": precision, "threads": 1}
    training |= {"ema": 0.9, "weights": weights, "learning_rate": 0.02}
    order = Order(
        task=ToyTask(),
        member=Member.model_validate({"name": "toy", "training": training}),
        dataset=Dataset(data),
        scorer=ToyScorer("wobble"),
        catalogue=pl.DataFrame({"id": TRAIN_IDS}),
        held_out_ids=HELD_OUT_IDS,
        pictured_ids=[],
        seed=(1, 2, 3),
        weights=tmp_path / "weights",
    )
    finished = torch_backend.fit(order, make_workspace(tmp_path), "auto")
    runner = torch_backend.load(
        ToyTask(), finished.description, finished.files[weights], precision
    )
    scorer, tally = ToyScorer("wobble"), None
    for id_, outputs in runner(order.dataset, HELD_OUT_IDS, 4):
        assert outputs["prob"].dtype == np.float32
        counted = scorer.tally(outputs, order.dataset.sample(id_))
        tally = counted if tally is None else tally + counted
    row = finished.history[-1]
    for name, value in scorer.metrics(tally).items():
        assert row[f"val/{name}"] == value, name


class Looking(ToyTask):
    """Notes the dtypes of what it gets."""

    def __init__(self):
        super().__init__()
        self.dtypes = set()

    def step(self, model, batch):
        self.dtypes |= {(name, t.dtype) for name, t in batch.items()}
        loss, counts = super().step(model, batch)
        self.dtypes.add(("loss", loss.dtype))
        return loss, counts


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_batch_stays_as_it_is_and_the_loss_is_whole(data, tmp_path, precision):
    """An angle of a move in bfloat16 is half a degree off."""
    task = Looking()
    fit(data, tmp_path, task, precision=precision, epochs=1)
    assert task.dtypes == {
        ("image", torch.uint8),
        ("mask", torch.uint8),
        ("moves", torch.float32),
        ("loss", torch.float32),
    }


class Whole(nn.Module):
    """Constants and a computation before the first layer, as challenges have them."""

    def __init__(self):
        super().__init__()
        self.preprocess = Preprocess()
        self.net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))

    def forward(self, raw):
        return self.net(self.preprocess(raw))


class Preprocess(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("shift", torch.tensor(20001.0))

    def forward(self, raw):
        made = torch.empty(raw.shape)
        made[:] = raw.float() - self.shift
        self.made = made
        return made


@pytest.mark.parametrize("precision", PRECISIONS)
def test_raw_integers_are_prepared_in_float32(precision):
    """20001 is 20000 in float16, and 19968 in bfloat16."""
    model = Whole()
    fabric = fabric_of(precision)
    fabric.setup_module(model)
    raw = torch.full((2, 1, 4, 4), 20003, dtype=torch.int32)
    with fabric.autocast():
        model(raw)
    assert model.preprocess.shift.dtype == torch.float32
    assert model.preprocess.made.dtype == torch.float32
    assert model.preprocess.made.unique().tolist() == [2.0]
    assert torch.get_default_dtype() == torch.float32
    layer, norm = model.net
    assert layer.weight.dtype == norm.running_var.dtype == DTYPES[precision][0]
    assert norm.num_batches_tracked.dtype == torch.int64


# Gradients that are not finite -----------------------------------------------------


def spoil(job, at):
    """Make the gradient of a step infinite."""
    steps = []

    def infinite(gradient):
        steps.append(1)
        return gradient * math.inf if len(steps) == at else gradient

    job.model[0].weight.register_hook(infinite)


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("at", [3, 16])
def test_float16_leaves_a_step_out_whose_gradient_is_not_finite(
    data, tmp_path, at, clip
):
    job = make_job(data, precision="16-mixed", clip_norm=clip)
    spoil(job, at)
    fitted = Trainer(job, make_workspace(tmp_path)).fit()
    assert len(fitted.history) == 4
    for tensor in fitted.weights["last"].values():
        assert bool(torch.isfinite(tensor).all())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize(("at", "epoch"), [(3, 1), (16, 4)])
def test_elsewhere_such_a_step_ends_the_training(data, tmp_path, precision, at, epoch):
    """The loss of the very last step is finite, and the weights after it are not."""
    job = make_job(data, precision=precision)
    spoil(job, at)
    with pytest.raises(TrainingError, match=f"not finite in epoch {epoch}, step 4"):
        Trainer(job, make_workspace(tmp_path)).fit()


def test_the_scale_of_float16_goes_on_where_it_was(data, tmp_path):
    """It is halved where a gradient was infinite, from 65536 at first."""

    def lose():
        raise KeyboardInterrupt

    options = {"precision": "16-mixed", "checkpoint_minutes": EVERY_STEP}
    task = ToyTask()
    task.on_step = after(6, lose)
    job = make_job(data, task, **options)
    spoil(job, 3)
    with pytest.raises(KeyboardInterrupt):
        Trainer(job, make_workspace(tmp_path)).fit()
    saved = TorchCheckpoints(make_workspace(tmp_path)).load("must")
    assert saved["scaler"]["scale"] == 32768
    assert saved["scaler"]["_growth_tracker"] == 2
    trainer = Trainer(make_job(data, **options), make_workspace(tmp_path), "must")
    assert trainer._learner.to_state()["scaler"] == saved["scaler"]
