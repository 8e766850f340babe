"""How near-duplicates are judged: by the picture, without the orbit gap's black."""

import numpy as np
import polars as pl
import pytest

from tenfold.challenges.clouds import duplicates
from tenfold.errors import RecipeError
from tenfold.grouping.thumbnails import describe


def faint_clouds(seed, height=96, width=144):
    """Draw a hazy scene: soft light patches of a few grey steps."""
    rng = np.random.default_rng(seed)
    patches = np.kron(rng.uniform(95, 115, (8, 12)), np.ones((12, 12)))
    light = patches + rng.normal(0, 2, (height, width))
    return np.repeat(light[..., None], 3, -1).round().astype(np.uint8)


def with_gap(picture):
    gapped = picture.copy()
    noise = np.random.default_rng(9).integers(0, 8, gapped[:, 90:126].shape)
    gapped[:, 90:126] = noise
    return gapped


def likeness(one, other):
    return float(describe(one) @ describe(other))


def test_the_picture_is_the_prepared_one():
    clouds = faint_clouds(0)
    np.testing.assert_array_equal(duplicates.picture({"picture": clouds}), clouds)


def test_only_the_gap_is_painted_over_and_in_the_mean_colour():
    clouds = np.zeros((4, 6, 3), np.uint8)
    clouds[:, :3] = [100, 50, 20]
    clouds[:2, :3] += 4
    clouds[0, 0] = [0, 0, 30]  # dark blue is no gap
    packed = clouds.copy()
    shown = duplicates.picture({"picture": packed})
    np.testing.assert_array_equal(shown[:, :3], clouds[:, :3])
    mean = clouds[:, :3].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(shown[:, 3:], np.broadcast_to(mean, (4, 3, 3)), atol=0.5)
    np.testing.assert_array_equal(packed, clouds)


def test_a_shared_gap_makes_no_look_alikes_and_hides_none():
    one, other = with_gap(faint_clouds(0)), with_gap(faint_clouds(1))
    assert likeness(one, other) >= 0.97
    shown = [duplicates.picture({"picture": gapped}) for gapped in (one, other)]
    assert likeness(*shown) < 0.5
    again = with_gap(faint_clouds(0) + 10)
    assert likeness(shown[0], duplicates.picture({"picture": again})) >= 0.97


def test_a_picture_of_nothing_but_gap_stays_flat():
    black = np.zeros((32, 48, 3), np.uint8)
    assert describe(duplicates.picture({"picture": black})) is None


def test_exact_overlaps_are_refused_with_the_way_out():
    with pytest.raises(RecipeError, match=r"JPEGs.*groups\.overlap\.enabled to false"):
        duplicates.lattice({"picture": faint_clouds(0)})


def test_footprints_are_refused_with_the_way_out():
    catalogue = pl.DataFrame({"id": ["a"], "split": ["train"]})
    with pytest.raises(RecipeError, match=r"place and time: set groups\.footprint\."):
        duplicates.footprints(catalogue)
