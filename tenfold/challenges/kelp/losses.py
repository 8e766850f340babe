"""The losses of a kelp member, over valid pixels only.

A library's loss is used where it takes a row of pixels: PyTorch's or that of
segmentation-models-pytorch ("smp"). What neither has is written out here, with its
source. Everything is float32, whatever the precision of the network.
"""

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from segmentation_models_pytorch import losses as smp
from torch import Tensor, nn

from tenfold.challenges.kelp.image_losses import HausdorffLoss, SoftDiceLoss, TLoss
from tenfold.challenges.kelp.network_options import KelpLoss
from tenfold.challenges.kelp.overlap import dice_score, kelp_logit

_EPS = 1e-7
#: How a row of P pixels is handed to a loss that wants
#: classes: logits (1, 2, P, 1) and the class (1, P, 1) of each pixel;
#: shares: logits (1, C, P), each for itself, and shares (1, C, P) of each class;
#: odds: the same, of the two classes' odds, whose sigmoid is their softmax;
#: kelp: the logit of kelp's probability (P,) and shares of kelp (P,).
Form = Literal["classes", "shares", "odds", "kelp"]


def build_loss(options: KelpLoss, classes: int) -> nn.Module:
    """Build a loss of logits (N, classes, H, W), truth (N, H, W) and validity.

    Args:
        options: of the recipe.
        classes: 2, or 1 for a single logit of kelp.
    """
    has, name = options.settings, options.name
    if name == "soft-dice":
        return SoftDiceLoss(**has)
    if name == "t-loss":
        return TLoss(**has)
    if name == "hausdorff":
        return HausdorffLoss(**has)
    soft = options.soft_boundary > 0
    form: Form = "shares" if classes == 1 else "odds" if soft else "classes"
    if name in _OF_KELP:
        return PixelLoss(_OF_KELP[name](**has), "kelp")
    if name == "focal":
        mode = "binary" if classes == 1 else "multilabel"
        return PixelLoss(smp.FocalLoss(mode, **has), "shares")
    return PixelLoss(_of_classes(name, form, has), form)


def _of_classes(name: str, form: Form, has: dict[str, Any]) -> nn.Module:
    """Build a loss in which background counts as kelp does, if it has a logit.

    The overlap losses are smp's: each class counts half, one that is absent not at
    all, and pixels are summed over the whole batch, as in the published system. So a
    batch without kelp teaches them nothing where kelp is the only class.
    """
    mode = {"shares": "binary", "odds": "multilabel", "classes": "multiclass"}[form]
    if name in ("ce", "soft-ce"):
        return _cross_entropy(has)
    if name == "ce-dice":
        parts = _cross_entropy(has), smp.DiceLoss(mode, smooth=has["smooth"])
        return WeightedSum(parts, has["parts"])
    if name == "focal-tversky":
        gamma = has.pop("gamma")
        return FocalTverskyLoss(smp.TverskyLoss(mode, **has), gamma)
    if name == "log-cosh-dice":
        return LogCosh(smp.DiceLoss(mode, **has))
    plain = {"dice": smp.DiceLoss, "jaccard": smp.JaccardLoss}
    plain |= {"tversky": smp.TverskyLoss, "lovasz": smp.LovaszLoss}
    return cast(nn.Module, plain[name](mode, **has))


def _cross_entropy(has: dict[str, Any]) -> nn.Module:
    weights = has["class_weights"]
    return nn.CrossEntropyLoss(
        None if weights is None else torch.tensor(weights),
        label_smoothing=has.get("smoothing", 0.0),
    )


class PixelLoss(nn.Module):
    """A loss of one row of pixels, of the valid ones of a whole batch.

    Args:
        measure: a loss of logits and truth.
        form: in which it takes them.
    """

    def __init__(self, measure: nn.Module, form: Form) -> None:
        super().__init__()
        self._measure, self._form = measure, form

    def forward(self, logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """Return the loss; there must be a valid pixel."""
        pixels = logits.permute(0, 2, 3, 1)[valid].float()
        kelp = truth[valid]
        if self._form == "classes":
            loss = self._measure(pixels.T[None, :, :, None], kelp.long()[None, :, None])
        elif self._form == "kelp":
            loss = self._measure(kelp_logit(pixels, 1), kelp.float())
        else:
            kelp = kelp.float()
            single = pixels.shape[1] == 1
            shares = kelp[None] if single else torch.stack([1 - kelp, kelp])
            if self._form == "odds":
                odds = kelp_logit(pixels, 1)
                pixels = torch.stack([-odds, odds], dim=1)
            loss = self._measure(pixels.T[None], shares[None])
        return cast(Tensor, loss)


class WeightedSum(nn.Module):
    """Several losses of the same pixels, added up."""

    def __init__(self, parts: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self._parts, self._weights = nn.ModuleList(parts), weights

    def forward(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Return the sum."""
        weighed = zip(self._parts, self._weights, strict=True)
        losses = [weight * part(logits, truth) for part, weight in weighed]
        return torch.stack(losses).sum()


class FocalTverskyLoss(nn.Module):
    """(1 - Tversky index)^γ (Abraham and Khan 2019, who write the power as 1/γ).

    smp's own power has no gradient at 0 if γ < 1: a single logit that meets a batch
    without kelp would learn NaN.
    """

    def __init__(self, tversky: nn.Module, gamma: float) -> None:
        super().__init__()
        self._tversky, self._gamma = tversky, gamma

    def forward(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Return the loss; the slope at 0, infinite for γ < 1, is cut off."""
        loss: Tensor = self._tversky(logits, truth).clamp_min(_EPS) ** self._gamma
        return loss


class LogCosh(nn.Module):
    """log cosh of a loss, flatter near 0 (Jadon 2020)."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self._loss = loss

    def forward(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Return the loss."""
        return torch.log(torch.cosh(self._loss(logits, truth)))


class BinaryCrossEntropy(nn.Module):
    """Cross-entropy of one logit: the mean over pixels by the weight of their class.

    PyTorch's own divides by the number of pixels, also where they have weights.
    """

    def __init__(
        self, class_weights: tuple[float, float] | None, smoothing: float
    ) -> None:
        super().__init__()
        self._weights, self._smoothing = class_weights or (1.0, 1.0), smoothing

    def forward(self, kelp: Tensor, truth: Tensor) -> Tensor:
        """Return the loss; smoothing spreads over both classes, as in PyTorch's."""
        background, weight = self._weights
        weights = background + (weight - background) * truth
        truth = truth * (1 - self._smoothing) + self._smoothing / 2
        total = F.binary_cross_entropy_with_logits(
            kelp, truth, weights, reduction="sum"
        )
        return total / weights.sum()


class ComboLoss(nn.Module):
    """Weighted cross-entropy and Dice of kelp (Taghanaki et al. 2019).

    Theirs subtracts the Dice score, here it is 1 - Dice, so that 0 is perfect.
    """

    def __init__(self, beta: float, smooth: float, parts: tuple[float, float]) -> None:
        super().__init__()
        self._beta, self._smooth, self._parts = beta, smooth, parts

    def forward(self, kelp: Tensor, truth: Tensor) -> Tensor:
        """Return the loss."""
        missed = self._beta * truth * F.logsigmoid(kelp)
        alarmed = (1 - self._beta) * (1 - truth) * F.logsigmoid(-kelp)
        entropy = -(missed + alarmed).mean()
        score = dice_score(torch.sigmoid(kelp), truth, self._smooth)
        return self._parts[0] * entropy + self._parts[1] * (1 - score)


class ExpLogLoss(nn.Module):
    """Powers of -log Dice and of -log probability (Wong et al. 2018).

    Without their weights by frequency. Both classes have a Dice.
    """

    def __init__(self, gamma: float, smooth: float, parts: tuple[float, float]) -> None:
        super().__init__()
        self._gamma, self._smooth, self._parts = gamma, smooth, parts

    def forward(self, kelp: Tensor, truth: Tensor) -> Tensor:
        """Return the loss; the infinite slope of the power at 0 is cut off."""
        score = torch.stack(
            [
                dice_score(torch.sigmoid(-kelp), 1 - truth, self._smooth),
                dice_score(torch.sigmoid(kelp), truth, self._smooth),
            ]
        )
        surprise = F.binary_cross_entropy_with_logits(kelp, truth, reduction="none")
        overlap = -torch.log(score.clamp_min(_EPS))
        powers = [
            part.clamp_min(_EPS).pow(self._gamma).mean() for part in (overlap, surprise)
        ]
        return self._parts[0] * powers[0] + self._parts[1] * powers[1]


class BatchSoftDiceLoss(nn.Module):
    """1 - Dice of both classes over the whole batch, absent ones included."""

    def __init__(self, smooth: float) -> None:
        super().__init__()
        self._smooth = smooth

    def forward(self, kelp: Tensor, truth: Tensor) -> Tensor:
        """Return the loss."""
        here = dice_score(torch.sigmoid(kelp), truth, self._smooth)
        elsewhere = dice_score(torch.sigmoid(-kelp), 1 - truth, self._smooth)
        return 1 - (here + elsewhere) / 2


class FocalDiceLoss(nn.Module):
    """Focal loss and Dice of kelp over the batch: the first place's of Kelp Wanted.

    Its third term, a distance to boundaries, is not offered: as published it does
    not follow the borders of kelp, and its authors call its gain minor.
    """

    def __init__(
        self, alpha: float, gamma: float, smooth: float, parts: tuple[float, float]
    ) -> None:
        super().__init__()
        self._focal = smp.FocalLoss("binary", alpha=alpha, gamma=gamma)
        self._smooth, self._parts = smooth, parts

    def forward(self, kelp: Tensor, truth: Tensor) -> Tensor:
        """Return the loss."""
        score = dice_score(torch.sigmoid(kelp), truth, self._smooth)
        focal = cast(Tensor, self._focal(kelp, truth))
        return self._parts[0] * focal + self._parts[1] * (1 - score)


_OF_KELP = {
    "bce": BinaryCrossEntropy,
    "combo": ComboLoss,
    "exp-log": ExpLogLoss,
    "batch-soft-dice": BatchSoftDiceLoss,
    "focal-dice": FocalDiceLoss,
}
