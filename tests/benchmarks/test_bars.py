"""What the README says was measured reaches its bar, or its note says it missed it."""

import operator
import re

import pytest

from benchmarks.__main__ import BEGIN, END, README
from benchmarks.table import COLUMNS, markdown, row

#: A bar is of the ratio, but of our own figure if it has a unit or there is no ratio.
BAR = re.compile(r"(?P<sign>[≥≤<>]) (?P<limit>[\d,.]+)(?P<unit> \S+)?")
SIGNS = {"≥": operator.ge, "≤": operator.le, "<": operator.lt, ">": operator.gt}


def rows_of(text):
    """Return the rows of tables, by the names of their columns."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    found = [dict(zip(COLUMNS, each, strict=True)) for each in cells]
    return [each for each in found if each["what"] != "what"]


def reaches(found):
    """Whether a row reaches its bar."""
    bar = BAR.fullmatch(found["bar"])
    assert bar, f"{found['what']}: a bar that nobody can check: {found['bar']}"
    own = bar["unit"] or not found["ratio"]
    value = re.match(r"[\d,.]+", found["ours" if own else "ratio"])
    assert value, f"{found['what']}: a bar, and nothing to hold against it"
    limit = float(bar["limit"].replace(",", ""))
    return SIGNS[bar["sign"]](float(value[0].replace(",", "")), limit)


MEASURED = rows_of(README.read_text("utf-8").partition(BEGIN)[2].partition(END)[0])
BARRED = [found for found in MEASURED if found["bar"]]


@pytest.mark.parametrize("found", BARRED, ids=[found["what"] for found in BARRED])
def test_what_was_measured_reaches_its_bar_or_says_that_it_missed_it(found):
    assert reaches(found) or "missed" in found["note"]


def test_there_are_bars_and_rows():
    assert len(BARRED) >= 8
    assert len(MEASURED) > len(BARRED)


@pytest.mark.parametrize(
    ("ours", "ratio", "bar", "reached"),
    [
        (3.0, 20.0, "≥ 20", True),
        (3.0, 19.9, "≥ 20", False),
        (1390.0, 1.11, "≤ 1.10", False),
        (1390.0, 1.10, "≤ 1.10", True),
        (0.49, None, "< 0.5 s", True),
        (0.5, None, "< 0.5 s", False),
        (1.0, 1234.0, "≥ 1,200", True),
        (0.2, None, "≤ 0.10", False),
        ("", None, "≥ 1", None),
    ],
)
def test_a_bar_is_held_against_the_ratio_or_against_our_own_figure(
    ours, ratio, bar, reached
):
    (found,) = rows_of(markdown([row("what it is", ours, None, ratio, bar)], "Title"))
    if reached is None:
        with pytest.raises(AssertionError, match="nothing to hold against it"):
            reaches(found)
    else:
        assert reaches(found) == reached


def test_a_bar_in_other_words_is_refused():
    (found,) = rows_of(markdown([row("it", 1.0, None, 1.0, "fast")], "Title"))
    with pytest.raises(AssertionError, match="nobody can check: fast"):
        reaches(found)
