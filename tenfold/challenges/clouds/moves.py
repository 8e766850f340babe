"""Moves that a picture and its masks make together: flips, turn, distortion.

A move is `4 + 2 × steps` numbers a sample: flip left-right, flip up-down, scale,
degrees, then the stretch of each column and each row of cells of a grid. One that says
nothing is 0, 0, 1, 0, 1, … and leaves a sample as it is, to the bit.

They are made in the published order: flips, then scale and rotation about the centre
with black outside, then the distortion, which mirrors what is beyond the edge. Flips
are exact. The other two are one look-up: a pixel asks the distortion where it came
from, that place is mirrored into the picture, and only then asks the rotation. So the
edge of the distortion mirrors what was rotated, black corners and all, as in two
steps, but is interpolated once.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tenfold.challenges.clouds.options import CloudsAugment
from tenfold.data.arrays import Float32Array

#: Where the stretches of a move begin.
_STRETCHES = 4
_HALF = 0.5


def draw_moves(rng: np.random.Generator, options: CloudsAugment) -> Float32Array:
    """Draw a move, (4 + 2 × steps,) float32.

    Args:
        rng: of this example.
        options: of the recipe.
    """
    # Always the same draws, so that one option does not shift another's numbers.
    left_right, up_down, turns, distorts = rng.random(4)
    scale, angle = rng.uniform(-1, 1, 2)
    stretches = rng.uniform(-1, 1, 2 * options.distort_steps)
    turned = turns < options.turn_share
    distorted = distorts < options.distort_share
    return np.array(
        [
            options.horizontal and left_right < _HALF,
            options.vertical and up_down < _HALF,
            1 + turned * options.scale * scale,
            turned * options.rotate_degrees * angle,
            *(1 + distorted * options.distort * stretches),
        ],
        np.float32,
    )


def move(planes: Tensor, moves: Tensor, interpolate: bool) -> Tensor:
    """Move each sample of a batch.

    Args:
        planes: (N, C, H, W) float32; colours before they are normalised, so that what
            comes in from outside, 0, is black; or masks, also packed in bits.
        moves: (N, 4 + 2 × steps) as `draw_moves` makes them.
        interpolate: bilinear for pictures; nearest for masks, which keep their values.

    Returns:
        (N, C, H, W).
    """
    flipped = _where(moves[:, 0] > 0, planes.flip(-1), planes)
    flipped = _where(moves[:, 1] > 0, flipped.flip(-2), flipped)
    grid = _sources(moves, *planes.shape[-2:])
    mode = "bilinear" if interpolate else "nearest"
    warped = F.grid_sample(flipped, grid, mode=mode, align_corners=False)
    return _where(_warps(moves), warped, flipped)


def _where(chosen: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """Choose between samples, without asking the device which."""
    return torch.where(chosen[:, None, None, None], yes, no)


def _warps(moves: Tensor) -> Tensor:
    """Return which samples are scaled, rotated or distorted, (N,) bool."""
    turned = (moves[:, 2] != 1) | (moves[:, 3] != 0)
    return turned | (moves[:, _STRETCHES:] != 1).any(dim=1)


def _sources(moves: Tensor, height: int, width: int) -> Tensor:
    """Return where each pixel comes from, (N, H, W, 2), as `grid_sample` counts."""
    columns, rows = moves[:, _STRETCHES:].chunk(2, dim=1)
    # From the centre, in pixels, so that a rotation keeps angles on any shape.
    x = (_mirrored(stretched(columns, width), width) - (width - 1) / 2)[:, None, :]
    y = (_mirrored(stretched(rows, height), height) - (height - 1) / 2)[:, :, None]
    angle = moves[:, 3, None, None] * (math.pi / 180)
    scale = moves[:, 2, None, None]
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    from_x, from_y = cosine * x - sine * y, sine * x + cosine * y
    return torch.stack([from_x * (2 / width), from_y * (2 / height)], dim=-1)


def stretched(stretches: Tensor, length: int) -> Tensor:
    """Return where the pixels of an axis come from under a distortion, (N, length).

    The first stays; from there the axis is `steps` cells of equal length, within which
    a pixel's way is `stretch` as long. So the last may come from beyond the edge or
    from before it, as published, where a last cell of 1 to 4 pixels, what is left of a
    division, jumps back to the edge; here cells divide the axis without rest.

    Args:
        stretches: (N, steps), all above 0.
        length: of the axis, px.
    """
    steps = stretches.shape[1]
    cell = length / steps
    pixels = torch.arange(length, device=stretches.device, dtype=torch.float32)
    starts = torch.arange(steps, device=stretches.device, dtype=torch.float32) * cell
    # What a pixel has behind it of each cell, (steps, length).
    passed = (pixels - starts[:, None]).clamp(0, cell)
    return (stretches[:, :, None] * passed).sum(dim=1)


def _mirrored(places: Tensor, length: int) -> Tensor:
    """Mirror what is beyond an edge at the pixel on the edge (reflect-101)."""
    last = length - 1
    return last - (places.remainder(2 * last) - last).abs()
