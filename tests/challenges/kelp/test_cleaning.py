"""Removal of land, gaps and small patches against the rules written out by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

from tenfold.challenges.kelp.cleaning import (
    counts_by_size,
    on_land,
    settle,
    without_small,
)
from tenfold.challenges.kelp.tiles import pack_tile

GAP = -32768
SIDES = npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
MASKS = npst.arrays(np.bool_, SIDES)


def patches_of(mask):
    """Find patches by walking from pixel to pixel, corners included."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    while left:
        reached, waiting = set(), [left.pop()]
        while waiting:
            y, x = waiting.pop()
            reached.add((y, x))
            near = {(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & left
            left -= near
            waiting += near
        yield reached


def removed_by_hand(mask, least):
    kept = np.zeros_like(mask)
    for patch in patches_of(mask):
        if len(patch) >= least:
            for pixel in patch:
                kept[pixel] = True
    return kept


@settings(deadline=None)
@given(MASKS, st.integers(0, 12))
def test_patches_with_fewer_pixels_go(mask, least):
    before = mask.copy()
    found = without_small(mask, least)
    np.testing.assert_array_equal(found, removed_by_hand(mask, least))
    np.testing.assert_array_equal(mask, before)


def test_patches_hold_together_over_corners():
    mask = np.zeros((6, 6), bool)
    mask[[0, 1, 2], [0, 1, 2]] = True  # three pixels that touch at corners
    mask[4, 5] = mask[5, 5] = True
    assert without_small(mask, 3).sum() == 3
    assert without_small(mask, 4).sum() == 0
    assert without_small(mask, 2).sum() == 5


@settings(deadline=None)
@given(st.data(), MASKS, st.lists(st.integers(0, 12), min_size=1, max_size=4))
def test_counts_are_those_of_masks_that_were_cleaned(data, kelp, sizes):
    truth = data.draw(npst.arrays(np.bool_, kelp.shape))
    found = counts_by_size(kelp, truth, np.array(sizes))
    for least, (tp, fp, fn, patches) in zip(sizes, found, strict=True):
        kept = removed_by_hand(kelp, least)
        assert tp == (kept & truth).sum()
        assert fp == (kept & ~truth).sum()
        assert fn == (~kept & truth).sum()
        assert patches == len(list(patches_of(kept)))


DEM = npst.arrays(np.int16, SIDES, elements=st.sampled_from([GAP, -3, 0, 0, 0, 1, 706]))


@given(DEM)
def test_land_is_where_a_box_of_four_sums_to_half_a_metre(dem):
    found = on_land(dem)
    metres = np.maximum(dem, 0)
    for y, x in np.ndindex(*dem.shape):
        box = metres[max(y - 1, 0) : y + 1, max(x - 1, 0) : x + 1]
        assert found[y, x] == (box.sum() >= 0.5)


@given(DEM)
def test_the_box_reaches_as_far_as_a_box_filters(dem):
    metres = np.maximum(dem, 0).astype(float)
    mean = ndimage.uniform_filter(metres, size=2, mode="constant")
    np.testing.assert_array_equal(on_land(dem), mean * 4 >= 0.5)


def test_sea_without_elevation_is_sea():
    assert not on_land(np.full((4, 4), GAP, np.int16)).any()


@pytest.mark.parametrize("invalid", ["background", "keep"])
@pytest.mark.parametrize("land", ["remove", "keep"])
def test_no_kelp_is_left_where_none_may_be(kelp, invalid, land):
    raw = kelp.make_tile()
    raw[3, :, :100] = GAP
    raw[6, 200:, :] = 40
    mean = np.full((350, 350), 0.75, np.float32)
    found = settle(mean, pack_tile(raw, None), invalid, land)
    assert found.dtype == np.float32
    expected = mean.copy()
    if invalid == "background":
        expected[:, :100] = 0
    if land == "remove":
        expected[200:] = 0
    np.testing.assert_array_equal(found, expected)
    assert (mean == np.float32(0.75)).all()
