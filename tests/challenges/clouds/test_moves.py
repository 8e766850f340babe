"""Moves against array flips, geometry, and look-ups pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform, map_coordinates

from tenfold.challenges.clouds.moves import draw_moves, move, stretched
from tenfold.challenges.clouds.options import CloudsAugment

STEPS = 5
NOTHING = {
    "horizontal": False,
    "vertical": False,
    "turn_share": 0.0,
    "distort_share": 0.0,
}


def row(flips=(0, 0), scale=1.0, degrees=0.0, columns=1.0, rows=1.0):
    """A move in words."""
    stretches = [np.broadcast_to(s, STEPS) for s in (columns, rows)]
    return np.concatenate([[*flips, scale, degrees], *stretches]).astype(np.float32)


def moved(planes, *rows, interpolate=True):
    return move(
        torch.from_numpy(np.asarray(planes, np.float32)),
        torch.from_numpy(np.stack(rows)),
        interpolate,
    ).numpy()


def noise(height=33, width=47, channels=3, count=1, seed=0):
    rng = np.random.default_rng(seed)
    shape = (count, channels, height, width)
    return rng.integers(1, 256, shape).astype(np.float32)


# Exact moves.


@pytest.mark.parametrize("interpolate", [True, False])
@pytest.mark.parametrize("height", [33, 64])
def test_a_move_that_says_nothing_changes_no_bit(interpolate, height):
    planes = noise(height, 96)
    found = moved(planes, row(), interpolate=interpolate)
    np.testing.assert_array_equal(found, planes)


@pytest.mark.parametrize("interpolate", [True, False])
@pytest.mark.parametrize("flips", [(1, 0), (0, 1), (1, 1)])
def test_flips_are_flips_of_the_array(flips, interpolate):
    planes = noise()
    expected = planes[..., ::-1] if flips[0] else planes
    expected = expected[..., ::-1, :] if flips[1] else expected
    found = moved(planes, row(flips), interpolate=interpolate)
    np.testing.assert_array_equal(found, expected)


def test_samples_of_a_batch_move_each_by_its_own():
    planes = noise(count=4)
    rows = [row(), row((1, 0)), row(degrees=20, scale=1.1), row(columns=0.8)]
    together = moved(planes, *rows)
    for i, own in enumerate(rows):
        alone = moved(planes[i : i + 1], own)
        np.testing.assert_allclose(together[i], alone[0], atol=1e-4)


# Scale and rotation.


@pytest.mark.parametrize("shape", [(33, 47), (32, 48)])
def test_half_a_turn_is_both_flips(shape):
    planes = noise(*shape)
    both = planes[..., ::-1, ::-1]
    np.testing.assert_allclose(moved(planes, row(degrees=180)), both, atol=0.05)
    found = moved(planes, row(degrees=180), interpolate=False)
    np.testing.assert_array_equal(found, both)


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (-90, -1)])
def test_a_quarter_turn_of_a_square_is_against_the_clock(degrees, turns):
    planes = noise(33, 33)
    found = moved(planes, row(degrees=degrees), interpolate=False)
    np.testing.assert_array_equal(found, np.rot90(planes, turns, (-2, -1)))


@pytest.mark.parametrize(("scale", "side"), [(0.5, 10), (2.0, 40), (1.2, 24)])
def test_a_box_grows_by_the_scale_about_the_centre(scale, side):
    """Areas of a nearest look-up are exact to the pixels on the border."""
    mask = np.zeros((1, 1, 81, 121))
    mask[..., 30:50, 50:70] = 1  # 20 px a side
    found = moved(mask, row(scale=scale), interpolate=False)
    assert set(np.unique(found)) <= {0, 1}
    rows, columns = (np.flatnonzero(found[0, 0].any(axis=axis)) for axis in (1, 0))
    assert abs(len(rows) - side) <= 1
    assert abs(len(columns) - side) <= 1
    # The box lay half a pixel off the centre (40, 60), so half a pixel × scale.
    assert abs(rows.mean() - (40 - 0.5 * scale)) <= 0.5
    assert abs(columns.mean() - (60 - 0.5 * scale)) <= 0.5


def by_scipy(plane, scale, degrees, order):
    """The same look-up by SciPy: rows and columns about the centre, outside 0."""
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    matrix = np.array([[cosine, sine], [-sine, cosine]])
    centre = (np.array(plane.shape) - 1) / 2
    return affine_transform(
        plane.astype(np.float64),
        matrix,
        centre - matrix @ centre,
        order=order,
        mode="grid-constant",
        cval=0.0,
    )


@pytest.mark.parametrize(("scale", "degrees"), [(0.8, 30), (1.2, -17), (1.0, 5)])
def test_a_rotation_keeps_angles_on_any_shape_and_is_black_outside(scale, degrees):
    planes = noise(40, 90, channels=1)
    found = moved(planes, row(scale=scale, degrees=degrees))[0, 0]
    expected = by_scipy(planes[0, 0], scale, degrees, order=1)
    np.testing.assert_allclose(found, expected, atol=0.05)
    if scale < 1:
        assert (found[0, :3] == 0).all()


# Distortion.


def walked(stretches, length):
    """Where pixels come from, one step after the other."""
    cell, place, places = length / len(stretches), 0.0, [0.0]
    fine = 500
    for pixel in range(length - 1):
        for part in range(fine):
            here = pixel + (part + 0.5) / fine
            place += float(stretches[int(here / cell)]) / fine
        places.append(place)
    return np.array(places)


@pytest.mark.parametrize("length", [33, 96])
def test_a_pixels_way_is_as_long_as_its_cells_stretch(length):
    stretches = np.array([0.7, 1.3, 1.0, 1.25, 0.8], np.float32)
    found = stretched(torch.from_numpy(stretches)[None], length)[0].numpy()
    np.testing.assert_allclose(found, walked(stretches, length), atol=2e-3)


@settings(deadline=None)
@given(
    st.lists(st.floats(0.7, 1.3), min_size=1, max_size=7),
    st.integers(32, 200),
)
def test_a_distorted_axis_never_turns_back_and_covers_what_it_passes(stretches, length):
    found = stretched(torch.tensor([stretches]), length)[0].double().numpy()
    assert found[0] == 0
    ways = np.diff(found)
    # Never a pixel left out, nor two that come from one place.
    assert ways.min() >= min(stretches) - 1e-3
    assert ways.max() <= max(stretches) + 1e-3
    # At the end it has passed all cells, but the last pixel's way.
    end = np.mean(stretches) * length - stretches[-1]
    assert found[-1] == pytest.approx(end, abs=1e-2)


def test_stretches_of_one_are_the_pixels_themselves():
    found = stretched(torch.ones(2, STEPS), 576)
    pixels = torch.arange(576.0).expand(2, -1)
    torch.testing.assert_close(found, pixels, atol=1e-3, rtol=0)


def test_what_is_beyond_the_edge_is_mirrored_there():
    """Twice as far in every column: 0 2 4 … 46, then back 44 42 …"""
    planes = noise(32, 47)
    found = moved(planes, row(columns=1.9999999), interpolate=False)
    places = [2 * x if 2 * x <= 46 else 92 - 2 * x for x in range(47)]
    np.testing.assert_array_equal(found, planes[..., places])


def test_rows_and_columns_are_not_mixed_up():
    planes = noise(32, 48)
    found = moved(planes, row(rows=1.9999999), interpolate=False)
    places = [2 * y if 2 * y <= 31 else 62 - 2 * y for y in range(32)]
    np.testing.assert_array_equal(found, planes[..., places, :])


def test_a_distortion_brings_in_nothing_black():
    planes = noise(48, 64)
    for seed in range(5):
        stretches = np.random.default_rng(seed).uniform(0.7, 1.3, (2, STEPS))
        found = moved(planes, row(columns=stretches[0], rows=stretches[1]))
        assert found.min() >= 0.99


# One after the other.


def test_a_distortion_mirrors_the_rotated_picture_black_corners_and_all():
    """In two steps by SciPy, where the ways are whole pixels, so nothing is blurred."""
    planes = noise(40, 60, channels=1)
    turned = by_scipy(planes[0, 0, :, ::-1], 0.8, 25, order=1)
    stretches = np.array([1.0, 2, 1, 1, 1])
    found = moved(
        planes, row((1, 0), scale=0.8, degrees=25, columns=stretches, rows=1.0)
    )
    x = np.concatenate([np.arange(12), 12 + 2 * np.arange(12), np.arange(36, 72)])
    x = np.where(x > 59, 118 - x, x).astype(float)
    places = np.meshgrid(np.arange(40.0), x, indexing="ij")
    expected = map_coordinates(turned, places, order=1)
    np.testing.assert_allclose(found[0, 0], expected, atol=0.05)
    # A black corner was mirrored into the picture.
    assert (found[0, 0, 0, -1] == 0) == (expected[0, -1] == 0)


@pytest.mark.parametrize("seed", range(4))
def test_pictures_and_masks_move_alike(seed):
    """A ramp says where a pixel came from, and so what its mask is."""
    draw = draw_moves(
        np.random.default_rng(seed), CloudsAugment(turn_share=1, distort_share=1)
    )
    y, x = np.mgrid[:64, :96]
    ramp = 1000.0 + 37 * y + 23 * x
    cut = 1000 + 37 * 32 + 23 * 40.5
    picture = moved(ramp[None, None], draw)[0, 0]
    mask = moved((ramp > cut)[None, None], draw, interpolate=False)[0, 0]
    assert set(np.unique(mask)) == {0, 1}
    # A mask is of the nearest pixel: half a pixel away each way at most. A picture is
    # mixed with black within a pixel of the border.
    inside = moved(np.ones((1, 1, 64, 96)), draw)[0, 0] == 1
    sure = inside & (np.abs(picture - cut) > 0.5 * (37 + 23) + 1)
    # A plane bends where the edge mirrors it, by less than a pixel.
    assert sure.mean() > 0.5
    wrong = (mask == 1) != (picture > cut)
    assert wrong[sure].mean() < 0.002
    assert (mask != (ramp > cut))[sure].mean() > 0.03


def test_bits_of_classes_stay_bits():
    bits = np.random.default_rng(0).integers(0, 16, (1, 1, 64, 96))
    draw = row((1, 0), 1.1, 13, columns=[0.8, 1.2, 1, 0.9, 1.1])
    found = moved(bits, draw, interpolate=False)[0, 0].astype(np.uint8)
    for place in range(4):
        plane = (bits >> place) & 1
        alone = moved(plane, draw, interpolate=False)[0, 0]
        np.testing.assert_array_equal((found >> place) & 1, alone)


# Draws.


def drawn(count=4000, seed=0, **options):
    rng = np.random.default_rng(seed)
    augment = CloudsAugment(**options)
    return np.stack([draw_moves(rng, augment) for _ in range(count)])


def test_draws_have_the_published_ranges_and_shares():
    rows = drawn()
    assert rows.shape == (4000, 14)
    assert rows.dtype == np.float32
    for column in (0, 1):
        assert set(rows[:, column]) == {0, 1}
        assert abs(rows[:, column].mean() - 0.5) < 0.04
    turned = rows[:, 3] != 0
    # Scale and rotation come together.
    np.testing.assert_array_equal(turned, rows[:, 2] != 1)
    assert abs(turned.mean() - 0.5) < 0.04
    scale, degrees = rows[turned, 2], rows[turned, 3]
    assert 0.8 <= scale.min() < 0.81
    assert 1.19 < scale.max() <= 1.2
    assert -30 <= degrees.min() < -29
    assert 29 < degrees.max() <= 30
    assert abs(np.corrcoef(scale, degrees)[0, 1]) < 0.1
    distorted = (rows[:, 4:] != 1).any(axis=1)
    assert abs(distorted.mean() - 0.5) < 0.04
    assert (rows[~distorted, 4:] == 1).all()
    stretches = rows[distorted, 4:]
    assert 0.7 <= stretches.min() < 0.71
    assert 1.29 < stretches.max() <= 1.3
    # Every cell has its own, and its moments are those of U(0.7, 1.3).
    assert np.abs(stretches.mean(axis=0) - 1).max() < 0.02
    correlation = np.corrcoef(stretches.T) - np.eye(10)
    assert np.abs(correlation).max() < 0.12


def test_flips_turns_and_distortions_are_independent():
    rows = drawn()
    events = np.stack([rows[:, 0], rows[:, 1], rows[:, 3] != 0, rows[:, 4] != 1])
    assert np.abs(np.corrcoef(events) - np.eye(4)).max() < 0.06


@pytest.mark.parametrize(
    ("changed", "columns"),
    [
        ({"horizontal": False}, [0]),
        ({"vertical": False}, [1]),
        ({"turn_share": 0.0}, [2, 3]),
        ({"scale": 0.0}, [2]),
        ({"rotate_degrees": 0.0}, [3]),
        ({"distort_share": 0.0}, range(4, 14)),
        ({"distort": 0.0}, range(4, 14)),
    ],
)
def test_an_option_does_not_shift_anothers_numbers(changed, columns):
    before, after = drawn(200), drawn(200, **changed)
    same = [c for c in range(14) if c not in columns]
    np.testing.assert_array_equal(before[:, same], after[:, same])
    neutral = row()[list(columns)]
    assert (after[:, list(columns)] == neutral).all()


def test_without_options_nothing_is_moved():
    rows = drawn(20, **NOTHING)
    assert (rows == row()).all()


def test_a_grid_may_have_more_cells():
    draw = draw_moves(
        np.random.default_rng(0), CloudsAugment(distort_steps=8, distort_share=1)
    )
    assert draw.shape == (4 + 16,)
    planes = noise(32, 64)
    assert moved(planes, draw).shape == planes.shape


def test_autocast_does_not_touch_where_pixels_come_from():
    planes = torch.from_numpy(noise(64, 96))
    rows = torch.from_numpy(np.stack([row(scale=1.1, degrees=7, columns=0.9)]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = move(planes, rows, interpolate=True)
    assert found.dtype == torch.float32
    assert torch.equal(found, move(planes, rows, interpolate=True))
