"""The quick way to the submitted size against the plain one."""

import numpy as np
import pytest

from tenfold.challenges.clouds.classes import SUBMITTED
from tenfold.challenges.clouds.masks import resize_predictions
from tenfold.challenges.clouds.planes import pack_planes
from tenfold.challenges.clouds.shrinking import shrink

PREPARED = (384, 576)


def check(masks, size):
    expected = pack_planes(resize_predictions(masks, size))
    np.testing.assert_array_equal(shrink(pack_planes(masks), size), expected)
    return expected


@pytest.mark.parametrize("share", [0.0005, 0.3, 0.5, 0.97, 1.0])
def test_noise_of_any_density_is_resized_as_the_plain_way_does(share):
    rng = np.random.default_rng(int(1e4 * share))
    masks = rng.random((4, *PREPARED)) < share
    assert check(masks, SUBMITTED).any()


@pytest.mark.parametrize(
    ("source", "target"), [((64, 96), (35, 53)), ((32, 32), (50, 70)), ((7, 9), (7, 9))]
)
def test_other_sizes_smaller_larger_and_the_same(source, target):
    rng = np.random.default_rng(1)
    check(rng.random((4, *source)) < 0.4, target)


def test_blobs_are_resized_as_the_plain_way_does():
    y, x = np.mgrid[: PREPARED[0], : PREPARED[1]]
    masks = np.stack([np.hypot(y - 90, x - 200) < r for r in (0, 30, 120, 400)])
    check(masks, SUBMITTED)


def test_a_lone_pixel_may_vanish_or_stay():
    found = []
    for at in range(40):
        masks = np.zeros((4, *PREPARED), bool)
        masks[2, at, at] = True
        found.append(check(masks, SUBMITTED).any())
    assert any(found)
    assert not all(found)


def test_nothing_stays_nothing():
    assert not shrink(np.zeros(PREPARED, np.uint8), SUBMITTED).any()
