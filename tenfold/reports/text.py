"""Tables for a terminal."""

from collections.abc import Mapping, Sequence

from tenfold.reports.cells import tabulate

_GAP = "  "


def text_table(rows: Sequence[Mapping[str, object]]) -> str:
    """Lay out rows under the union of their keys; numbers are right-aligned.

    A line break in a text is shown as a space, so that a row stays a line.
    """
    table = tabulate(rows)
    lines = [[column.name for column in table.columns]]
    lines += [[" ".join(cell.text.split()) for cell in row] for row in table.rows]
    widths = [max(map(len, texts)) for texts in zip(*lines, strict=True)]
    return "\n".join(
        _GAP.join(
            text.rjust(width) if column.numeric else text.ljust(width)
            for text, width, column in zip(line, widths, table.columns, strict=True)
        ).rstrip()
        for line in lines
    )
