"""Cells: what a reader sees of a value."""

import math

import numpy as np
import pytest

from tenfold.reports.cells import shorten, show, show_alike, tabulate


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\u2013"),
        (math.nan, "\u2013"),
        (np.float32("nan"), "\u2013"),
        (math.inf, "∞"),
        (-math.inf, "\u2212∞"),
        (1234567, "1,234,567"),
        (np.int64(-1200), "\u22121,200"),
        (True, "yes"),
        (np.bool_(False), "no"),
        (0.0, "0"),
        (0.72134567, "0.7213"),
        (12.5, "12.5"),
        (12345.678, "12,346"),
        (3e-9, "3e\u22129"),
        (0.0003, "0.0003"),
        (2.5e17, "2.5e17"),
        ([1, None, "a"], "1, \u2013, a"),
        ({"b", "a"}, "a, b"),
        ("<b>", "<b>"),
    ],
)
def test_show(value, text):
    assert show(value) == text


def test_column_shares_its_decimals():
    assert show_alike([0.5, 0.7213, None, 1.0]) == [
        "0.5000",
        "0.7213",
        "\u2013",
        "1.0000",
    ]
    assert show_alike([0.5, 0.25]) == ["0.50", "0.25"]
    assert show_alike([17234.4, 1.0]) == ["17,234", "1"]
    assert show_alike([1.0, 1e-8]) == ["1", "1e\u22128"]


def test_tabulate_takes_the_union_of_keys_in_order():
    table = tabulate([{"a": 1, "b": "x"}, {"b": "y", "c": math.nan}])
    assert [column.name for column in table.columns] == ["a", "b", "c"]
    assert [column.numeric for column in table.columns] == [True, False, True]
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["1", "x", "\u2013"],
        ["\u2013", "y", "\u2013"],
    ]


def test_bars_are_shares_of_the_largest_magnitude():
    rows = [{"v": 2.0}, {"v": -4.0}, {"v": None}]
    cells = [row[0] for row in tabulate(rows, ["v"]).rows]
    assert [cell.share for cell in cells] == [0.5, 1.0, None]
    assert [cell.negative for cell in cells] == [False, True, False]


def test_no_bars_where_they_mean_nothing():
    table = tabulate([{"v": 0.0, "w": "x"}], ["v", "w"])
    assert [cell.share for cell in table.rows[0]] == [None, None]
    assert tabulate([]).columns == ()


def test_shorten_cuts_the_middle():
    assert shorten("abcdefghij", 7) == "abc…hij"
    assert shorten("abc", 7) == "abc"
