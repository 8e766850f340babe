"""Bilinear resizing: as OpenCV has it, byte for byte, and as arithmetic says."""

import zlib
from fractions import Fraction

import cv2
import numpy as np
import pytest

from tenfold.challenges.clouds.sampling import resize_bytes, taps


def crc(array):
    return zlib.crc32(np.ascontiguousarray(array))


def colours(height, width):
    r, c = np.mgrid[:height, :width]
    planes = [(r * 3 + c * 5) % 251, (r * r // 9 + c) % 256, (r * c // 70) % 256]
    return np.stack(planes, -1).astype(np.uint8)


def exact(source, target):
    """Place a target pixel's centre by fractions: (low, high, weight of high)."""
    for number in range(target):
        place = Fraction(2 * number + 1, 2) * Fraction(source, target) - Fraction(1, 2)
        low = place.__floor__()
        pair = [min(max(index, 0), source - 1) for index in (low, low + 1)]
        yield *pair, float(place - low)


SIZES = [(1400, 384), (2100, 576), (1400, 350), (384, 350), (350, 384), (50, 64)]


@pytest.mark.parametrize(("source", "target"), [*SIZES, (9, 3), (7, 7), (1, 4)])
def test_taps_are_where_fractions_say(source, target):
    found = taps(source, target)
    low, high, weight = zip(*exact(source, target), strict=True)
    np.testing.assert_array_equal(found.low, low)
    np.testing.assert_allclose(found.weight, weight, atol=2e-4)
    reads_two = np.array(weight) > 0
    np.testing.assert_array_equal(found.high, np.where(reads_two, high, low))


@pytest.mark.parametrize(
    ("size", "checksum"),
    [
        ((384, 576), 3177754182),
        ((350, 525), 149981108),
        ((1408, 2112), 3078147601),
    ],
)
def test_bytes_are_those_of_opencv(size, checksum):
    """Checksums of cv2.resize's results, by OpenCV 4.6.0 and 5.0.0 alike."""
    assert crc(resize_bytes(colours(1400, 2100), size)) == checksum


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    ("source", "size"),
    [
        ((1400, 2100), (384, 576)),
        ((1400, 2100), (352, 512)),
        ((384, 576), (350, 525)),
        ((350, 525), (384, 576)),
        ((101, 77), (33, 64)),
    ],
)
def test_bytes_are_what_opencv_makes(source, size, channels):
    noise = np.random.default_rng(7).integers(0, 256, (*source, channels), np.uint8)
    expected = cv2.resize(noise, size[::-1]).reshape(*size, channels)
    np.testing.assert_array_equal(resize_bytes(noise, size), expected)


@pytest.mark.parametrize("size", [(38, 57), (35, 52), (150, 220), (140, 210)])
def test_bytes_are_within_a_level_of_the_mean_of_four(size):
    image = colours(140, 210)
    found = resize_bytes(image, size)
    rows, columns = list(exact(140, size[0])), list(exact(210, size[1]))
    for i in range(0, size[0], 5):
        for j in range(0, size[1], 5):
            (top, bottom, down), (left, right, across) = rows[i], columns[j]
            upper = image[top, left] * (1 - across) + image[top, right] * across
            lower = image[bottom, left] * (1 - across) + image[bottom, right] * across
            assert abs(upper * (1 - down) + lower * down - found[i, j]).max() <= 1


def test_the_same_size_changes_nothing():
    image = colours(20, 30)
    np.testing.assert_array_equal(resize_bytes(image, (20, 30)), image)
