"""Measuring takes the very steps of a training, and counts what it took."""

import numpy as np
import polars as pl
import pytest
import torch
from toy import IDS, SEED, SIZE, TRAIN_IDS, TRAINING, ToyScorer, ToyTask

from tenfold.data.dataset import Dataset
from tenfold.recipe import Member
from tenfold.training import measure as module
from tenfold.training.engines import Order
from tenfold.training.measure import measure

STEPS, WARM_UP, BATCH = 3, 2, 4


def order_of(data, task, **training):
    content = {"name": "toy", "training": TRAINING | training}
    return Order(
        task=task,
        member=Member.model_validate(content),
        dataset=Dataset(data),
        scorer=ToyScorer(),
        catalogue=pl.DataFrame({"id": TRAIN_IDS}),
        held_out_ids=(),
        pictured_ids=(),
        seed=SEED,
        weights=data / "never-made",
    )


@pytest.mark.parametrize("accumulate", [1, 2])
def test_all_samples_are_counted_and_one_batch_is_read_once(data, accumulate):
    task = ToyTask()
    found = measure(order_of(data, task, accumulate=accumulate), STEPS, 2)
    for timing in (found.training, found.repeated):
        assert timing.samples == STEPS * accumulate * BATCH
        assert timing.steps == STEPS
    # The first batch is the one that is repeated; all others are read for a step.
    read = 1 + (WARM_UP + STEPS) * accumulate
    assert len(task.seen) == read * BATCH
    assert task.steps == 2 * (WARM_UP + STEPS) * accumulate
    assert found.inference.samples == STEPS * 2
    assert found.parameters == sum(p.numel() for p in task.model(None).parameters())
    assert found.pixels == found.whole_pixels == SIZE * SIZE
    assert not (data / "never-made").exists()


def test_batches_are_those_of_a_training(data, monkeypatch):
    task, moved = ToyTask(), []
    step = task.step
    monkeypatch.setattr(
        task, "step", lambda model, b: moved.append(b["image"]) or step(model, b)
    )
    measure(order_of(data, task), STEPS, 2)
    first, again = moved[: WARM_UP + STEPS], moved[WARM_UP + STEPS :]
    assert all(torch.equal(again[0], other) for other in again)
    assert not any(torch.equal(again[0], other) for other in first)
    # In one epoch no sample comes twice.
    per_epoch = len(TRAIN_IDS) // BATCH
    seen = task.seen[: per_epoch * BATCH]
    assert len(set(seen)) == len(seen)
    assert {IDS[number] for number in seen} <= set(TRAIN_IDS)


def test_more_steps_than_the_training_has_are_taken(data):
    found = measure(order_of(data, ToyTask(), epochs=1), 12, 2)
    assert found.training.steps == 12


def test_what_is_measured_is_possible(data):
    found = measure(order_of(data, ToyTask()), STEPS, 2)
    assert found.device == "CPU, 1 threads"
    for timing in (found.training, found.repeated, found.inference):
        assert timing.seconds > 0
        assert timing.used > 0
        assert timing.peak_bytes > 1e6
    assert 0 < found.training.waited < 1
    assert found.repeated.waited < found.training.waited
    assert found.inference.waited is None


def test_a_sample_without_a_plane_is_one_pixel():
    flat, plane = torch.zeros(2, 5), torch.zeros(2, 3, 7, 9)
    assert module._pixels({"row": flat}) == 1
    assert module._pixels({"row": flat, "image": plane}) == 63
    assert module._pixels({"number": torch.from_numpy(np.zeros(2))}) == 1
