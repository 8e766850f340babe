"""The two losses of the published system, safe where a batch has nothing of a kind.

A row is an image's class. A mean over rows that are not there is 0 with a gradient of
0; the published code logs it as not a number. All is computed in float32.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tenfold.challenges.clouds.options import CloudsLoss, CloudsPresenceLoss

#: Added to both sides of a Dice (published).
_SMOOTH = 1e-9
#: Added to counts of entries (published).
_NOTHING = 1e-12
#: Dimensions of (N, 4, H, W) that one Dice is summed over.
_OVER = {"row": (2, 3), "class": (0, 2, 3), "image": (1, 2, 3)}


def segmentation_loss(
    options: CloudsLoss, pixels: Tensor, presence: Tensor | None, truth: Tensor
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Return the weighted sum of the parts, and each part that has a weight.

    Args:
        options: of the recipe.
        pixels: logits (N, 4, H, W).
        presence: logits (N, 4) of a head; None: the highest of a row's pixels.
        truth: (N, 4, H, W) of 0 and 1, as it is after augmentation.
    """
    pixels, truth = pixels.float(), truth.float()
    there = truth.flatten(2).amax(dim=2)
    everywhere = torch.ones_like(there)
    of_bce = there if options.rows == "positive" else everywhere
    of_presence = 1 - there if options.rows == "positive" else everywhere
    parts = {}
    if options.bce:
        loss = F.binary_cross_entropy_with_logits(pixels, truth, reduction="none")
        parts["bce"] = _mean(loss.mean(dim=(2, 3)), of_bce)
    if options.dice:
        if options.rows == "all":
            parts["dice"] = _dice_loss(pixels, truth, _OVER[options.dice_over]).mean()
        else:
            parts["dice"] = _mean(_dice_loss(pixels, truth, _OVER["row"]), there)
    if options.presence:
        logits = pixels.amax(dim=(2, 3)) if presence is None else presence.float()
        loss = F.binary_cross_entropy_with_logits(logits, there, reduction="none")
        parts["presence"] = _mean(loss, of_presence)
    weighed = [getattr(options, name) * part for name, part in parts.items()]
    return torch.stack(weighed).sum(), parts


def presence_loss(options: CloudsPresenceLoss, logits: Tensor, there: Tensor) -> Tensor:
    """Return the cross-entropy of which classes are there.

    Balanced, it is the sum over the two kinds of entries of weight × mean, so about
    twice the plain one; else the mean over all entries, each by its weight.

    Args:
        options: of the recipe.
        logits: (N, 4).
        there: (N, 4) of 0 and 1.
    """
    logits, there = logits.float(), there.float()
    loss = F.binary_cross_entropy_with_logits(logits, there, reduction="none")
    positive, negative = options.positive, options.negative
    if not options.balanced:
        return ((positive * there + negative * (1 - there)) * loss).mean()
    return positive * _mean(loss, there) + negative * _mean(loss, 1 - there)


def _dice_loss(pixels: Tensor, truth: Tensor, over: tuple[int, ...]) -> Tensor:
    """Return 1 - soft Dice: sums, not squares, and no background."""
    share = torch.sigmoid(pixels)
    overlap = (share * truth).sum(dim=over)
    total = share.sum(dim=over) + truth.sum(dim=over)
    return 1 - (2 * overlap + _SMOOTH) / (total + _SMOOTH)


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean over what is chosen by 1 and not by 0; of nothing it is 0."""
    return (values * chosen).sum() / (chosen.sum() + _NOTHING)
