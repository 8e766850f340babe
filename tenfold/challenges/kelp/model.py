"""A kelp member as a learning task of the PyTorch engine."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from tenfold.challenges.kelp.bands import SIZE
from tenfold.challenges.kelp.channels import wanted
from tenfold.challenges.kelp.inference import probabilities
from tenfold.challenges.kelp.losses import build_loss
from tenfold.challenges.kelp.network import KelpModel, valid_pixels
from tenfold.challenges.kelp.network_options import KelpNet
from tenfold.challenges.kelp.options import (
    KelpInput,
    KelpMember,
    KelpSampler,
    KelpTrees,
)
from tenfold.challenges.kelp.outputs import encode
from tenfold.challenges.kelp.overlap import kelp_logit
from tenfold.challenges.kelp.pixels import PixelTask
from tenfold.challenges.kelp.targets import soften
from tenfold.challenges.kelp.tiles import unpack_mask, unpack_tile
from tenfold.data.arrays import Arrays, Float64Array
from tenfold.data.files import sha256_of
from tenfold.data.statistics import Channels, Statistics
from tenfold.data.weights import find_weights
from tenfold.errors import TrainingError
from tenfold.metrics.confusion import Confusion, dice, swapped
from tenfold.recipe import Json, Member, Recipe
from tenfold.training.augment import draw_move, move
from tenfold.training.pretrained import load_encoder
from tenfold.training.task import Batch


def task(recipe: Recipe, member: Member) -> "KelpTask | PixelTask":
    """Return the member as a task; the recipe's other parts do not matter."""
    del recipe
    if isinstance(member, KelpTrees):
        return PixelTask(member)
    return KelpTask(cast(KelpMember, member))


class KelpTask:
    """Examples, loss and outputs of one segmentation model.

    Args:
        member: of the recipe.
    """

    def __init__(self, member: KelpMember) -> None:
        self.member = member
        self._stem = "random"
        self._pretrained: str | None = None

    @cached_property
    def _loss(self) -> nn.Module:
        """The loss, built when training asks: some libraries take seconds to import."""
        return build_loss(self.member.loss, self.member.net.classes)

    def files(self) -> Mapping[str, Path]:
        """Return the pretrained encoder's file, if the member starts from one."""
        net = self.member.net
        if net.weights is None or net.encoder is None:
            return {}
        return {"encoder": find_weights(net.weights, net.encoder)}

    def channels(self) -> Channels:
        """Return the channels of its statistics."""
        options = self.member.input
        return wanted([(options.channels, options.masking)])

    def model(self, statistics: Statistics | None) -> KelpModel:
        """Build the model; pretrained weights come from a local file only."""
        model = KelpModel(self.member.input, self.member.net, statistics)
        for path in self.files().values():
            encoder = cast(nn.Module, model.net.encoder)
            self._stem = load_encoder(encoder, path)
            self._pretrained = sha256_of(path)
        return model

    def restore(self, description: Json) -> KelpModel:
        """Build the model of a `model.json`."""
        return KelpModel(
            KelpInput.model_validate(description["input"]),
            KelpNet.model_validate(description["net"]),
            None,
        )

    def describe(self, model: nn.Module) -> Json:
        """Return what is needed beside the weights, and for the record."""
        return {
            "input": self.member.input.model_dump(mode="json"),
            "net": self.member.net.model_dump(mode="json"),
            "channels": list(self.member.input.channels),
            "classes": ["background", "kelp"][-self.member.net.classes :],
            "stem": self._stem,
            "pretrained_sha256": self._pretrained,
            "parameters": sum(p.numel() for p in model.parameters()),
        }

    def draw_weights(self, catalogue: pl.DataFrame) -> Float64Array | None:
        """Return the published chance of each tile, 0 … 1."""
        sampler = self.member.sampler
        return None if sampler is None else sample_weights(sampler, catalogue)

    def example(self, arrays: Arrays, rng: np.random.Generator) -> Arrays:
        """Cut a crop and draw its move; the move itself is made on the device."""
        augment = self.member.augment
        raw, mask = unpack_tile(arrays), unpack_mask(arrays)
        if augment.crop is not None:
            top, left = _corner(mask, augment.crop, augment.crop_on_kelp, rng)
            rows = slice(top, top + augment.crop)
            columns = slice(left, left + augment.crop)
            raw = np.ascontiguousarray(raw[:, rows, columns])
            mask = np.ascontiguousarray(mask[rows, columns])
        moves = draw_move(
            rng,
            augment.flips,
            augment.quarter_turns,
            augment.rotate_degrees,
            augment.rotate_share,
        )
        return {"raw": raw, "mask": mask, "moves": moves}

    def whole(self, arrays: Arrays) -> Arrays:
        """Return the whole raw tile."""
        return {"raw": unpack_tile(arrays)}

    def labelled(self, arrays: Arrays) -> Arrays:
        """Return the whole raw tile and its mask."""
        return {"raw": unpack_tile(arrays), "mask": unpack_mask(arrays)}

    def step(
        self, model: nn.Module, batch: Batch
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss over valid pixels and the confusion of the batch."""
        kelp_model = cast(KelpModel, model)
        channels, mask, valid = moved(kelp_model, batch)
        scores = kelp_model.scores(channels)
        loss = self._loss_of(kelp_model, scores, mask, valid)
        mask, valid = kelp_model.fit.labels(mask), kelp_model.fit.labels(valid)
        guess = (kelp_logit(scores.detach(), 1) > 0) & valid
        truth = mask.bool() & valid
        tp = (guess & truth).sum()
        fp, fn = guess.sum() - tp, truth.sum() - tp
        counts = {"tp": tp, "fp": fp, "fn": fn, "tn": valid.sum() - tp - fp - fn}
        return loss, counts

    def _loss_of(
        self, model: KelpModel, scores: Tensor, mask: Tensor, valid: Tensor
    ) -> Tensor:
        """Return the loss over valid pixels, at the network's size if resized."""
        truth = model.fit.labels(soften(mask, self.member.loss.soft_boundary))
        valid = model.fit.labels(valid)
        if not bool(valid.any()):
            # Half precision would overflow, and infinity times 0 is not a number.
            return scores.float().sum() * 0
        # The loss belongs to the task, so its constants follow the batch.
        loss: Tensor = self._loss.to(scores.device)(scores, truth, valid)
        return loss

    def step_figures(self, counts: Mapping[str, float]) -> dict[str, float]:
        """Return the published train/dice and kelp's own."""
        c = Confusion(*(int(counts[name]) for name in ("tp", "fp", "fn", "tn")))
        return {"dice": (dice(c) + dice(swapped(c))) / 2, "dice_kelp": dice(c)}

    def outputs(self, model: nn.Module, batch: Batch) -> Mapping[str, Any]:
        """Return the probability of kelp in steps of 1/255, (N, 350, 350)."""
        kelp_model = cast(KelpModel, model)

        def see(channels: Tensor) -> Tensor:
            return self.probability(kelp_model.logits(channels))

        # Made once: right-angle views and windows move channels as they move pixels.
        channels = kelp_model.preprocess(batch["raw"])
        prob = probabilities(see, channels, self.member.inference)
        return {"prob": encode(prob.cpu().numpy())}

    def assess(
        self, model: nn.Module, batch: Batch
    ) -> tuple[Mapping[str, Any], Tensor]:
        """Return the same outputs, and the loss over valid pixels."""
        kelp_model, raw = cast(KelpModel, model), batch["raw"]
        scores = kelp_model.scores(kelp_model.preprocess(raw))
        valid = valid_pixels(raw)
        loss = self._loss_of(kelp_model, scores, batch["mask"], valid)
        logits = kelp_model.fit.back(scores, *raw.shape[-2:])
        return self._outputs_of(logits), loss

    def _outputs_of(self, logits: Tensor) -> Mapping[str, Any]:
        return {"prob": encode(self.probability(logits).cpu().numpy())}

    def probability(self, logits: Tensor) -> Tensor:
        """Return the probability of kelp, (N, H, W), of logits (N, classes, H, W)."""
        logits = logits.float()
        if self.member.net.probability == "sigmoid":
            return torch.sigmoid(logits[:, -1])
        return torch.softmax(logits, dim=1)[:, 1]


def moved(model: KelpModel, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return channels, mask and validity of a batch, moved alike.

    Returns:
        (N, C, H, W) float, (N, H, W) of 0 and 1, (N, H, W) bool.
    """
    raw, moves = batch["raw"], batch["moves"]
    channels = move(model.preprocess(raw), moves, interpolate=True)
    flat = torch.stack([batch["mask"].float(), valid_pixels(raw).float()], dim=1)
    turned = move(flat, moves, interpolate=False)
    return channels, turned[:, 0], turned[:, 1] > 0.5


def _corner(
    mask: np.ndarray[Any, Any], crop: int, on_kelp: float, rng: np.random.Generator
) -> tuple[int, int]:
    """Draw a crop's top left corner, to hold a kelp pixel where asked and possible."""
    # Always the same draws, so that options do not shift each other's numbers.
    towards, pick = rng.random(2)
    corner = rng.integers(0, SIZE - crop + 1, size=2)
    inside = rng.integers(0, crop, size=2)
    kelp = np.flatnonzero(mask) if towards < on_kelp else np.empty(0, np.int64)
    if kelp.size:
        pixel = divmod(int(kelp[int(pick * kelp.size)]), SIZE)
        corner = np.clip(np.array(pixel) - inside, 0, SIZE - crop)
    top, left = (int(v) for v in corner)
    return top, left


def sample_weights(sampler: KelpSampler, catalogue: pl.DataFrame) -> Float64Array:
    """Return the published seven-factor weights, scaled to 0 … 1.

    Scaled over the given tiles only; the published system scales over all
    tiles, test included.
    """
    raw = catalogue.select(
        sampler.has_kelp * pl.col("has_kelp").cast(pl.Float64)
        + sampler.not_kelp_share * (1 - pl.col("kelp_pixels_pct"))
        + sampler.qa_ok * pl.col("qa_ok").cast(pl.Float64)
        + sampler.not_faulty_share * (1 - pl.col("qa_corrupted_pixels_pct"))
        + sampler.not_water_share * (1 - pl.col("water_pixels_pct"))
        + sampler.not_unknown_dem_share * (1 - pl.col("dem_nan_pixels_pct"))
        + sampler.not_zero_dem_share * (1 - pl.col("dem_zero_pixels_pct"))
    ).to_series()
    values: Float64Array = raw.to_numpy().astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if high == low:
        return np.ones_like(values)
    if not np.isfinite(values).all():
        raise TrainingError("the sampler's weights are not finite")
    return (values - low) / (high - low)
