"""A member that paints, `seg1` or `seg2`, as a learning task of the PyTorch engine."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from tenfold.challenges.clouds.learning import PictureTask, moved, unpacked
from tenfold.challenges.clouds.losses import segmentation_loss
from tenfold.challenges.clouds.network import Scores, SegmenterModel, colour_planes
from tenfold.challenges.clouds.options import CloudsSegmenter
from tenfold.challenges.clouds.outputs import STEPS
from tenfold.training.task import Batch
from tenfold.training.views import mean_over_views, views_of

#: Added to both sides of a Dice, so that two empty masks are alike (published).
_SMOOTH = 1e-9
_PART = "loss_"


class SegmenterTask(PictureTask):
    """Examples, loss and outputs of one segmentation model.

    Args:
        member: of the recipe.
    """

    def __init__(self, member: CloudsSegmenter) -> None:
        super().__init__(member, member.net.encoder)
        self.member = member

    def step(
        self, model: nn.Module, batch: Batch
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss of moved pictures, its parts, and sums of rows' Dice."""
        segmenter = cast(SegmenterModel, model)
        image, truth = moved(segmenter, batch)
        scores = segmenter.scores(image)
        loss, parts = self._loss(scores, truth)
        counts = _row_counts(scores.pixels.detach() > 0, truth)
        # One part alone is the loss.
        if len(parts) > 1:
            counts |= {_PART + name: part.double() for name, part in parts.items()}
        return loss, counts

    def step_figures(self, counts: Mapping[str, float]) -> dict[str, float]:
        """Return the mean Dice of rows, and of those with the class, if any has it."""
        figures = {"dice": counts["dice"] / counts["rows"]}
        if counts["positives"]:
            figures["dice_positive"] = counts["dice_positive"] / counts["positives"]
        parts = {name: n for name, n in counts.items() if name.startswith(_PART)}
        return figures | {name: n / counts["batches"] for name, n in parts.items()}

    def outputs(self, model: nn.Module, batch: Batch) -> Mapping[str, Any]:
        """Return mean probabilities over the recipe's views.

        Returns:
            prob: (N, 4, H, W) uint8, steps of 1/255.
            presence: (N, 4) float32, of a network with a head.
        """
        segmenter, presence = cast(SegmenterModel, model), []

        def see(image: Tensor) -> Tensor:
            scores = segmenter.scores(image)
            if scores.presence is not None:
                presence.append(torch.sigmoid(scores.presence.float()))
            return torch.sigmoid(scores.pixels.float())

        # Made once: mirror images of colours are the colours of mirror images.
        image = segmenter.normalise(colour_planes(batch["picture"]))
        prob = mean_over_views(see, image, views_of(self.member.inference.tta))
        return _compact(prob, torch.stack(presence).mean(dim=0) if presence else None)

    def assess(
        self, model: nn.Module, batch: Batch
    ) -> tuple[Mapping[str, Any], Tensor]:
        """Return the same outputs, of the sample as it is only, and the loss."""
        scores = cast(SegmenterModel, model)(batch["picture"])
        loss, _ = self._loss(scores, unpacked(batch["classes"]))
        presence = scores.presence
        if presence is not None:
            presence = torch.sigmoid(presence.float())
        return _compact(torch.sigmoid(scores.pixels.float()), presence), loss

    def _loss(
        self, scores: Scores, truth: Tensor
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        return segmentation_loss(
            self.member.loss, scores.pixels, scores.presence, truth
        )


def _row_counts(painted: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Return sums over rows of masks (N, 4, H, W) bool; a row is an image's class."""
    overlap = (painted & truth).sum(dim=(2, 3))
    area = truth.sum(dim=(2, 3))
    total = painted.sum(dim=(2, 3)) + area
    dice = (2 * overlap + _SMOOTH) / (total + _SMOOTH)
    there = area > 0
    return {
        "dice": dice.double().sum(),
        "rows": torch.tensor(dice.numel()),
        "dice_positive": (dice * there).double().sum(),
        "positives": there.sum(),
        "batches": torch.tensor(1),
    }


def _compact(prob: Tensor, presence: Tensor | None) -> Mapping[str, Any]:
    """Return probabilities in steps, rounded on the device, and presence if any."""
    steps = (prob * STEPS).round().to(torch.uint8)
    outputs = {"prob": steps.cpu().numpy()}
    if presence is not None:
        outputs["presence"] = presence.cpu().numpy()
    return outputs
