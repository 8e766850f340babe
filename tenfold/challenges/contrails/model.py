"""A contrails member as a learning task of the Keras engine."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import keras
import numpy as np
import polars as pl
import tensorflow as tf

from tenfold.challenges.contrails.losses import dice_sums, pixel_loss
from tenfold.challenges.contrails.moves import (
    LABEL_SHIFT,
    draw,
    move,
    on_label_grid,
    stays,
)
from tenfold.challenges.contrails.networks.build import build
from tenfold.challenges.contrails.networks.resnet50 import load_resnet50
from tenfold.challenges.contrails.options import (
    ContrailsData,
    ContrailsInput,
    ContrailsMember,
    ContrailsNet,
    ContrailsRecipe,
)
from tenfold.challenges.contrails.outputs import STEPS
from tenfold.data.arrays import Arrays
from tenfold.data.files import sha256_of
from tenfold.data.statistics import Statistics
from tenfold.data.weights import find_weights
from tenfold.recipe import Json, Member, Recipe
from tenfold.training.keras.task import Batch
from tenfold.training.keras.views import mean_over_views, views_of

#: Of the byte range of packed channels.
_BYTE = 255.0
_HALF = 0.5
#: Least probability, and most less 1, that is turned back into a logit.
_LEAST = 1e-7


def task(recipe: Recipe, member: Member) -> "ContrailsTask":
    """Return the member as a task; of the recipe, its data section matters."""
    data = cast(ContrailsRecipe, recipe).data
    return ContrailsTask(data, cast(ContrailsMember, member))


class ContrailsTask:
    """Examples, loss and outputs of one segmentation model.

    Args:
        data: how frames are packed.
        member: of the recipe.
    """

    def __init__(self, data: ContrailsData, member: ContrailsMember) -> None:
        self.data, self.member = data, member
        self._pretrained: str | None = None

    def files(self) -> Mapping[str, Path]:
        """Return the pretrained backbone's file, if the member starts from one."""
        name = self.member.net.weights
        return {} if name is None else {"backbone": find_weights(name, "ResNet50")}

    def channels(self) -> None:
        """Return nothing: channels are scaled by constants."""

    def model(self, statistics: Statistics | None) -> keras.Model:
        """Build the model; pretrained weights come from a local file only."""
        del statistics
        model = self.restore(self._shape_of_inputs() | self._choices())
        for path in self.files().values():
            load_resnet50(model, path)
            self._pretrained = sha256_of(path)
        return model

    def restore(self, description: Json) -> keras.Model:
        """Build the model of a `model.json`."""
        side = description["side"]
        return build(
            ContrailsNet.model_validate(description["net"]),
            ContrailsInput.model_validate(description["input"]),
            description["frames"],
            description["labelled"],
            (side, side),
            len(description["channels"]),
        )

    def describe(self, model: keras.Model) -> Json:
        """Return what is needed beside the weights, and for the record."""
        return {
            **self._choices(),
            **self._shape_of_inputs(),
            "classes": ["contrail"],
            "pretrained_sha256": self._pretrained,
            "parameters": model.count_params(),
            "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
        }

    def _choices(self) -> Json:
        net, given = self.member.net, self.member.input
        return {
            "net": net.model_dump(mode="json"),
            "input": given.model_dump(mode="json"),
        }

    def _shape_of_inputs(self) -> Json:
        """Return what `build` needs to know of the frames that the network sees."""
        every = self.member.input.frames == "all"
        return {
            "frames": self.data.frames if every else 1,
            "labelled": self.data.labelled if every else 0,
            "side": self.data.side,
            "channels": [c.model_dump(mode="json") for c in self.data.channels],
        }

    def draw_weights(self, catalogue: pl.DataFrame) -> None:
        """Return nothing: every sample once an epoch."""

    def example(self, arrays: Arrays, rng: np.random.Generator) -> Arrays:
        """Draw a move; the move itself is made on the device."""
        moves = draw(self.member.augment, self.data.side, rng)
        return {**self.labelled(arrays), "moves": moves}

    def whole(self, arrays: Arrays) -> Arrays:
        """Return the frames that the network sees, as they are packed."""
        image = arrays["image"]
        if self.member.input.frames == "labelled":
            image = image[self.data.labelled][None]
        return {"image": image}

    def labelled(self, arrays: Arrays) -> Arrays:
        """Return the same frames, and what the truth is made of, as packed."""
        soft = self.member.loss.labels == "soft"
        names = ("votes", "annotators") if soft else ("label",)
        return {**self.whole(arrays), **{name: arrays[name] for name in names}}

    def step(
        self, model: keras.Model, batch: Batch
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Return the loss of moved frames, and the sums of two Dice.

        With a symmetric head, its own output learns from all samples, the last layer's
        from those that stayed where they are.
        """
        moves, truth, options = batch["moves"], truth_of(batch), self.member.loss
        moved = move(batch["image"], moves, interpolate=True)
        scores = model(unit(moved, batch["image"].dtype), training=True)
        if self.member.net.head == "symmetric":
            logits = scores["symmetric_logit"]
            target = move(truth, moves, interpolate=True, shift=LABEL_SHIFT)[:, 0]
            loss = pixel_loss(options, scores["logit"], truth[:, 0], stays(moves))
            loss += pixel_loss(options, logits, target)
        else:
            logits = scores["logit"]
            interpolate = options.labels == "soft"
            aware = not self.member.augment.level.startswith("published")
            looks = on_label_grid(moves) if aware else moves
            target = move(truth, looks, interpolate)[:, 0]
            loss = pixel_loss(options, logits, target)
        return loss, dice_counts(logits, target)

    def step_figures(self, counts: Mapping[str, float]) -> dict[str, float]:
        """Return the Dice of all pixels of an epoch.

        `dice_coef`, of probabilities, has the published name, which was a mean over
        batches; `dice`, of masks at a probability of 0.5, is the competition's.
        """
        return {
            name: 2 * counts[f"{name}_overlap"] / counts[f"{name}_total"]
            if counts[f"{name}_total"]
            else 1.0
            for name in ("dice_coef", "dice")
        }

    def outputs(self, model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
        """Return the mean probability over views in steps of 1/255, (N, H, W)."""
        return {"prob": compact(self._probability(model, batch))}

    def assess(
        self, model: keras.Model, batch: Batch
    ) -> tuple[Mapping[str, tf.Tensor], tf.Tensor]:
        """Return the same outputs, of the sample as it is only, and the loss."""
        logits = model(scaled(batch["image"]), training=False)["logit"]
        loss = pixel_loss(self.member.loss, logits, truth_of(batch)[:, 0])
        return {"prob": compact(tf.sigmoid(logits))}, loss

    def _probability(self, model: keras.Model, batch: Batch) -> tf.Tensor:
        """Return the mean probability over views, (N, H, W, 1) float32.

        The last layer of a symmetric head shifts down and to the right, which in
        another view is another way. So it comes after the mean.
        """
        views = views_of(self.member.inference.tta)
        shifts = self.member.net.head == "symmetric" and len(views) > 1
        output = "symmetric_logit" if shifts else "logit"

        def see(frames: tf.Tensor) -> tf.Tensor:
            return tf.sigmoid(model(frames, training=False)[output])

        mean = mean_over_views(see, scaled(batch["image"]), views)
        if not shifts:
            return mean
        last = keras.Model(model.output["symmetric_logit"], model.output["logit"])
        return tf.sigmoid(last(logit_of(mean), training=False))


def scaled(image: tf.Tensor) -> tf.Tensor:
    """Return packed frames as float32 from 0 to 1."""
    return unit(tf.cast(image, tf.float32), image.dtype)


def unit(frames: tf.Tensor, packed: tf.DType) -> tf.Tensor:
    """Return float32 frames, which were of the dtype `packed`, from 0 to 1."""
    return frames / _BYTE if packed == tf.uint8 else frames


def truth_of(batch: Batch) -> tf.Tensor:
    """Return the share of annotators, or their majority, (N, 1, H, W, 1) float32."""
    if "label" in batch:
        truth = tf.cast(batch["label"], tf.float32)
    else:
        annotators = tf.cast(batch["annotators"], tf.float32)
        truth = tf.cast(batch["votes"], tf.float32) / annotators[:, None, None]
    return truth[:, None, :, :, None]


def logit_of(probability: tf.Tensor) -> tf.Tensor:
    """Return the logits of probabilities, of 0 and 1 large finite ones."""
    inside = tf.clip_by_value(probability, _LEAST, 1 - _LEAST)
    return tf.math.log(inside) - tf.math.log1p(-inside)


def compact(probability: tf.Tensor) -> tf.Tensor:
    """Return probabilities (N, H, W, 1) as `outputs.encode` does, (N, H, W) uint8."""
    return tf.cast(tf.round(probability[..., 0] * STEPS), tf.uint8)


def dice_counts(logits: tf.Tensor, truth: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the sums of a Dice of probabilities, and of masks, over a batch.

    They are of float64, so that an epoch's pixels add up. A mask is what has more than
    half of the annotators, or, of a shifted label, of the four pixels around.
    """
    guess = tf.stop_gradient(tf.cast(logits, tf.float32))
    pairs = {
        "dice_coef": (tf.sigmoid(guess), truth),
        "dice": (guess > 0, truth > _HALF),
    }
    counts = {}
    for name, (found, there) in pairs.items():
        overlap, total = dice_sums(found, there)
        counts[f"{name}_overlap"] = tf.reduce_sum(tf.cast(overlap, tf.float64))
        counts[f"{name}_total"] = tf.reduce_sum(tf.cast(total, tf.float64))
    return counts
