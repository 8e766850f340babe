"""Masks, bars and maps of the four classes as pictures, one colour a class."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_dilation, binary_erosion

from tenfold.challenges.clouds.classes import CLASSES, SUBMITTED
from tenfold.data.arrays import BoolArray, ByteArray, Float32Array
from tenfold.reports.pixels import Colour, colourise

#: Four of Okabe and Ito's palette (2008) that are bright enough for a dark sea and stay
#: 20 or more apart in CIELAB for people with any of the three colour vision
#: deficiencies (simulated after Machado, Oliveira and Fernandes 2009).
COLOURS: tuple[Colour, ...] = (
    (204, 121, 167),
    (213, 94, 0),
    (240, 228, 66),
    (86, 180, 233),
)

_PAPER, _INK, _QUIET, _LINE = (255, 255, 255), (26, 33, 39), (150, 158, 165), 210
# Pages show pictures at 384 px, 0.73 of their width here, or less.
_OUTLINE, _CASING, _STRIPE = 5, 2, 14
_TINT = 0.4
_LEGEND, _LETTERS, _SWATCH = 34, 20, 18
_BAR_LEFT, _BAR_RIGHT = 110, 90


def on_canvas(picture: ByteArray) -> ByteArray:
    """Bring a picture (H, W, 3) to the size of all drawings, 350 × 525."""
    height, width = SUBMITTED
    resized = Image.fromarray(picture).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    return np.asarray(resized)


def masks_on_canvas(masks: BoolArray) -> BoolArray:
    """Bring masks (4, h, w) to 350 × 525 by the nearest pixel."""
    height, width = SUBMITTED
    rows = np.arange(height) * masks.shape[1] // height
    columns = np.arange(width) * masks.shape[2] // width
    return np.asarray(masks[:, rows[:, None], columns], bool)


def filled(picture: ByteArray, masks: BoolArray) -> ByteArray:
    """Tint a picture where masks are; where they overlap, in stripes of each.

    Args:
        picture: (H, W, 3).
        masks: (4, H, W).
    """
    drawn = picture.astype(np.float32)
    for mask, colour in zip(_striped(masks), COLOURS, strict=True):
        drawn[mask] = (1 - _TINT) * drawn[mask] + _TINT * np.array(colour)
    return np.rint(drawn).astype(np.uint8)


def outlined(picture: ByteArray, masks: BoolArray) -> ByteArray:
    """Draw the inner borders of masks; where several share one, in stripes of each.

    The picture's edge is a border too, since a mask may fill the whole picture. A dark
    casing keeps a border apart from a bright cloud.

    Args:
        picture: (H, W, 3).
        masks: (4, H, W).
    """
    borders = np.stack([_border(mask) for mask in masks])
    every = borders.any(axis=0)
    around = binary_dilation(every, iterations=_CASING) & ~every
    drawn = picture.copy()
    drawn[around] //= 3
    for border, colour in zip(_striped(borders), COLOURS, strict=True):
        drawn[border] = colour
    return drawn


def _border(mask: BoolArray) -> BoolArray:
    core = binary_erosion(mask, iterations=_OUTLINE, border_value=0)
    return np.asarray(mask & ~core, bool)


def _striped(planes: BoolArray) -> BoolArray:
    """Give each pixel to one of the classes that claim it, in diagonal stripes."""
    rows, columns = np.indices(planes.shape[1:])
    turn = (rows + columns) // _STRIPE % np.maximum(planes.sum(axis=0), 1)
    rank = np.cumsum(planes, axis=0) - 1
    return np.asarray(planes & (rank == turn), bool)


def with_legend(picture: ByteArray, shown: Sequence[bool]) -> ByteArray:
    """Put the names of the classes under a picture, those that it shows in ink.

    Args:
        picture: (H, W, 3).
        shown: a class, whether it is in the picture.
    """
    height, width = picture.shape[:2]
    sheet = Image.new("RGB", (width, height + _LEGEND), _PAPER)
    sheet.paste(Image.fromarray(picture))
    pen = ImageDraw.Draw(sheet)
    top = height + (_LEGEND - _SWATCH) // 2
    for place, (name, colour) in enumerate(zip(CLASSES, COLOURS, strict=True)):
        left = 8 + place * width // len(CLASSES)
        box = (left, top, left + _SWATCH, top + _SWATCH)
        pen.rectangle(box, colour if shown[place] else None, colour, width=2)
        ink = _INK if shown[place] else _QUIET
        at = (left + _SWATCH + 8, height + _LEGEND // 2)
        pen.text(at, name, ink, _font(_LETTERS), anchor="lm")
    return np.asarray(sheet)


def bars(presence: Float32Array, labelled: Sequence[bool] | None) -> ByteArray:
    """Draw four probabilities as labelled bars, 350 × 525.

    Args:
        presence: (4,) 0 to 1.
        labelled: a class, whether the truth has it; none: that is not known.
    """
    height, width = SUBMITTED
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    length = width - _BAR_LEFT - _BAR_RIGHT
    bottom, step = height - 40, (height - 50) // len(CLASSES)
    for value in (0.0, 0.5, 1.0):
        x = _BAR_LEFT + round(value * length)
        pen.line((x, 10, x, bottom), (_LINE,) * 3, width=2)
        pen.text((x, bottom + 6), f"{value:g}", _INK, _font(_LETTERS), anchor="mt")
    for place, (name, colour) in enumerate(zip(CLASSES, COLOURS, strict=True)):
        top, q = 10 + place * step, float(presence[place])
        middle = top + step // 2
        pen.text((10, middle), name, _INK, _font(24), anchor="lm")
        box = (_BAR_LEFT, top + 16, _BAR_LEFT + round(q * length), top + step - 16)
        pen.rectangle(box, colour, _INK)
        right = width - _BAR_RIGHT + 12
        pen.text((right, middle), f"{q:.2f}", _INK, _font(24), anchor="lm")
        if labelled is not None and labelled[place]:
            below = (right, middle + 24)
            pen.text(below, "labelled", _INK, _font(16), anchor="lm")
    return np.asarray(sheet)


def maps(prob: Float32Array) -> ByteArray:
    """Draw the four probabilities (4, H, W) as maps beside each other, 350 × 525."""
    height, width = SUBMITTED
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    size = (width - 3) // 2, (height - 2) // 2
    for place, name in enumerate(CLASSES):
        row, column = divmod(place, 2)
        left, top = column * (size[0] + 3), row * (size[1] + 2)
        drawn = Image.fromarray(colourise(prob[place], "magma", 0.0, 1.0))
        sheet.paste(drawn.resize(size, Image.Resampling.BILINEAR), (left, top))
        at = (left + 8, top + 6)
        pen.text(at, name, _PAPER, _font(24), stroke_width=2, stroke_fill=_INK)
    return np.asarray(sheet)


@cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
