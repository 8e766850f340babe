"""Clean matplotlib's SVG so that it can stand inline in a page, light or dark."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# Okabe and Ito's palette, safe for colour-blind readers, without its pale yellow.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#808890")
# Stand-ins while matplotlib draws; the page's own colours take their place.
INK, QUIET, GRID = "#010203", "#040506", "#070809"
FONT = 12.5

_PAGE_COLOURS = {
    INK: "currentColor",
    QUIET: "var(--quiet, #6b7680)",
    GRID: "var(--rule, #8884)",
    **{hue: f"var(--series-{i}, {hue})" for i, hue in enumerate(SERIES, start=1)},
}
_COLOUR = re.compile("|".join(_PAGE_COLOURS))
_STYLE = re.compile(r'style="([^"]*)"')
_FONT = re.compile(r"font-family: [^;\"]*;? ?")
_COORDINATES = re.compile(r' (d|x|y|width|height|transform)="([^"]*)"')
_DECIMALS = re.compile(r"(\.\d\d)\d+")
_REFERENCE = re.compile(r'(?:href="#|url\(#)([^")]+)')
_ID = re.compile(r' id="([^"]*)"')
_ROOT = re.compile(r"<svg[^>]*viewBox=\"([^\"]*)\"[^>]*>")

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tenfold",
    # A dollar sign in a file name is no formula.
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": FONT,
    "text.color": INK,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": GRID,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.titlesize": FONT,
    "axes.titlecolor": QUIET,
    "axes.titlelocation": "left",
    "axes.grid.axis": "y",
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 1.0,
    "xtick.color": GRID,
    "xtick.labelcolor": QUIET,
    "xtick.minor.bottom": False,
    "ytick.minor.left": False,
    "ytick.color": GRID,
    "ytick.labelcolor": QUIET,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "legend.handlelength": 1.2,
    "legend.columnspacing": 1.2,
    "legend.borderpad": 0.0,
    "legend.borderaxespad": 0.0,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the reports' style, whatever the user's matplotlibrc says."""
    with warnings.catch_warnings(), mpl.rc_context():
        # Names in other scripts are drawn by the reader's fonts, not by ours.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def to_svg(figure: Figure) -> str:
    """Save a figure as SVG that takes its colours and font from the page."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return clean(buffer.getvalue())


def clean(svg: str) -> str:
    """Drop prolog, global styles and unused names; round; hand colours to the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    used = set(_REFERENCE.findall(svg))
    svg = _ID.sub(lambda m: m.group() if m.group(1) in used else "", svg)
    svg = _COORDINATES.sub(lambda m: f' {m[1]}="{_rounded(m[2])}"', svg)
    svg = _STYLE.sub(lambda m: f'style="{_page_style(m[1])}"', svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    svg = _ROOT.sub(
        lambda m: (
            '<svg xmlns="http://www.w3.org/2000/svg" '
            'xmlns:xlink="http://www.w3.org/1999/xlink" class="chart" '
            f'viewBox="{m[1]}" stroke-linejoin="round" font-family="inherit">'
        ),
        svg,
        count=1,
    )
    return re.sub(r">\s*\n\s*<", "><", svg).strip() + "\n"


def _rounded(numbers: str) -> str:
    return _DECIMALS.sub(r"\1", numbers).replace("\n", "").replace(" L ", "L")


def _page_style(style: str) -> str:
    style = _FONT.sub("", style)
    return _COLOUR.sub(lambda m: _PAGE_COLOURS[m.group()], style)
