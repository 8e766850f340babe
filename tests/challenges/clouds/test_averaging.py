"""Making pictures smaller: against means of areas, and against Pillow's filter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tenfold.challenges.clouds.averaging import average

#: Source and target, with blocks of rows that are not full, and one that grows.
SIZES = [
    ((700, 1050), (384, 576)),
    ((700, 1050), (350, 525)),
    ((300, 420), (97, 150)),
    ((175, 263), (32, 64)),
    ((140, 210), (141, 230)),
]


def textured(size, seed=0):
    """Draw noise whose waves are the weaker the shorter, as in pictures, and a gap."""
    rng = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])
    strength = np.hypot(down, across).clip(1 / max(size)) ** -1.5
    planes = [
        np.fft.irfft2(np.fft.rfft2(rng.standard_normal(size)) * strength, size)
        for _ in range(3)
    ]
    image = np.stack(planes, -1)
    image = (120 + 45 * (image - image.mean()) / image.std()).clip(0, 255)
    image[:, : size[1] // 5] = 0
    return image.astype(np.uint8)


def padded(image, value=0):
    last = np.full((*image.shape[:2], 1), value, np.uint8)
    return np.concatenate([image, last], -1)


def areas(source, target):
    """Return how much of each target pixel's length each source pixel has."""
    ends = np.arange(target + 1) * source / target
    low = np.maximum(ends[:-1, None], np.arange(source))
    high = np.minimum(ends[1:, None], np.arange(source) + 1)
    return (high - low).clip(0) * target / source


def averaged(image, size):
    """Return exact means of areas, in float64."""
    down, across = (areas(*sides) for sides in zip(image.shape[:2], size, strict=True))
    return np.einsum("ir,rck,jc->ijk", down, image, across, optimize=True)


def by_pillow(image, size):
    picture = Image.fromarray(image)
    return np.asarray(picture.resize(size[::-1], Image.Resampling.HAMMING))


def off(found, expected):
    return np.sqrt(np.mean((found - expected.astype(float)) ** 2))


@pytest.mark.parametrize(("source", "size"), SIZES)
def test_it_is_hardly_anything_but_what_pillow_makes(source, size):
    image = textured(source)
    found = average(padded(image), size)
    assert found.shape == (*size, 3)
    assert found.dtype == np.uint8
    assert off(found, by_pillow(image, size)) < 1


@pytest.mark.parametrize("size", [(192, 288), (175, 263), (160, 240)])
def test_from_half_of_a_picture_it_is_as_near_to_areas_as_pillow(size):
    whole = textured((700, 1050))
    half = averaged(whole, (350, 525)).round().astype(np.uint8)
    expected = averaged(whole, size)
    of_pillow = off(by_pillow(half, size), expected)
    assert off(average(padded(half), size), expected) < 1.02 * of_pillow


@given(
    colour=st.tuples(*[st.integers(0, 255)] * 3),
    source=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
def test_one_colour_remains_itself(colour, source, size):
    found = average(np.full((*source, 4), (*colour, 255), np.uint8), size)
    assert (found == np.array(colour)).all()


@pytest.mark.parametrize(("source", "size"), SIZES)
def test_the_fourth_byte_says_nothing(source, size):
    image = textured(source)
    expected = average(padded(image), size)
    noise = np.random.default_rng(1).integers(0, 256, (*source, 1), np.uint8)
    found = average(np.concatenate([image, noise], -1), size)
    np.testing.assert_array_equal(found, expected)


def test_rows_and_columns_are_weighed_alike():
    image = textured((300, 420))
    one = average(padded(image), (96, 160)).astype(int)
    other = average(padded(image.swapaxes(0, 1).copy()), (160, 96))
    assert np.abs(one - other.swapaxes(0, 1)).max() <= 1


def test_the_same_size_changes_nothing():
    image = textured((70, 33))
    np.testing.assert_array_equal(average(padded(image), (70, 33)), image)
