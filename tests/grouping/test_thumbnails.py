"""Thumbnails as embeddings: the correlation of what pictures show at large."""

import io

import numpy as np
import pytest
from PIL import Image

from tenfold.errors import TenfoldError
from tenfold.grouping.thumbnails import COLUMNS, ROWS, describe


def scene(seed, height=96, width=144):
    """Draw clouds on the sea: soft light blobs of many sizes, with some grain."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] / height
    light = np.full((height, width), 40.0)
    for _ in range(25):
        row, column = rng.uniform(0, 1), rng.uniform(0, 1.5)
        size = rng.uniform(0.02, 0.15)
        square = (rows - row) ** 2 + (columns - column) ** 2
        light += rng.uniform(20, 90) * np.exp(-square / size**2)
    light += rng.normal(0, 4, light.shape)
    return np.clip(np.repeat(light[..., None], 3, -1), 0, 230).round().astype(np.uint8)


def cosine(one, other):
    return float(describe(one).astype(np.float64) @ describe(other))


def jpeg(picture, quality):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_a_pattern_is_the_standardised_mean_of_blocks():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (64, 72, 3)).astype(np.uint8)
    # By Pillow's own grey, which rounds to whole numbers, of blocks of 4 × 3 pixels.
    grey = np.asarray(Image.fromarray(colours).convert("L"), np.float64)
    blocks = grey.reshape(ROWS, 4, COLUMNS, 3).mean(axis=(1, 3)).ravel()
    pattern = describe(colours)
    assert pattern.shape == (ROWS * COLUMNS,)
    assert pattern.dtype == np.float32
    assert np.linalg.norm(pattern) == pytest.approx(1, abs=1e-6)
    assert pattern.mean() == pytest.approx(0, abs=1e-7)
    assert np.corrcoef(pattern, blocks)[0, 1] > 0.9999


def test_equal_pictures_are_one_and_negatives_minus_one():
    picture = scene(0)
    assert cosine(picture, picture.copy()) == pytest.approx(1, abs=1e-6)
    assert cosine(picture, 255 - picture) == pytest.approx(-1, abs=1e-6)


def test_brightness_and_contrast_do_not_matter():
    picture = (scene(0) // 4) * 4
    assert cosine(picture, picture + 20) == pytest.approx(1, abs=1e-6)
    assert cosine(picture, picture // 4) == pytest.approx(1, abs=1e-6)
    one, other = scene(1), (scene(2) // 4) * 4
    assert cosine(one, other // 4 + 100) == pytest.approx(cosine(one, other), abs=1e-6)


@pytest.mark.parametrize("quality", [95, 75, 30])
def test_a_picture_that_was_encoded_again_is_the_same(quality):
    assert cosine(scene(0), jpeg(scene(0), quality)) >= 0.99


@pytest.mark.parametrize("size", [(72, 48), (288, 192), (101, 77)])
def test_a_picture_of_another_size_is_the_same(size):
    other = np.asarray(Image.fromarray(scene(0)).resize(size))
    assert cosine(scene(0), other) >= 0.99


def test_other_scenes_and_mirrored_and_shifted_ones_are_far_below():
    patterns = np.stack([describe(scene(seed)) for seed in range(20)])
    others = (patterns @ patterns.T)[np.triu_indices(20, 1)]
    assert others.max() < 0.85
    assert cosine(scene(0), scene(0)[:, ::-1]) < 0.85
    assert cosine(scene(0)[:, 40:], scene(0)[:, :-40]) < 0.85


@pytest.mark.parametrize("shade", [0, 77, 255])
def test_flat_pictures_have_no_pattern(shade):
    assert describe(np.full((50, 70, 3), shade, np.uint8)) is None


def test_what_is_flat_in_grey_or_at_large_has_no_pattern():
    coloured = np.zeros((50, 70, 3), np.uint8)
    coloured[..., 0] = 200
    assert describe(coloured) is None
    chequered = np.zeros((160, 240, 3), np.uint8)
    chequered[::2, ::2] = chequered[1::2, 1::2] = 255
    assert describe(chequered) is None


def test_a_faint_pattern_is_still_one():
    faint = np.full((160, 240, 3), 100, np.uint8)
    faint[:80] += 2
    strong = np.full((160, 240, 3), 10, np.uint8)
    strong[:80] += 200
    assert cosine(faint, strong) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32)],
    ids=["grey", "float"],
)
def test_a_picture_of_another_kind_is_refused(picture):
    with pytest.raises(TenfoldError, match=r"thumbnails need uint8 \(H, W, 3\)"):
        describe(picture)
