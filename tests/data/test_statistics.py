"""Statistics from partials against numpy on all values at once."""

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data.statistics import (
    BINS,
    Axis,
    Channels,
    Partials,
    StatisticsSum,
    load_partials,
    partials_of,
    save_partials,
)
from tenfold.errors import StoreError

AXIS = Axis(centre=50.0, scale=20.0, reach=70_000.0)
CHANNELS = Channels({"NIR": AXIS, "NDVI": Axis(0.0, 0.1, 10.0)})
FLOAT32_MAX = float(np.finfo(np.float32).max)
REFLECTANCE = st.floats(-2000, 65_000, width=32)


def one(values, channels=None, mask=None):
    """Reduce a sample of one channel called x."""
    plane = np.array(values, np.float32).reshape(1, -1)
    counts = np.ones(plane.shape, bool) if mask is None else np.array(mask)[None]
    return partials_of({"x": (plane, counts)}, channels or Channels({"x": AXIS}))


def stacked(parts):
    return Partials(
        **{
            f.name: np.stack([getattr(p, f.name) for p in parts])
            for f in fields(parts[0])
        }
    )


def summed(parts, channels=None):
    total = StatisticsSum(channels or Channels({"x": AXIS}))
    total.add(stacked(parts), range(len(parts)))
    return total.result()


def bin_around(axis, value):
    """Return the borders of the bin that holds a value, and of its neighbours."""
    edges = axis.edges()
    place = np.clip(np.searchsorted(edges, value), 1, BINS)
    slack = 1e-4 * (edges[place] - edges[place - 1]) + 1e-6 * abs(value)
    return edges[max(place - 2, 0)] - slack, edges[min(place + 1, BINS)] + slack


@st.composite
def partitions(draw):
    """Draw values in samples, and the samples in runs that are added together."""
    sample = st.lists(REFLECTANCE, max_size=12)
    samples = draw(st.lists(sample, min_size=1, max_size=8))
    cuts = draw(st.sets(st.integers(1, len(samples)), max_size=3))
    borders = [0, *sorted(cuts), len(samples)]
    return samples, list(pairwise(borders))


@settings(max_examples=100, deadline=None)
@given(partitions())
def test_moments_are_those_of_all_values_at_once(case):
    samples, runs = case
    parts = stacked([one(sample) for sample in samples])
    total = StatisticsSum(Channels({"x": AXIS}))
    for start, stop in runs:
        total.add(parts, range(start, stop))
    result = total.result()
    values = np.array([v for sample in samples for v in sample], np.float64)
    if values.size == 0:
        expected = {"mean": 0, "std": 1, "low": 0, "high": 1}
    else:
        expected = {
            "mean": values.mean(),
            "std": values.std(),
            "low": values.min(),
            "high": values.max(),
        }
    for name, value in expected.items():
        found = getattr(result, name)["x"]
        assert found == pytest.approx(value, rel=1e-9, abs=1e-6), name


@settings(max_examples=60, deadline=None)
@given(st.lists(REFLECTANCE, min_size=1, max_size=300))
def test_quantiles_lie_within_a_bin_of_an_order_statistic(values):
    result = summed([one(values)])
    for share, found in ((0.01, result.q01["x"]), (0.99, result.q99["x"])):
        below, above = (
            np.quantile(np.array(values, np.float32), share, method=method)
            for method in ("lower", "higher")
        )
        assert bin_around(AXIS, below)[0] <= found <= bin_around(AXIS, above)[1]
        assert min(values) <= found <= max(values)


@pytest.mark.parametrize("draw", ["uniform", "normal", "lognormal", "two"])
def test_quantiles_of_many_values_are_numpys_to_a_bin(draw):
    rng = np.random.default_rng(3)
    values = {
        "uniform": rng.uniform(-500, 60_000, 20_000),
        "normal": rng.normal(800, 150, 20_000),
        "lognormal": rng.lognormal(6, 1, 20_000),
        "two": np.where(rng.random(20_000) < 0.5, 10, 9000),
    }[draw].astype(np.float32)
    result = summed([one(part) for part in np.split(values, 40)])
    for share, found in ((0.01, result.q01["x"]), (0.99, result.q99["x"])):
        expected = np.quantile(values, share, method="inverted_cdf")
        low, high = bin_around(AXIS, expected)
        assert low <= found <= high
    # Far finer than a percent of the range, or the bins would be of no use.
    low, high = bin_around(AXIS, 800)
    assert high - low < 100


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(REFLECTANCE, max_size=6), min_size=2, max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_order_of_samples_does_not_matter(samples, random):
    parts = [one(sample) for sample in samples]
    first = summed(parts).to_json()
    random.shuffle(parts)
    second = summed(parts).to_json()
    for name, by_channel in first.items():
        assert second[name]["x"] == pytest.approx(by_channel["x"], rel=1e-9, abs=1e-6)


def test_samples_that_are_not_named_have_no_influence():
    parts = stacked([one([1, 3]), one([1000, 3000]), one([5])])
    total = StatisticsSum(Channels({"x": AXIS}))
    total.add(parts, [0, 2])
    total.add(parts, [])
    result = total.result()
    assert result.mean["x"] == pytest.approx(3)
    assert result.high["x"] == 5


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_do_not_count(odd):
    with_odd = summed([one([2, odd, 4]), one([odd])])
    assert with_odd == summed([one([2, 4])])


def test_masked_values_do_not_count():
    masked = summed([one([2, 900, 4], mask=[True, False, True])])
    assert masked == summed([one([2, 4])])


def test_a_channel_nobody_saw_is_left_as_it_is_by_normalising():
    nothing = one([1, 2], mask=[False, False])
    result = summed([nothing, one([np.nan])])
    assert result.to_json() == {
        "mean": {"x": 0},
        "std": {"x": 1},
        "low": {"x": 0},
        "high": {"x": 1},
        "q01": {"x": 0},
        "q99": {"x": 1},
    }
    assert StatisticsSum(Channels({"x": AXIS})).result() == result


def test_a_masked_sample_changes_nothing():
    nothing = one([1, 2], mask=[False, False])
    assert summed([nothing, one([3, 4]), nothing]) == summed([one([3, 4])])


def test_a_single_value_is_all_its_figures():
    result = summed([one([123.5])])
    for name in ("mean", "low", "high", "q01", "q99"):
        assert getattr(result, name)["x"] == pytest.approx(123.5)
    assert result.std["x"] == 0


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("centre", [0.0, 50.0, -9999.0])
@pytest.mark.parametrize(
    "values",
    [
        [FLOAT32_MAX, -FLOAT32_MAX],
        [FLOAT32_MAX] * 5,
        [-FLOAT32_MAX, 0.0],
        [1e30, 1.0, 1e-30],
        [80_000.0, 90_000.0],
    ],
)
def test_every_figure_of_huge_values_is_finite(values, centre):
    channels = Channels({"x": Axis(centre, 0.01, 1000.0)})
    parts = [one(values[:1], channels), one(values, channels)]
    result = summed(parts, channels)
    figures = {name: by["x"] for name, by in result.to_json().items()}
    assert all(np.isfinite(value) for value in figures.values()), figures
    everything = np.array(values[:1] + values, np.float64)
    assert figures["mean"] == pytest.approx(everything.mean(), rel=1e-6, abs=1e25)
    assert figures["low"] <= figures["q01"] <= figures["q99"] <= figures["high"]


def test_a_great_offset_does_not_swallow_the_spread():
    values = np.array([16_000_000, 16_000_002, 16_000_004], np.float32)
    result = summed([one([value]) for value in values])
    assert result.std["x"] == pytest.approx(values.astype(np.float64).std())


def test_every_value_lies_between_the_borders_of_its_bin():
    rng = np.random.default_rng(0)
    values = rng.uniform(-60_000, 60_000, 5000).astype(np.float32)
    bins, edges = AXIS.bins(values), AXIS.edges()
    width = np.diff(edges)[bins]
    assert len(edges) == BINS + 1
    assert (np.diff(edges) > 0).all()
    assert (edges[bins] - 0.01 * width <= values).all()
    assert (values <= edges[bins + 1] + 0.01 * width).all()


@pytest.mark.filterwarnings("ignore:overflow")
def test_values_beyond_the_reach_fall_in_the_outermost_bins():
    values = np.array([-FLOAT32_MAX, -1e6, 1e6, FLOAT32_MAX], np.float32)
    assert AXIS.bins(values).tolist() == [0, 0, BINS - 1, BINS - 1]


# Files


def sample(rng):
    valid = rng.random((6, 6)) < 0.7
    return partials_of(
        {
            "NIR": (rng.normal(800, 90, (6, 6)).astype(np.float32), valid),
            "NDVI": (rng.normal(0, 0.3, (6, 6)).astype(np.float32), valid),
        },
        CHANNELS,
    )


def test_partials_come_back_from_a_file(tmp_path):
    rng = np.random.default_rng(1)
    parts = [sample(rng) for _ in range(3)]
    save_partials(tmp_path / "p.npz", CHANNELS.names, parts)
    back = load_partials(tmp_path / "p.npz", CHANNELS)
    for field in fields(Partials):
        expected = getattr(stacked(parts), field.name)
        assert np.array_equal(getattr(back, field.name), expected)
        assert getattr(back, field.name).dtype == expected.dtype


@pytest.mark.parametrize("names", [["NDVI"], ["NIR"], ["NDVI", "NIR"]])
def test_some_channels_are_read_in_the_order_that_is_asked_for(tmp_path, names):
    rng = np.random.default_rng(2)
    parts = [sample(rng) for _ in range(3)]
    save_partials(tmp_path / "p.npz", CHANNELS.names, parts)
    some = Channels({name: CHANNELS.axes[name] for name in names})
    total = StatisticsSum(some)
    total.add(load_partials(tmp_path / "p.npz", some), range(3))
    result, whole = total.result(), summed(parts, CHANNELS)
    for figure, by_channel in result.to_json().items():
        assert list(by_channel) == names
        for name in names:
            assert by_channel[name] == getattr(whole, figure)[name]


def test_a_channel_that_was_not_asked_for_at_ingest_is_named(tmp_path):
    save_partials(tmp_path / "p.npz", CHANNELS.names, [sample(np.random.default_rng())])
    more = Channels({**CHANNELS.axes, "SWIR": AXIS})
    with pytest.raises(StoreError, match=r"p\.npz has no statistics of SWIR; ingest"):
        load_partials(tmp_path / "p.npz", more)


def test_channels_tell_all_that_decides_their_bins():
    plain = [
        Channels({"a": Axis(0, 1, 9)}),
        Channels({"b": Axis(0, 1, 9)}),
        Channels({"a": Axis(1, 1, 9)}),
        Channels({"a": Axis(0, 2, 9)}),
        Channels({"a": Axis(0, 1, 8)}),
    ]
    told = [repr(channels.to_json()) for channels in plain]
    assert len(set(told)) == len(plain)
