"""Outline the regions of a scene as the crowd did: roughly, with boxes and polygons."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull

from tenfold.challenges.clouds.classes import CLASSES, SOURCE
from tenfold.challenges.clouds.scenes import MARGIN, Region, Scene
from tenfold.challenges.clouds.textures import Rng
from tenfold.data.arrays import BoolArray, Float64Array

Outline = Float64Array  # (N, 2): x and y of its corners, px of the scene

_BOXES = 0.7
"""Share of the regions that get a box; the others get a convex polygon."""


def sketch(rng: Rng, scene: Scene) -> list[tuple[int, Outline]]:
    """Draw one outline a region, too large or too small by some percent.

    Returns:
        Class and outline of each region.
    """
    draw = {True: _box, False: _polygon}
    return [(r.kind, draw[bool(rng.random() < _BOXES)](rng, r)) for r in scene.regions]


def _box(rng: Rng, region: Region) -> Outline:
    """Return the four corners of an upright box, each side off by itself."""
    half = np.array([region.half_width, region.half_height])
    off = rng.normal(0, 0.07, (2, 2))
    low, high = np.array([[-1.0], [1.0]]) * (rng.uniform(0.88, 1.12) + off) * half
    middle = np.array([region.col, region.row])
    (left, top), (right, bottom) = middle + low, middle + high
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _polygon(rng: Rng, region: Region) -> Outline:
    """Return the convex hull of points set by hand around the region's edge."""
    count = int(rng.integers(8, 13))
    angle = 2 * np.pi * (np.arange(count) + rng.uniform(-0.4, 0.4, count)) / count
    unit = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    # Regions end where the sum of fourth powers is 1.
    reach = (unit**4).sum(axis=1, keepdims=True) ** -0.25
    reach *= rng.uniform(0.95, 1.1) + rng.normal(0, 0.07, (count, 1))
    half = np.array([region.half_width, region.half_height])
    points = np.array([region.col, region.row]) + unit * reach * half
    hull: Outline = points[ConvexHull(points).vertices]
    return hull


def draw_masks(
    outlines: list[tuple[int, Outline]], shift: tuple[int, int]
) -> BoolArray:
    """Fill the outlines on a picture cut out of the scene; what sticks out is lost.

    Args:
        outlines: from `sketch`.
        shift: rows and columns that the cut is moved by, as for the photograph.

    Returns:
        (4, 1400, 2100), classes in their order.
    """
    corner = np.array([MARGIN + shift[1], MARGIN + shift[0]])
    masks = np.zeros((len(CLASSES), *SOURCE), np.bool_)
    for kind in {kind for kind, _ in outlines}:
        canvas = Image.new("L", (SOURCE[1], SOURCE[0]))
        pen = ImageDraw.Draw(canvas)
        for other, outline in outlines:
            if other == kind:
                corners = np.rint(outline - corner).astype(int).ravel()
                pen.polygon(corners.tolist(), fill=1)
        masks[kind] = np.asarray(canvas) > 0
    return masks
