"""What the PyTorch engine asks of a member: its network, examples and loss."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from torch import Tensor, nn

from tenfold.data.arrays import Arrays, Float64Array
from tenfold.data.statistics import Channels, Statistics
from tenfold.recipe import Json

Batch = Mapping[str, Tensor]


class TorchTask(Protocol):
    """A member as the engine sees it; made by a challenge's model.py."""

    def files(self) -> Mapping[str, Path]:
        """Return the files besides the data that `model` reads, e.g. weights."""

    def channels(self) -> Channels | None:
        """Return the channels whose statistics `model` needs."""

    def model(self, statistics: Statistics | None) -> nn.Module:
        """Build the whole model, raw sample to outputs, ready to train."""

    def restore(self, description: Json) -> nn.Module:
        """Build the model of a description, to load saved weights into."""

    def describe(self, model: nn.Module) -> Json:
        """Return everything but the weights, as plain data (`model.json`)."""

    def draw_weights(self, catalogue: pl.DataFrame) -> Float64Array | None:
        """Return a weight ≥ 0 a sample for drawing, or None for each once."""

    def example(self, arrays: Arrays, rng: np.random.Generator) -> Arrays:
        """Prepare one training example; all its randomness comes from `rng`."""

    def whole(self, arrays: Arrays) -> Arrays:
        """Prepare one sample for inference, nothing left out."""

    def labelled(self, arrays: Arrays) -> Arrays:
        """Prepare one whole sample with its truth, for `assess`."""

    def step(
        self, model: nn.Module, batch: Batch
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss of a batch, and counts that add up over batches."""

    def step_figures(self, counts: Mapping[str, float]) -> dict[str, float]:
        """Turn the counts of an epoch into figures."""

    def outputs(self, model: nn.Module, batch: Batch) -> Mapping[str, Any]:
        """Return compact outputs (N, ...) of whole samples, as NumPy arrays."""

    def assess(
        self, model: nn.Module, batch: Batch
    ) -> tuple[Mapping[str, Any], Tensor]:
        """Return the same outputs, and the loss of a batch of labelled samples."""
