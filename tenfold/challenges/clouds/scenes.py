"""Lay out and photograph synthetic scenes: sea, land, clouds, and the orbit gap."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tenfold.challenges.clouds.classes import CLASSES, SOURCE
from tenfold.challenges.clouds.textures import (
    COARSE,
    TEXTURES,
    Rng,
    enlarge,
    fractal,
    ripples,
    smoothstep,
)
from tenfold.data.arrays import BoolArray, ByteArray, Float32Array

Picture = ByteArray  # (H, W, 3), RGB

#: px of a scene beyond its picture on each side; a picture is moved by no more,
#: 1 % of its height.
MARGIN = 14

#: Height and width of a scene, px.
FRAME = (SOURCE[0] + 2 * MARGIN, SOURCE[1] + 2 * MARGIN)

# Scenes are put together at half their size; their clouds are painted at a quarter.
_HALF = 2
_HALF_SHAPE = (FRAME[0] // _HALF, FRAME[1] // _HALF)
_COARSE_SHAPE = (FRAME[0] // COARSE, FRAME[1] // COARSE)

_CLOUD = np.array([238, 240, 242], np.float32)
_SEA = np.array([14, 34, 62], np.float32)
_SHALLOWS = np.array([8, 22, 22], np.float32)
_DRY_LAND = np.array([112, 98, 66], np.float32)
_GREEN_LAND = np.array([52, 70, 36], np.float32)


@dataclass(frozen=True)
class Region:
    """A patch of one kind of organisation; lengths are px of the scene.

    Attributes:
        kind: index of the class.
        strength: share of the texture's full reflectivity.
    """

    kind: int
    row: float
    col: float
    half_height: float
    half_width: float
    strength: float


@dataclass(frozen=True)
class Gap:
    """The slanted wedge between two orbits that no sensor saw, edge to edge.

    Attributes:
        top: first and last column on the scene's first row, px.
        bottom: the same on its last row; equal columns close the wedge.
    """

    top: tuple[float, float]
    bottom: tuple[float, float]

    def at(self, row: float) -> tuple[float, float]:
        """Return its first and last column on a row of the scene."""
        down = row / FRAME[0]
        left = self.top[0] + down * (self.bottom[0] - self.top[0])
        right = self.top[1] + down * (self.bottom[1] - self.top[1])
        return left, right


@dataclass(frozen=True)
class Scene:
    """Where things are in a scene; what they look like is drawn when rendered."""

    regions: tuple[Region, ...]
    gap: Gap | None


def lay_out(rng: Rng, present: BoolArray) -> Scene:
    """Place one to three regions of every present class, and a gap or none.

    Regions keep out of each other's way and of the gap where there is room.

    Args:
        rng: source of the randomness.
        present: (4,), which classes the scene has.
    """
    gap = _draw_gap(rng) if rng.random() < 0.5 else None
    regions: list[Region] = []
    for kind in rng.permutation(np.flatnonzero(present)):
        # Widths of labels such that pictures full of mask score about the published
        # 0.686 on the training set.
        share = np.clip(rng.lognormal(np.log(0.275), 0.5), 0.08, 0.75)
        count = rng.choice(3, p=[0.6, 0.28, 0.12]) + 1
        for part in rng.dirichlet(np.full(count, 8.0)):
            tries = [_draw_region(rng, int(kind), share * part) for _ in range(8)]
            regions.append(min(tries, key=lambda r: _crowding(r, regions, gap)))
    return Scene(tuple(regions), gap)


def _draw_gap(rng: Rng) -> Gap:
    open_at = rng.permutation([1.0, float(rng.integers(2))])
    widths = rng.uniform(90, 460, 2) * open_at
    slant = rng.uniform(240, 460) * rng.choice([-1, 1])
    middle = rng.uniform(0, FRAME[1])
    top, bottom = middle - slant / 2, middle + slant / 2
    return Gap(
        (top - widths[0] / 2, top + widths[0] / 2),
        (bottom - widths[1] / 2, bottom + widths[1] / 2),
    )


def _draw_region(rng: Rng, kind: int, share: float) -> Region:
    area = share * SOURCE[0] * SOURCE[1]
    aspect = rng.uniform(0.8, 2.0)
    half_height = min(0.47 * SOURCE[0], 0.5 * np.sqrt(area / aspect))
    half_width = min(0.47 * SOURCE[1], 0.25 * area / half_height)
    row = rng.uniform(MARGIN + 0.9 * half_height, FRAME[0] - 0.9 * half_height)
    col = rng.uniform(MARGIN + 0.9 * half_width, FRAME[1] - 0.9 * half_width)
    strength = rng.uniform(0.6, 1.0)
    return Region(kind, row, col, half_height, half_width, strength)


def _crowding(region: Region, others: list[Region], gap: Gap | None) -> float:
    """Return the area that a region shares with others or loses to the gap, px²."""
    shared = 0.0
    for other in others:
        rows = region.half_height + other.half_height - abs(region.row - other.row)
        cols = region.half_width + other.half_width - abs(region.col - other.col)
        shared += max(0.0, rows) * max(0.0, cols)
    if gap is not None:
        left, right = gap.at(region.row)
        left = max(left, region.col - region.half_width)
        right = min(right, region.col + region.half_width)
        shared += 2 * max(0.0, right - left) * 2 * region.half_height
    return shared


def render(scene: Scene, rng: Rng) -> Picture:
    """Paint a scene at half its size, without its gap."""
    ground = _ground(rng)
    clouds = enlarge(_clouds(scene, rng), _HALF_SHAPE)
    clouds *= 1 + 0.07 * ripples(rng, _HALF_SHAPE, 2.5)
    np.clip(clouds, 0, 0.97, out=clouds)
    ground += clouds[:, :, None] * (_CLOUD - ground)
    ground += rng.standard_normal((*_HALF_SHAPE, 1), dtype=np.float32) * 1.5
    return np.clip(ground, 12, 255).astype(np.uint8)


def photograph(picture: Picture, scene: Scene, shift: tuple[int, int]) -> Image.Image:
    """Cut the picture of 1400 × 2100 px out of a rendered scene, gap and all.

    Args:
        picture: from `render`.
        scene: what was rendered.
        shift: rows and columns that the cut is moved by, up to `MARGIN`.
    """
    top, left = MARGIN + shift[0], MARGIN + shift[1]
    right, bottom = left + SOURCE[1], top + SOURCE[0]
    photo = Image.fromarray(picture).resize(
        (SOURCE[1], SOURCE[0]),
        Image.Resampling.BICUBIC,
        box=(left / _HALF, top / _HALF, right / _HALF, bottom / _HALF),
    )
    if scene.gap is not None:
        (a, b), (d, c) = scene.gap.top, scene.gap.bottom
        corners = [(a, 0), (b, 0), (c, FRAME[0]), (d, FRAME[0])]
        outline = [(x - left, y - top) for x, y in corners]
        ImageDraw.Draw(photo).polygon(outline, fill=(0, 0, 0))
    return photo


def _ground(rng: Rng) -> Float32Array:
    """Return sea with its gentle changes, and land in some scenes: (H, W, 3)."""
    light = fractal(rng, _COARSE_SHAPE, 400, 2)
    sea = _SEA * rng.uniform(0.75, 1.25) + light[:, :, None] * _SHALLOWS * 0.35
    # The sun's mirror image brightens one broad part of some scenes.
    glint = smoothstep(fractal(rng, _COARSE_SHAPE, 600, 1), -0.5, 2.5)
    sea += glint[:, :, None] * np.float32(rng.gamma(1.0, 22))
    if rng.random() < 0.25:
        sea = _raise_land(rng, sea)
    layers = [
        enlarge(np.ascontiguousarray(sea[:, :, i]), _HALF_SHAPE) for i in range(3)
    ]
    return np.stack(layers, axis=-1)


def _raise_land(rng: Rng, sea: Float32Array) -> Float32Array:
    """Let land rise from one side of the scene."""
    height, width = _COARSE_SHAPE
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    slope = np.cos(angle) * y + np.sin(angle) * x
    rise = 0.35 * fractal(rng, _COARSE_SHAPE, 160, 5) + slope - rng.uniform(0.5, 1.1)
    plants = smoothstep(fractal(rng, _COARSE_SHAPE, 90, 4), -1, 1)[:, :, None]
    land = _DRY_LAND + plants * (_GREEN_LAND - _DRY_LAND)
    shore = smoothstep(np.asarray(rise, dtype=np.float32), 0.0, 0.04)[:, :, None]
    return np.asarray(sea + shore * (land - sea), dtype=np.float32)


def _clouds(scene: Scene, rng: Rng) -> Float32Array:
    """Return the clouds' opacity: (H, W) at the size of textures."""
    clear = 1 - _veil(rng)
    for kind in range(len(CLASSES)):
        clutter = _clutter(rng)
        where = np.maximum(clutter, _places(rng, scene, kind))
        clear *= 1 - 0.92 * where * TEXTURES[kind](rng, _COARSE_SHAPE)
    return 1 - clear


def _veil(rng: Rng) -> Float32Array:
    """Return thin cloud everywhere and thick shapeless cloud here and there."""
    thin = smoothstep(fractal(rng, _COARSE_SHAPE, 180, 6), -1.0, 3.0)
    thick = smoothstep(fractal(rng, _COARSE_SHAPE, 200, 6), 0.8, 2.2)
    return np.clip(rng.uniform(0.2, 0.4) * thin + rng.uniform(0, 0.7) * thick, 0, 1)


def _clutter(rng: Rng) -> Float32Array:
    """Say how faintly a texture shows where nobody would label it."""
    if rng.random() < 0.5:
        return np.zeros(_COARSE_SHAPE, np.float32)
    patches = smoothstep(fractal(rng, _COARSE_SHAPE, 220, 2), 0.3, 1.3)
    return patches * np.float32(rng.uniform(0.1, 0.35))


def _places(rng: Rng, scene: Scene, kind: int) -> Float32Array:
    """Say how strongly a texture shows in its regions: round corners, soft edges."""
    y, x = (
        (np.arange(side, dtype=np.float32) + 0.5) * COARSE for side in _COARSE_SHAPE
    )
    uneven = 0.1 * ripples(rng, _COARSE_SHAPE, 40)
    where = np.zeros(_COARSE_SHAPE, np.float32)
    for region in scene.regions:
        if region.kind != kind:
            continue
        down = ((y[:, None] - region.row) / region.half_height) ** 4
        over = ((x[None, :] - region.col) / region.half_width) ** 4
        inside = 1 - smoothstep((down + over) ** 0.25 + uneven, 0.85, 1.1)
        np.maximum(where, inside * np.float32(region.strength), out=where)
    return where
