"""Scale a channel by each tile's own values, whatever the other tiles hold."""

import math

import torch
from torch import Tensor

from tenfold.challenges.kelp.choices import Normalise

#: The published share of a tile's values below 0 and above 1.
_SHARE = 0.01


def scale_by_tile(channel: Tensor, by: Normalise) -> Tensor:
    """Scale so that each tile's own limits become 0 and 1; what is beyond is cut off.

    Limits are of finite values alone. What is missing becomes 0, as does a tile that
    does not vary.

    Args:
        channel: (N, H, W) float32; NaN is what is missing.
        by: tile-min-max: the extremes; tile-quantile: the quantiles 0.01 and 0.99,
            linear between values.
    """
    limits = _extremes if by == "tile-min-max" else _quantiles
    low, high = (limit[:, None, None] for limit in limits(channel.flatten(1)))
    span = high - low
    # Neither 0 nor, of a tile without values, infinite.
    span = torch.where((span > 0) & span.isfinite(), span, 1)
    return ((channel - low) / span).nan_to_num_(0, 1, 0).clamp_(0, 1)


def _extremes(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the smallest and the largest finite value of rows (N, P)."""
    finite = rows.isfinite()
    low = torch.where(finite, rows, torch.inf).amin(1)
    return low, torch.where(finite, rows, -torch.inf).amax(1)


def _quantiles(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return two quantiles of the finite values of rows (N, P).

    Only the tails are sorted: on a CPU that takes a ninth of the time of all values,
    and `torch.quantile` takes no more than 16 million.
    """
    finite = rows.isfinite()
    rank = (finite.sum(1) - 1).clamp_min(0).double() * _SHARE
    tail = min(math.floor((rows.shape[1] - 1) * _SHARE) + 2, rows.shape[1])
    smallest = torch.where(finite, rows, torch.inf).topk(tail, largest=False).values
    largest = torch.where(finite, rows, -torch.inf).topk(tail).values
    return _at(smallest, rank), _at(largest, rank)


def _at(ordered: Tensor, rank: Tensor) -> Tensor:
    """Return the value at a rank of each row, linear between its neighbours."""
    place = rank.long()
    beyond = (rank.ceil().long()).clamp_max(ordered.shape[1] - 1)
    first, next_ = (ordered.gather(1, p[:, None])[:, 0] for p in (place, beyond))
    return torch.lerp(first, next_, (rank - place).float())
