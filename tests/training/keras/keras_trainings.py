"""Trainings of the toy, in this process or one of their own, and what they leave."""

import json

import numpy as np
import pytest
from keras_toy import ToyScorer, after, make_order, make_workspace
from safetensors.numpy import load_file

from tenfold.training import checkpoints as checkpoints_module
from tenfold.training.checkpoints import Checkpoints
from tenfold.training.keras.engine import Trainer
from tenfold.training.keras.job import job_of
from tenfold.training.keras.learner import Learner

#: Figures that a clock decides.
TIMINGS = {"samples_per_second", "loader_wait"}
#: Where a training can be ended in this process.
PLACES = {
    "learn": (Learner, "learn"),
    "step": (Learner, "step"),
    "tally": (ToyScorer, "tally"),
    "save": (Checkpoints, "save"),
    "pointer": (checkpoints_module, "write_json"),
}


class KilledError(BaseException):
    """Ends a training as if its process were gone."""


def fit(data, folder, task=None, scorer=None, resume="auto", **options):
    """Train in this process."""
    job = job_of(make_order(data, task, scorer, **options))
    return Trainer(job, make_workspace(folder), resume).fit()


def killed(data, folder, at, n, **options):
    """Train in this process until the n-th call of something; tell if it came."""

    def strike():
        raise KilledError

    owner, name = PLACES[at]
    inner, count = getattr(owner, name), after(n, strike)

    def outer(*args, **kwargs):
        if at != "save":
            count()
        result = inner(*args, **kwargs)
        if at == "save":
            count()
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, outer)
        try:
            fit(data, folder, **options)
        except KilledError:
            return True
    return False


def assert_equal_weights(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype
        assert np.array_equal(array, other[name]), name


def without_timings(history):
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in history]


def assert_same_result(one, other):
    """Compare what two trainings left, bit for bit."""
    (history, weights), (others, other_weights) = _parts(one), _parts(other)
    assert without_timings(history) == without_timings(others)
    assert weights.keys() == other_weights.keys()
    for kind, state in weights.items():
        assert_equal_weights(state, other_weights[kind])


def _parts(result):
    if isinstance(result, dict):
        return result["history"], result["weights"]
    return result.history, result.weights


def result_of(folder):
    """Read what a finished process left."""
    result = json.loads((folder / "result.json").read_text())
    kinds = result.get("kinds", ["last"])
    result["weights"] = {kind: load_file(folder / kind) for kind in kinds}
    return result
