"""A sheet of panels: every picture is there, in its place, and nothing is scaled."""

import numpy as np
import pytest
from PIL import Image

from tenfold.reports.panels import Scale, panels, write_png
from tenfold.reports.pixels import colourise

RNG = np.random.default_rng(0)
PAPER = (255, 255, 255)


def noise(height=60, width=50, channels=3):
    shape = (height, width, channels) if channels else (height, width)
    return RNG.integers(0, 200, shape, dtype=np.uint8)


def place_of(picture, sheet):
    """Return (row, column) of a picture in a sheet, which must hold it once."""
    height, width = picture.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(sheet[..., 0], (height, width))
    ((row,), (column,)) = np.where((windows == picture[..., 0]).all((-1, -2)))
    np.testing.assert_array_equal(
        sheet[row : row + height, column : column + width], picture
    )
    return int(row), int(column)


def test_pictures_stand_in_rows_of_four_at_their_own_resolution():
    pictures = {f"view {i}": noise() for i in range(6)}
    sheet = panels(pictures, "t", {})
    places = [place_of(picture, sheet) for picture in pictures.values()]
    rows, columns = sorted({r for r, _ in places}), sorted({c for _, c in places})
    assert len(rows) == 2
    assert len(columns) == 4
    assert [r for r, _ in places] == [rows[0]] * 4 + [rows[1]] * 2
    assert [c for _, c in places] == [*columns, *columns[:2]]


def test_grey_pictures_are_drawn_grey():
    grey = noise(channels=0)
    sheet = panels({"grey": grey}, "t", {})
    assert place_of(np.repeat(grey[..., None], 3, 2), sheet)


def test_names_and_title_are_written_above():
    picture = noise()
    titled, plain = (panels({"a": picture}, title, {}) for title in ("AB12", ""))
    named = panels({"name": picture}, "", {})
    row, _ = place_of(picture, plain)
    assert (titled[: row - 20] != plain[: row - 20]).any()
    assert (named[row - 20 : row] != plain[row - 20 : row]).any()
    np.testing.assert_array_equal(titled[row:], plain[row:])


def test_a_map_has_its_colour_bar_below_and_others_have_none():
    picture, scale = noise(), Scale("viridis", 0, 120, "m")
    sheet = panels({"map": picture, "other": noise()}, "", {"map": scale})
    row, column = place_of(picture, sheet)
    bar = sheet[row + 64 + 5, column : column + 50]
    ramp = colourise(np.linspace(0, 1, 50)[None], "viridis", 0.0, 1.0)[0]
    np.testing.assert_array_equal(bar, ramp)
    beside = sheet[row + 60 :, column + 60 : column + 110]
    assert (beside == PAPER).all()


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (Scale("BrBG", -0.4, 0.4), ["-0.4", "0", "0.4"]),
        (Scale("viridis", 0, 199, "m"), ["0", "99.5", "199 m"]),
    ],
)
def test_the_bar_says_its_ends_and_its_middle(scale, ticks):
    assert scale.ticks() == ticks


def test_a_png_reads_back_exactly(tmp_path):
    picture = noise()
    write_png(tmp_path / "new" / "a.png", picture)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "new/a.png")), picture)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]
