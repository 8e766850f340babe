"""A member that names classes, `cls`, as a learning task of the PyTorch engine."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from tenfold.challenges.clouds.learning import PictureTask, moved, unpacked
from tenfold.challenges.clouds.losses import presence_loss
from tenfold.challenges.clouds.network import ClassifierModel, colour_planes
from tenfold.challenges.clouds.options import CloudsClassifier
from tenfold.training.task import Batch
from tenfold.training.views import views_of


class ClassifierTask(PictureTask):
    """Examples, loss and outputs of one classifier.

    Args:
        member: of the recipe.
    """

    def __init__(self, member: CloudsClassifier) -> None:
        super().__init__(member, member.net.backbone)
        self.member = member

    def step(
        self, model: nn.Module, batch: Batch
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss of moved pictures, and how many entries are right.

        A class that a move took out of the picture is not there.
        """
        classifier = cast(ClassifierModel, model)
        image, truth = moved(classifier, batch)
        logits, there = classifier.scores(image), _there(truth)
        hits = ((logits.detach() > 0) == there).sum()
        counts = {"hits": hits, "entries": torch.tensor(there.numel())}
        return presence_loss(self.member.loss, logits, there), counts

    def step_figures(self, counts: Mapping[str, float]) -> dict[str, float]:
        """Return the share of entries, image by class, that are right at 0.5."""
        return {"accuracy": counts["hits"] / counts["entries"]}

    def outputs(self, model: nn.Module, batch: Batch) -> Mapping[str, Any]:
        """Return probabilities by the recipe's views: presence (N, 4) float32."""
        classifier = cast(ClassifierModel, model)
        image = classifier.normalise(colour_planes(batch["picture"]))
        # Not `mean_over_views`: a class has no place that a view would turn back.
        seen = [
            _probability(classifier.scores(view.apply(image)))
            for view in views_of(self.member.inference.tta)
        ]
        return _compact(torch.stack(seen).mean(dim=0))

    def assess(
        self, model: nn.Module, batch: Batch
    ) -> tuple[Mapping[str, Any], Tensor]:
        """Return the same outputs, of the sample as it is only, and the loss."""
        logits: Tensor = cast(ClassifierModel, model)(batch["picture"])
        there = _there(unpacked(batch["classes"]))
        loss = presence_loss(self.member.loss, logits, there)
        return _compact(_probability(logits)), loss


def _there(truth: Tensor) -> Tensor:
    """Return which classes masks (N, 4, H, W) bool have, (N, 4) bool."""
    return truth.flatten(2).any(dim=2)


def _probability(logits: Tensor) -> Tensor:
    return torch.sigmoid(logits.float())


def _compact(presence: Tensor) -> Mapping[str, Any]:
    return {"presence": presence.cpu().numpy()}
