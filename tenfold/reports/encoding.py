"""Encode thumbnails as data: URIs, at falling sizes until a page fits its cap."""

import base64
import io
from dataclasses import dataclass

from PIL import Image

from tenfold.reports.pixels import Bytes, thumbnail


@dataclass(frozen=True)
class Level:
    """How large and how good thumbnails are encoded."""

    max_side: int
    quality: int


# From good to barely useful; a page takes the first level at which it fits.
LEVELS = (
    Level(384, 82),
    Level(320, 75),
    Level(256, 68),
    Level(192, 60),
    Level(144, 52),
    Level(96, 45),
    Level(64, 40),
)


@dataclass(frozen=True)
class Encoded:
    """A picture inside a page."""

    uri: str
    width: int
    height: int


def encode(pixels: Bytes, level: Level, *, pixelated: bool) -> Encoded:
    """Shrink and encode a picture in whichever suitable format is smallest.

    Args:
        pixels: (H,W,3) or (H,W).
        level: size and quality.
        pixelated: keep exact pixel values, as label maps need.
    """
    small = thumbnail(pixels, level.max_side, pixelated=pixelated)
    image = Image.fromarray(small)
    options = _lossless(image) if pixelated else _lossy(image, level.quality)
    kind, data = min(options, key=lambda option: len(option[1]))
    text = base64.b64encode(data).decode("ascii")
    return Encoded(f"data:image/{kind};base64,{text}", image.width, image.height)


def _lossless(image: Image.Image) -> list[tuple[str, bytes]]:
    return [
        ("png", _saved(image, "PNG", optimize=True)),
        ("webp", _saved(image, "WEBP", lossless=True, quality=70, method=3)),
    ]


def _lossy(image: Image.Image, quality: int) -> list[tuple[str, bytes]]:
    return [
        ("jpeg", _saved(image, "JPEG", quality=quality, optimize=True)),
        ("webp", _saved(image, "WEBP", quality=quality, method=3)),
    ]


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
