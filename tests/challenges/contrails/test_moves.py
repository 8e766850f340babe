"""Moves against array flips, SciPy, TensorFlow's own crops, and closed forms."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform

from tenfold.challenges.contrails.moves import draw, move, stays
from tenfold.challenges.contrails.options import ContrailsAugment

LEVELS = ("light", "full", "published-light", "published-full")
IDENTITY = (1, 0, 0, 0, 1, 0)


def drawn(level, side=32, count=4000, seed=0, **options):
    rng = np.random.default_rng(seed)
    augment = ContrailsAugment(level=level, **options)
    return np.stack([draw(augment, side, rng) for _ in range(count)])


def noise(side=32, count=1, frames=2, channels=3, dtype=np.uint8):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, frames, side, side, channels)).astype(dtype)


def moved(planes, *moves, interpolate=True, shift=0.0):
    rows = np.array(moves, np.float32)
    return move(planes, rows, interpolate, shift).numpy()


def views(planes):
    """The eight right-angle views of rows and columns, by NumPy."""
    turned = [np.rot90(planes, k, (2, 3)) for k in range(4)]
    return turned + [np.flip(view, 3) for view in turned]


def light_moves(side):
    """One move of each right-angle view that the light level draws."""
    rows = {tuple(row) for row in drawn("light", side, 200)}
    return sorted(rows)


# Right-angle moves.


@pytest.mark.parametrize("interpolate", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
def test_light_moves_are_the_eight_views_to_the_bit(interpolate, dtype):
    planes = noise(side=33, dtype=dtype) / dtype(3)
    planes = planes.astype(dtype)
    found = [moved(planes, row, interpolate=interpolate) for row in light_moves(33)]
    assert {view.dtype for view in found} == {
        np.dtype(np.float32 if interpolate else dtype)
    }
    expected = {np.asarray(v, np.float32).tobytes() for v in views(planes)}
    assert len(found) == len(expected) == 8
    assert {v.astype(np.float32).tobytes() for v in found} == expected


def test_light_views_have_equal_odds():
    counts = np.unique(drawn("light"), axis=0, return_counts=True)[1]
    assert len(counts) == 8
    # Four standard deviations of 4000 draws at 1/8.
    assert np.abs(counts - 500).max() < 4 * np.sqrt(4000 / 8 * 7 / 8)


def test_a_move_that_says_nothing_changes_no_bit_and_is_known_to():
    planes = noise(count=2)
    moves = np.array([IDENTITY, light_moves(32)[0]], np.float32)
    assert stays(moves).numpy().tolist() == [True, False]
    np.testing.assert_array_equal(moved(planes, *moves)[0], planes[0])


def test_samples_of_a_batch_move_each_by_its_own():
    planes, rows = noise(count=3), drawn("full", count=3)
    together = moved(planes, *rows)
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(together[i], moved(planes[i : i + 1], row)[0])


# Moves that interpolate.


def by_scipy(plane, row, order, mode="reflect"):
    """The same look-up; SciPy counts rows first."""
    a, b, c, d, e, f = np.asarray(row, np.float64)
    values = plane.astype(np.float64)
    return affine_transform(values, [[e, d], [b, a]], (f, c), order=order, mode=mode)


@pytest.mark.parametrize("seed", range(4))
def test_a_full_move_is_an_affine_look_up_that_mirrors_at_the_edges(seed):
    (row,) = drawn("full", 48, count=1, seed=seed, rotate_degrees=90.0)
    planes = noise(side=48)
    found = moved(planes, row)
    for frame, channel in np.ndindex(2, 3):
        expected = by_scipy(planes[0, frame, ..., channel], row, order=1)
        np.testing.assert_allclose(found[0, frame, ..., channel], expected, atol=0.02)
    nearest = moved(planes, row, interpolate=False)[0, 0, ..., 0]
    expected = by_scipy(planes[0, 0, ..., 0], row, order=0)
    # A place between two pixels may be taken for either.
    assert (nearest != expected).mean() < 0.002


@settings(deadline=None, max_examples=20)
@given(
    shift=st.tuples(st.floats(-150, 150), st.floats(-150, 150)),
    interpolate=st.booleans(),
)
def test_however_far_a_move_looks_it_sees_the_frame(shift, interpolate):
    x, y = (np.float32(v) for v in shift)
    planes = noise(side=32)[..., :1]
    found = moved(planes, (1, 0, x, 0, 1, y), interpolate=interpolate)[0, 0, ..., 0]
    if interpolate:
        expected = by_scipy(planes[0, 0, ..., 0], (1, 0, x, 0, 1, y), order=1)
        np.testing.assert_allclose(found, expected, atol=0.02)
    else:
        assert set(found.ravel()) <= set(planes[0, 0].ravel())


def test_outside_is_mirrored_pixel_by_pixel():
    line = np.arange(4, dtype=np.uint8)[None, None, None, :, None]
    planes = np.repeat(line, 4, axis=2)
    left = moved(planes, (1, 0, -6, 0, 1, 0))[0, 0, 0, :, 0]
    right = moved(planes, (1, 0, 3, 0, 1, 0))[0, 0, 0, :, 0]
    assert left.tolist() == [2, 3, 3, 2]
    assert right.tolist() == [3, 3, 2, 1]


@pytest.mark.parametrize(("angle", "turns"), [(1.0, 1), (-1.0, -1)])
def test_a_quarter_turn_is_against_the_clock(angle, turns):
    planes, rng = noise(), Fixed(angle=angle)
    augment = ContrailsAugment(level="full", rotate_degrees=90)
    found = moved(planes, draw(augment, 32, rng))
    np.testing.assert_allclose(found, np.rot90(planes, turns, (2, 3)), atol=0.02)


class Fixed:
    """A generator whose numbers are told: no flips, no crop, and a spread."""

    def __init__(self, x=0.0, y=0.0, scale=0.0, angle=0.0, cuts=(0.0,) * 4):
        self.numbers = [(0.0, 0.9, 0.9, 0.9), np.array(cuts)]
        self.spread = np.array([x, y, scale, angle])

    def random(self, _):
        return self.numbers.pop(0)

    def uniform(self, *_):
        return self.spread


@pytest.mark.parametrize(
    ("numbers", "box"),
    [
        ({}, (12, 19, 8, 11)),
        ({"x": 1.0}, (12, 19, 16, 19)),
        ({"y": -0.5}, (8, 15, 8, 11)),
        # Twice as large about the centre, 15.5.
        ({"scale": 1.0}, (8.5, 22.5, 0.5, 6.5)),
    ],
)
def test_what_is_seen_shifts_and_grows_as_told(numbers, box):
    planes = np.zeros((1, 1, 32, 32, 1), np.uint8)
    planes[0, 0, 12:20, 8:12] = 1
    augment = ContrailsAugment(level="full", shift=0.25, scale=0.999999999)
    found = moved(planes, draw(augment, 32, Fixed(**numbers)), interpolate=False)
    rows, columns = np.nonzero(found[0, 0, ..., 0])
    edges = (rows.min(), rows.max(), columns.min(), columns.max())
    np.testing.assert_allclose(edges, box, atol=0.51)


def test_a_crop_cuts_off_each_side_its_own_share():
    cuts = (0.5, 1.0, 0.25, 0.0)  # of the most: top, left, bottom, right
    augment = ContrailsAugment(level="full", crop=0.4)
    a, b, c, d, e, f = draw(augment, 101, Fixed(cuts=cuts))
    assert (b, d) == (0, 0)
    first, last = np.array([c, f]), np.array([c + 100 * a, f + 100 * e])
    np.testing.assert_allclose(first, (40, 20), atol=1e-4)
    np.testing.assert_allclose(last, (100, 90), atol=1e-4)


# The published levels.


def published_by_tensorflow(planes, box, mirrored, turned, method):
    """Crop and resize, mirror, turn against the clock, one after the other."""
    cut = tf.image.crop_and_resize(
        planes[0].astype(np.float32), [box] * 2, [0, 1], planes.shape[2:4], method
    )
    cut = tf.image.flip_left_right(cut) if mirrored else cut
    return tf.image.rot90(cut, int(turned)).numpy()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("level", ["published-light", "published-full"])
def test_a_published_move_is_its_parts_in_the_published_order(level, seed):
    planes = noise(side=64)
    (row,) = drawn(level, 64, count=1, seed=seed)
    rng = np.random.default_rng(seed)
    _, mirrors, turns, _ = rng.random(4)
    top, left, bottom, right = rng.random(4) * (0.2 if level.endswith("full") else 0)
    box, chance = [top, left, 1 - bottom, 1 - right], 0.99 / 1.99
    parts = (box, mirrors < chance, turns < chance)
    found = moved(planes, row)[0]
    expected = published_by_tensorflow(planes, *parts, "bilinear")
    np.testing.assert_allclose(found, expected, atol=0.05)
    if level == "published-light":
        assert found.tobytes() == expected.tobytes()
    nearest = moved(planes, row, interpolate=False)[0]
    expected = published_by_tensorflow(planes, *parts, "nearest")
    assert (nearest != expected).mean() < 0.005


def test_published_light_has_four_views_with_the_published_odds():
    rows, counts = np.unique(drawn("published-light"), axis=0, return_counts=True)
    # Left-right and a turn: P(1) of an integer of U(0, 1.99) is 0.4975.
    p = 0.4975
    odds = {
        (1, 0, 0, 0, 1, 0): (1 - p) ** 2,
        (-1, 0, 31, 0, 1, 0): p * (1 - p),
        (0, -1, 31, 1, 0, 0): (1 - p) * p,
        # What a mirrored frame is, turned: its transposition.
        (0, 1, 0, 1, 0, 0): p * p,
    }
    assert {tuple(row) for row in rows} == set(odds)
    expected = np.array([odds[tuple(row)] for row in rows]) * 4000
    assert np.abs(counts - expected).max() < 4 * np.sqrt(4000 * 0.1875)


def test_published_crops_have_the_published_ranges():
    rows = drawn("published-full", 101)
    # Where the corners of a frame come from, in shares of it.
    corners = [
        rows @ np.kron(np.eye(2), [[x], [y], [1]]) for x in (0, 100) for y in (0, 100)
    ]
    low, high = np.min(corners, axis=0) / 100, np.max(corners, axis=0) / 100
    for values, floor in ((low, 0.0), (high, 0.8)):
        assert floor - 1e-6 <= values.min() < floor + 0.002
        assert floor + 0.198 < values.max() <= floor + 0.2 + 1e-6
        np.testing.assert_allclose(values.mean(axis=0), floor + 0.1, atol=0.005)
        assert abs(np.corrcoef(values.T)[0, 1]) < 0.06
    assert abs(np.corrcoef(low[:, 0], high[:, 0])[0, 1]) < 0.06


# Shares and independence.


@pytest.mark.parametrize("level", LEVELS)
def test_a_share_of_samples_stays(level):
    rows = drawn(level, share=0.3)
    stay = (rows == IDENTITY).all(axis=1)
    by_chance = {"light": 1 / 8, "published-light": 0.5025**2}.get(level, 0)
    assert abs(stay.mean() - (0.7 + 0.3 * by_chance)) < 0.03
    np.testing.assert_array_equal(rows[~stay], drawn(level)[~stay])


def test_no_level_moves_nothing():
    assert (drawn("none", count=20) == IDENTITY).all()


@pytest.mark.parametrize("option", ["crop", "shift", "scale", "rotate_degrees"])
def test_full_draws_are_the_same_whatever_else_is_asked(option):
    """Without its part, what is left of a move is what it was."""
    off = dict.fromkeys(("crop", "shift", "scale", "rotate_degrees"), 0)
    alone = drawn("full", count=50, **off)
    np.testing.assert_array_equal(alone, drawn("light", count=50))
    one = drawn("full", count=50, **{**off, option: 0.3})
    assert (one != alone).any(axis=1).all()


def test_equal_seeds_draw_equal_moves_in_float32():
    rows = drawn("full", count=5)
    assert rows.shape == (5, 6)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, drawn("full", count=5))
    assert (rows != drawn("full", count=5, seed=1)).any()
