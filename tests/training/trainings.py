"""Trainings of the toy, in this process or one of their own, and what they leave."""

import json

import numpy as np
import torch
from safetensors.torch import load_file
from toy import HELD_OUT_IDS, IDS, ToyTask, make_job, make_workspace

from tenfold.data.dataset import Dataset
from tenfold.training.engine import Trainer

#: 16 samples in batches of 4, over 4 epochs.
STEPS, EPOCHS = 4, 4
TOTAL = STEPS * EPOCHS
#: Figures that a clock decides.
TIMINGS = {"samples_per_second", "loader_wait"}
EVERY_STEP, EPOCHS_ONLY = 0.0, 1000.0


def numbers(ids):
    return {IDS.index(id_) for id_ in ids}


def fit(data, folder, task=None, scorer=None, resume="auto", **options):
    """Train in this process."""
    job = make_job(data, task, scorer, **options)
    trainer = Trainer(job, make_workspace(folder), resume)
    return trainer.fit(), job


def assert_equal_states(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        assert torch.equal(tensor, other[name]), name


def without_timings(history):
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in history]


def result_of(folder):
    """Read what a finished run left."""
    result = json.loads((folder / "result.json").read_text())
    result["weights"] = {kind: load_file(folder / kind) for kind in result["kinds"]}
    return result


def assert_same_result(one, other):
    assert without_timings(one["history"]) == without_timings(other["history"])
    assert one["weights"].keys() == other["weights"].keys()
    for kind, state in one["weights"].items():
        assert_equal_states(state, other["weights"][kind])


def accuracy_by_hand(data, state):
    """Score the held-out samples one by one, in NumPy but for the network."""
    model = ToyTask().model(None)
    model.load_state_dict(state)
    model.eval()
    dataset, hits, outputs = Dataset(data), 0, {}
    for id_ in HELD_OUT_IDS:
        arrays = dataset.sample(id_)
        image = torch.from_numpy(np.array(arrays["image"])).float()[None] / 255
        with torch.no_grad():
            logits = model(image)[0, 0].numpy()
        outputs[id_] = 1 / (1 + np.exp(-logits))
        hits += int(((logits > 0) == (arrays["mask"] == 1)).sum())
    return hits / (256 * len(HELD_OUT_IDS)), outputs


def epoch_rates(rates):
    """Return the rate of each epoch, which is that of all its steps.

    `rates` is the fixture.
    """
    taken = rates()
    epochs = [taken[first : first + STEPS] for first in range(0, len(taken), STEPS)]
    assert all(len(set(epoch)) == 1 for epoch in epochs)
    return [epoch[0] for epoch in epochs]
