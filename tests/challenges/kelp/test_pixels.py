"""Tiles as tables of pixels: which are learnt from, what they say, what comes out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as drawn_arrays
from scipy import ndimage

from tenfold.challenges.kelp.bands import BANDS
from tenfold.challenges.kelp.indices import FORMULAS
from tenfold.challenges.kelp.options import KelpTrees
from tenfold.challenges.kelp.pixels import PixelTask, dilated
from tenfold.challenges.kelp.tiles import pack_tile

GAP, SIDE = -32768, 350


def pixel_task(**sections):
    member = KelpTrees(name="trees", training={"epochs": 1}, **sections)
    return PixelTask(member)


@pytest.fixture
def holed(kelp):
    """A tile over sea and land with clouds and holes, and a mask of two patches."""
    rng = np.random.default_rng(1)
    raw = kelp.make_tile(seed=1)
    raw[6, :, 200:] = 40
    raw[5, 100:150] = 1
    raw[:5, 300:] = GAP
    raw[2, :20] = GAP
    raw[6, :, :30] = GAP
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[50:60, 40:45] = 1
    mask[295:305, 100:110] = 1
    mask[rng.integers(0, SIDE, 5), rng.integers(0, SIDE, 5)] = 1
    return raw, mask


def valid_in(raw):
    return (raw[:5] != GAP).all(0)


# Channels -----------------------------------------------------------------------------


def test_a_row_is_what_the_published_formulas_say(published, holed):
    raw, mask = holed
    options = {"bands": BANDS, "indices": tuple(FORMULAS)}
    task = pixel_task(input=options)
    table = task.rows(pack_tile(raw, mask))
    assert task.features == (*BANDS, *FORMULAS)
    assert table.shape == (SIDE * SIDE, len(task.features))
    assert table.dtype == np.float32
    valid = valid_in(raw)
    binary = ("NDVIWM", "NDWIWM")
    rng = np.random.default_rng(2)
    for row, column in rng.integers(0, SIDE, (60, 2)):
        pixel = raw[:, row, column]
        found = dict(zip(task.features, table[row * SIDE + column], strict=True))
        for name, value in zip(BANDS, pixel, strict=True):
            expected = np.nan if value == GAP else value
            assert found[name] == pytest.approx(expected, nan_ok=True)
        dem = pixel[6]
        assert np.isnan(found["DEMWM"]) == (dem == GAP)
        if not valid[row, column]:
            assert np.isnan([found[name] for name in FORMULAS if name != "DEMWM"]).all()
            continue
        shown = pixel[5] == 0 and dem <= 0
        values = published(*(float(v) for v in pixel[:5]), float(dem))
        for name, value in values.items():
            counts = dem != GAP if name == "DEMWM" else name in binary or shown
            expected = value if counts and np.isfinite(value) else np.nan
            assert found[name] == pytest.approx(
                expected, rel=1e-3, abs=1e-3, nan_ok=True
            ), name


def test_masks_are_as_the_recipe_says(holed):
    raw, mask = holed
    arrays = pack_tile(raw, mask)
    valid = valid_in(raw).ravel()
    cloud, land = raw[5].ravel() == 1, raw[6].ravel() > 0
    unknown = raw[6].ravel() == GAP
    for qa, water, slip, hidden in (
        (False, False, False, ~valid),
        (True, False, False, ~valid | cloud),
        (False, True, False, ~valid | land),
        (False, True, True, ~valid | land | unknown),
    ):
        options = {
            "bands": (),
            "indices": ("NDVI",),
            "mask_qa": qa,
            "mask_water": water,
            "unknown_is_land": slip,
        }
        table = pixel_task(input=options).rows(arrays)
        np.testing.assert_array_equal(np.isnan(table[:, 0]), hidden)


def test_what_is_not_finite_is_missing(kelp):
    raw = kelp.make_tile()
    raw[4, 7, 8] = raw[3, 9, 9] = 0
    table = pixel_task(input={"bands": ("NIR",), "indices": ("mCRIG",)}).rows(
        pack_tile(raw, None)
    )
    odd = [7 * SIDE + 8, 9 * SIDE + 9]
    assert np.isnan(table[odd, 1]).all()
    assert np.isnan(table[:, 1]).sum() == 2
    assert not np.isinf(table).any()


# Which pixels -------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    mask=drawn_arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    ring=st.integers(0, 6),
)
def test_a_ring_is_a_square_around_each_pixel(mask, ring):
    square = np.ones((2 * ring + 1, 2 * ring + 1), bool)
    expected = ndimage.binary_dilation(mask, square)
    np.testing.assert_array_equal(dilated(mask, ring), expected)


def test_all_kelp_and_its_ring_are_learnt_from_and_no_invalid_pixel(holed):
    raw, mask = holed
    valid = valid_in(raw)
    task = pixel_task(pixels={"ring": 5, "random_share": 0.0})
    found = task.candidates(pack_tile(raw, mask), np.random.default_rng(0))
    expected = np.zeros((SIDE, SIDE), bool)
    for row, column in np.argwhere(mask):
        top, left = max(row - 5, 0), max(column - 5, 0)
        expected[top : row + 6, left : column + 6] = True
    np.testing.assert_array_equal(found, np.flatnonzero(expected & valid))
    truth, counts = task.truth(pack_tile(raw, mask))
    np.testing.assert_array_equal(truth, mask.ravel() == 1)
    np.testing.assert_array_equal(counts, valid.ravel())


def test_of_the_rest_a_share_is_drawn_by_the_seed_alone(holed):
    raw, mask = holed
    arrays = pack_tile(raw, mask)
    near = pixel_task(pixels={"ring": 5, "random_share": 0.0}).candidates(
        arrays, np.random.default_rng(0)
    )
    task = pixel_task(pixels={"ring": 5, "random_share": 0.02})
    found = [task.candidates(arrays, np.random.default_rng(s)) for s in (1, 1, 2)]
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0].tolist() != found[2].tolist()
    for rows in found:
        rest = np.setdiff1d(rows, near)
        assert len(rest) == len(rows) - len(near)
        total = valid_in(raw).sum() - len(near)
        # Six standard deviations of a binomial.
        spread = 6 * np.sqrt(total * 0.02 * 0.98)
        assert abs(len(rest) - 0.02 * total) < spread
        assert valid_in(raw).ravel()[rest].all()
    # Any row of the tile may be drawn.
    assert len(np.unique(rest // SIDE)) > 250


def test_more_share_draws_the_same_pixels_and_more(holed):
    arrays = pack_tile(*holed)
    few, more, all_ = (
        set(
            pixel_task(pixels={"random_share": share})
            .candidates(arrays, np.random.default_rng(3))
            .tolist()
        )
        for share in (0.01, 0.1, 1.0)
    )
    assert few < more < all_ == set(np.flatnonzero(valid_in(holed[0])).tolist())


# What comes out -----------------------------------------------------------------------


def test_a_tile_without_imagery_gives_no_pixels_and_no_kelp():
    raw = np.full((7, SIDE, SIDE), GAP, np.int32)
    raw[5] = 0
    arrays = pack_tile(raw, np.zeros((SIDE, SIDE), np.uint8))
    task = pixel_task()
    assert not len(task.candidates(arrays, np.random.default_rng(0)))
    assert not task.truth(arrays)[1].any()
    outputs = task.outputs(np.full(SIDE * SIDE, 0.9, np.float32), arrays)
    assert not outputs["prob"].any()


def test_outputs_are_steps_of_one_255th_in_the_shape_of_a_tile(holed):
    raw, _ = holed
    probability = np.linspace(0, 1, SIDE * SIDE, dtype=np.float32)
    # A test tile has no mask.
    prob = pixel_task().outputs(probability, pack_tile(raw, None))["prob"]
    assert prob.dtype == np.uint8
    expected = np.rint(probability.reshape(SIDE, SIDE) * 255)
    np.testing.assert_array_equal(prob, np.where(valid_in(raw), expected, 0))


def test_a_model_is_run_with_the_channels_it_was_trained_with(holed):
    arrays = pack_tile(*holed)
    trained = pixel_task(input={"bands": ("NIR", "R"), "mask_qa": False})
    other = pixel_task(input={"bands": ("B",), "indices": ("NDVI",)})
    restored = other.restore(trained.describe())
    assert restored.features == ("NIR", "R")
    np.testing.assert_array_equal(restored.rows(arrays), trained.rows(arrays))


def test_the_description_names_classes_and_channels():
    described = pixel_task(input={"bands": ("NIR",), "indices": ("NDVI",)}).describe()
    assert described["channels"] == ["NIR", "NDVI"]
    assert described["classes"] == ["background", "kelp"]
    assert described["pixels"]["ring"] == 10
    assert pixel_task().files() == {}
