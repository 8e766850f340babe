"""Scenes that overlap in space and time: every pair, and few comparisons."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tenfold.errors import TenfoldError
from tenfold.grouping import footprints
from tenfold.grouping.footprints import edges, sharing_pairs
from tenfold.recipe import FootprintSearch

HOUR = 3600


@st.composite
def box(draw):
    """Draw a box of quarter degrees, small or large, anywhere; it may cross 180."""
    west = draw(st.integers(-720, 719)) / 4
    width = draw(st.one_of(st.integers(1, 60), st.integers(1, 1439))) / 4
    south = draw(st.integers(-360, 359)) / 4
    height = draw(st.one_of(st.integers(1, 60), st.integers(1, 720))) / 4
    east = west + width
    return west, south, east - 360 * (east > 180), min(south + height, 90.0)


def around(west, east):
    """Return a box's stretches of longitude, none of them across 180."""
    return [(west, east)] if west < east else [(west, 180.0), (-180.0, east)]


def area(west, south, east, north):
    width = sum(high - low for low, high in around(west, east))
    return width * (math.sin(math.radians(north)) - math.sin(math.radians(south)))


def share(one, other):
    """Return the shared part of the smaller box, cut at 180 degrees."""
    south, north = max(one[1], other[1]), min(one[3], other[3])
    if south >= north:
        return 0.0
    shared = 0.0
    for a in around(one[0], one[2]):
        for b in around(other[0], other[2]):
            low, high = max(a[0], b[0]), min(a[1], b[1])
            if low < high:
                shared += area(low, south, high, north)
    return shared / min(area(*one), area(*other))


def by_brute_force(times, boxes, overlap, seconds):
    return {
        (i, j): share(boxes[i], boxes[j])
        for i in range(len(boxes))
        for j in range(i + 1, len(boxes))
        if abs(times[i] - times[j]) <= seconds and share(boxes[i], boxes[j]) > overlap
    }


def found(times, boxes, overlap, seconds):
    given_boxes = np.array(boxes, float).reshape(-1, 4)
    pairs, shares = sharing_pairs(np.array(times, int), given_boxes, overlap, seconds)
    assert pairs.dtype == np.int64
    assert pairs.tolist() == sorted(pairs.tolist())
    assert len({*map(tuple, pairs.tolist())}) == len(pairs)
    return dict(zip(map(tuple, pairs.tolist()), shares.tolist(), strict=True))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), box()), max_size=12),
    st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    st.integers(0, 20),
    st.integers(1, 3),
)
def test_the_pairs_are_those_of_brute_force(scenes, overlap, seconds, at_once):
    times, boxes = [t for t, _ in scenes], [b for _, b in scenes]
    wanted = by_brute_force(times, boxes, -1.0, seconds)
    # A share as large as the limit but for rounding may come out either way.
    assume(all(s == 0 or abs(s - overlap) > 1e-9 for s in wanted.values()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(footprints, "_AT_ONCE", at_once)
        pairs = found(times, boxes, overlap, seconds)
    assert pairs == pytest.approx({p: s for p, s in wanted.items() if s > overlap})


def test_a_share_is_that_of_the_smaller_box_on_the_sphere():
    # A quarter of the larger; of the smaller, the part below 30 degrees: all widths
    # are the same, so it is (sin 30 - sin 0) / (sin 90 - sin 0).
    large, small = (0, -90, 10, 30), (0, 0, 10, 90)
    assert found([0, 0], [large, small], 0.4, 0) == {(0, 1): pytest.approx(0.5)}
    assert found([0, 0], [large, small], 0.6, 0) == {}


def test_boxes_that_only_touch_are_no_pair():
    tenth = (-75.3, 10.1, -70.3, 15.1)
    east, north = (-70.3, 10.1, -65.3, 15.1), (-75.3, 15.1, -70.3, 20.1)
    assert found([0, 0, 0], [tenth, east, north], 0.0, HOUR) == {}
    before, after = (170.1, 0, -170.3, 5), (-170.3, 0, -165.0, 5)
    assert found([0, 0], [before, after], 0.0, HOUR) == {}


def test_the_largest_difference_of_times_still_counts():
    boxes = [(0, 0, 5, 5)] * 3
    assert set(found([0, HOUR, 2 * HOUR + 1], boxes, 0.5, HOUR)) == {(0, 1)}


def table(boxes, times=None, ids=None):
    west, south, east, north = np.array(boxes, float).T
    columns = {"west": west, "south": south, "east": east, "north": north}
    names = ids or [f"r{i}" for i in range(len(boxes))]
    return pl.DataFrame({"id": names, "time": times or [0] * len(boxes)} | columns)


def test_edges_name_scenes_in_order_whatever_the_order_of_rows():
    boxes = [(0, 0, 4, 4), (40, 0, 44, 4), (2, 0, 6, 4)]
    made = edges(table(boxes, ids=["c", "b", "a"]), FootprintSearch(overlap=0.1))
    assert made.columns == ["a", "b", "strength"]
    assert made.rows() == [("a", "c", pytest.approx(0.5))]


@pytest.mark.parametrize(
    ("hours", "apart", "pairs"), [(0.35, 1260, 1), (0.35, 1261, 0), (0.0, 0, 1)]
)
def test_hours_are_counted_in_whole_seconds(hours, apart, pairs):
    scenes = table([(0, 0, 4, 4)] * 2, times=[10, 10 + apart])
    assert len(edges(scenes, FootprintSearch(hours=hours))) == pairs


def test_no_scenes_make_no_edges():
    made = edges(table([(0, 0, 4, 4)]).head(0), FootprintSearch())
    assert made.schema == {"a": pl.String, "b": pl.String, "strength": pl.Float64}


@pytest.mark.parametrize(
    "box",
    [
        (0, 5, 4, 5),
        (3, 0, 3, 5),
        (0, 0, 4, 91),
        (-190, 0, 4, 5),
        (0, math.nan, 4, 5),
    ],
)
def test_what_is_no_box_is_named(box):
    with pytest.raises(TenfoldError, match=r"scene of r1 is no box on a map \(west "):
        edges(table([(0, 0, 4, 4), box]), FootprintSearch())


def test_too_many_pairs_are_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(footprints, "MOST_PAIRS", 5)
    with pytest.raises(TenfoldError, match=r"more than 5 pairs.*groups\.footprint"):
        edges(table([(0, 0, 4, 4)] * 4), FootprintSearch())


@pytest.mark.parametrize("crowded", ["space", "time"])
def test_the_cost_grows_with_the_number_of_scenes(monkeypatch, crowded):
    """All at one time, or all at one place: N² comparisons are never made."""
    compared = 0
    real = footprints._shared_area

    def counting(spans, pairs):
        nonlocal compared
        compared += len(pairs)
        return real(spans, pairs)

    monkeypatch.setattr(footprints, "_shared_area", counting)
    costs = []
    for n in (500, 4000):
        rng = np.random.default_rng(n)
        if crowded == "time":  # as many scenes a square: a larger part of the globe
            times, width = np.zeros(n, int), 0.09 * n
            west, south = rng.uniform(-180, -180 + width, n), rng.uniform(-40, 40, n)
        else:
            times, west, south = (
                rng.integers(0, HOUR * n, n),
                *rng.uniform(0, 3, (2, n)),
            )
        boxes = np.stack([west, south, west + 3, south + 3], axis=1)
        boxes[:, 2] -= 360 * (boxes[:, 2] > 180)
        compared = 0
        sharing_pairs(times, boxes, 0.0, HOUR)
        costs.append(compared / n)
    assert costs[1] < 1.5 * costs[0]
    assert costs[1] < 100
