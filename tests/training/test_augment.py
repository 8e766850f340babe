"""Moves against NumPy's own, and what a rotation brings in from outside."""

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage

from tenfold.training.augment import draw_move, move


def numpy_move(plane, left_right, up_down, turns):
    if left_right:
        plane = plane[..., :, ::-1]
    if up_down:
        plane = plane[..., ::-1, :]
    return np.rot90(plane, turns, (-2, -1))


def planes(channels=2, size=9, seed=0):
    values = np.random.default_rng(seed).random((channels, size, size))
    return values.astype(np.float32)


def moved(plane, row, interpolate=True):
    batch = torch.from_numpy(np.ascontiguousarray(plane))[None]
    return move(batch, torch.tensor([row], dtype=torch.float32), interpolate)[0].numpy()


RIGHT_ANGLES = list(itertools.product([0, 1], [0, 1], [0, 1, 2, 3]))


@pytest.mark.parametrize("interpolate", [True, False])
@pytest.mark.parametrize("row", RIGHT_ANGLES)
def test_right_angle_moves_are_numpys_bit_by_bit(row, interpolate):
    plane = planes()
    expected = numpy_move(plane, *row)
    np.testing.assert_array_equal(moved(plane, [*row, 0.0], interpolate), expected)


def test_a_batch_moves_each_sample_by_its_own_row():
    batch = np.stack([planes(seed=n) for n in range(len(RIGHT_ANGLES))])
    rows = torch.tensor([[*row, 0.0] for row in RIGHT_ANGLES])
    result = move(torch.from_numpy(batch), rows.float(), interpolate=True)
    for number, row in enumerate(RIGHT_ANGLES):
        expected = numpy_move(batch[number], *row)
        np.testing.assert_array_equal(result[number].numpy(), expected)


def test_flips_work_on_planes_that_are_not_square():
    plane = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    np.testing.assert_array_equal(moved(plane, [1, 0, 0, 0]), plane[:, :, ::-1])
    np.testing.assert_array_equal(moved(plane, [0, 1, 0, 0]), plane[:, ::-1])


def test_samples_that_do_not_rotate_stay_exact_beside_one_that_does():
    batch = torch.from_numpy(np.stack([planes(seed=1), planes(seed=2)]))
    rows = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 33.0]])
    result = move(batch, rows, interpolate=True)
    np.testing.assert_array_equal(result[0], numpy_move(batch[0].numpy(), 1, 0, 1))
    assert not torch.equal(result[1], batch[1])


@pytest.mark.parametrize("interpolate", [True, False])
@pytest.mark.parametrize(("degrees", "turns"), [(90.0, 1), (180.0, 2), (-90.0, 3)])
def test_a_rotation_by_a_right_angle_is_quarter_turns(degrees, turns, interpolate):
    plane = planes(size=8)
    result = moved(plane, [0, 0, 0, degrees], interpolate)
    np.testing.assert_allclose(result, np.rot90(plane, turns, (1, 2)), atol=1e-5)


def test_a_rotation_by_an_angle_agrees_with_scipy():
    rows, columns = np.mgrid[:33, :33]
    plane = np.exp(-((rows - 10) ** 2 + (columns - 19) ** 2) / 40.0)
    plane = plane[None].astype(np.float32)
    expected = ndimage.rotate(plane[0], 25.0, order=1, reshape=False)
    result = moved(plane, [0, 0, 0, 25.0])[0]
    inside = np.hypot(rows - 16, columns - 16) < 15
    np.testing.assert_allclose(result[inside], expected[inside], atol=2e-3)


def test_flips_and_turns_come_before_the_rotation():
    plane = planes(size=8)
    result = moved(plane, [1, 0, 1, 90.0])
    expected = np.rot90(numpy_move(plane, 1, 0, 1), 1, (1, 2))
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("interpolate", [True, False])
def test_what_comes_in_from_outside_is_zero(interpolate):
    valid = np.ones((1, 20, 20), np.float32)
    result = moved(valid, [0, 0, 0, 45.0], interpolate)[0]
    rows, columns = np.mgrid[:20, :20] - 9.5
    # A pixel looks outside where its turned centre leaves the square.
    outside = np.abs(rows) + np.abs(columns) > (10.5 + 0.2) * np.sqrt(2)
    inside = np.abs(rows) + np.abs(columns) < (9.5 - 0.2) * np.sqrt(2)
    corners = result[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert outside[0, 0]
    assert not corners.any()
    assert not result[outside].any()
    np.testing.assert_allclose(result[inside], 1.0, atol=1e-5)


@pytest.mark.parametrize("degrees", [3.0, 17.5, 45.0, -80.0, 179.0])
def test_masks_stay_0_and_1_under_every_angle(degrees):
    mask = (planes(size=16) > 0.5).astype(np.float32)
    result = moved(mask, [1, 1, 3, degrees], interpolate=False)
    assert set(np.unique(result)) == {0.0, 1.0}


def test_images_are_interpolated_and_masks_are_not():
    step = np.zeros((1, 16, 16), np.float32)
    step[:, :, 8:] = 1
    soft = moved(step, [0, 0, 0, 20.0], interpolate=True)
    hard = moved(step, [0, 0, 0, 20.0], interpolate=False)
    between = (soft > 0.05) & (soft < 0.95)
    assert between.sum() > 5
    assert not ((hard > 0.05) & (hard < 0.95)).any()


@pytest.mark.parametrize("degrees", [-60.0, -20.0, 0.0, 20.0, 60.0])
@pytest.mark.parametrize("row", [(0, 0, 0), (1, 0, 1), (0, 1, 3), (1, 1, 2)])
def test_image_and_mask_move_alike(row, degrees):
    """A disc in the image and its mask stay on one another."""
    rows, columns = np.mgrid[:41, :41]
    disc = (np.hypot(rows - 12, columns - 24) < 6).astype(np.float32)[None]
    image = moved(disc, [*row, degrees], interpolate=True)
    mask = moved(disc, [*row, degrees], interpolate=False)
    disagree = (image > 0.5) != (mask > 0.5)
    assert mask.sum() > 80
    assert disagree.sum() <= 0.1 * mask.sum()
    for axis in (1, 2):
        place = np.arange(41).reshape([41 if a == axis else 1 for a in range(3)])
        of_image = (image * place).sum() / image.sum()
        of_mask = (mask * place).sum() / mask.sum()
        assert of_image == pytest.approx(of_mask, abs=0.3)


def draws(count=4000, **options):
    chosen = {"flips": True, "quarter_turns": True, "degrees": 30.0}
    chosen |= {"rotate_share": 0.5} | options
    return np.stack(
        [draw_move(np.random.default_rng([9, n]), **chosen) for n in range(count)]
    )


def test_moves_have_the_asked_ranges_and_chances():
    moves = draws()
    assert moves.dtype == np.float32
    assert moves.shape == (4000, 4)
    for column in (0, 1):
        assert set(moves[:, column]) == {0.0, 1.0}
        assert moves[:, column].mean() == pytest.approx(0.5, abs=0.05)
    assert set(moves[:, 2]) == {0.0, 1.0, 2.0, 3.0}
    counts = np.bincount(moves[:, 2].astype(int))
    assert ((counts - 1000) ** 2 / 1000).sum() < 30
    angles = moves[:, 3]
    rotated = angles[angles != 0]
    assert len(rotated) / 4000 == pytest.approx(0.5, abs=0.05)
    assert np.abs(rotated).max() <= 30
    assert rotated.min() < -28
    assert rotated.max() > 28
    assert rotated.mean() == pytest.approx(0, abs=2)


def test_the_four_moves_are_independent():
    moves = draws()
    numbers = np.column_stack([moves[:, :3], moves[:, 3] != 0])
    correlation = np.corrcoef(numbers.T) - np.eye(4)
    assert np.abs(correlation).max() < 0.08


def test_chances_of_0_and_1():
    assert not draws(300, rotate_share=0.0)[:, 3].any()
    assert draws(300, rotate_share=1.0)[:, 3].all()
    assert not draws(300, degrees=0.0, rotate_share=1.0)[:, 3].any()
    assert not draws(300, flips=False)[:, :2].any()
    assert not draws(300, quarter_turns=False)[:, 2].any()
    still = draws(300, flips=False, quarter_turns=False, degrees=0.0)
    assert not still.any()


@pytest.mark.parametrize(
    ("option", "kept"),
    [
        ({"flips": False}, [2, 3]),
        ({"quarter_turns": False}, [0, 1, 3]),
        ({"degrees": 0.0}, [0, 1, 2]),
        ({"rotate_share": 0.0}, [0, 1, 2]),
    ],
)
def test_an_option_does_not_shift_what_the_others_draw(option, kept):
    np.testing.assert_array_equal(draws(200)[:, kept], draws(200, **option)[:, kept])
