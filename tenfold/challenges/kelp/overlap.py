"""What losses share: kelp's logit and the soft Dice score, over any axis of pixels."""

import torch
from torch import Tensor

_EPS = 1e-7


def kelp_logit(logits: Tensor, axis: int) -> Tensor:
    """Return the logit of kelp's probability, one axis fewer, in float32.

    Of two classes it is the difference of theirs, whose sigmoid is the softmax.

    Args:
        logits: of kelp alone, or of background and kelp along `axis`.
        axis: of the classes.
    """
    wide = logits.float()
    kelp = wide.select(axis, -1)
    return kelp if logits.shape[axis] == 1 else kelp - wide.select(axis, 0)


def dice_score(probability: Tensor, truth: Tensor, smooth: float) -> Tensor:
    """Return the Dice score over the last axis, (2·both + s) / (sum of both + s).

    What both hold is (Σp + Σy - Σ|p - y|) / 2, which is Σpy for a truth of 0 and 1,
    and lets a soft truth be its own best prediction (Wang et al. 2023, Dice
    semimetric losses).
    """
    total = (probability + truth).sum(-1)
    apart = (probability - truth).abs().sum(-1)
    return (total - apart + smooth) / (total + smooth).clamp_min(_EPS)


def mean_of_images(values: Tensor, valid: Tensor) -> Tensor:
    """Return the mean of a figure an image (N,) over those with a valid pixel.

    Args:
        values: (N,).
        valid: (N, P) bool.
    """
    counts = valid.any(-1)
    return torch.where(counts, values, 0).sum() / counts.sum().clamp_min(1)
