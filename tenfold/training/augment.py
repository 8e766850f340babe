"""Moves that the planes of a sample make together: flips, turns, rotation.

A move is four numbers a sample: flip left-right, flip up-down, quarter turns,
degrees. Right-angle moves are exact; a rotation interpolates images and takes
the nearest pixel of masks, and what it brings in from outside is not valid.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tenfold.data.arrays import Float32Array


def draw_move(
    rng: np.random.Generator,
    flips: bool,
    quarter_turns: bool,
    degrees: float,
    rotate_share: float,
) -> Float32Array:
    """Draw a move, (4,) float32.

    Args:
        rng: of this example.
        flips: each way with chance 1/2.
        quarter_turns: 0 … 3 of them, equally likely.
        degrees: rotate by up to this angle either way.
        rotate_share: chance to rotate at all.
    """
    # Always four draws, so that one option does not shift another's numbers.
    left_right, up_down, turns, rotates = rng.random(4)
    angle = rng.uniform(-degrees, degrees) if degrees else 0.0
    return np.array(
        [
            float(flips and left_right < 0.5),
            float(flips and up_down < 0.5),
            float(int(turns * 4)) if quarter_turns else 0.0,
            angle if rotates < rotate_share else 0.0,
        ],
        np.float32,
    )


def move(planes: Tensor, moves: Tensor, interpolate: bool) -> Tensor:
    """Move each sample of a batch.

    Args:
        planes: (N, C, H, W) float; H = W where there are quarter turns.
        moves: (N, 4) as `draw_move` makes them.
        interpolate: bilinear for images; nearest for masks and validity.

    Returns:
        (N, C, H, W); 0 where a rotation looks outside.
    """
    moved = torch.empty_like(planes)
    rotations = _rotations(moves)
    for n, row in enumerate(moves.tolist()):
        turned = _turn(planes[n], row)
        # One at a time: half of a batch may not rotate at all.
        moved[n] = _rotate(turned, rotations[n], interpolate) if row[3] else turned
    return moved


def _turn(plane: Tensor, row: list[float]) -> Tensor:
    axes = [axis for axis, flips in ((-1, row[0]), (-2, row[1])) if flips]
    flipped = plane.flip(axes) if axes else plane
    return torch.rot90(flipped, int(row[2]), (-2, -1)) if row[2] else flipped


def _rotate(plane: Tensor, rotation: Tensor, interpolate: bool) -> Tensor:
    grid = F.affine_grid(rotation[None], [1, *plane.shape], align_corners=False)
    mode = "bilinear" if interpolate else "nearest"
    turned = F.grid_sample(
        plane[None], grid.to(plane.dtype), mode=mode, align_corners=False
    )
    return turned[0]


def _rotations(moves: Tensor) -> Tensor:
    angle = moves[:, 3].float() * (math.pi / 180)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    nothing = torch.zeros_like(angle)
    first = torch.stack([cosine, -sine, nothing], dim=1)
    second = torch.stack([sine, cosine, nothing], dim=1)
    return torch.stack([first, second], dim=1)
