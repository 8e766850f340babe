"""Synthetic scenes: where regions lie, how the crowd outlines them, what is black."""

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from scipy import ndimage

from tenfold.challenges.clouds.scenes import (
    FRAME,
    Gap,
    Region,
    Scene,
    lay_out,
    photograph,
    render,
)
from tenfold.challenges.clouds.sketches import draw_masks, sketch
from tenfold.challenges.clouds.textures import TEXTURES

ALL = np.ones(4, bool)
SHAPE = (240, 360)


@pytest.fixture(scope="module")
def scenes():
    """Scenes with classes at about the competition's rates."""
    rng = np.random.default_rng(1)
    present = rng.random((120, 4)) < [0.501, 0.426, 0.53, 0.676]
    return [lay_out(rng, row) for row in present[present.any(axis=1)]]


def rectangle(shape, region):
    """Return the upright rectangle around a region, on a frame of whole pixels."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    down = np.abs(y + 0.5 - region.row) <= region.half_height
    return down & (np.abs(x + 0.5 - region.col) <= region.half_width)


def test_every_present_class_has_one_to_three_regions(scenes):
    rng = np.random.default_rng(3)
    for present in (ALL, np.array([True, False, False, True])):
        kinds = [region.kind for region in lay_out(rng, present).regions]
        assert set(kinds) == set(np.flatnonzero(present).tolist())
        assert all(1 <= kinds.count(kind) <= 3 for kind in kinds)
    several = [len(s.regions) > len({r.kind for r in s.regions}) for s in scenes]
    assert any(several)


def test_about_half_of_the_scenes_have_a_gap(scenes):
    share = np.mean([scene.gap is not None for scene in scenes])
    assert 0.35 < share < 0.65


def test_full_masks_score_what_they_score_on_the_real_set(scenes):
    """Perfect presence with full masks makes 0.686, as rank 48 measured on train."""
    rng = np.random.default_rng(2)
    dice, overlaps = [], 0
    for scene in scenes:
        masks = draw_masks(sketch(rng, scene), (0, 0))[:, ::7, ::7]
        shares = masks.mean(axis=(1, 2))
        dice += np.where(shares > 0, 2 * shares / (1 + shares), 1.0).tolist()
        overlaps += int((masks.sum(axis=0) > 1).any())
    assert np.mean(dice) == pytest.approx(0.686, abs=0.03)
    assert overlaps > 20


def test_outlines_are_convex_and_near_their_regions(scenes):
    rng = np.random.default_rng(5)
    shared, corners = [], set()
    for scene in scenes[:30]:
        for region, (kind, outline) in zip(
            scene.regions, sketch(rng, scene), strict=True
        ):
            sides = np.roll(outline, -1, axis=0) - outline
            turns = np.roll(sides, -1, axis=0)
            cross = sides[:, 0] * turns[:, 1] - sides[:, 1] * turns[:, 0]
            assert (np.sign(cross) == np.sign(cross[0])).all()
            assert kind == region.kind
            corners.add(len(outline))
            true = rectangle((FRAME[0], FRAME[1]), region)[::8, ::8]
            y, x = np.mgrid[: FRAME[0] : 8, : FRAME[1] : 8]
            points = np.stack([x.ravel(), y.ravel()], axis=1)
            drawn = Polygon(outline).contains_points(points).reshape(true.shape)
            shared.append((true & drawn).sum() / (true | drawn).sum())
    assert 4 in corners
    assert max(corners) > 5
    assert min(shared) > 0.45
    assert 0.7 < np.mean(shared) < 0.95


def test_masks_are_the_filled_outlines():
    outline = np.array([[300.0, 200.0], [900.0, 260.0], [700.0, 900.0]])
    masks = draw_masks([(2, outline), (2, outline + 400)], (0, 0))
    assert masks.shape == (4, 1400, 2100)
    assert masks.any(axis=(1, 2)).tolist() == [False, False, True, False]
    y, x = np.mgrid[0:1400:5, 0:2100:5]
    points = np.stack([x.ravel(), y.ravel()], axis=1) + 14
    filled = [Polygon(o).contains_points(points) for o in (outline, outline + 400)]
    wrong = masks[2, ::5, ::5] != (filled[0] | filled[1]).reshape(y.shape)
    assert wrong.mean() < 1e-3  # points on an edge count either way


def test_masks_and_pictures_move_alike():
    rng = np.random.default_rng(6)
    scene = lay_out(rng, ALL)
    outlines, picture = sketch(rng, scene), render(scene, rng)
    still = draw_masks(outlines, (0, 0))
    moved = draw_masks(outlines, (8, -14))
    assert np.array_equal(moved[:, :-8, 14:], still[:, 8:, :-14])
    first = np.asarray(photograph(picture, scene, (0, 0)))[8:, :-14]
    second = np.asarray(photograph(picture, scene, (8, -14)))[:-8, 14:]
    inside = np.s_[8:-8, 8:-8]
    assert np.array_equal(first[inside], second[inside])


def test_the_gap_alone_is_black():
    rng = np.random.default_rng(7)
    scene = Scene((), Gap((214.0, 414.0), (514.0, 514.0)))
    photo = np.asarray(photograph(render(scene, rng), scene, (0, 0)))
    black = (photo < 8).all(axis=-1)
    row, col = np.mgrid[:1400, :2100] + 14.0
    down = row / FRAME[0]
    expected = (col >= 214 + 300 * down) & (col <= 414 + 100 * down)
    assert (black != expected).mean() < 2e-3
    assert scene.gap.at(FRAME[0]) == (514.0, 514.0)


def test_a_region_shows_where_it_is_and_nowhere_else():
    for kind in range(4):
        here = Region(kind, 700.0, 800.0, 400.0, 500.0, strength=0.8)
        shown, bare = (
            render(Scene(regions, None), np.random.default_rng(8)).astype(float)
            for regions in ((here,), ())
        )
        brighter = (shown - bare).mean(axis=-1)
        inside = rectangle(brighter.shape, Region(kind, 350, 400, 180, 230, 1))
        around = ~rectangle(brighter.shape, Region(kind, 350, 400, 330, 410, 1))
        assert brighter[inside].mean() > 3
        assert brighter[inside].std() > 10  # a texture, not a veil
        assert not brighter[around].any()


@pytest.fixture(scope="module")
def fields():
    return [paint(np.random.default_rng(9), SHAPE) for paint in TEXTURES]


def test_reflectivity_is_between_nothing_and_everything(fields):
    for field in fields:
        assert (field.shape, field.dtype) == (SHAPE, np.float32)
        assert field.min() >= 0
        assert 0.5 < field.max() <= 1


def pieces(field, cut):
    """Return height, width and area of each connected piece above a cut."""
    named, _ = ndimage.label(field > cut)
    boxes = ndimage.find_objects(named)
    sizes = [[s.stop - s.start for s in box] for box in boxes]
    return np.column_stack([sizes, np.bincount(named.ravel())[1:]])


def test_each_kind_has_its_own_shapes(fields):
    fish, flower, gravel, sugar = fields
    longest = [pieces(field, 0.4)[:, :2].max() for field in (fish, flower)]
    assert longest[0] > 100 > longest[1]  # bones against bouquets
    bouquets = pieces(ndimage.gaussian_filter(flower, 3), 0.25)
    assert np.median(bouquets[:, 2]) > 150
    # Rims close around many small dark cells; gaps of the others hang together.
    cells, _ = ndimage.label(ndimage.gaussian_filter(gravel, 1) < 0.15)
    gaps, _ = ndimage.label(ndimage.gaussian_filter(flower, 1) < 0.15)
    assert cells.max() > 10 * gaps.max()
    assert np.median(pieces(sugar, 0.3)[:, 2]) < 12
    assert sugar.mean() < gravel.mean()
