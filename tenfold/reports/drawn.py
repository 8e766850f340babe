"""Figures drawn by hand, without matplotlib: matrices and the strip of stages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from tenfold.reports.cells import shorten, show_alike

_WIDTH = 440.0
_FONT = 12.5
_CHARACTER = 6.9
_CELL_WIDTH, _CELL_HEIGHT = (24.0, 104.0), 52.0
_SLANT = 40
_DARK_FROM = 0.78
_MOST_IN_A_ROW = 7
_UNKNOWN = ("neutral", "·")
_DONE, _REUSED, _RUNNING = ("good", "✓"), ("good", "↺"), ("info", "▸")
_DOUBTFUL, _FAILED = ("warning", "!"), ("bad", "✕")
# First word of a stage's status to its tone and sign.
_STATUS = {
    **dict.fromkeys(("done", "ok", "ran", "complete", "succeeded", "passed"), _DONE),
    **dict.fromkeys(("reused", "cached", "unchanged"), _REUSED),
    **dict.fromkeys(("running", "started", "resumed"), _RUNNING),
    **dict.fromkeys(("warning", "warnings", "partial", "stale"), _DOUBTFUL),
    **dict.fromkeys(("failed", "error", "rejected", "cancelled"), _FAILED),
}


@dataclass(frozen=True)
class _Layout:
    """Where the cells of a matrix stand."""

    left: float
    top: float
    cell_width: float
    cell_height: float
    slanted: bool


def matrix(
    values: Sequence[Sequence[float]] | npt.NDArray[np.generic],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    normalise: bool = False,
    row_title: str = "",
    column_title: str = "",
) -> str:
    """A matrix of numbers as shaded cells, such as a confusion matrix.

    Args:
        values: (rows, columns).
        row_labels: one a row.
        column_labels: one a column.
        normalise: show every value as a share of its row's sum.
        row_title: what the rows are, such as "truth".
        column_title: what the columns are, such as "predicted".
    """
    numbers = np.asarray(values, float)
    if numbers.shape != (len(row_labels), len(column_labels)):
        raise ValueError(
            f"matrix {numbers.shape} needs as many labels, not "
            f"({len(row_labels)}, {len(column_labels)})"
        )
    if normalise:
        sums = numbers.sum(axis=1, keepdims=True)
        nothing = np.full_like(numbers, np.nan)
        numbers = np.divide(numbers, sums, nothing, where=sums != 0)
    layout = _layout([*row_labels, row_title], column_labels, column_title)
    parts = _headings(layout, row_labels, column_labels, row_title, column_title)
    parts += _cells(numbers, layout, normalise)
    width = layout.left + len(column_labels) * layout.cell_width
    if layout.slanted:
        # The last label leans out over the cells.
        reach = _longest(column_labels) * _CHARACTER * math.cos(math.radians(_SLANT))
        width += max(reach - layout.cell_width / 2, 0)
    height = layout.top + len(row_labels) * layout.cell_height + 2
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" class="chart matrix" '
        f'viewBox="0 0 {max(width, _WIDTH):.0f} {height:.0f}" '
        f'font-family="inherit" font-size="{_FONT}">{"".join(parts)}</svg>\n'
    )


def graph_strip(stages: Sequence[tuple[str, str, str]]) -> str:
    """A pipeline as a row of stages that wraps on narrow screens.

    Args:
        stages: name, status and sub-text (such as seconds) of each; the status' first
            word gives the colour when it is a known one, such as "done" or "failed".
    """
    in_a_row = math.ceil(len(stages) / max(1, math.ceil(len(stages) / _MOST_IN_A_ROW)))
    items = []
    for name, status, below in stages:
        tone, sign = _STATUS.get((status.lower().split() or [""])[0], _UNKNOWN)
        items.append(
            f'<li class="{tone}"><b>{escape(name)}</b>'
            f'<span><i class="icon" aria-hidden="true">{sign}</i>'
            f"{escape(status)}</span><small>{escape(below)}</small></li>"
        )
    style = f"--columns:{in_a_row or 1}"
    return f'<ol class="strip" style="{style}">{"".join(items)}</ol>\n'


def _layout(
    row_texts: Sequence[str], column_labels: Sequence[str], column_title: str
) -> _Layout:
    left = _longest(row_texts) * _CHARACTER + 12
    narrowest, widest = _CELL_WIDTH
    fitting = (_WIDTH - left) / max(len(column_labels), 1)
    cell_width = min(max(fitting, narrowest), widest)
    longest = _longest(column_labels) * _CHARACTER
    slanted = longest > cell_width
    heading = 18 + longest * math.sin(math.radians(_SLANT)) if slanted else 26
    top = heading + (20 if column_title else 0)
    return _Layout(left, top, cell_width, min(cell_width, _CELL_HEIGHT), slanted)


def _longest(labels: Sequence[str]) -> int:
    return max((len(shorten(label)) for label in labels), default=0)


def _headings(
    layout: _Layout,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    row_title: str,
    column_title: str,
) -> list[str]:
    beside, above = layout.left - 8, layout.top - 8
    parts = [
        _text(layout.left, 12, column_title, "start", quiet=True),
        _text(beside, above, row_title, "end", quiet=True),
    ]
    for column, label in enumerate(column_labels):
        x = layout.left + (column + 0.5) * layout.cell_width
        anchor = "start" if layout.slanted else "middle"
        turn = -_SLANT if layout.slanted else 0
        parts.append(_text(x, above, label, anchor, turn=turn))
    for row, label in enumerate(row_labels):
        y = layout.top + (row + 0.5) * layout.cell_height + 4
        parts.append(_text(beside, y, label, "end"))
    return parts


def _cells(
    numbers: npt.NDArray[np.floating], layout: _Layout, normalise: bool
) -> list[str]:
    """Cells shaded by their share of the largest value; below zero in another hue."""
    finite = np.abs(numbers[np.isfinite(numbers)])
    largest = 1.0 if normalise else float(finite.max(initial=0.0)) or 1.0
    texts = _cell_texts(numbers, normalise)
    room = (layout.cell_width - 4) / max(map(len, texts), default=1)
    font = min(_FONT, room / 0.56)
    parts = []
    for index, text in enumerate(texts):
        row, column = divmod(index, numbers.shape[1])
        number = float(numbers[row, column])
        share = abs(number) / largest if math.isfinite(number) else 0.0
        x = layout.left + column * layout.cell_width
        y = layout.top + row * layout.cell_height
        ink = "var(--on-series, #fff)" if share > _DARK_FROM else "currentColor"
        middle = x + layout.cell_width / 2
        base = y + layout.cell_height / 2 + font * 0.35
        parts.append(
            f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" rx="2" '
            f'width="{layout.cell_width - 2:.1f}" '
            f'height="{layout.cell_height - 2:.1f}" style="fill:{_hue(number)}" '
            f'fill-opacity="{0.05 + 0.95 * share:.3f}"/>'
            f'<text x="{middle:.1f}" y="{base:.1f}" font-size="{font:.1f}" '
            f'text-anchor="middle" style="fill:{ink}">{escape(text)}</text>'
        )
    return parts


def _hue(number: float) -> str:
    return "var(--series-2, #d55e00)" if number < 0 else "var(--series-1, #0072b2)"


def _cell_texts(numbers: npt.NDArray[np.floating], normalise: bool) -> list[str]:
    values = [float(number) for number in numbers.ravel()]
    if not normalise:
        return show_alike(values)
    return [_percent(v) if math.isfinite(v) else show_alike([v])[0] for v in values]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%" if 0 < share < 0.1 else f"{100 * share:.0f}%"


def _text(
    x: float, y: float, label: str, anchor: str, *, quiet: bool = False, turn: int = 0
) -> str:
    if not label:
        return ""
    ink = "var(--quiet, #6b7680)" if quiet else "currentColor"
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="fill:{ink}"'
    rotation = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    return (
        f"<text {place}{rotation}><title>{escape(label)}</title>"
        f"{escape(shorten(label))}</text>"
    )
