"""Charts as SVG: pure functions from numbers to markup that suits light and dark."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from tenfold.reports.cells import shorten, show, show_alike
from tenfold.reports.drawn import graph_strip as graph_strip
from tenfold.reports.drawn import matrix as matrix
from tenfold.reports.svg import GRID, INK, QUIET, SERIES, house_style, to_svg

Numbers = Sequence[float] | npt.NDArray[np.floating] | npt.NDArray[np.integer]

# Drawn at this width, text is legible both at 360 px and at half a desk screen.
_WIDTH = 440.0
_HEIGHT = 270.0
_CHARACTERS = 52
_MOST_POINTS = 4000
_LONG_FROM = 10_000
_NO_MARKS: Mapping[str, float] = {}


def lines(
    series: Mapping[str, tuple[Numbers, Numbers]],
    x_label: str = "",
    y_label: str = "",
    marks: Mapping[str, float] = _NO_MARKS,
    log_y: bool = False,
    faint: Collection[str] = (),
) -> str:
    """Curves over a common x axis.

    Args:
        series: name to its x and y values; a gap is a y that is not finite.
        x_label: under the axis.
        y_label: above the axis, left.
        marks: vertical lines, name to x.
        log_y: logarithmic y axis; values that are not positive are left out.
        faint: names of curves that stand behind the others, thin and unnamed.
    """
    drawn = [name for name in series if name not in faint]
    with house_style():
        figure, axes = _canvas(y_label, x_label)
        for name in faint:
            axes.plot(*series[name], color=QUIET, linewidth=1, alpha=0.5)
        for index, name in enumerate(drawn):
            x, y = series[name]
            heights = np.asarray(y, float)
            if log_y:
                heights = np.where(heights > 0, heights, np.nan)
            dot = "o" if np.isfinite(heights).sum() < 2 else ""
            axes.plot(
                np.asarray(x, float), heights, label=_named(name), marker=dot,
                color=_colour(index), linestyle=_dash(index),
            )  # fmt: skip
        if log_y and _any_positive(series):
            axes.set_yscale("log")
        _say_if_empty(axes, not any(len(x) for x, _ in series.values()))
        _ticks(axes, whole_x=_all_whole(x for x, _ in series.values()))
        _mark(axes, marks)
        _legend(figure, axes, len(drawn))
        return to_svg(figure)


def bars(
    values: Mapping[str, float],
    y_label: str = "",
    errors: Mapping[str, float] | None = None,
) -> str:
    """Horizontal bars with their values, in the order given.

    Args:
        values: name to length; one that is not finite has no bar.
        y_label: what the lengths measure.
        errors: name to half the length of its error bar.
    """
    with house_style():
        figure, axes = _canvas(y_label, height=_bars_height(len(values), 1))
        lengths = np.nan_to_num(np.array([*values.values()], float))
        texts = show_alike([*values.values()])
        axes.barh(np.arange(len(values)), lengths, 0.62, color=SERIES[0])
        half = np.array([(errors or {}).get(name, 0.0) for name in values], float)
        if half.any():
            axes.errorbar(
                lengths, np.arange(len(values)), xerr=half,
                fmt="none", ecolor=QUIET, elinewidth=1.5, capsize=3,
            )  # fmt: skip
        _bar_values(axes, np.arange(len(values)), lengths, texts, half)
        _bar_rows(axes, [*values])
        return to_svg(figure)


def grouped_bars(values: Mapping[str, Mapping[str, float]], y_label: str = "") -> str:
    """Groups of horizontal bars: group, then series, then length."""
    names = list(dict.fromkeys(name for row in values.values() for name in row))
    rows = np.arange(len(values), dtype=float)
    flat = [row.get(name, math.nan) for row in values.values() for name in names]
    numbers = np.array(flat, float).reshape(len(values), len(names))
    texts = show_alike(flat)
    with house_style():
        height = _bars_height(len(values), len(names))
        figure, axes = _canvas(y_label, height=height)
        thickness = 0.8 / max(len(names), 1)
        for index, name in enumerate(names):
            offset = (index - (len(names) - 1) / 2) * thickness
            lengths = np.nan_to_num(numbers[:, index])
            axes.barh(
                rows + offset, lengths, thickness * 0.88,
                color=_colour(index), label=_named(name),
            )  # fmt: skip
            ends = texts[index :: len(names)]
            _bar_values(axes, rows + offset, lengths, ends, np.zeros(len(rows)))
        _bar_rows(axes, [*values])
        _legend(figure, axes, len(names))
        return to_svg(figure)


def histogram(
    values: Numbers,
    x_label: str = "",
    log_y: bool = False,
    second: Numbers | None = None,
    labels: tuple[str, str] = ("", ""),
    edges: Numbers | None = None,
    bins: int = 40,
    y_label: str = "count",
) -> str:
    """A histogram, optionally with a second one as an outline over it.

    Args:
        values: the observations, or the counts when edges are given.
        x_label: under the axis.
        log_y: logarithmic counts.
        second: overlay, in the same form as values.
        labels: legend of the first and the second.
        edges: bin edges, one more than counts; None bins the observations here.
        bins: number of bins when there are no edges.
        y_label: above the axis, left.
    """
    counts, borders = _binned(values, second, edges, bins)
    looks: tuple[dict[str, Any], ...] = (
        {"fill": True, "alpha": 0.85},
        {"linewidth": 2},
    )
    with house_style():
        figure, axes = _canvas(y_label, x_label)
        for row, name, look, hue in zip(counts, labels, looks, SERIES, strict=False):
            axes.stairs(row, borders, color=hue, label=_named(name), **look)
        if log_y and max(row.max(initial=0) for row in counts) > 0:
            axes.set_yscale("log")
            # Below 1, so that a bar of one shows.
            axes.set_ylim(bottom=0.6)
        _say_if_empty(axes, not any(row.any() for row in counts))
        _ticks(axes)
        _legend(figure, axes, len(counts) if any(labels) else 0)
        return to_svg(figure)


def scatter(
    x: Numbers,
    y: Numbers,
    x_label: str = "",
    y_label: str = "",
    labels: Sequence[str] | None = None,
    diagonal: bool = False,
) -> str:
    """Points, coloured by label.

    Args:
        x: of the points.
        y: of the points; as long as x.
        x_label: under the axis.
        y_label: above the axis, left.
        labels: series of every point; None draws one series.
        diagonal: also draw the line x = y.
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    kinds = np.asarray(labels if labels is not None else [""] * len(xs), object)
    step = math.ceil(len(xs) / _MOST_POINTS) or 1
    shown = f"1 in {step} of {show(len(xs))} points" if step > 1 else ""
    title = " · ".join(filter(None, (y_label, shown)))
    with house_style():
        figure, axes = _canvas(title, x_label)
        if diagonal and len(xs):
            axes.axline(
                (0, 0), slope=1, color=QUIET, linewidth=1, linestyle=(0, (4, 3))
            )
        names = list(dict.fromkeys(kinds))
        for index, name in enumerate(names):
            chosen = np.flatnonzero(kinds == name)[::step]
            axes.plot(
                xs[chosen], ys[chosen], "o", markersize=4.5, markeredgewidth=0,
                alpha=0.7, color=_colour(index), label=_named(str(name)),
            )  # fmt: skip
        _say_if_empty(axes, not len(xs))
        _ticks(axes)
        _legend(figure, axes, len(names) if labels is not None else 0)
        return to_svg(figure)


def _canvas(
    y_label: str, x_label: str = "", height: float = _HEIGHT
) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH / 72, height / 72), layout="constrained")
    axes = figure.subplots()
    axes.set_title(y_label, pad=10)
    axes.set_xlabel(x_label)
    return figure, axes


def _colour(index: int) -> str:
    return SERIES[index % len(SERIES)]


def _named(label: str) -> str:
    # matplotlib hides legend entries that start with an underscore.
    return shorten(f"\u200b{label}" if label.startswith("_") else label)


def _dash(index: int) -> str | tuple[int, tuple[int, ...]]:
    """When the colours start over, dashes tell the rounds apart."""
    return ("-", (0, (4, 2)), (0, (1, 2)))[index // len(SERIES) % 3]


def _any_positive(series: Mapping[str, tuple[Numbers, Numbers]]) -> bool:
    return any((np.asarray(y, float) > 0).any() for _, y in series.values())


def _all_whole(rows: Iterable[Numbers]) -> bool:
    return all((np.mod(np.asarray(row, float), 1) == 0).all() for row in rows)


def _ticks(axes: Axes, whole_x: bool = False) -> None:
    """Few ticks at round numbers, so that they do not collide on a phone."""
    steps = [1, 2, 5, 10] if whole_x else [1, 2, 2.5, 5, 10]
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=whole_x, steps=steps))
    if axes.get_yscale() == "log":
        low, high = axes.get_ylim()
        few = math.log10(high / low) < 2
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: show(value)))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        _separate_thousands(axes.yaxis)
    axes.yaxis.set_minor_locator(NullLocator())
    _separate_thousands(axes.xaxis)


def _separate_thousands(axis: Axis) -> None:
    """Write large numbers as tables do."""
    if max(map(abs, axis.get_view_interval())) >= _LONG_FROM:
        axis.set_major_formatter(FuncFormatter(lambda value, _: show(value)))


def _say_if_empty(axes: Axes, empty: bool) -> None:
    if empty:
        axes.set_axis_off()
        axes.text(
            0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=QUIET
        )


def _mark(axes: Axes, marks: Mapping[str, float]) -> None:
    """Vertical lines whose names step down, so that neighbours stay legible."""
    low, high = axes.get_xlim()
    if marks and axes.get_yscale() == "linear":
        # Room for their names above the curves.
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, top + 0.09 * min(len(marks), 5) * (top - bottom))
    for index, (name, position) in enumerate(marks.items()):
        axes.axvline(position, color=QUIET, linewidth=1.2, linestyle=(0, (3, 2)))
        right = position > (low + high) / 2
        axes.annotate(
            _named(name), (position, 1 - 0.09 * (index % 5)),
            xycoords=("data", "axes fraction"), xytext=(-5 if right else 5, -2),
            textcoords="offset points", ha="right" if right else "left", va="top",
            color=QUIET,
        )  # fmt: skip


def _legend(figure: Figure, axes: Axes, entries: int) -> None:
    if entries < 2:
        return
    handles, names = axes.get_legend_handles_labels()
    longest = max(map(len, names), default=0) + 5
    columns = min(max(1, _CHARACTERS // longest), entries)
    figure.legend(handles, names, loc="outside upper left", ncols=columns)


def _bars_height(groups: int, series: int) -> float:
    return 46 + max(groups, 1) * max(series * 17 + 9, 27) + (24 if series > 1 else 0)


def _bar_values(
    axes: Axes,
    rows: npt.NDArray[Any],
    lengths: npt.NDArray[np.floating],
    texts: Sequence[str],
    errors: npt.NDArray[np.floating],
) -> None:
    """Numbers at the ends of the bars, beyond their error bars."""
    for row, length, text, error in zip(rows, lengths, texts, errors, strict=True):
        axes.annotate(
            text, (length + math.copysign(error, length), row),
            xytext=(5 if length >= 0 else -5, 0), textcoords="offset points",
            va="center", ha="left" if length >= 0 else "right", color=INK,
        )  # fmt: skip


def _bar_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(np.arange(len(names)), [_named(name) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(visible=False)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.axvline(0, color=GRID, linewidth=1.5)
    # Room for the numbers at the ends of the bars.
    axes.margins(x=0.16)
    _say_if_empty(axes, not names)


def _binned(
    values: Numbers, second: Numbers | None, edges: Numbers | None, bins: int
) -> tuple[list[npt.NDArray[np.floating]], npt.NDArray[np.floating]]:
    rows = [np.asarray(row, float) for row in (values, second) if row is not None]
    if edges is not None:
        return rows, np.asarray(edges, float)
    rows = [row[np.isfinite(row)].ravel() for row in rows]
    borders = np.histogram_bin_edges(np.concatenate(rows), bins)
    return [np.histogram(row, borders)[0].astype(float) for row in rows], borders
