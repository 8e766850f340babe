"""What the Keras engine asks of a member: its network, examples and loss."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import keras
import numpy as np
import polars as pl
import tensorflow as tf

from tenfold.data.arrays import Arrays, Float64Array
from tenfold.data.statistics import Channels, Statistics
from tenfold.recipe import Json

Batch = Mapping[str, tf.Tensor]


class KerasTask(Protocol):
    """A member as the engine sees it; made by a challenge's model.py.

    What it draws, it draws in `example`, or with Keras layers such as Dropout that have
    a seed generator of their own; operations of TensorFlow that draw (`tf.random`) are
    not for it, since they go on differently after a resumption.
    """

    def files(self) -> Mapping[str, Path]:
        """Return the files besides the data that `model` reads, e.g. weights."""

    def channels(self) -> Channels | None:
        """Return the channels whose statistics `model` needs; None: it needs none."""

    def model(self, statistics: Statistics | None) -> keras.Model:
        """Build the whole model, raw arrays to outputs, ready to train.

        It is called under the engine's precision and strategy: layers take their dtype
        from Keras's policy, but for the head, whose dtype is float32.
        """

    def restore(self, description: Json) -> keras.Model:
        """Build the model of a description, to load saved weights into."""

    def describe(self, model: keras.Model) -> Json:
        """Return everything but the weights, as plain data (`model.json`)."""

    def draw_weights(self, catalogue: pl.DataFrame) -> Float64Array | None:
        """Return a weight ≥ 0 a sample for drawing, or None for each once."""

    def example(self, arrays: Arrays, rng: np.random.Generator) -> Arrays:
        """Prepare one training example; all its randomness comes from `rng`.

        It is called by several threads. What costs time is left to `step`, which is
        told what was drawn: equal names, shapes and dtypes for all samples.
        """

    def whole(self, arrays: Arrays) -> Arrays:
        """Prepare one sample for inference, nothing left out."""

    def labelled(self, arrays: Arrays) -> Arrays:
        """Prepare one whole sample with its truth, for `assess`."""

    # What follows is traced as a graph, without autograph, and runs on the device.

    def step(
        self, model: keras.Model, batch: Batch
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Return the loss of a batch, and counts that add up over batches.

        Args:
            model: to be called with `training=True`.
            batch: (N, ...) of each array of `example`; N is a device's part.

        Returns:
            The scalar float32 loss, a mean over the batch; and scalars of float32, or
            better float64.
        """

    def step_figures(self, counts: Mapping[str, float]) -> dict[str, float]:
        """Turn the counts of an epoch into figures."""

    def outputs(self, model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
        """Return compact outputs (N, ...) of whole samples, test-time views included.

        Args:
            model: to be called with `training=False`.
            batch: (N, ...) of each array of `whole`; N is unknown while this is traced.
        """

    def assess(
        self, model: keras.Model, batch: Batch
    ) -> tuple[Mapping[str, tf.Tensor], tf.Tensor]:
        """Return the same outputs, and the loss of a batch of labelled samples."""
