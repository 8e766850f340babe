"""Paint the four kinds of cloud organisation as fields of reflectivity."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from tenfold.data.arrays import Float32Array, Float64Array

Rng = np.random.Generator
Shape = tuple[int, int]

#: Pixels of the whole picture that a pixel of a texture covers, a side.
COARSE = 4

# All lengths below are in px of a texture; a picture shrunk to 96 × 144 px shows
# 3.6 of them as one.
_RING_SPACING, _RING_SIDE = 21.0, 35
_BOUQUET_SPACING, _PETALS, _PETAL_SIDE = 58.0, 10, 31
_SPECK_AREA, _SPECK_SIDE = 9.0, 7
_SPINE_SPACING, _RIB_SPACING = 88.0, 21.0


def smoothstep(value: Float32Array, low: float, high: float) -> Float32Array:
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def enlarge(field: Float32Array, shape: Shape) -> Float32Array:
    """Enlarge a field to a shape by bicubic interpolation."""
    picture = Image.fromarray(field)
    wide = picture.resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.array(wide, dtype=np.float32)


def ripples(rng: Rng, shape: Shape, wave_px: float) -> Float32Array:
    """Draw a smooth random field: mean 0, deviation near 1, one scale only."""
    rows, cols = (max(3, round(side / wave_px) + 2) for side in shape)
    return enlarge(rng.standard_normal((rows, cols), dtype=np.float32), shape) * 1.25


def fractal(rng: Rng, shape: Shape, longest_px: float, octaves: int) -> Float32Array:
    """Draw a rugged random field: mean 0, deviation near 1.

    Each of its octaves has half the wavelength and 0.6 of the height of the last.
    """
    field = np.zeros(shape, np.float32)
    for octave in range(octaves):
        field += ripples(rng, shape, longest_px / 2**octave) * np.float32(0.6**octave)
    return field * np.float32(np.sqrt(1 - 0.6**2))


def _tear(rng: Rng, field: Float32Array) -> Float32Array:
    """Make edges ragged, as the wind does: shift every pixel by a pixel or three."""
    places = np.indices(field.shape, np.float32)
    for axis in range(2):
        places[axis] += 1.6 * ripples(rng, field.shape, 5)
        places[axis] += 1.6 * ripples(rng, field.shape, 14)
    torn = ndimage.map_coordinates(field, places, order=1, mode="nearest")
    return np.asarray(torn, dtype=np.float32)


def fish(rng: Rng, shape: Shape) -> Float32Array:
    """Paint wide clear gaps between long spines with ribs to both sides.

    Returns:
        Reflectivity (H, W) from 0 to 1.
    """
    canvas = Image.new("L", (shape[1], shape[0]))
    pen = ImageDraw.Draw(canvas)
    reach = np.hypot(*shape) / 2
    heading = rng.uniform(0, 2 * np.pi)
    start = rng.uniform(0, _SPINE_SPACING)
    for across in np.arange(start - reach, reach, _SPINE_SPACING):
        spine = _spine(rng, across + rng.uniform(-12, 12), reach)
        _draw_skeleton(pen, rng, _turn(spine, heading, shape), heading)
    lines = ndimage.gaussian_filter(np.asarray(canvas, np.float32) / 255, 1.6)
    ragged = 1 + 0.35 * ripples(rng, shape, 7)
    broken = smoothstep(ripples(rng, shape, 50), -1.5, -0.4)
    return np.clip(1.25 * _tear(rng, lines) * ragged * broken, 0, 1)


def _spine(rng: Rng, across: float, reach: float) -> Float32Array:
    """Return a wavy line (N, 2): along and across the common heading."""
    along = np.arange(-reach, reach, 6.0) + rng.uniform(0, 6)
    wave = rng.uniform(6, 13) * np.sin(along / rng.uniform(28, 45) + rng.uniform(0, 6))
    return np.stack([along, across + wave], axis=1).astype(np.float32)


def _turn(points: Float32Array, heading: float, shape: Shape) -> Float32Array:
    """Turn points (N, 2) by the heading, around the middle; gives x and y."""
    cosine, sine = np.cos(heading), np.sin(heading)
    turned = points @ np.array([[cosine, sine], [-sine, cosine]], np.float32)
    middle = np.array([shape[1] / 2, shape[0] / 2], np.float32)
    return np.asarray(turned + middle, dtype=np.float32)


def _draw_skeleton(
    pen: ImageDraw.ImageDraw, rng: Rng, spine: Float32Array, heading: float
) -> None:
    pen.line([tuple(point) for point in spine.tolist()], fill=255, width=9)
    step = _RIB_SPACING / 6
    places = np.arange(rng.uniform(0, step), len(spine) - 1, step)
    for place in places + rng.uniform(-0.5, 0.5, len(places)):
        root = spine[int(np.clip(place, 0, len(spine) - 1))]
        for side in (-1, 1):
            if rng.random() < 0.1:
                continue
            angle = heading + side * rng.uniform(0.75, 1.15)
            length = rng.uniform(20, 36)
            tip = root + length * np.array([np.cos(angle), np.sin(angle)])
            fill = int(rng.integers(170, 255))
            pen.line([*root.tolist(), *tip.tolist()], fill=fill, width=5)


def flower(rng: Rng, shape: Shape) -> Float32Array:
    """Paint bright compact bouquets that stand well apart.

    Returns:
        Reflectivity (H, W) from 0 to 1.
    """
    rows, cols = _scatter(rng, shape, _BOUQUET_SPACING, 0.2)
    spread = rng.uniform(6, 12, (len(rows), 1))
    angle = rng.uniform(0, 2 * np.pi, (len(rows), _PETALS))
    distance = spread * np.sqrt(rng.random((len(rows), _PETALS))) * 1.3
    rows = (rows[:, None] + distance * np.sin(angle)).ravel()
    cols = (cols[:, None] + distance * np.cos(angle)).ravel()
    y, x = _offsets(rows, cols, _PETAL_SIDE)
    width = rng.uniform(3.4, 5.6, (len(rows), 1, 1)).astype(np.float32)
    petals = 0.5 * np.exp(-(y**2 + x**2) / (2 * width**2))
    field = _stamp(shape, rows, cols, petals, np.add)
    field *= 1 + 0.2 * ripples(rng, shape, 5)
    return smoothstep(_tear(rng, field), 0.2, 1.5)


def gravel(rng: Rng, shape: Shape) -> Float32Array:
    """Paint a net of small dark cells with bright rims, some of them arcs only.

    Returns:
        Reflectivity (H, W) from 0 to 1.
    """
    rows, cols = _scatter(rng, shape, _RING_SPACING, 0.16)
    count = (len(rows), 1, 1)
    y, x = _offsets(rows, cols, _RING_SIDE)
    stretch = rng.uniform(0.82, 1.22, count).astype(np.float32)
    distance = np.hypot(y * stretch, x / stretch)
    radius = (_RING_SPACING * rng.uniform(0.38, 0.56, count)).astype(np.float32)
    rim = np.exp(-(((distance - radius) / 2.4) ** 2))
    opening = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
    arc = 0.7 + 0.45 * np.cos(np.arctan2(y, x) - opening)
    light = rng.uniform(0.7, 1.0, count).astype(np.float32)
    field = _stamp(shape, rows, cols, rim * np.clip(arc, 0, 1) * light, np.maximum)
    clumps = 0.85 + 0.2 * ripples(rng, shape, 45) + 0.2 * ripples(rng, shape, 5)
    return np.clip(_tear(rng, field) * clumps, 0, 1)


def sugar(rng: Rng, shape: Shape) -> Float32Array:
    """Paint dust: countless faint specks, denser along feathery veins.

    Returns:
        Reflectivity (H, W), mostly below one half.
    """
    count = round(shape[0] * shape[1] / _SPECK_AREA)
    rows, cols = rng.random((2, count)) * np.array(shape)[:, None]
    dense = smoothstep(fractal(rng, shape, 60, 2), -1.8, 1.2)
    place = rows.astype(np.int64), cols.astype(np.int64)
    light = rng.gamma(2.0, 0.24, count) * (0.25 + 0.75 * dense[place])
    y, x = _offsets(rows, cols, _SPECK_SIDE)
    width = rng.uniform(0.6, 1.1, (count, 1, 1)).astype(np.float32)
    specks = np.exp(-(y**2 + x**2) / (2 * width**2))
    specks *= light[:, None, None].astype(np.float32)
    return np.clip(_stamp(shape, rows, cols, specks, np.maximum), 0, 0.75)


#: A painter a class, in the competition's order.
TEXTURES: tuple[Callable[[Rng, Shape], Float32Array], ...] = (
    fish,
    flower,
    gravel,
    sugar,
)


def _scatter(
    rng: Rng, shape: Shape, spacing: float, jitter: float
) -> tuple[Float64Array, Float64Array]:
    """Scatter points over a hexagonal grid, moved by `jitter` of its spacing."""
    height, width = shape
    row_step = spacing * np.sqrt(3) / 2
    row_of, col_of = np.mgrid[: int(height / row_step) + 2, : int(width / spacing) + 2]
    rows = row_of * row_step + rng.uniform(-1, 0) * row_step
    cols = (col_of + 0.5 * (row_of % 2)) * spacing + rng.uniform(-1, 0) * spacing
    moved = rng.normal(0, jitter * spacing, (2, *rows.shape))
    return (rows + moved[0]).ravel(), (cols + moved[1]).ravel()


def _offsets(
    rows: Float64Array, cols: Float64Array, side: int
) -> tuple[Float32Array, Float32Array]:
    """Return how far a patch's pixels lie from their point.

    Returns:
        (N, side, 1) down and (N, 1, side) to the right, px.
    """
    steps = np.arange(side, dtype=np.float32) - side // 2
    y = steps[None, :, None] - (rows - np.floor(rows))[:, None, None]
    x = steps[None, None, :] - (cols - np.floor(cols))[:, None, None]
    return y.astype(np.float32), x.astype(np.float32)


def _stamp(
    shape: Shape,
    rows: Float64Array,
    cols: Float64Array,
    patches: Float32Array,
    join: np.ufunc,
) -> Float32Array:
    """Join patches (N, side, side) into an empty field, each around its point."""
    side = patches.shape[1]
    height, width = shape
    # A frame as wide as a patch takes what falls over the edge.
    frame = np.zeros((height + 2 * side, width + 2 * side), np.float32)
    top = np.clip(np.floor(rows).astype(np.int64), -side // 2, height + side // 2)
    left = np.clip(np.floor(cols).astype(np.int64), -side // 2, width + side // 2)
    steps = np.arange(side) - side // 2 + side
    y = top[:, None, None] + steps[None, :, None]
    x = left[:, None, None] + steps[None, None, :]
    join.at(frame.ravel(), (y * frame.shape[1] + x).ravel(), patches.ravel())
    return frame[side:-side, side:-side].copy()
