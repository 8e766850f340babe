"""Labels move as frames do, and lie where they should under them."""

import numpy as np
import pytest

from tenfold.challenges.contrails.moves import LABEL_SHIFT, draw, move, on_label_grid
from tenfold.challenges.contrails.options import ContrailsAugment

LEVELS = ("light", "full", "published-light", "published-full")


def drawn(level, side, seed):
    augment = ContrailsAugment(level=level)
    return draw(augment, side, np.random.default_rng(seed))[None]


def shifted(label, moves=None):
    """A label (H, W) where it lies under the frames, moved."""
    nothing = np.array([[1, 0, 0, 0, 1, 0]], np.float32)
    planes = np.asarray(label, np.uint8)[None, None, ..., None]
    moves = nothing if moves is None else moves
    return move(planes, moves, True, LABEL_SHIFT).numpy()[0, 0, ..., 0]


def blob(rows, columns, at, size=6.0):
    return np.exp(-((rows - at[0]) ** 2 + (columns - at[1]) ** 2) / (2 * size**2))


def centre(plane):
    rows, columns = np.indices(plane.shape)
    return np.array([(plane * rows).sum(), (plane * columns).sum()]) / plane.sum()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", LEVELS)
def test_a_marker_in_all_frames_and_the_label_stays_aligned(level, seed):
    side = 96
    rows, columns = np.indices((side, side))
    marker = blob(rows, columns, (40, 54), 5) > 0.5
    frames = np.tile(marker[None, None, ..., None], (1, 3, 1, 1, 2)).astype(np.uint8)
    moves = drawn(level, side, seed)
    image = move(frames * np.uint8(255), moves, True).numpy()[0] / 255
    label = move(frames[:, :1, ..., :1], moves, False).numpy()[0, 0, ..., 0]
    assert label.dtype == np.uint8
    assert set(np.unique(label)) == {0, 1}
    for frame in image:
        for channel in range(2):
            seen = frame[..., channel]
            sure = np.abs(seen - 0.5) > 0.499
            np.testing.assert_array_equal(seen[sure] > 0.5, label[sure] == 1)
            # A nearest pixel may be up to half a pixel away.
            assert np.abs(centre(seen) - centre(label)).max() < 0.4


# Half a pixel.


@pytest.mark.parametrize("level", ["light", "full"])
@pytest.mark.parametrize("seed", range(4))
def test_a_label_that_lies_off_its_frame_lies_as_far_off_the_moved_one(level, seed):
    side, at = 96, np.array([40.0, 54.0])
    rows, columns = np.indices((side, side))
    frame, label = blob(rows, columns, at), blob(rows, columns, at + LABEL_SHIFT)
    moves = drawn(level, side, seed)
    seen, found = (
        move(np.float32(plane)[None, None, ..., None], looks, True).numpy()[
            0, 0, ..., 0
        ]
        for plane, looks in ((frame, moves), (label, on_label_grid(moves)))
    )
    np.testing.assert_allclose(centre(found), centre(seen) + LABEL_SHIFT, atol=0.02)


def test_a_shifted_label_is_the_mean_of_four_pixels():
    label = np.random.default_rng(0).integers(0, 2, (9, 9))
    wide = np.pad(label, ((0, 1), (0, 1)), mode="edge").astype(float)
    expected = (wide[:-1, :-1] + wide[1:, :-1] + wide[:-1, 1:] + wide[1:, 1:]) / 4
    np.testing.assert_array_equal(shifted(label), expected)


def test_a_step_edge_moves_by_half_a_pixel():
    label = np.zeros((8, 8), np.uint8)
    label[:, 3:] = 1
    expected = [0, 0, 0.5, 1, 1, 1, 1, 1]
    np.testing.assert_array_equal(shifted(label), np.tile(expected, (8, 1)))
    np.testing.assert_array_equal(shifted(label.T), np.tile(expected, (8, 1)).T)


@pytest.mark.parametrize("seed", range(8))
def test_right_angle_moves_commute_with_the_shift(seed):
    """Labels that lie half a pixel off still lie under mirrored and turned frames."""
    label = np.random.default_rng(1).integers(0, 2, (33, 33))
    moves = drawn("light", 33, seed)
    planes = shifted(label)[None, None, ..., None]
    expected = move(planes, moves, False).numpy()[0, 0, ..., 0]
    np.testing.assert_array_equal(shifted(label, moves), expected)


def test_a_plain_mirror_leaves_labels_a_pixel_off_and_the_shift_does_not():
    """A contrail in the frame, and its label half a pixel down and to the right."""
    rows, columns = np.indices((64, 64)).astype(float)
    at = np.array([30.0, 24.0])
    image = (255 * blob(rows, columns, at)).astype(np.uint8)
    label = blob(rows, columns, at + 0.5) > 0.5
    mirror = np.array([[-1, 0, 63, 0, 1, 0]], np.float32)
    frames = move(image[None, None, ..., None], mirror, True).numpy()[0, 0, ..., 0]
    plain = np.fliplr(label)
    along_columns = centre(plain)[1] - centre(frames)[1]
    assert along_columns == pytest.approx(-0.5, abs=0.1)
    target = shifted(label, mirror)
    np.testing.assert_allclose(centre(target), centre(frames), atol=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_the_shift_is_part_of_one_look_up_also_where_the_frame_is_mirrored(seed):
    """A smooth label is little changed by a second interpolation, so two do, too."""
    side = 64
    rows, columns = np.indices((side, side))
    label = 250 * blob(rows, columns, (20, 60), 12)
    moves = drawn("full", side, seed)
    planes = label.astype(np.float32)[None, None, ..., None]
    once = move(planes, moves, True, LABEL_SHIFT).numpy()
    nothing = np.array([[1, 0, 0, 0, 1, 0]], np.float32)
    twice = move(move(planes, nothing, True, LABEL_SHIFT), moves, True).numpy()
    # Only where a mirrored edge makes a bend is the second one seen.
    assert np.quantile(np.abs(once - twice), 0.99) < 1
    assert np.abs(once - twice).max() < 4
    # Half a pixel of its slope is more than that.
    assert np.abs(once - move(planes, moves, True).numpy()).max() > 6


def test_the_border_goes_on_in_its_last_pixel():
    label = np.zeros((6, 6), np.uint8)
    label[:, -1] = 1
    expected = [0, 0, 0, 0, 0.5, 1]
    np.testing.assert_array_equal(shifted(label), np.tile(expected, (6, 1)))
