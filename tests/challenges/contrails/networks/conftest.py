"""What the tests of networks share: policies put back, frames, and copied weights."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tenfold.challenges.contrails.networks.build import build
from tenfold.challenges.contrails.options import ContrailsInput, ContrailsNet


def _built(net=None, frames=1, side=(32, 32), labelled=None, channels=3, **seen):
    """Build a network with the labelled frame in the middle, unless told otherwise."""
    labelled = (frames - 1) // 2 if labelled is None else labelled
    keras.utils.set_random_seed(5)
    options = ContrailsInput(**seen)
    return build(net or ContrailsNet(), options, frames, labelled, side, channels)


def _frames(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random(shape, dtype=np.float32)


def _scatter(model, seed=3):
    """Give every weight a random value: none is idle, and signals keep their size."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        shape = weight.shape
        if weight.path.endswith("kernel"):
            inputs = shape[:2] if "depthwise" in weight.path else shape[:-1]
            value = rng.normal(0, np.sqrt(2 / np.prod(inputs)), shape)
        elif weight.path.endswith(("gamma", "moving_variance")):
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = rng.normal(0, 0.1, shape)
        weight.assign(value.astype(np.float32))
    return model


@pytest.fixture(scope="session")
def networks():
    """How the tests build networks, draw frames for them, and set their weights."""
    return SimpleNamespace(built=_built, frames=_frames, scatter=_scatter)


@pytest.fixture
def bfloat16():
    """Networks built in the test compute in another type than they store."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)
