"""Pictures of any tile, the tiles worth a look, and warnings that fire in time."""

import numpy as np
import polars as pl
import pytest

from tenfold.challenges.kelp import drawing
from tenfold.challenges.kelp.tiles import pack_tile
from tenfold.reports.pixels import INVALID, colourise

GAP = -32768
SHAPE = (350, 350)


def plain(raw):
    return raw


def all_missing(raw):
    raw[:5], raw[5], raw[6] = GAP, 1, GAP
    return raw


def without_dem(raw):
    raw[6] = GAP
    return raw


def flat(raw):
    raw[:5] = 8000
    return raw


ODD_TILES = [plain, all_missing, without_dem, flat]


def assert_picture(picture):
    assert picture.shape == (*SHAPE, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("change", ODD_TILES)
@pytest.mark.parametrize("labelled", [True, False])
def test_every_tile_can_be_drawn(kelp, change, labelled):
    raw = change(kelp.make_tile(dem=30))
    mask = np.zeros(SHAPE, np.uint8)
    mask[10:20, 10:20] = 1
    arrays = pack_tile(raw, mask if labelled else None)
    pictures = drawing.views(arrays)
    composites = ("true colour", "false colour", "agriculture")
    assert list(pictures)[:6] == [*composites, "NDVI", "DEM", "QA"]
    assert ("kelp label" in pictures) == labelled
    assert set(drawing.scales(arrays)) == {"NDVI", "DEM"}
    prob = {"prob": np.full(SHAPE, 99, np.uint8)}
    decided = prob | {"kelp": mask}
    for outputs in (prob, decided):
        for truth in (True, False):
            drawn = drawing.overlay(arrays, outputs, truth)
            assert set(drawn) == {"prediction", "probability"}
            pictures = pictures | {f"{len(pictures)}": p for p in drawn.values()}
    for picture in pictures.values():
        assert_picture(picture)


def test_missing_pixels_look_missing_and_the_others_do_not(kelp):
    raw = kelp.make_tile(dem=30)
    raw[3, :50] = GAP
    raw[6, :, 300:] = GAP
    pictures = drawing.views(pack_tile(raw, None))
    for name in ("true colour", "false colour", "agriculture", "NDVI"):
        assert (pictures[name][:50] == INVALID).all()
        assert not (pictures[name][50:] == INVALID).all(axis=-1).any()
    assert (pictures["DEM"][:, 300:] == INVALID).all()
    assert not (pictures["DEM"][:, :300] == INVALID).all(axis=-1).any()


def test_colours_are_those_of_their_bands(kelp):
    raw = kelp.make_tile()
    # Near infrared rises to the right, red downwards.
    raw[1] = 7000 + 10 * np.arange(350)
    raw[2] = 7000 + 10 * np.arange(350)[:, None]
    pictures = drawing.views(pack_tile(raw, None))
    true, false = pictures["true colour"], pictures["false colour"]
    assert (true[300, :, 0] > true[50, :, 0]).all()
    assert (false[:, 300, 0] > false[:, 50, 0]).all()
    assert (false[300, :, 1] > false[50, :, 1]).all()


def test_agriculture_shows_short_wave_infrared_as_red(kelp):
    raw = kelp.make_tile()
    # SWIR rises to the right, near infrared downwards.
    raw[0] = 7000 + 10 * np.arange(350)
    raw[1] = 7000 + 10 * np.arange(350)[:, None]
    picture = drawing.views(pack_tile(raw, None))["agriculture"]
    assert (picture[:, 300, 0] > picture[:, 50, 0]).all()
    assert (picture[300, :, 1] > picture[50, :, 1]).all()


def test_the_colours_of_a_map_are_those_of_its_scale(kelp):
    raw = kelp.make_tile()
    raw[2] = 10000
    # NDVI of -1/3, 0 and 1/3 from left to right, whatever QA and the DEM say.
    raw[1] = np.repeat([5000, 10000, 20000], [100, 100, 150])
    raw[5, :20] = 1
    raw[6] = np.repeat([0, 40, 120], [100, 100, 150])
    arrays = pack_tile(raw, None)
    pictures, scales = drawing.views(arrays), drawing.scales(arrays)
    assert (scales["NDVI"].low, scales["NDVI"].high) == (-0.4, 0.4)
    assert (scales["DEM"].low, scales["DEM"].high, scales["DEM"].unit) == (0, 120, "m")
    for name, values in (("NDVI", [-1 / 3, 0, 1 / 3]), ("DEM", [0, 40, 120])):
        scale = scales[name]
        colours = colourise(np.array([values]), scale.palette, scale.low, scale.high)
        for place, colour in zip((50, 150, 250), colours[0], strict=True):
            assert (pictures[name][:, place] == colour).all()


def test_a_tile_without_land_or_dem_still_has_a_scale(kelp):
    for dem in (0, GAP):
        scale = drawing.scales(pack_tile(kelp.make_tile(dem=dem), None))["DEM"]
        assert (scale.low, scale.high) == (0, 1)


def test_the_outline_is_of_the_decision_where_there_is_one(kelp):
    raw = kelp.make_tile()
    arrays = pack_tile(raw, None)
    prob = np.zeros(SHAPE, np.uint8)
    prob[100:150, 100:150] = 200
    mask = np.zeros(SHAPE, np.uint8)
    mask[20:40, 20:40] = 1
    ground = drawing.views(arrays)["false colour"]
    undecided = drawing.overlay(arrays, {"prob": prob})["prediction"]
    decided = drawing.overlay(arrays, {"prob": prob, "kelp": mask})["prediction"]
    for drawn, box in ((undecided, np.s_[100:150]), (decided, np.s_[20:40])):
        rows, columns = np.where((drawn != ground).any(axis=-1))
        assert (rows.min(), rows.max() + 1) == (box.start, box.stop)
        assert (columns.min(), columns.max() + 1) == (box.start, box.stop)


def test_the_label_is_outlined_unless_it_is_to_be_kept_secret(kelp):
    mask = np.zeros(SHAPE, np.uint8)
    mask[200:230, 200:230] = 1
    arrays = pack_tile(kelp.make_tile(), mask)
    outputs = {"prob": np.zeros(SHAPE, np.uint8)}
    ground = drawing.views(arrays)["false colour"]
    shown = drawing.overlay(arrays, outputs)["prediction"]
    hidden = drawing.overlay(arrays, outputs, truth=False)["prediction"]
    np.testing.assert_array_equal(hidden, ground)
    rows, columns = np.where((shown != ground).any(axis=-1))
    assert {rows.min(), columns.min()} == {200}
    assert {rows.max(), columns.max()} == {229}


# What to look at.

TABLE = pl.DataFrame(
    {
        "id": ["a", "b", "c", "d", "e", "f"],
        "kelp_share": [0.0, 0.2, 0.001, 0.0, 0.7, 0.05],
        "uncertainty": [0.1, 0.2, 0.9, 0.3, 0.0, 0.4],
        "near_threshold": [0.9, 0.0, 0.2, 0.3, 0.1, 0.8],
    }
)


def test_extremes_and_doubts_are_chosen_in_order():
    chosen = drawing.choose(TABLE, 2)
    assert chosen["most kelp"] == ["e", "b"]
    assert chosen["least kelp, but some"] == ["c", "f"]
    assert chosen["most uncertain"] == ["c", "f"]
    assert chosen["nearest the threshold"] == ["a", "f"]
    assert len(set(chosen["at random"])) == 2
    assert set(chosen["at random"]) <= set(TABLE["id"])


def test_the_choice_depends_on_the_tiles_and_not_on_their_order():
    order = {k: v for k, v in drawing.choose(TABLE, 3).items() if k != "at random"}
    mixed = drawing.choose(TABLE.reverse(), 3)
    assert order == {k: v for k, v in mixed.items() if k != "at random"}


def test_equals_are_chosen_by_name():
    alike = TABLE.with_columns(uncertainty=pl.lit(0.5)).reverse()
    assert drawing.choose(alike, 3)["most uncertain"] == ["a", "b", "c"]


def test_few_tiles_are_all_chosen():
    chosen = drawing.choose(TABLE.head(1), 4)
    assert chosen["most kelp"] == chosen["at random"] == ["a"]
    assert chosen["least kelp, but some"] == []


# Warnings.

TRAIN = pl.DataFrame(
    {
        "has_kelp": [True, True, False, False, True],
        "kelp_pixels_pct": [0.02, 0.02, 0.0, 0.0, 0.99],
        "high_kelp_pixels_pct": [False, False, False, False, True],
    }
)
TEST = {
    "kelp_share": [0.02, 0.02, 0.0, 0.0],
    "on_land": [0.0, 0.001, 0.0, 0.0],
    "under_qa": [0.004, 0.003, 0.0, 0.0],
}


def warned(**columns):
    return drawing.warnings(pl.DataFrame(TEST | columns), TRAIN)


def test_predictions_like_the_labels_raise_no_warning():
    # The mislabelled training tile, almost all kelp, is no standard.
    assert warned() == []


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"kelp_share": [0.05, 0.05, 0.0, 0.0]}, "2.50% of the test tiles"),
        (
            {"kelp_share": [0.008, 0.008, 0, 0], "under_qa": [0.0] * 4}
            | {"on_land": [0.0] * 4},
            "0.40% of the test tiles",
        ),
        ({"kelp_share": [0.01] * 4}, "0% of the test tiles have no kelp at all"),
        ({"on_land": [0.002, 0.001, 0, 0]}, "7.5% of the predicted kelp lies on land"),
        ({"under_qa": [0.006, 0.006, 0, 0]}, "30.0% of the predicted kelp lies under"),
    ],
)
def test_each_warning_fires_alone_and_says_the_figure(columns, words):
    (sentence,) = warned(**columns)
    assert words in sentence


def test_tiles_drowned_in_kelp_are_counted():
    sentences = warned(kelp_share=[0.41, 0.5, 0.0, 0.0])
    assert any(s.startswith("2 test tiles are predicted more than") for s in sentences)
    # Exactly 40 % is still what a training tile may have.
    assert not any("more than 40" in s for s in warned(kelp_share=[0.4, 0, 0, 0]))


@pytest.mark.parametrize(
    "columns",
    [
        {"kelp_share": [0.039, 0.04, 0.0, 0.0]},
        {"kelp_share": [0.0105, 0.0105, 0.0, 0.0], "under_qa": [0.0] * 4},
        {"kelp_share": [0.02, 0.01, 0.01, 0.0]},
        {"on_land": [0.0019, 0.0, 0.0, 0.0]},
        {"under_qa": [0.0079, 0.0, 0.0, 0.0]},
    ],
)
def test_just_within_the_usual_raises_no_warning(columns):
    assert warned(**columns) == []


def test_predictions_without_any_kelp_are_warned_of_not_divided_by():
    nothing = [0.0] * 4
    sentences = warned(kelp_share=nothing, on_land=nothing, under_qa=nothing)
    assert len(sentences) == 2
    assert "100% of the test tiles have no kelp" in sentences[1]
