"""Masks at another size: the published figures, OpenCV's results, and brute force."""

import zlib
from fractions import Fraction
from math import ceil, floor

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.challenges.clouds.masks import (
    resize_labels,
    resize_predictions,
    resize_runs,
)
from tenfold.codecs.run_length import runs_of
from tenfold.errors import CodecError

BIG, PREPARED, SCORED = (1400, 2100), (384, 576), (350, 525)
HALF = Fraction(1, 2)


def pattern(size):
    r, c = np.mgrid[: size[0], : size[1]]
    return (r * r // 40 + 3 * c * c // 50 + r * c // 30) % 23 < 11


def crc(mask):
    return zlib.crc32(np.ascontiguousarray(mask))


def box(size, top, bottom, left, right):
    """Set a box whose last row and column are `bottom` and `right`."""
    mask = np.zeros(size, bool)
    mask[top : bottom + 1, left : right + 1] = True
    return mask


def bounds(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return rows[0], rows[-1], columns[0], columns[-1]


# Labels, the published rule.


@pytest.mark.parametrize(
    ("size", "expected", "pixels"),
    [(PREPARED, (28, 192, 56, 412), 58_905), (SCORED, (25, 175, 51, 375), 49_075)],
)
def test_a_box_becomes_what_the_published_system_makes_of_it(size, expected, pixels):
    found = resize_labels(box(BIG, 101, 701, 203, 1503), size)
    assert found.sum() == pixels
    assert bounds(found) == expected
    assert found.shape == size


@pytest.mark.parametrize(
    ("source", "size", "pixels", "checksum"),
    [
        (PREPARED, SCORED, 165_740, 3848806010),
        (SCORED, PREPARED, 201_408, 3643275264),
        ((320, 480), SCORED, 169_387, 988306570),
        (BIG, PREPARED, 200_259, 3102004076),
        (BIG, SCORED, 166_218, 4255455232),
    ],
)
def test_labels_are_those_of_opencv(source, size, pixels, checksum):
    """Counts and checksums of cv2.resize(float32) > 0, by OpenCV 4.6.0 and 5.0.0."""
    found = resize_labels(pattern(source), size)
    assert (found.sum(), crc(found)) == (pixels, checksum)


SIZES = [
    (BIG, PREPARED),
    (BIG, SCORED),
    (BIG, (352, 512)),
    (PREPARED, SCORED),
    (SCORED, PREPARED),
]


@pytest.mark.parametrize(("source", "size"), SIZES)
def test_labels_are_what_opencv_makes(source, size):
    for mask in (pattern(source), np.random.default_rng(7).random(source) < 0.1):
        expected = cv2.resize(mask.astype(np.float32), size[::-1]) > 0
        np.testing.assert_array_equal(resize_labels(mask, size), expected)
        # Runs are of the mask as it is, numbered down the columns.
        found = resize_runs(runs_of(mask), source, size)
        np.testing.assert_array_equal(found, expected)


def read(source, target, number):
    """Return the source pixels that a target pixel reads."""
    place = Fraction(2 * number + 1, 2) * Fraction(source, target) - HALF
    return {min(max(end, 0), source - 1) for end in (floor(place), ceil(place))}


@given(
    data=st.data(),
    source=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    size=st.tuples(st.sampled_from([1, 2, 4, 8, 16]), st.sampled_from([2, 8, 32])),
)
def test_a_label_is_set_where_any_pixel_it_reads_is(data, source, size):
    bits = data.draw(st.integers(0, 2 ** (source[0] * source[1]) - 1))
    flat = [bool(bits >> place & 1) for place in range(source[0] * source[1])]
    mask = np.array(flat).reshape(source)
    found = resize_labels(mask, size)
    for i in range(size[0]):
        for j in range(size[1]):
            rows = read(source[0], size[0], i)
            columns = read(source[1], size[1], j)
            assert found[i, j] == any(mask[r, c] for r in rows for c in columns)


@given(
    data=st.data(),
    source=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    size=st.tuples(st.integers(1, 32), st.integers(1, 32)),
    rule=st.sampled_from(["any", "area"]),
)
def test_runs_are_resized_as_their_mask_is(data, source, size, rule):
    bits = data.draw(st.integers(0, 2 ** (source[0] * source[1]) - 1))
    flat = [bool(bits >> place & 1) for place in range(source[0] * source[1])]
    mask = np.array(flat).reshape(source)
    found = resize_runs(runs_of(mask), source, size, rule)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, resize_labels(mask, size, rule))


@pytest.mark.parametrize("rule", ["any", "area"])
def test_runs_that_are_no_mask_are_refused(rule):
    with pytest.raises(CodecError, match=r"run 2 \(3 2\) overlaps run 1"):
        resize_runs(np.array([[1, 3], [3, 2]]), BIG, PREPARED, rule)


@pytest.mark.parametrize("rule", ["any", "area"])
def test_the_memorys_order_and_leading_axes_do_not_matter(rule):
    masks = np.stack([pattern((70, 105)), ~pattern((70, 105))])
    both = resize_labels(masks, (32, 64), rule)
    assert both.shape == (2, 32, 64)
    for mask, found in zip(masks, both, strict=True):
        turned = np.asfortranarray(mask)
        np.testing.assert_array_equal(resize_labels(turned, (32, 64), rule), found)
    assert resize_labels(np.zeros((4, 70, 105), bool), (32, 64), rule).sum() == 0
    assert resize_labels(np.ones((4, 70, 105), bool), (32, 64), rule).all()


# Labels, half of the area.


def share(mask, size, i, j):
    """Return the share of a target pixel's area that is set, by fractions."""

    def overlaps(source, target, number):
        scale = Fraction(source, target)
        start, end = number * scale, (number + 1) * scale
        for index in range(floor(start), ceil(end)):
            yield index, (min(end, index + 1) - max(start, index)) / scale

    return sum(
        down * across
        for r, down in overlaps(mask.shape[0], size[0], i)
        for c, across in overlaps(mask.shape[1], size[1], j)
        if mask[r, c]
    )


@pytest.mark.parametrize("size", [(4, 6), (7, 9), (14, 21), (16, 32), (5, 21)])
@pytest.mark.parametrize("seed", range(3))
def test_half_of_the_area_sets_a_pixel(size, seed):
    mask = np.random.default_rng(seed).random((14, 21)) < 0.5
    found = resize_labels(mask, size, "area")
    for i in range(size[0]):
        for j in range(size[1]):
            assert found[i, j] == (share(mask, size, i, j) >= HALF)


def test_exactly_a_half_is_set_and_a_little_less_is_not():
    mask = box(BIG, 0, 699, 0, 1)  # two of the four columns of the first pixels
    assert bounds(resize_labels(mask, SCORED, "area")) == (0, 174, 0, 0)
    mask[0, 0] = False
    assert bounds(resize_labels(mask, SCORED, "area")) == (1, 174, 0, 0)


def test_areas_keep_their_size():
    mask = box(BIG, 101, 701, 203, 1503)
    for size, exactly in ((PREPARED, 58_824.5), (SCORED, 48_868.8)):
        # An edge is off by half a pixel at most.
        found = resize_labels(mask, size, "area").sum()
        assert abs(found - exactly) < sum(size) / 2


# Predictions.


@pytest.mark.parametrize(
    ("source", "size", "pixels", "checksum"),
    [
        (PREPARED, SCORED, 75_397, 2142465572),
        (SCORED, PREPARED, 90_429, 617682769),
        ((320, 480), SCORED, 74_843, 2242497334),
        (BIG, PREPARED, 90_632, 194127044),
        (BIG, SCORED, 131_369, 3368399527),
    ],
)
def test_predictions_are_those_of_opencv(source, size, pixels, checksum):
    """Counts and checksums of cv2.resize(uint8) > 0, by OpenCV 4.6.0 and 5.0.0."""
    mask = pattern(source)
    found = resize_predictions(np.stack([mask, np.zeros_like(mask)]), size)
    assert (found[0].sum(), crc(found[0])) == (pixels, checksum)
    assert not found[1].any()


@pytest.mark.parametrize(("source", "size"), SIZES)
def test_predictions_are_what_opencv_makes(source, size):
    masks = np.random.default_rng(7).random((4, *source)) < 0.4
    for mask, found in zip(masks, resize_predictions(masks, size), strict=True):
        expected = cv2.resize(mask.astype(np.uint8), size[::-1]) > 0
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("edge", [0, 1, 2, 5, 100, 191, 192, 383])
def test_a_straight_edge_lies_where_the_mean_reaches_a_half(edge):
    mask = box(PREPARED, 0, edge, 0, 575)
    found = resize_predictions(
        np.stack([mask, mask.T[:384, :].repeat(2, 1)[:, :576]]), SCORED
    )
    place = (np.arange(350) + 0.5) * 384 / 350 - 0.5
    # Of the two rows that a row reads, those above the edge weigh this much.
    weight = np.clip(edge + 1 - place, 0, 1)
    np.testing.assert_array_equal(found[0].all(1), weight >= 0.5)
    np.testing.assert_array_equal(found[0].any(1), weight >= 0.5)


def test_predictions_do_not_grow_as_labels_do():
    mask = box(PREPARED, 28, 192, 56, 412)
    (predicted,) = resize_predictions(mask[None], SCORED)
    label = resize_labels(mask, SCORED)
    assert predicted.sum() < label.sum()
    assert (label & predicted).sum() == predicted.sum()
    scaled = mask.sum() * (350 / 384) ** 2
    assert abs(predicted.sum() - scaled) < abs(label.sum() - scaled)
