"""What both kinds of clouds members have in common as learning tasks."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from tenfold.challenges.clouds.classes import CLASSES
from tenfold.challenges.clouds.moves import draw_moves, move
from tenfold.challenges.clouds.network import (
    ClassifierModel,
    SegmenterModel,
    build_model,
    colour_planes,
)
from tenfold.challenges.clouds.options import (
    CloudsClassifier,
    CloudsInput,
    CloudsSegmenter,
)
from tenfold.data.arrays import Arrays
from tenfold.data.files import sha256_of
from tenfold.data.statistics import Statistics
from tenfold.data.weights import find_weights
from tenfold.recipe import Json
from tenfold.training.pretrained import load_encoder
from tenfold.training.task import Batch

CloudsModel = SegmenterModel | ClassifierModel


class PictureTask:
    """Examples and network of a member: all of a task but its loss and outputs.

    Args:
        member: of the recipe.
        network: the encoder or backbone that weights are of.
    """

    def __init__(
        self, member: CloudsSegmenter | CloudsClassifier, network: str
    ) -> None:
        self._options, self._network = member, network
        self._pretrained: str | None = None

    def files(self) -> Mapping[str, Path]:
        """Return the pretrained weights' file, if the member starts from one."""
        name = self._options.net.weights
        return {} if name is None else {"encoder": find_weights(name, self._network)}

    def channels(self) -> None:
        """Return nothing: colours are normalised by constants."""

    def model(self, statistics: Statistics | None) -> CloudsModel:
        """Build the model; pretrained weights come from a local file only."""
        del statistics
        model = build_model(self._options.input, self._options.net)
        for path in self.files().values():
            load_encoder(model.encoder, path)
            self._pretrained = sha256_of(path)
        return model

    def restore(self, description: Json) -> CloudsModel:
        """Build the model of a `model.json`."""
        return build_model(
            CloudsInput.model_validate(description["input"]),
            type(self._options.net).model_validate(description["net"]),
        )

    def describe(self, model: nn.Module) -> Json:
        """Return what is needed beside the weights, and for the record."""
        return {
            "input": self._options.input.model_dump(mode="json"),
            "net": self._options.net.model_dump(mode="json"),
            "classes": list(CLASSES),
            "pretrained_sha256": self._pretrained,
            "parameters": sum(p.numel() for p in model.parameters()),
        }

    def draw_weights(self, catalogue: pl.DataFrame) -> None:
        """Return nothing: every sample once an epoch."""

    def example(self, arrays: Arrays, rng: np.random.Generator) -> Arrays:
        """Draw a move; the move itself is made on the device."""
        return {
            **self.labelled(arrays),
            "moves": draw_moves(rng, self._options.augment),
        }

    def whole(self, arrays: Arrays) -> Arrays:
        """Return the picture."""
        return {"picture": arrays["picture"]}

    def labelled(self, arrays: Arrays) -> Arrays:
        """Return the picture and its masks, in bits."""
        return {"picture": arrays["picture"], "classes": arrays["classes"]}


def moved(model: CloudsModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return normalised colours and masks of a batch, moved alike.

    Returns:
        (N, 3, H, W) float32, (N, 4, H, W) bool.
    """
    moves = batch["moves"]
    colours = move(colour_planes(batch["picture"]), moves, interpolate=True)
    # The nearest pixel's bits are bits, so the classes move as one plane.
    bits = move(batch["classes"][:, None].float(), moves, interpolate=False)
    return model.normalise(colours), unpacked(bits[:, 0].to(torch.uint8))


def unpacked(bits: Tensor) -> Tensor:
    """Return the masks (N, 4, H, W) bool of bits (N, H, W) uint8."""
    places = torch.arange(len(CLASSES), device=bits.device, dtype=torch.uint8)
    return ((bits[:, None] >> places[:, None, None]) & 1).bool()
