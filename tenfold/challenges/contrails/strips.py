"""A record's frames as one picture, in order of time, the labelled one marked."""

import math
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tenfold.data.arrays import ByteArray
from tenfold.reports.pixels import Colour

#: Between two frames of the source.
MINUTES = 10
_GAP, _BORDER = 4, 3
_PAPER: Colour = (255, 255, 255)
_INK: Colour = (0, 0, 0)
#: Of the labelled frame's border.
MARK: Colour = (255, 0, 170)


def strip(frames: ByteArray, labelled: int) -> ByteArray:
    """Lay frames out in rows, from left to right and then down.

    Pages shrink pictures to a few hundred pixels, so eight frames are not in one row.

    Args:
        frames: (T, H, W, 3) in order of time.
        labelled: place of the one that has labels; it gets a border, and the others are
            dated by it.

    Returns:
        (h, w, 3).
    """
    count, height, width = frames.shape[:3]
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    step_x, step_y = width + _GAP, height + _GAP
    sheet = Image.new("RGB", (columns * step_x - _GAP, rows * step_y - _GAP), _PAPER)
    for place, frame in enumerate(frames):
        row, column = divmod(place, columns)
        drawn = dated(frame, (place - labelled) * MINUTES, place == labelled)
        sheet.paste(Image.fromarray(drawn), (column * step_x, row * step_y))
    return np.asarray(sheet)


def dated(frame: ByteArray, minutes: int, marked: bool) -> ByteArray:
    """Return a frame with its time in a corner, and a border if it is marked.

    Args:
        frame: (H, W, 3).
        minutes: after the labelled frame.
        marked: it is that one.
    """
    drawn = Image.fromarray(np.ascontiguousarray(frame))
    pen = ImageDraw.Draw(drawn)
    if marked:
        box = (0, 0, drawn.width - 1, drawn.height - 1)
        pen.rectangle(box, outline=MARK, width=_BORDER)
    text = f"{minutes:+d} min" if minutes else "labelled"
    size = max(9, drawn.height // 12)
    at = (2 * _BORDER, drawn.height - 2 * _BORDER)
    pen.text(
        at, text, _PAPER, _font(size), anchor="ls", stroke_width=1, stroke_fill=_INK
    )
    return np.asarray(drawn)


@cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
