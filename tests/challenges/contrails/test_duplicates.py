"""How near-duplicates are judged: by place and time, or by the last frame."""

import numpy as np
import polars as pl
import pytest

from tenfold.challenges.contrails import duplicates
from tenfold.errors import RecipeError
from tenfold.grouping.footprints import edges
from tenfold.recipe import FootprintSearch

#: Two that overlap ten minutes apart, one that does so later, and one of test.
CATALOGUE = pl.DataFrame(
    {
        "id": ["1", "2", "3", "4"],
        "split": ["train", "train", "train", "test"],
        "timestamp": [1_555_000_000, 1_555_000_600, 1_555_090_000, None],
        "west": [-80.0, -79.0, -80.0, None],
        "south": [30.0, 30.0, 30.0, None],
        "east": [-75.0, -74.0, -75.0, None],
        "north": [35.0, 35.0, 35.0, None],
    }
)


def test_footprints_are_of_records_with_metadata():
    scenes = duplicates.footprints(CATALOGUE)
    assert scenes.columns == ["id", "time", "west", "south", "east", "north"]
    assert scenes["id"].to_list() == ["1", "2", "3"]
    assert scenes.row(1) == ("2", 1_555_000_600, -79.0, 30.0, -74.0, 35.0)


def test_records_of_one_place_within_the_hour_are_a_pair():
    scenes = duplicates.footprints(CATALOGUE)
    # Of five degrees four are shared.
    within = edges(scenes, FootprintSearch(hours=1))
    assert within.rows() == [("1", "2", pytest.approx(0.8))]
    assert len(edges(scenes, FootprintSearch(hours=48))) == 3
    assert edges(scenes, FootprintSearch(hours=1, overlap=0.9)).is_empty()


def test_a_source_without_any_metadata_has_no_footprints():
    assert duplicates.footprints(CATALOGUE.tail(1)).is_empty()


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_the_picture_is_the_last_frame_as_bytes(dtype):
    values = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 4), np.uint8)
    image = values if dtype == "uint8" else (values / 255).astype(np.float16)
    shown = duplicates.picture({"image": image})
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown, values[-1, ..., :3])


def test_fewer_channels_than_three_are_repeated():
    image = np.arange(2 * 4 * 5 * 2, dtype=np.uint8).reshape(2, 4, 5, 2)
    shown = duplicates.picture({"image": image})
    np.testing.assert_array_equal(shown, image[-1][..., [0, 1, 1]])


def test_exact_overlaps_are_refused_with_the_way_out():
    words = r"resampled.*groups\.overlap\.enabled to false.*groups\.footprint\.enabled"
    with pytest.raises(RecipeError, match=words):
        duplicates.lattice({"image": np.zeros((1, 4, 4, 3), np.uint8)})
