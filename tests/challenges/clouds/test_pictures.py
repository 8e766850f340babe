"""Pictures: the right size by either way, and files that are none are named."""

import numpy as np
import pytest
from PIL import Image

from tenfold.challenges.clouds.pictures import black_share, read_picture
from tenfold.errors import Rejected

HEIGHT, WIDTH = 1400, 2100
SMALL = (384, 576)


def scene():
    """Soft waves with a black wedge at the left, (1400, 2100, 3)."""
    r, c = np.mgrid[:HEIGHT, :WIDTH]
    wave = 128 + 60 * np.sin(r / 90) + 50 * np.cos(c / 130)
    image = np.stack([wave, wave * 0.8 + 20, 255 - wave], -1)
    image[c < 210] = 0
    return image.astype(np.uint8)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("pictures")
    image = Image.fromarray(scene())
    image.save(place / "waves.jpg", quality=95, subsampling=0)
    image.convert("L").save(place / "grey.jpg", quality=95)
    image.convert("CMYK").save(place / "printed.jpg", quality=95)
    image.save(place / "late.jpg", quality=95, subsampling=0, progressive=True)
    stripes = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(place / "stripes.jpg", quality=100, subsampling=0)
    return place


def decoded(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def averaged(image, size):
    """Return the mean over the area of each pixel, one axis after the other."""
    for axis, target in enumerate(size):
        source = image.shape[axis]
        sums = np.cumsum(image, axis, dtype=np.float64)
        sums = np.insert(sums, 0, 0, axis)
        edges = np.arange(target + 1) * source / target
        low = np.minimum(edges.astype(int), source - 1)
        part = (edges - low).reshape([-1 if a == axis else 1 for a in range(3)])
        at_edges = sums.take(low, axis) * (1 - part) + sums.take(low + 1, axis) * part
        image = np.diff(at_edges, axis=axis) * target / source
    return image


@pytest.mark.parametrize("size", [SMALL, (64, 96), (704, 1056), (320, 480)])
def test_area_averages_what_a_pixel_covers(folder, size):
    found = read_picture(folder / "waves.jpg", size, "area")
    assert found.shape == (*size, 3)
    assert found.dtype == np.uint8
    off = np.abs(found - averaged(decoded(folder / "waves.jpg"), size))
    # A part of the size is decoded with roundings of its own, and the weights are
    # not quite those of areas where colours jump.
    assert off.mean() < 0.6
    assert np.quantile(off, 0.999) < 8


@pytest.mark.parametrize("size", [SMALL, (350, 525), (704, 1056)])
def test_bilinear_reads_four_pixels(folder, size):
    found = read_picture(folder / "waves.jpg", size, "bilinear")
    image = decoded(folder / "waves.jpg").astype(np.float64)
    for axis, target in enumerate(size):
        source = image.shape[axis]
        place = (np.arange(target) + 0.5) * source / target - 0.5
        low = place.astype(int)
        part = (place - low).reshape([-1 if a == axis else 1 for a in range(3)])
        image = image.take(low, axis) * (1 - part) + image.take(low + 1, axis) * part
    assert np.abs(found - image).max() <= 1


def test_area_melts_fine_stripes_which_bilinear_folds_into_broad_ones(folder):
    even = read_picture(folder / "stripes.jpg", (352, 528), "area")
    folded = read_picture(folder / "stripes.jpg", (352, 528), "bilinear")
    assert np.abs(even.astype(int) - 100).max() < 8
    assert np.ptp(folded) > 150


@pytest.mark.parametrize("name", ["grey", "printed", "late"])
def test_other_kinds_of_jpeg_become_rgb(folder, name):
    found = read_picture(folder / f"{name}.jpg", SMALL, "area").astype(float)
    expected = averaged(decoded(folder / f"{name}.jpg"), SMALL)
    assert found.shape == (*SMALL, 3)
    assert np.abs(found - expected).mean() < 0.7


@pytest.mark.parametrize("resample", ["area", "bilinear"])
@pytest.mark.parametrize("share", [0.2, 0.9, 0.99])
def test_a_file_that_ends_too_early_is_rejected(folder, tmp_path, share, resample):
    whole = (folder / "waves.jpg").read_bytes()
    path = tmp_path / "0011165.jpg"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(Rejected, match=r"0011165\.jpg: cannot be read: .*truncated"):
        read_picture(path, SMALL, resample)


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_jpeg_is_rejected(tmp_path, content):
    path = tmp_path / "0011165.jpg"
    path.write_bytes(content)
    with pytest.raises(Rejected, match=r"0011165\.jpg: (no JPEG|cannot be read)"):
        read_picture(path, SMALL, "area")


def test_a_png_that_is_called_jpg_is_rejected(tmp_path):
    path = tmp_path / "0011165.jpg"
    Image.new("RGB", (WIDTH, HEIGHT)).save(path, format="PNG")
    with pytest.raises(Rejected, match="no JPEG"):
        read_picture(path, SMALL, "area")


@pytest.mark.parametrize("sides", [(1400, 2100), (525, 350), (2101, 1400)])
def test_another_size_is_rejected_with_both_sizes(tmp_path, sides):
    path = tmp_path / "0011165.jpg"
    width, height = sides
    Image.new("RGB", sides).save(path)
    reason = f"{height} × {width} px instead of 1400 × 2100"
    with pytest.raises(Rejected, match=reason):
        read_picture(path, SMALL, "area")


def test_a_missing_file_is_rejected(tmp_path):
    with pytest.raises(Rejected, match=r"gone\.jpg: cannot be read"):
        read_picture(tmp_path / "gone.jpg", SMALL, "area")


def test_black_is_where_all_three_colours_are():
    picture = np.full((10, 10, 3), 7, np.uint8)
    assert black_share(picture) == 1
    picture[:5, :, 2] = 8
    assert black_share(picture) == 0.5
    picture[5:, :4, 0] = 200
    assert black_share(picture) == pytest.approx(0.3)


@pytest.mark.parametrize("resample", ["area", "bilinear"])
def test_the_gap_of_a_jpeg_is_black(folder, resample):
    picture = read_picture(folder / "waves.jpg", SMALL, resample)
    assert black_share(picture) == pytest.approx(0.1, abs=0.005)
