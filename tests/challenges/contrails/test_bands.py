"""Channels: every pixel against its formula, and no other frame looked at."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.challenges.contrails.bands import pack_channels, scale, select_frames
from tenfold.challenges.contrails.options import ASH, RAW, BandRange

SHAPE = (3, 5, 7)


def frames_of(seed, bands=range(8, 17)):
    rng = np.random.default_rng(seed)
    return {band: rng.normal(265, 20, SHAPE).astype(np.float32) for band in bands}


def ash(frames, place):
    """The published formulas, in double precision, one pixel at a time."""
    t11, t14, t15 = (float(frames[band][place]) for band in (11, 14, 15))
    plain = ((t15 - t14 + 4) / 6, (t14 - t11 + 4) / 9, (t14 - 243) / 60)
    return [min(1.0, max(0.0, value)) for value in plain]


def raw(frames, place):
    t10, t15, t16 = (float(frames[band][place]) for band in (10, 15, 16))
    plain = ((t10 - 220) / 40, (t15 - 240) / 60, (t16 - 220) / 60)
    return [min(1.0, max(0.0, value)) for value in plain]


@pytest.mark.parametrize(("channels", "formula"), [(ASH, ash), (RAW, raw)])
def test_channels_follow_the_published_formulas(channels, formula):
    frames = frames_of(1)
    # Differences of bands are of a few kelvin.
    frames[14] = frames[15] + np.random.default_rng(2).normal(1, 2, SHAPE)
    frames[14] = frames[14].astype(np.float32)
    frames[11] = frames[14] - np.random.default_rng(3).normal(1, 4, SHAPE)
    frames[11] = frames[11].astype(np.float32)
    halves = pack_channels(frames, channels, "float16")
    whole = pack_channels(frames, channels, "uint8")
    assert (halves.dtype, whole.dtype) == (np.float16, np.uint8)
    assert halves.shape == whole.shape == (*SHAPE, 3)
    inner = 0
    for place in np.ndindex(SHAPE):
        expected = formula(frames, place)
        inner += sum(0 < value < 1 for value in expected)
        np.testing.assert_allclose(halves[place], expected, atol=6e-4)
        for found, value in zip(whole[place].tolist(), expected, strict=True):
            # The nearest step, and either of two that are equally near.
            assert abs(found - 255 * value) <= 0.5 + 1e-3
    assert inner > 60


def test_the_ends_of_a_range_are_0_and_1_and_what_is_beyond_is_too():
    channel = BandRange(band=14, low=200, high=300)
    kelvin = [199.0, 200.0, 200.19, 200.2, 250.0, 299.9, 300.0, 330.0]
    frames = {14: np.array(kelvin, np.float32).reshape(1, 2, 4)}
    assert pack_channels(frames, [channel], "uint8").ravel().tolist() == [
        *(0, 0, 0, 1, 128, 255, 255, 255)
    ]
    assert pack_channels(frames, [channel], "float16").max() == 1


@given(
    seed=st.integers(0, 2**32 - 1),
    band=st.integers(8, 16),
    less=st.none() | st.integers(8, 16),
    low=st.floats(-50, 260),
    width=st.floats(0.1, 100),
)
def test_any_range_is_scaled_and_clipped(seed, band, less, low, width):
    frames = frames_of(seed)
    channel = BandRange(band=band, less=less, low=low, high=low + width)
    value = frames[band].astype(np.float64)
    if less is not None:
        value -= frames[less]
    expected = np.clip((value - low) / (channel.high - low), 0, 1)
    # Single precision has steps of 3e-5 K at 300 K.
    np.testing.assert_allclose(scale(frames, channel), expected, atol=1e-4 / width)


def test_making_channels_leaves_the_bands_as_they_were():
    frames = frames_of(5)
    before = {band: values.copy() for band, values in frames.items()}
    pack_channels(frames, (*ASH, *RAW), "uint8")
    for band, values in frames.items():
        np.testing.assert_array_equal(values, before[band])


@pytest.mark.parametrize("times", [range(4, 5), range(2, 7), range(1, 5), range(8)])
def test_the_wanted_frames_come_first_and_in_order(times):
    band = np.random.default_rng(0).normal(270, 5, (6, 9, 8)).astype(np.float32)
    found = select_frames(band, times)
    assert found.shape == (len(times), 6, 9)
    assert found.dtype == np.float32
    for place, time in enumerate(times):
        for row, col in np.ndindex(6, 9):
            assert found[place, row, col] == band[row, col, time]


def test_frames_are_copies_in_single_precision():
    band = np.random.default_rng(0).normal(270, 5, (4, 4, 8)).astype(">f8")
    found = select_frames(band, range(4, 5))
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    found += 1
    np.testing.assert_allclose(found[0] - 1, band[..., 4], rtol=1e-6)
