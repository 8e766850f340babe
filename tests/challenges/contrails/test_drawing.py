"""Pictures of a record: what is drawn, where, and in which colour."""

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from tenfold.challenges.contrails import drawing, strips
from tenfold.reports.pixels import colourise

SIDE = 24


def record(frames=1, channels=3, dtype=np.uint8, labelled=0, label=None):
    """Grey frames, each of its own shade; no shade is one of the drawing's colours."""
    shades = (10 + 20 * np.arange(frames)).astype(np.uint8)
    shape = (frames, SIDE, SIDE, channels)
    image = np.broadcast_to(shades[:, None, None, None], shape)
    if dtype != np.uint8:
        image = image / 255
    arrays = {"image": image.astype(dtype), "labelled": np.uint8(labelled)}
    if label is not None:
        arrays |= {"label": label, "votes": 2 * label, "annotators": np.uint8(4)}
    return arrays


def line(row, first, last):
    """A contrail one pixel wide."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[row, first:last] = 1
    return mask


def where(picture, colour):
    return (picture == np.array(colour, np.uint8)).all(axis=-1)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
@pytest.mark.parametrize("frames", [1, 5])
@pytest.mark.parametrize("is_labelled", [True, False])
def test_every_record_and_output_can_be_drawn(channels, dtype, frames, is_labelled):
    label = line(5, 3, 15) if is_labelled else None
    arrays = record(frames, channels, dtype, frames // 2, label)
    pictures = drawing.views(arrays)
    expected = ["labelled frame", *(["frames"] if frames > 1 else [])]
    expected += ["label", "annotators"] if is_labelled else []
    assert list(pictures) == expected
    assert set(drawing.scales(arrays)) == ({"annotators"} if is_labelled else set())
    prob = {"prob": np.full((SIDE, SIDE), 99, np.uint8)}
    mask = {"contrail": line(9, 1, 20)}
    drawn = []
    for outputs in (prob, mask, prob | mask):
        for truth in (True, False):
            named = drawing.overlay(arrays, outputs, truth)
            assert ("hits and misses" in named) == (truth and is_labelled)
            assert ("probability" in named) == ("prob" in outputs)
            drawn += named.values()
    for picture in (*pictures.values(), *drawn):
        assert picture.dtype == np.uint8
        assert picture.shape[2:] == (3,)


def test_the_first_view_is_the_labelled_frame_wherever_it_is():
    for place in range(4):
        picture = drawing.views(record(4, labelled=place))["labelled frame"]
        assert picture.shape == (SIDE, SIDE, 3)
        assert (picture == 10 + 20 * place).all()


def test_channels_are_red_green_and_blue():
    arrays = record()
    arrays["image"] = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    arrays["image"][..., 0], arrays["image"][..., 1] = 200, 100
    picture = drawing.views(arrays)["labelled frame"]
    assert (picture == (200, 100, 0)).all()
    arrays["image"] = (arrays["image"] / 255).astype(np.float16)
    np.testing.assert_array_equal(drawing.views(arrays)["labelled frame"], picture)
    arrays["image"] = arrays["image"][..., :1]
    assert (drawing.views(arrays)["labelled frame"] == 200).all()


def test_all_frames_are_there_in_order_and_the_labelled_one_is_marked():
    picture = drawing.views(record(5, labelled=2))["frames"]
    # Three columns and two rows of 24 px with 4 between.
    assert picture.shape == (24 * 2 + 4, 24 * 3 + 8, 3)
    for place in range(5):
        row, column = divmod(place, 3)
        tile = picture[row * 28 : row * 28 + 24, column * 28 : column * 28 + 24]
        assert (tile[6:10, 6:] == 10 + 20 * place)[:, : 24 - 6 - 3].all()
        corners = where(tile, strips.MARK)[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.all() == corners.any() == (place == 2)
    # After the last frame the paper is left.
    assert (picture[28:, 56:] == 255).all()


def test_frames_are_dated_by_the_labelled_one():
    frame = np.full((64, 96, 3), 40, np.uint8)
    texts = [strips.dated(frame, minutes, False) for minutes in (-40, 0, 30)]
    for text in texts:
        changed = (text != 40).any(axis=-1)
        assert changed[32:].any()
        assert not changed[:32].any()
    assert not np.array_equal(texts[0], texts[2])
    # The strip asks for the minutes of each place: of the last of three, 20.
    strip = strips.strip(np.stack([frame] * 3), 0)
    np.testing.assert_array_equal(strip[68:, :96], strips.dated(frame, 20, False))


def test_the_label_and_the_share_of_annotators_are_drawn():
    label = line(4, 2, 9)
    pictures = drawing.views(record(label=label))
    np.testing.assert_array_equal(where(pictures["label"], drawing.TRUTH), label == 1)
    # Two of four marked it.
    half = colourise(np.array([[0.5]]), "magma", 0.0, 1.0)[0, 0]
    np.testing.assert_array_equal(where(pictures["annotators"], half), label == 1)
    scale = drawing.scales(record(label=label))["annotators"]
    assert (scale.palette, scale.low, scale.high) == ("magma", 0, 1)


def contour_of(mask):
    """Pixels outside a mask that touch it, at twice its size, by another library."""
    large = np.kron(mask, np.ones((2, 2), np.uint8))
    return (maximum_filter(large, 3, mode="constant") == 1) & (large == 0)


def test_contours_run_around_thin_lines_and_leave_them_to_be_seen():
    label, found = line(5, 3, 15), line(12, 6, 20)
    drawn = drawing.overlay(record(label=label), {"contrail": found})["prediction"]
    assert drawn.shape == (2 * SIDE, 2 * SIDE, 3)
    np.testing.assert_array_equal(where(drawn, drawing.GUESS), contour_of(found))
    np.testing.assert_array_equal(where(drawn, drawing.TRUTH), contour_of(label))
    inside = np.kron(label | found, np.ones((2, 2))) == 1
    assert (drawn[inside] == 10).all()


def test_contours_that_coincide_are_white():
    mask = line(5, 3, 15)
    drawn = drawing.overlay(record(label=mask), {"contrail": mask})["prediction"]
    np.testing.assert_array_equal(where(drawn, drawing.BOTH), contour_of(mask))
    assert not where(drawn, drawing.GUESS).any()


def test_hits_and_misses_mark_exactly_the_pixels():
    rng = np.random.default_rng(1)
    label, found = rng.integers(0, 2, (2, SIDE, SIDE)).astype(np.uint8)
    drawn = drawing.overlay(record(label=label), {"contrail": found})["hits and misses"]
    for colour, of in (
        (drawing.BOTH, label & found),
        (drawing.TRUTH, label & ~found),
        (drawing.GUESS, found & ~label),
    ):
        np.testing.assert_array_equal(where(drawn, colour), of == 1)
    # The frame is grey and dim.
    assert (drawn[(label | found) == 0] == round(10 * 0.45)).all()


def test_the_label_stays_secret_where_it_is_asked_to():
    arrays = record(label=line(5, 3, 15))
    nothing = {"contrail": line(0, 0, 0)}
    drawn = drawing.overlay(arrays, nothing, truth=False)["prediction"]
    assert (drawn == 10).all()
    assert not (drawing.overlay(arrays, nothing)["prediction"] == 10).all()


@pytest.mark.parametrize(("step", "outlined"), [(127, False), (128, True)])
def test_without_a_decision_what_is_above_one_half_is_outlined(step, outlined):
    prob = line(5, 3, 15) * np.uint8(step)
    drawn = drawing.overlay(record(), {"prob": prob})
    assert where(drawn["prediction"], drawing.GUESS).any() == outlined
    colours = colourise(np.array([[0, step / 255]]), "magma", 0.0, 1.0)[0]
    assert (drawn["probability"][0, 0] == colours[0]).all()
    assert (drawn["probability"][5, 3] == colours[1]).all()
