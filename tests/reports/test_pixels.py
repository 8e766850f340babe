"""Pictures against values worked out by hand."""

import numpy as np
import pytest

from tenfold.reports import pixels


def test_stretch_by_bounds():
    bands = np.array([[[0.0, 5.0, 10.0]], [[-9.0, 2.0, 99.0]], [[1.0, 1.0, 1.0]]])
    rgb = pixels.stretch(bands, bounds=[(0, 10), (0, 4), (1, 1)])
    assert rgb.tolist() == [[[0, 0, 0], [128, 128, 0], [255, 255, 0]]]


def test_stretch_by_percentiles_of_valid_pixels():
    bands = np.stack([np.array([[0.0, 1.0, 2.0, 1000.0]])] * 3)
    valid = np.array([[True, True, True, False]])
    rgb = pixels.stretch(bands, 0, 100, valid=valid, invalid=(9, 8, 7))
    assert rgb[0, :, 0].tolist() == [0, 128, 255, 9]
    assert rgb[0, 3].tolist() == [9, 8, 7]


def test_stretch_marks_pixels_that_are_not_finite():
    bands = np.zeros((3, 1, 2))
    bands[1, 0, 0] = np.nan
    assert pixels.stretch(bands)[0].tolist() == [list(pixels.INVALID), [0, 0, 0]]
    bands[:] = np.nan
    assert (pixels.stretch(bands) == pixels.INVALID).all()


def test_stretch_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"\(3,H,W\), not \(2, 4, 4\)"):
        pixels.stretch(np.zeros((2, 4, 4)))


def test_colourise_takes_the_ends_of_the_palette():
    values = np.array([[0.0, 1.0, np.nan, -3.0, 0.5]])
    rgb = pixels.colourise(values, "gray", 0.0, 1.0, invalid=(1, 2, 3))
    assert rgb[0, :, 0].tolist() == [0, 255, 1, 0, 128]
    assert rgb.shape == (1, 5, 3)
    assert rgb.dtype == np.uint8


def test_colourise_finds_its_own_bounds():
    rgb = pixels.colourise(np.array([[2.0, 4.0]]), "gray")
    assert rgb[0, :, 0].tolist() == [0, 255]
    assert (
        pixels.colourise(np.full((2, 2), np.nan)).tolist()
        == [[list(pixels.INVALID)] * 2] * 2
    )


def test_colourise_keeps_one_given_bound():
    values = np.array([[0.0, 2.0]])
    assert pixels.colourise(values, "gray", vmin=-2.0)[0, :, 0].tolist() == [128, 255]
    assert pixels.colourise(values, "gray", vmax=4.0)[0, :, 0].tolist() == [0, 128]


def test_outline_is_the_inner_border():
    mask = np.zeros((5, 5), bool)
    mask[1:4, 1:4] = True
    over = np.zeros((5, 5), np.uint8)
    drawn = pixels.outline(mask, over, (255, 0, 0))
    border = drawn[..., 0] == 255
    expected = mask.copy()
    expected[2, 2] = False
    assert (border == expected).all()
    assert not over.any()


def test_outline_stays_open_at_the_edge_of_the_picture():
    mask = np.ones((3, 3), bool)
    assert not pixels.outline(mask, np.zeros((3, 3), np.uint8)).any()


def test_outline_is_as_wide_as_asked():
    mask = np.zeros((9, 9), bool)
    mask[1:8, 1:8] = True
    drawn = pixels.outline(mask, np.zeros((9, 9, 3), np.uint8), (1, 1, 1), width=2)
    assert drawn[..., 0].sum() == 49 - 9


def test_thumbnail_keeps_the_aspect_and_never_enlarges():
    assert pixels.thumbnail(np.zeros((100, 50, 3), np.uint8), 20).shape == (20, 10, 3)
    small = np.zeros((4, 4), np.uint8)
    assert pixels.thumbnail(small, 20) is small
    assert pixels.thumbnail(np.zeros((1, 900), np.uint8), 9).shape == (1, 9)


def test_pixelated_thumbnails_invent_no_values():
    labels = np.random.default_rng(0).choice([0, 7, 200], (64, 64)).astype(np.uint8)
    assert set(np.unique(pixels.thumbnail(labels, 9, pixelated=True))) <= {0, 7, 200}


def test_side_by_side():
    left = np.full((2, 1), 5, np.uint8)
    right = np.full((1, 2, 3), 9, np.uint8)
    joined = pixels.side_by_side([left, right], gap=1, colour=(1, 1, 1))
    assert joined[..., 0].tolist() == [[5, 1, 9, 9], [5, 1, 1, 1]]
    with pytest.raises(ValueError, match="at least one"):
        pixels.side_by_side([])
