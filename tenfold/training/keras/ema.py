"""Exponential moving average of a model's weights, moving statistics included."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tenfold.training.keras.weights import Weights, named


class Ema:
    """Averages every floating-point weight of a model; others are copied.

    The decay rises as (1 + n) / (10 + n) up to its final value, so that a short
    run is not an average with its own random start.

    Args:
        model: whose weights are averaged.
        decay: final share of the old average, 0 … 1.
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        self._decay, self._weights = decay, named(model)
        self.updates = 0
        self._averages = {
            name: tf.Variable(weight.numpy(), trainable=False)
            for name, weight in self._weights.items()
        }

    def next_share(self) -> float:
        """Count an update; return how much of the way to the weights it goes."""
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        return 1 - decay

    def move(self, share: tf.Tensor) -> None:
        """Move averages a share of the way to the weights, in a replica's context."""
        for name, weight in self._weights.items():
            average, value = self._averages[name], tf.convert_to_tensor(weight)
            if average.dtype.is_floating:
                way = tf.cast(share, average.dtype) * (value - average)
                average.assign_add(way)
            else:
                average.assign(value)

    def values(self) -> Weights:
        """Return copies of the averages."""
        return {name: average.numpy() for name, average in self._averages.items()}

    def to_state(self) -> dict[str, Any]:
        """Return all that a checkpoint needs."""
        return {"averages": self.values(), "updates": self.updates}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved average."""
        for name, average in self._averages.items():
            average.assign(state["averages"][name])
        self.updates = state["updates"]
