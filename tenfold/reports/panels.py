"""Join pictures of one thing to a sheet of labelled panels with their colour bars."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tenfold.data.files import atomic_path
from tenfold.reports.pixels import Bytes, colourise, rgb

_COLUMNS = 4
_MARGIN, _GAP = 20, 16
_TITLE, _LABEL, _BAR, _TICKS = 40, 28, 12, 24
_PAPER, _INK, _QUIET = (255, 255, 255), (26, 33, 39), (93, 104, 113)
# Of zlib; higher levels take three times as long for a tenth of the size.
_COMPRESSION = 3


@dataclass(frozen=True)
class Scale:
    """What the colours of a map mean.

    Attributes:
        palette: name of a matplotlib colormap.
        low: value of its first colour.
        high: value of its last colour.
        unit: such as "m"; nothing for a ratio.
    """

    palette: str
    low: float
    high: float
    unit: str = ""

    def ticks(self) -> list[str]:
        """Return the texts under the bar's first end, its middle and its last end."""
        low, middle, high = self.low, (self.low + self.high) / 2, self.high
        return [f"{low:g}", f"{middle:g}", f"{high:g} {self.unit}".rstrip()]


def panels(
    pictures: Mapping[str, Bytes],
    title: str,
    scales: Mapping[str, Scale],
    note: str = "",
) -> Bytes:
    """Lay out pictures in rows, each under its name at its own resolution.

    Args:
        pictures: name to (H,W,3) or (H,W), at least one.
        title: of the sheet.
        scales: of those pictures whose colours stand for values.
        note: beside the title, in quiet letters.

    Returns:
        (H,W,3).
    """
    height = max(picture.shape[0] for picture in pictures.values())
    width = max(picture.shape[1] for picture in pictures.values())
    columns = min(_COLUMNS, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    step_x, step_y = width + _GAP, _LABEL + height + _BAR + _TICKS + _GAP
    size = (
        2 * _MARGIN + columns * step_x - _GAP,
        _MARGIN + _TITLE + rows * step_y,
    )
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN + 18), title, _INK, _font(22), anchor="ls")
    after = _MARGIN + pen.textlength(title, _font(22)) + 16
    pen.text((after, _MARGIN + 18), note, _QUIET, _font(16), anchor="ls")
    for place, (name, picture) in enumerate(pictures.items()):
        row, column = divmod(place, columns)
        left, top = _MARGIN + column * step_x, _MARGIN + _TITLE + row * step_y
        pen.text((left, top + _LABEL - 8), name, _INK, _font(16), anchor="ls")
        sheet.paste(Image.fromarray(rgb(picture)), (left, top + _LABEL))
        if name in scales:
            _bar(sheet, pen, scales[name], left, top + _LABEL + height + 4, width)
    return np.asarray(sheet)


def write_png(path: Path, pixels: Bytes) -> None:
    """Write a picture; the file is whole or absent, and missing folders are made."""
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG", compress_level=_COMPRESSION)


def _bar(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    scale: Scale,
    left: int,
    top: int,
    width: int,
) -> None:
    """Draw a colour bar with its two ends and its middle named."""
    ramp = np.repeat(np.linspace(0.0, 1.0, width)[None], _BAR, axis=0)
    sheet.paste(Image.fromarray(colourise(ramp, scale.palette, 0.0, 1.0)), (left, top))
    under = top + _BAR + 5
    places = ((left, "lt"), (left + width // 2, "mt"), (left + width, "rt"))
    for (x, anchor), text in zip(places, scale.ticks(), strict=True):
        pen.text((x, under), text, _QUIET, _font(14), anchor=anchor)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    # Without FreeType there is but one size; the library's wheels all have it.
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise OSError("Pillow was built without FreeType; install its wheel")
    return font
