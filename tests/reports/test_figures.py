"""Figures are well-formed, safe, deterministic, and say what they were given."""

import math
import re
import warnings
import xml.etree.ElementTree as ET
from functools import cache

import matplotlib as mpl
import numpy as np
import pytest

from tenfold.reports import figures

NASTY = "<b>&\"'$x_1$ #0072b2"
FIGURES = {
    "lines": lambda: figures.lines(
        {NASTY: ([1, 2, 3], [0.5, math.nan, 0.25]), "_b": ([1], [1.0])},
        "epoch", NASTY, {NASTY: 2.0},
    ),
    "log lines": lambda: figures.lines({"a": ([0, 1], [0.0, 1e-3])}, log_y=True),
    "faint lines": lambda: figures.lines(
        {NASTY: ([1, 2], [0.5, 0.25]), "b": ([1], [1.0]), "_c": ([1, 2], [0, 1])},
        faint=[NASTY, "b"],
    ),
    "no lines": lambda: figures.lines({}),
    "bars": lambda: figures.bars({NASTY: 0.5, "b": math.nan}, NASTY, {NASTY: 0.1}),
    "no bars": lambda: figures.bars({}),
    "grouped bars": lambda: figures.grouped_bars(
        {"fold 0": {NASTY: 0.5, "b": -0.25}, "fold 1": {"b": 0.125}}, "Dice"
    ),
    "no groups": lambda: figures.grouped_bars({}),
    "histogram": lambda: figures.histogram(
        [0.0, 1.0, math.nan], NASTY, True, [0.5], (NASTY, "b")
    ),
    "counts": lambda: figures.histogram([3, 4], edges=[0, 1, 2], second=[1, 2]),
    "empty histogram": lambda: figures.histogram([], log_y=True),
    "matrix": lambda: figures.matrix(
        [[90, 10], [0, 0]], [NASTY, "b"], ["a" * 80, "b"], True, "truth", "predicted"
    ),
    "scatter": lambda: figures.scatter([1, 2], [3, 4], NASTY, "y", [NASTY, "b"], True),
    "no scatter": lambda: figures.scatter([], []),
    "strip": lambda: figures.graph_strip([(NASTY, "done", NASTY), ("b", "odd", "")]),
    "no strip": lambda: figures.graph_strip([]),
}  # fmt: skip


@cache
def drawn(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return FIGURES[name]()


def texts(svg):
    return [text for text in ET.fromstring(svg).itertext() if text.strip()]  # noqa: S314


@pytest.mark.parametrize("name", FIGURES)
def test_safe_and_well_formed(name):
    markup = drawn(name)
    root = ET.fromstring(markup)  # noqa: S314
    bare = markup.replace("http://www.w3.org/2000/svg", "")
    bare = bare.replace("http://www.w3.org/1999/xlink", "")
    assert "http" not in bare
    assert "<style" not in markup
    assert "<!" not in markup
    if root.tag.endswith("svg"):
        assert "viewBox" in root.attrib
        assert not {"width", "height"} & set(root.attrib)


@pytest.mark.parametrize("name", ["lines", "histogram", "matrix", "strip"])
def test_same_numbers_give_the_same_bytes(name):
    assert FIGURES[name]() == drawn(name)


@pytest.mark.parametrize("name", ["lines", "bars", "histogram", "matrix", "scatter"])
def test_labels_arrive_as_they_are(name):
    assert NASTY in texts(drawn(name))


def test_colours_come_from_the_page():
    svg = drawn("lines")
    assert "var(--series-1, #0072b2)" in svg
    assert "currentColor" in drawn("bars")
    for stand_in in ("#010203", "#040506", "#070809", "DejaVu"):
        assert stand_in not in svg


def test_nothing_global_changes():
    before = dict(mpl.rcParams)
    FIGURES["no bars"]()
    assert dict(mpl.rcParams) == before


def test_matrix_numbers():
    svg = figures.matrix([[3, 1], [0, 1500]], ["a", "b"], ["a", "b"])
    assert [text for text in texts(svg) if text[0].isdigit()] == [
        "3", "1", "0", "1,500",
    ]  # fmt: skip
    shares = texts(drawn("matrix"))
    assert shares[-4:] == ["90%", "10%", "\u2013", "\u2013"]


def test_matrix_refuses_labels_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(1, 2\)"):
        figures.matrix(np.eye(2), ["a"], ["a", "b"])


def test_many_points_are_thinned_and_say_so():
    svg = figures.scatter(np.arange(9000), np.arange(9000), y_label="score")
    assert "score · 1 in 3 of 9,000 points" in texts(svg)
    assert len(svg) < 400_000


def test_log_axis_has_plain_numbers():
    svg = figures.lines({"a": ([1, 2, 3], [1, 100, 1000])}, log_y=True)
    assert {"1", "10", "100", "1,000"} <= set(texts(svg))


def test_large_numbers_on_an_axis_are_written_as_in_tables():
    svg = figures.histogram([0, 110_000, 50_000], x_label="pixels")
    assert {"50,000", "100,000"} <= set(texts(svg))
    assert "0.4" in texts(figures.histogram([0.0, 0.5, 1.0]))


def test_names_of_marks_stand_above_the_curves():
    def highest(marks):
        """The smallest y of the curve, in the drawing's own units."""
        svg = figures.lines({"a": ([0, 1], [0.5, 1.0])}, marks=marks)
        paths = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")  # noqa: S314
        (curve,) = [p for p in paths if "stroke-width: 2" in p.get("style", "")]
        return min(
            float(y)
            for y in curve.get("d").replace("M", "").replace("L", " ").split()[1::2]
        )

    assert highest({"one": 0.2, "two": 0.4}) > highest({})


def test_the_last_slanted_label_of_a_matrix_fits():
    label = "a label as long as they get"
    svg = figures.matrix(np.eye(12), ["row"] * 12, [label] * 12)
    width = float(ET.fromstring(svg).get("viewBox").split()[2])  # noqa: S314
    last = max(float(x) for x in re.findall(r'<text x="([0-9.]+)"[^>]*rotate', svg))
    # Letters are about 7 wide, and lean by 40 degrees.
    assert width >= last + 7 * 24 * math.cos(math.radians(40)) * 0.9


def test_strip_shows_known_and_unknown_states():
    strip = figures.graph_strip(
        [("a", "Done", "1 s"), ("b", "failed twice", ""), ("c", "waiting", "")]
    )
    assert 'class="good"' in strip
    assert 'class="bad"' in strip
    assert 'class="neutral"' in strip
