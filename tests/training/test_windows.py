"""Windows cover every pixel, and their blend is the weighted mean written out."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.training.views import mean_over_views, views_of
from tenfold.training.windows import blend, starts, weights

OVERLAPS, AXES = st.floats(0, 0.99), (-2, -1)


@st.composite
def axes(draw):
    length = draw(st.integers(1, 400))
    return length, draw(st.integers(1, length)), draw(OVERLAPS)


@given(axes())
def test_windows_cover_an_axis_and_end_at_its_end(axis):
    length, window, overlap = axis
    found = starts(length, window, overlap)
    assert found[0] == 0
    assert found[-1] == length - window
    assert len(set(found)) == len(found)
    covered = np.zeros(length, int)
    for start in found:
        # Never a crop that reaches outside.
        assert 0 <= start <= length - window
        covered[start : start + window] += 1
    assert covered.min() >= 1
    longest = max(np.diff(found), default=0)
    assert longest <= max(math.floor(window * (1 - overlap)), 1)


@given(axes())
def test_no_more_windows_than_the_overlap_asks_for(axis):
    length, window, overlap = axis
    step = max(math.floor(window * (1 - overlap)), 1)
    assert len(starts(length, window, overlap)) == 1 + math.ceil(
        (length - window) / step
    )


def test_the_published_crops_of_a_tile():
    """128 px by 64 of 352 took 36 crops, some of 30 real pixels; here 25 are enough."""
    found = starts(350, 128, 0.5)
    assert found == [0, 55, 111, 166, 222]
    assert starts(350, 350, 0.5) == [0]


def test_weights_are_a_gaussian_of_an_eighth_of_the_side():
    found = weights(16, 40)
    assert found.shape == (16, 40)
    assert (found > 0).all()
    place = (np.arange(40) - 19.5) / 5
    row = (np.arange(16) - 7.5) / 2
    expected = np.exp(-0.5 * (row[:, None] ** 2 + place[None] ** 2))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    assert (found == found.flip(0, 1)).all()


def pointwise(planes):
    return torch.sigmoid(planes.float()[:, 0] * 0.7 + planes.float()[:, 1])


def contextual(planes):
    """Depends on everything in the window, so that windows disagree."""
    mean = planes.float().mean(dim=(1, 2, 3))
    kernel = torch.linspace(-1, 1, 18).reshape(1, 2, 3, 3)
    near = F.conv2d(planes.float(), kernel, padding=1)[:, 0]
    return torch.sigmoid(near + mean[:, None, None])


def random_planes(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 2, height, width, generator=generator)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), OVERLAPS)
def test_a_network_of_single_pixels_sees_the_same_in_windows(h, w, window, overlap):
    planes = random_planes(h, w)
    found = blend(pointwise, planes, window, overlap)
    torch.testing.assert_close(found, pointwise(planes), atol=1e-6, rtol=1e-5)


def averaged_by_hand(planes, window, overlap):
    """Add window by window, pixel by pixel, in double precision."""
    size = planes.shape[-2:]
    side = [min(window, length) for length in size]
    top, bottom = np.zeros((2, *size)), np.zeros(size)
    for i in starts(size[0], side[0], overlap):
        for j in starts(size[1], side[1], overlap):
            seen = contextual(planes[..., i : i + side[0], j : j + side[1]])
            for y in range(side[0]):
                for x in range(side[1]):
                    far = [
                        (place - (length - 1) / 2) / (length / 8)
                        for place, length in zip((y, x), side, strict=True)
                    ]
                    weight = math.exp(-0.5 * (far[0] ** 2 + far[1] ** 2))
                    top[:, i + y, j + x] += weight * seen[:, y, x].numpy()
                    bottom[i + y, j + x] += weight
    return top / bottom


@pytest.mark.parametrize(
    ("height", "width", "window", "overlap"),
    [(20, 31, 8, 0.5), (9, 30, 12, 0.25), (16, 16, 8, 0.0), (13, 13, 12, 0.9)],
)
def test_the_blend_is_the_weighted_mean_of_all_windows(height, width, window, overlap):
    planes = random_planes(height, width)
    found = blend(contextual, planes, window, overlap)
    expected = averaged_by_hand(planes, window, overlap)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)
    assert (found - contextual(planes)).abs().max() > 1e-3


@pytest.mark.parametrize("window", [None, 12, 13, 64])
def test_a_window_as_large_as_the_sample_is_the_sample(window):
    planes = random_planes(12, 10)
    shapes = []

    def see(part):
        shapes.append(part.shape)
        return contextual(part)

    found = blend(see, planes, window, 0.5)
    assert (found == contextual(planes)).all()
    assert shapes == [(2, 2, 12, 10)]


def test_one_window_at_a_time_whatever_the_size():
    shapes = set()

    def see(part):
        shapes.add(tuple(part.shape))
        return part[:, 0]

    found = blend(see, torch.ones(2, 3, 100, 40), 32, 0.5)
    assert shapes == {(2, 3, 32, 32)}
    assert found.shape == (2, 100, 40)


def test_windows_of_half_precision_are_blended_in_single():
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = blend(lambda p: p[:, 0].bfloat16(), torch.ones(1, 1, 40, 40), 16, 0.5)
    finally:
        torch.set_default_dtype(default)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.ones(1, 40, 40))


def test_every_view_of_every_window_takes_part():
    planes = random_planes(24, 20)
    views = views_of("dihedral")
    found = blend(
        lambda part: mean_over_views(contextual, part, views), planes, 12, 0.5
    )
    top, bottom = torch.zeros(2, 24, 20), torch.zeros(24, 20)
    for i in starts(24, 12, 0.5):
        for j in starts(20, 12, 0.5):
            part = planes[..., i : i + 12, j : j + 12]
            mean = torch.zeros(2, 12, 12)
            for mirror in (False, True):
                for turns in range(4):
                    turned = torch.rot90(part.flip(-1) if mirror else part, turns, AXES)
                    back = torch.rot90(contextual(turned), -turns, AXES)
                    mean += (back.flip(-1) if mirror else back) / 8
            weight = weights(12, 12)
            top[:, i : i + 12, j : j + 12] += weight * mean
            bottom[i : i + 12, j : j + 12] += weight
    torch.testing.assert_close(found, top / bottom, atol=1e-5, rtol=0)
