"""Where records were seen: projections against closed forms, and every fault named."""

import json
import re

import numpy as np
import pytest
from rasterio.crs import CRS

from tenfold.challenges.contrails.metadata import Listed, locate, read_metadata
from tenfold.errors import Rejected, SourceError

#: A map of degrees alone: a metre is 1 / 111319.49 of a degree everywhere.
PLATE = (
    'PROJCS["plate",GEOGCS["sphere",DATUM["sphere",SPHEROID["sphere",6378137,0]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],'
    'PROJECTION["Equirectangular"],PARAMETER["central_meridian",{}],UNIT["metre",1]]'
)
DEGREE = np.pi * 6378137 / 180
ENTRY = {
    "record_id": "17",
    "timestamp": 1_560_000_000,
    "projection_wkt": PLATE.format(0),
    "row_min": 20 * DEGREE,
    "row_size": 4 * DEGREE,
    "col_min": -80 * DEGREE,
    "col_size": 5 * DEGREE,
}


def write(tmp_path, *entries):
    path = tmp_path / "train_metadata.json"
    path.write_text(json.dumps(entries))
    return path


def listed(tmp_path, **changes):
    (found,) = read_metadata(write(tmp_path, ENTRY | changes)).values()
    return found


def box(place):
    return place.west, place.south, place.east, place.north


def test_a_box_of_a_plain_map_is_that_box_in_degrees(tmp_path):
    place = locate(listed(tmp_path), (256, 256))
    assert box(place) == pytest.approx((-80, 20, -75, 24))
    assert (place.longitude, place.latitude) == pytest.approx((-77.5, 22))


def test_sizes_of_pixels_mean_the_same_box_and_so_do_rows_that_go_down(tmp_path):
    expected = box(locate(listed(tmp_path), (256, 128)))
    pixels = {"row_size": 4 * DEGREE / 256, "col_size": 5 * DEGREE / 128}
    assert box(locate(listed(tmp_path, **pixels), (256, 128))) == pytest.approx(
        expected
    )
    down = {"row_min": 24 * DEGREE, "row_size": -4 * DEGREE}
    assert box(locate(listed(tmp_path, **down), (256, 128))) == pytest.approx(expected)


def test_utm_has_its_central_meridian_at_500_km(tmp_path):
    wkt = CRS.from_epsg(32616).to_wkt()
    place = locate(
        listed(
            tmp_path,
            projection_wkt=wkt,
            row_min=3_000_000,
            row_size=512_000,
            col_min=244_000,
            col_size=512_000,
        ),
        (256, 256),
    )
    assert place.longitude == pytest.approx(-87)
    # The scene is symmetric about its meridian.
    assert (place.west + place.east) / 2 == pytest.approx(-87)
    # A degree of latitude is about 110.8 km there; the middle is at 3256 km north.
    assert place.latitude == pytest.approx(3_256_000 / 0.9996 / 110_720, abs=0.15)
    # Straight sides of the projection are curved on the map: the northern one has its
    # highest point in the middle, not at a corner.
    corner = locate(
        listed(
            tmp_path,
            projection_wkt=wkt,
            row_min=3_512_000 - 31_000,
            row_size=31_000,
            col_min=244_000,
            col_size=31_000,
        ),
        (16, 16),
    )
    assert place.west == pytest.approx(corner.west)
    assert place.north > corner.north + 0.02


def test_labels_are_read_back_exactly(tmp_path):
    found = listed(tmp_path, row_min=0.1 + 0.2, timestamp=1_560_000_000.0)
    assert Listed.from_labels(found.to_labels()) == found
    assert found.timestamp == 1_560_000_000
    assert all(isinstance(text, str) for text in found.to_labels().values())


def test_a_record_id_may_be_a_number(tmp_path):
    found = read_metadata(write(tmp_path, ENTRY | {"record_id": 2**63 - 1}))
    assert list(found) == ["9223372036854775807"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"timestamp": None}, "timestamp is missing"),
        ({"timestamp": "2019-04-01"}, "timestamp is '2019-04-01', not a number"),
        ({"row_min": float("nan")}, "row_min is nan"),
        ({"col_size": float("inf")}, "col_size is inf"),
        ({"col_size": True}, "col_size is True, not a number"),
        ({"col_size": 0}, "row_size and col_size must not be 0"),
        ({"projection_wkt": None}, "projection_wkt is missing"),
        ({"projection_wkt": ""}, "projection_wkt is ''"),
    ],
)
def test_a_fault_of_an_entry_rejects_its_record(tmp_path, changes, reason):
    path = write(tmp_path, ENTRY | changes, ENTRY | {"record_id": "18"})
    found = read_metadata(path)
    assert isinstance(found["18"], Listed)
    assert str(found["17"]) == f"train_metadata.json: record 17: {reason}"
    assert isinstance(found["17"], Rejected)


@pytest.mark.parametrize("key", [key for key in ENTRY if key != "record_id"])
def test_a_key_that_is_missing_is_named(tmp_path, key):
    lacking = {name: value for name, value in ENTRY.items() if name != key}
    found = read_metadata(write(tmp_path, lacking))
    assert f"{key} is missing" in str(found["17"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[{", "is not JSON"),
        ("\xff\xfe", "is not JSON"),
        ('{"17": {}}', "expected a list of records"),
        ("[17]", "entry 0 has no record_id"),
        ('[{"record_id": null}]', "entry 0 has no record_id"),
        ('[{"record_id": 1.5}]', "entry 0 has no record_id"),
        (json.dumps([ENTRY, ENTRY]), "record 17 is listed twice"),
    ],
)
def test_a_malformed_file_stops(tmp_path, text, reason):
    path = tmp_path / "train_metadata.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(SourceError, match=rf"train_metadata\.json.*{reason}"):
        read_metadata(path)


def test_a_missing_file_stops_and_says_what_it_is_for(tmp_path):
    reason = r"train_metadata\.json is not there; it says where and when .* of train/"
    with pytest.raises(SourceError, match=reason):
        read_metadata(tmp_path / "train_metadata.json")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"projection_wkt": "nonsense"}, "cannot be understood: nonsense"),
        ({"projection_wkt": "PROJCS[" + "x" * 99}, "cannot be understood: PROJCS[xx"),
        ({"row_min": 95 * DEGREE}, "is not on the map"),
        (
            {"projection_wkt": CRS.from_epsg(32616).to_wkt(), "col_min": 1e9},
            "is not on the map",
        ),
        (
            {"projection_wkt": PLATE.format(180), "col_min": -2.5 * DEGREE},
            "crosses the date line, which GOES-16 does not see",
        ),
    ],
)
def test_a_place_that_cannot_be_is_rejected(tmp_path, changes, reason):
    found = listed(tmp_path, **changes)
    with pytest.raises(Rejected, match=rf"record 17: its .*{re.escape(reason)}") as e:
        locate(found, (256, 256))
    assert e.value.file == "train_metadata.json"
    assert len(e.value.reason) < 130
