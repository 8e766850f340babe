"""Turn values of any kind into the text, alignment and bar of a table cell."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

MISSING = "\u2013"
MINUS = "\u2212"
_SIGNIFICANT = 4
_MAX_DECIMALS = 6
_SCIENTIFIC_FROM = 1e15
_WIDEST = 24
LABEL = 26


@dataclass(frozen=True)
class Cell:
    """One cell, ready for the template.

    Attributes:
        text: what is shown, not yet escaped.
        share: length of the in-cell bar, 0 to 1, or None without a bar.
        negative: the bar stands for a value below zero.
    """

    text: str
    share: float | None = None
    negative: bool = False


@dataclass(frozen=True)
class Column:
    """Heading of a column.

    Attributes:
        name: what is shown, not yet escaped.
        numeric: right-aligned, never wrapped.
        width: least width in characters; longer text wraps.
    """

    name: str
    numeric: bool
    width: int


@dataclass(frozen=True)
class Table:
    """Columns and rows, ready for the template."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def is_missing(value: object) -> bool:
    """Whether a value stands for 'nothing here': None or not a number."""
    return value is None or (_is_number(value) and math.isnan(float(value)))  # type: ignore[arg-type]


def show(value: object, decimals: int | None = None) -> str:
    """Write one value for a reader.

    Args:
        value: anything; numbers get thousands separators and a real minus sign.
        decimals: digits after the point of a float; None picks four significant ones.
    """
    if is_missing(value):
        return MISSING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}".replace("-", MINUS)
    if isinstance(value, Real):
        return _show_float(float(value), decimals)
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(map(str, value)) if isinstance(value, set | frozenset) else value
        return ", ".join(show(item) for item in items)
    return str(value)


def shorten(label: str, most: int = LABEL) -> str:
    """Shorten a label in its middle, where long names differ least."""
    if len(label) <= most:
        return label
    tail = (most - 1) // 2
    return f"{label[: most - 1 - tail]}…{label[-tail:]}"


def tabulate(rows: Sequence[Mapping[str, object]], bars: Sequence[str] = ()) -> Table:
    """Lay out rows under the union of their keys, in order of first appearance.

    Args:
        rows: one mapping a row; a key that a row lacks leaves its cell missing.
        bars: names of numeric columns that get an in-cell bar.
    """
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    columns, cells = [], []
    for name in names:
        values = [row.get(name) for row in rows]
        numeric = _is_numeric_column(values)
        cells.append(_column_cells(values, bar=numeric and name in bars))
        texts = [*name.split(), *(cell.text for cell in cells[-1])]
        longest = max(map(len, texts), default=0)
        columns.append(Column(name, numeric, min(longest, _WIDEST)))
    return Table(tuple(columns), tuple(zip(*cells, strict=True)))


def show_alike(values: Sequence[object]) -> list[str]:
    """Write values that stand together, floats with the same number of decimals."""
    decimals = _decimals(_floats(values))
    return [show(value, decimals) for value in values]


def _column_cells(values: Sequence[object], *, bar: bool) -> list[Cell]:
    largest = max((abs(f) for f in _floats(values)), default=0.0)
    texts = show_alike(values)
    shares = [_bar(value, largest) if bar else (None, False) for value in values]
    return [Cell(text, *share) for text, share in zip(texts, shares, strict=True)]


def _floats(values: Sequence[object]) -> list[float]:
    """The finite numbers among values."""
    floats = [float(v) for v in values if isinstance(v, Real) and _is_number(v)]
    return [value for value in floats if math.isfinite(value)]


def _bar(value: object, largest: float) -> tuple[float | None, bool]:
    if not isinstance(value, Real) or not math.isfinite(float(value)) or largest == 0:
        return None, False
    return round(abs(float(value)) / largest, 3), float(value) < 0


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _is_numeric_column(values: Iterable[object]) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(map(_is_number, present))


def _decimals(values: Sequence[float]) -> int:
    """Fewest decimals that keep four significant digits of the largest value."""
    largest = max(map(abs, values), default=0.0)
    if largest == 0:
        return 0
    # One perfect score must not cost the others a digit.
    magnitude = math.floor(math.log10(math.nextafter(largest, 0)))
    wanted = _SIGNIFICANT - 1 - magnitude
    decimals = min(max(wanted, 0), _MAX_DECIMALS)
    while decimals and all(
        round(value, decimals) == round(value, decimals - 1) for value in values
    ):
        decimals -= 1
    return decimals


def _show_float(value: float, decimals: int | None) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    places = _decimals([value]) if decimals is None else decimals
    text = f"{value:,.{places}f}"
    # A value that would read as zero, or as a wall of digits, says its magnitude.
    if (value and float(text.replace(",", "")) == 0) or abs(value) >= _SCIENTIFIC_FROM:
        mantissa, exponent = f"{value:.1e}".split("e")
        text = f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return text.replace("-", MINUS)
