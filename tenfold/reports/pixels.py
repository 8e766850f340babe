"""Make pictures to look at out of bands, value maps and masks."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]
Colour = tuple[int, int, int]

INVALID: Colour = (122, 122, 122)


def thumbnail(pixels: Bytes, max_side: int, *, pixelated: bool = False) -> Bytes:
    """Shrink a picture so that no side exceeds a limit; small ones stay as they are.

    Args:
        pixels: (H,W,3) or (H,W).
        max_side: largest allowed side in pixels.
        pixelated: keep exact values (label maps) instead of averaging them.
    """
    height, width = pixels.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = Image.Resampling.NEAREST if pixelated else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(pixels).resize(size, method))


def stretch(
    bands: Floats,
    low: float = 2.0,
    high: float = 98.0,
    *,
    bounds: tuple[float, float] | Sequence[tuple[float, float]] | None = None,
    valid: Bools | None = None,
    invalid: Colour = INVALID,
) -> Bytes:
    """Stretch three bands to an RGB picture, each band by its own bounds.

    Args:
        bands: (3,H,W), red first; values that are not finite count as invalid.
        low: percentile of the valid pixels that becomes black.
        high: percentile that becomes white.
        bounds: values to use instead of percentiles, one pair for all or per band.
        valid: (H,W); pixels outside take no part and get the invalid colour.
        invalid: colour of invalid pixels.

    Returns:
        (H,W,3); a band without any contrast is black.
    """
    if bands.ndim != 3 or bands.shape[0] != 3:
        raise ValueError(f"stretch needs bands of shape (3,H,W), not {bands.shape}")
    usable: Bools = np.all(np.isfinite(bands), axis=0)
    if valid is not None:
        usable = usable & valid
    limits = _limits(bands, usable, (low, high), bounds)
    rgb = np.empty((*bands.shape[1:], 3), np.uint8)
    for band, (darkest, brightest) in enumerate(limits):
        span = brightest - darkest
        unit = (bands[band] - darkest) / span if span > 0 else np.zeros(usable.shape)
        shade = np.clip(np.nan_to_num(unit), 0.0, 1.0)
        rgb[..., band] = np.rint(shade * 255).astype(np.uint8)
    rgb[~usable] = invalid
    return rgb


def _limits(
    bands: Floats,
    usable: Bools,
    percentiles: tuple[float, float],
    bounds: tuple[float, float] | Sequence[tuple[float, float]] | None,
) -> list[tuple[float, float]]:
    if bounds is not None:
        pairs = np.broadcast_to(np.asarray(bounds, float), (3, 2))
        return [(float(low), float(high)) for low, high in pairs]
    if not usable.any():
        return [(0.0, 0.0)] * 3
    cuts = [np.percentile(band[usable], percentiles) for band in bands]
    return [(float(low), float(high)) for low, high in cuts]


def colourise(
    values: Floats,
    palette: str = "viridis",
    vmin: float | None = None,
    vmax: float | None = None,
    invalid: Colour = INVALID,
) -> Bytes:
    """Colour a map of values by a matplotlib palette.

    Args:
        values: (H,W); values that are not finite get the invalid colour.
        palette: name of a matplotlib colormap.
        vmin: value of the first colour; None takes the smallest finite value.
        vmax: value of the last colour; None takes the largest finite value.
        invalid: colour of values that are not finite.

    Returns:
        (H,W,3).
    """
    # Imported here because pages without maps should not wait for matplotlib.
    from matplotlib import colormaps

    finite = np.isfinite(values)
    known = values[finite]
    low = float(known.min()) if vmin is None and known.size else vmin or 0.0
    high = float(known.max()) if vmax is None and known.size else vmax or 0.0
    span = high - low
    unit = np.zeros(values.shape)
    if span > 0:
        unit[finite] = np.clip((known - low) / span, 0.0, 1.0)
    rgb = np.ascontiguousarray(colormaps[palette](unit, bytes=True)[..., :3])
    rgb[~finite] = invalid
    return np.asarray(rgb, np.uint8)


def outline(
    mask: Bools, over: Bytes, colour: Colour = (255, 214, 10), width: int = 1
) -> Bytes:
    """Draw the inner border of a mask over a picture.

    The edge of the picture is no border: a mask that runs out of the picture stays
    open there.

    Args:
        mask: (H,W); anything but zero is inside.
        over: (H,W,3) or (H,W), left untouched.
        colour: of the border.
        width: of the border in pixels.

    Returns:
        (H,W,3), a copy.
    """
    inside = np.asarray(mask, bool)
    core = inside
    for _ in range(width):
        core = _eroded(core)
    drawn = rgb(over).copy()
    drawn[inside & ~core] = colour
    return drawn


def _eroded(mask: Bools) -> Bools:
    """Pixels whose four neighbours are inside too."""
    padded = np.pad(mask, 1, constant_values=True)
    neighbours = padded[:-2, 1:-1] & padded[2:, 1:-1]
    neighbours &= padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & neighbours, bool)


def rgb(pixels: Bytes) -> Bytes:
    """Repeat a grey picture (H,W) over three channels; (H,W,3) passes unchanged."""
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def side_by_side(
    pictures: Sequence[Bytes], gap: int = 4, colour: Colour = (255, 255, 255)
) -> Bytes:
    """Join pictures in a row, top-aligned, with a gap between them.

    Args:
        pictures: each (H,W,3) or (H,W); heights may differ.
        gap: pixels between two pictures.
        colour: of the gap and of the room under lower pictures.
    """
    if not pictures:
        raise ValueError("side_by_side needs at least one picture")
    coloured = [rgb(picture) for picture in pictures]
    height = max(picture.shape[0] for picture in coloured)
    width = sum(picture.shape[1] for picture in coloured) + gap * (len(coloured) - 1)
    joined = np.empty((height, width, 3), np.uint8)
    joined[:] = colour
    left = 0
    for picture in coloured:
        joined[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + gap
    return joined
