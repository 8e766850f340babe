"""Losses that look at each image by itself: its overlap, its outliers, its borders."""

import math

import torch
from torch import Tensor, nn

from tenfold.challenges.kelp.overlap import dice_score, kelp_logit, mean_of_images


def _rows(logits: Tensor, truth: Tensor, valid: Tensor) -> tuple[Tensor, ...]:
    """Return kelp's logit, its truth and validity as rows (N, P) of pixels."""
    kelp = kelp_logit(logits, 1)
    return kelp.flatten(1), truth.float().flatten(1), valid.flatten(1)


class SoftDiceLoss(nn.Module):
    """1 - Dice of both classes, image by image, absent ones included.

    Args:
        smooth: added to both sides of the fraction.
    """

    def __init__(self, smooth: float) -> None:
        super().__init__()
        self._smooth = smooth

    def forward(self, logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """Return the mean over images with a valid pixel."""
        kelp, true, known = _rows(logits, truth, valid)
        scores = [
            dice_score(
                torch.sigmoid(sign * kelp) * known,
                (true if sign == 1 else 1 - true) * known,
                self._smooth,
            )
            for sign in (1, -1)
        ]
        return mean_of_images(1 - (scores[0] + scores[1]) / 2, known)


class TLoss(nn.Module):
    """Negative log-likelihood of Student's t, which forgives a few wrong labels.

    Of all of an image's differences as one vector (Gonzalez-Jimenez et al. 2023).
    Here it is a mean over pixels, where theirs is a sum, and ν is fixed, where theirs
    is learned.

    Args:
        nu: degrees of freedom.
    """

    def __init__(self, nu: float) -> None:
        super().__init__()
        self._nu = nu

    def forward(self, logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """Return the mean over images with a valid pixel."""
        kelp, true, known = _rows(logits, truth, valid)
        apart = ((torch.sigmoid(kelp) - true) * known).square().sum(-1)
        size = known.sum(-1).clamp_min(1)
        tail = (self._nu + size) / 2 * torch.log1p(apart / self._nu)
        # Differences of large numbers, without which an image's loss has no size.
        half = self._nu / 2
        whole = size.double() / 2
        constant = (
            math.lgamma(half)
            - torch.lgamma(half + whole)
            + whole * math.log(math.pi * self._nu)
        )
        return mean_of_images((tail + constant.float()) / size, known)


class HausdorffLoss(nn.Module):
    """Squared differences weighed by the distance to borders of truth and prediction.

    MONAI's, by distance transforms (Karimi and Salcudean 2019); the published system
    has kornia's, by erosion. The transforms run on the CPU unless CuPy is installed.

    Args:
        alpha: power of the distance, which is in pixels.
    """

    def __init__(self, alpha: float) -> None:
        super().__init__()
        # Seven seconds, which only those pay who ask for it.
        from monai.losses.hausdorff_loss import HausdorffDTLoss

        self._measure = HausdorffDTLoss(
            alpha=alpha, include_background=True, reduction="none"
        )

    def forward(self, logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """Return the mean over valid pixels; others are background in both."""
        probability = torch.sigmoid(kelp_logit(logits, 1)) * valid
        true = truth.float() * valid
        mean: Tensor = self._measure(probability[:, None], true[:, None])
        pixels = valid[0].numel()
        return mean.sum() * pixels / valid.sum().clamp_min(1)
