"""One self-contained, script-free HTML page, built block by block and size-capped."""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import jinja2
import numpy as np
import numpy.typing as npt

from tenfold.errors import TenfoldError
from tenfold.reports.cells import show, tabulate
from tenfold.reports.encoding import LEVELS, Level, encode
from tenfold.reports.pixels import thumbnail

MAX_BYTES = 2_000_000

# The site writer puts its links here; a page on its own shows nothing in their place.
NAVIGATION = "<!--tenfold:navigation-->"
CONTENTS = "<!--tenfold:contents-->"
FOLLOWING = "<!--tenfold:following-->"
GENERATOR = '<meta name="generator" content="tenfold.reports">'

_ICONS = {"good": "✓", "info": "i", "warning": "!", "bad": "✕"}
_LONG_TABLE_ROWS = 30
# Matched inside tags only: a label may well say "<script" (escaped) or "on = 3".
_ACTIVE = re.compile(
    r"<\s*(script|iframe|object|embed|foreignobject|link|base|meta|style)\b"
    r"|<!--"
    r"|<[^>]*\son[a-z]+\s*="
    r"|<[^>]*\b(?:href|src)\s*=\s*[\"']?\s*(?!#|data:image/|[\"'#\s])"
    r"|<[^>]*url\(\s*(?!#)",
    re.IGNORECASE,
)


class ReportError(TenfoldError):
    """A report cannot be made: too large, unsafe, or in the way of other files."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with its labels.

    Attributes:
        pixels: uint8, (H,W,3) or (H,W).
        caption: what the picture shows.
        group: pictures of one group stand in one row under this heading.
        note: a second, quieter line under the caption.
        pixelated: keep exact pixels when scaled, as label maps need.
    """

    pixels: npt.NDArray[np.uint8]
    caption: str = ""
    group: str = ""
    note: str = ""
    pixelated: bool = False


@dataclass(frozen=True)
class _Block:
    kind: str
    values: Mapping[str, Any]


class Page:
    """A page that grows from top to bottom.

    Args:
        title: the page's subject, also the window's title.
        lead: one or two sentences that say the result.
        kicker: a short line above the title, such as "Kelp · train · fold 3".
        max_bytes: cap of the rendered page; pictures shrink until it holds.
    """

    def __init__(
        self,
        title: str,
        lead: str = "",
        kicker: str = "",
        *,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.title = title
        self._lead = lead
        self._kicker = kicker
        self._max_bytes = max_bytes
        self._blocks: list[_Block] = []

    def facts(self, items: Mapping[str, str | int | float]) -> None:
        """Add a strip of big numbers, label by label."""
        shown = [(label, show(value)) for label, value in items.items()]
        self._add("facts", items=shown)

    def section(self, heading: str, text: str = "") -> None:
        """Start a section."""
        number = 1 + sum(block.kind == "section" for block in self._blocks)
        self._add("section", heading=heading, text=text, number=number)

    def text(self, paragraph: str) -> None:
        """Add a paragraph of plain text."""
        self._add("text", text=paragraph)

    def note(self, kind: Literal["good", "info", "warning", "bad"], text: str) -> None:
        """Add a coloured call-out."""
        self._add("note", note=kind, icon=_ICONS[kind], text=text)

    def table(
        self,
        rows: Sequence[Mapping[str, object]],
        caption: str = "",
        highlight: int | None = None,
        bars: Sequence[str] = (),
    ) -> None:
        """Add a table whose columns are the rows' keys.

        Args:
            rows: one mapping a row.
            caption: a sentence above the table.
            highlight: index of the row that matters most.
            bars: numeric columns that get an in-cell bar.
        """
        name = caption or self._heading()
        self._add("table", **_table_values(rows, caption, highlight, bars, name))

    def figure(self, svg: str, caption: str = "", alt: str = "") -> None:
        """Add a figure made by `tenfold.reports.figures`.

        Figures added one after the other share a row where there is room.

        Raises:
            ReportError: the markup could run code or fetch something.
        """
        found = _ACTIVE.search(svg)
        if found:
            raise ReportError(
                f"figure {caption or alt!r} of page {self.title!r} holds "
                f"{found.group()[:60]!r}; figures may not run code or load anything"
            )
        kind = "figure" if svg.lstrip().startswith("<svg") else "strip"
        self._add(kind, svg=svg, caption=caption, alt=alt or caption)

    def pictures(
        self,
        pictures: Sequence[Picture],
        caption: str = "",
        columns: int | None = None,
    ) -> None:
        """Add a grid of labelled thumbnails.

        Args:
            pictures: neighbours with the same non-empty group form one row.
            caption: a sentence above the grid.
            columns: most pictures side by side; narrow screens show fewer.
        """
        small = [self._shrunk(picture) for picture in pictures]
        rows = [(name, list(row)) for name, row in groupby(small, lambda p: p.group)]
        longest = max((len(row) for _, row in rows), default=1)
        fitting = min(max(longest, 3), 7)
        self._add("pictures", rows=rows, caption=caption, columns=columns or fitting)

    def details(
        self, summary: str, text_or_rows: str | Sequence[Mapping[str, object]]
    ) -> None:
        """Add something long, folded away: preformatted text or the rows of a table."""
        if isinstance(text_or_rows, str):
            self._add("details", summary=summary, text=text_or_rows)
            return
        table = _table_values(text_or_rows, "", None, (), summary)
        self._add("details", summary=summary, table=table)

    def render(self) -> str:
        """The page as HTML; the same blocks give the same bytes.

        Raises:
            ReportError: the page exceeds its cap even with the smallest pictures.
        """
        has_pictures = any(block.kind == "pictures" for block in self._blocks)
        size = 0
        for level in LEVELS if has_pictures else LEVELS[:1]:
            html = self._render_at(level)
            size = len(html.encode())
            if size <= self._max_bytes:
                return html
        raise ReportError(
            f"page {self.title!r} takes {size:,} bytes, more than its cap of "
            f"{self._max_bytes:,}, even with the smallest pictures; "
            "show fewer pictures or rows"
        )

    def write(self, path: Path) -> None:
        """Write the page; a reader sees the old file or the new one, never a half."""
        html = self.render()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(html)
            # mkstemp is private to its user; a report is for everybody.
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _heading(self) -> str:
        """Return what stands above the next block."""
        sections = [block for block in self._blocks if block.kind == "section"]
        return str(sections[-1].values["heading"]) if sections else self.title

    def _add(self, kind: str, **values: Any) -> None:
        self._blocks.append(_Block(kind, values))

    def _shrunk(self, picture: Picture) -> Picture:
        """Check a picture and let go of pixels that no level would show."""
        pixels = picture.pixels
        shaped = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
        if pixels.dtype != np.uint8 or not shaped or pixels.size == 0:
            raise ReportError(
                f"picture {picture.caption!r} of page {self.title!r} is "
                f"{pixels.dtype} {pixels.shape}; give uint8 (H,W,3) or (H,W)"
            )
        side = LEVELS[0].max_side
        small = thumbnail(pixels, side, pixelated=picture.pixelated)
        # A copy: the caller may go on to reuse the array it handed in.
        return replace(picture, pixels=np.array(small))

    def _render_at(self, level: Level) -> str:
        return (
            environment()
            .get_template("page.html.j2")
            .render(
                title=self.title,
                lead=self._lead,
                kicker=self._kicker,
                css=_css(),
                generator=GENERATOR,
                slots={
                    "navigation": NAVIGATION,
                    "contents": CONTENTS,
                    "following": FOLLOWING,
                },
                runs=_runs([_encoded(block, level) for block in self._blocks]),
                shrunk_to=None if level == LEVELS[0] else level.max_side,
            )
        )


def _table_values(
    rows: Sequence[Mapping[str, object]],
    caption: str,
    highlight: int | None,
    bars: Sequence[str],
    name: str,
) -> dict[str, Any]:
    return {
        "name": name,
        "table": tabulate(rows, bars),
        "caption": caption,
        "highlight": highlight,
        "tall": len(rows) > _LONG_TABLE_ROWS,
    }


def _encoded(block: _Block, level: Level) -> _Block:
    if block.kind != "pictures":
        return block
    rows = [
        (name, [(p, encode(p.pixels, level, pixelated=p.pixelated)) for p in row])
        for name, row in block.values["rows"]
    ]
    return _Block("pictures", {**block.values, "rows": rows})


def _runs(blocks: Sequence[_Block]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Neighbouring blocks of one kind, so that figures in a row share a row."""
    return [
        (kind, [block.values for block in run])
        for kind, run in groupby(blocks, lambda block: block.kind)
    ]


@cache
def environment() -> jinja2.Environment:
    """Templates of pages and sites; everything they are given is escaped."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("tenfold.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _css() -> str:
    folder = files("tenfold.reports").joinpath("templates")
    return folder.joinpath("report.css").read_text("utf-8")
