"""The truth that a loss compares with: masks, with soft boundaries where asked."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

#: SciPy's rule for where a Gaussian ends, which the first place's masks went by.
_TRUNCATE = 4.0


def soften(mask: Tensor, sigma: float) -> Tensor:
    """Blur a mask (N, H, W) of 0 and 1 by a Gaussian; its border is continued.

    Args:
        mask: any dtype.
        sigma: in pixels of a tile; 0 leaves the mask as it is.

    Returns:
        The mask itself, or shares of kelp 0 … 1 as float32.
    """
    if not sigma:
        return mask
    radius = int(_TRUNCATE * sigma + 0.5)
    bell = [math.exp(-0.5 * (x / sigma) ** 2) for x in range(-radius, radius + 1)]
    weights = [weight / sum(bell) for weight in bell]
    shares = F.pad(mask[:, None].float(), (radius,) * 4, mode="replicate")[:, 0]
    for axis in (-2, -1):
        # Sums, not a convolution: that would run in half precision under autocast.
        windows = shares.unfold(axis, len(weights), 1).unbind(-1)
        weighed = zip(windows, weights, strict=True)
        shares = torch.stack([window * weight for window, weight in weighed]).sum(0)
    return shares.clamp(0, 1)
