"""Fields that drift and lines that grow: against closed forms."""

import numpy as np
import pytest

from tenfold.challenges.contrails.fields import Camera, Texture, draw_field
from tenfold.challenges.contrails.trails import Trail, add_depth, mark

FIRST = Camera(48, (0.0, 0.0), tuple(range(8)))
LINE = Trail(
    row=20.0,
    col=24.0,
    heading=0.0,
    length=30.0,
    bend=0.0,
    width=0.8,
    depth=0.1,
    born=0.0,
    wind=(0.0, 0.0),
)


def changed(trail=LINE, **values):
    return Trail(**(vars(trail) | values))


def depth_of(trail, camera=FIRST):
    depth = np.zeros((8, camera.side, camera.side), np.float32)
    add_depth(depth, trail, camera)
    return depth


def field(texture=None, wind=(0.0, 0.0)):
    drawn = texture or Texture(40.0, 3.0)
    return draw_field(np.random.default_rng(1), 128, drawn, wind, still=4.0)


def test_fields_have_mean_0_and_deviation_1():
    rng = np.random.default_rng(0)
    camera = Camera(192, (0.0, 0.0), (4,))
    whole = [
        draw_field(rng, 128, Texture(20.0, 2.5)).seen(camera)[0] for _ in range(12)
    ]
    # With its border a field is a whole period, whose mean is 0.
    assert np.mean(whole) == pytest.approx(0, abs=1e-4)
    assert np.std(whole) == pytest.approx(1, abs=0.05)


def test_a_camera_that_looks_further_sees_the_same_there():
    drawn = field()
    here = drawn.once(Camera(128, (0.0, 0.0), (4,)))
    there = drawn.once(Camera(128, (5.0, -7.0), (4,)))
    np.testing.assert_allclose(there[:-5, 7:], here[5:, :-7], atol=1e-4)


def test_fields_drift_with_the_wind_and_change_slowly():
    drawn = field(wind=(3.0, -2.0))
    frames = drawn.seen(Camera(128, (0.0, 0.0), (4, 5, 6)))
    for later in (1, 2):
        rows, cols = 3 * later, 2 * later
        moved, stayed = frames[later][rows:, :-cols], frames[0][:-rows, cols:]
        alike = np.corrcoef(moved.ravel(), stayed.ravel())[0, 1]
        assert 0.98 < alike < 1
    assert np.corrcoef(frames[0].ravel(), frames[2].ravel())[0, 1] < 0.98


def test_stretched_fields_are_smoother_along_their_heading():
    for heading, along, across in ((0.0, 1, 0), (np.pi / 2, 0, 1)):
        drawn = field(Texture(40.0, 3.0, stretch=6.0, heading=heading))
        frame = drawn.once(Camera(128, (0.0, 0.0), (4,)))
        rough = [np.abs(np.diff(frame, axis=axis)).mean() for axis in (0, 1)]
        assert rough[along] < 0.6 * rough[across]


@pytest.mark.parametrize(("corner", "centre"), [(0.0, 20.0), (0.5, 20.5)])
def test_masks_lie_around_the_line_or_half_a_pixel_below(corner, centre):
    mask = mark(LINE, FIRST, corner)
    rows = np.flatnonzero(mask.any(axis=1))
    assert rows.mean() == centre
    # 1.5 deviations of what 24 % of ageing and the imager's blur make of 0.8 px.
    half = 1.5 * np.hypot(0.8 * 1.24, 0.55)
    assert len(rows) == len([r for r in range(48) if abs(r - centre) <= half])
    cols = np.flatnonzero(mask.any(axis=0))
    assert cols.mean() == 24 + corner
    assert cols[-1] - cols[0] + 1 == pytest.approx(30, abs=1)


def test_corners_shift_masks_by_half_a_pixel_in_both_directions():
    slanted = changed(heading=0.7, bend=2.0)
    moved = changed(slanted, row=20.5, col=24.5)
    np.testing.assert_array_equal(mark(slanted, FIRST, 0.5), mark(moved, FIRST, 0.0))


def test_a_line_is_deepest_in_its_middle_and_falls_off_as_a_gaussian():
    frame = depth_of(LINE)[4]
    sigma = np.hypot(0.8 * 1.24, 0.55)
    for col in (15, 24, 33):
        profile = frame[:, col]
        assert profile.argmax() == 20
        for away in (1, 2, 3):
            expected = profile[20] * np.exp(-0.5 * (away / sigma) ** 2)
            assert profile[20 - away] == pytest.approx(expected, rel=1e-4)
            assert profile[20 + away] == pytest.approx(expected, rel=1e-4)
    assert frame[20, 24] == pytest.approx(0.1 * np.exp(-((4 / 14) ** 2)), rel=0.3)
    assert not frame[:, :5].any()


def test_a_line_is_not_there_before_it_was_flown_and_grows_at_once():
    depth = depth_of(changed(born=3.8))
    seen = [frame.max() > 0.01 for frame in depth]
    assert seen == [False] * 4 + [True] * 4
    # A fifth of 70 px: half of the line, from its begin on.
    young = np.flatnonzero(mark(changed(born=3.8), FIRST, 0.0).any(axis=0))
    assert (young[0], young[-1]) == (9, 23)
    assert not mark(changed(born=4.1), FIRST, 0.0).any()


def test_lines_drift_and_cameras_move():
    drifting = changed(wind=(2.0, -1.0))
    depth = depth_of(drifting)
    assert [frame.sum(axis=1).argmax() for frame in depth[1:]] == [
        *(14, 16, 18, 20, 22, 24, 26),
    ]
    later = Camera(48, (3.0, 5.0), tuple(range(2, 10)))
    moved = depth_of(drifting, later)
    np.testing.assert_allclose(moved[2, :-3, :-5], depth[4, 3:, 5:], atol=1e-6)


def test_bent_lines_have_their_middle_off_the_chord():
    frame = depth_of(changed(bend=6.0))[4]
    assert frame[:, 24].argmax() == 26
    # A parabola: a quarter of the way from the middle it has lost a sixteenth …
    assert frame[:, 12].argmax() == pytest.approx(20 + 6 * (1 - (12 / 15) ** 2), abs=1)


@pytest.mark.parametrize(("row", "col"), [(-30.0, 24.0), (24.0, 90.0)])
def test_a_line_outside_the_frame_is_not_seen(row, col):
    outside = changed(row=row, col=col)
    assert not depth_of(outside).any()
    assert not mark(outside, FIRST, 0.5).any()


def test_an_unsteady_hand_moves_cuts_and_widens():
    slanted = changed(heading=0.5)
    hand = slanted.moved(across=2.0, cut=(4.0, 0.0), wider=1.5, bend=1.0)
    assert (hand.length, hand.width, hand.bend) == (26.0, pytest.approx(1.2), 1.0)
    sine, cosine = np.sin(0.5), np.cos(0.5)
    # Two pixels to its side, and half of the cut on along it.
    assert hand.row == pytest.approx(20 + 2 * cosine + 2 * sine)
    assert hand.col == pytest.approx(24 - 2 * sine + 2 * cosine)
