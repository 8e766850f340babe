"""Sliding windows: a large sample seen piece by piece, the pieces blended.

Windows and weights are those of nnU-Net (Isensee et al., Nature Methods 18, 2021):
evenly spaced from edge to edge, each weighed by a Gaussian whose deviation is an
eighth of its side, since a network sees least around a window's border.
"""

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tenfold.training.views import See

_DEVIATION = 1 / 8


def starts(length: int, window: int, overlap: float) -> list[int]:
    """Return where windows along one axis begin.

    The first begins at 0, the last ends at the end, and no step between them is
    longer than the overlap allows, so every pixel lies in a whole window.

    Args:
        length: of the axis, in pixels.
        window: side of a window; at most `length`.
        overlap: least share of a window that the next one covers too, 0 … 1.
    """
    step = max(math.floor(window * (1 - overlap)), 1)
    room = length - window
    count = math.ceil(room / step)
    return [room * place // count for place in range(count + 1)] if room else [0]


def weights(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Return the weight of each pixel of a window, (height, width), all above 0."""
    rows, columns = (_bell(side, device) for side in (height, width))
    return rows[:, None] * columns[None, :]


def _bell(side: int, device: torch.device | None) -> Tensor:
    # Single precision in words: a half-precision network changes torch's default.
    place = torch.arange(side, dtype=torch.float32, device=device) - (side - 1) / 2
    return torch.exp(-0.5 * (place / (side * _DEVIATION)) ** 2)


def blend(see: See, planes: Tensor, window: int | None, overlap: float) -> Tensor:
    """Return the weighted mean of what is seen of each window, in float32.

    Windows are seen one after the other, so the memory is that of one window and of
    two planes a sample.

    Args:
        see: gives probabilities (N, h, w) of planes (N, C, h, w).
        planes: (N, C, H, W).
        window: side in pixels; none, or longer than both sides: samples whole. A
            shorter side of the sample is a window's side too.
        overlap: least share of a window that the next one covers too.
    """
    height, width = planes.shape[-2:]
    if window is None or window >= max(height, width):
        return see(planes).float()
    side = (min(window, height), min(window, width))
    weight = weights(*side, planes.device)
    total = planes.new_zeros((len(planes), height, width), dtype=torch.float32)
    covered = planes.new_zeros((height, width), dtype=torch.float32)
    for rows, columns in _places((height, width), side, overlap):
        total[:, rows, columns] += see(planes[..., rows, columns]).float() * weight
        covered[rows, columns] += weight
    return total.div_(covered)


def _places(
    size: tuple[int, int], side: tuple[int, int], overlap: float
) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of each window."""
    rows, columns = (
        [slice(at, at + window) for at in starts(length, window, overlap)]
        for length, window in zip(size, side, strict=True)
    )
    yield from itertools.product(rows, columns)
