"""The synthetic competition download: exact format, determinism, honest side files."""

import csv
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pydantic
import pytest
import rasterio

from tenfold.challenges.kelp.synth import SynthOptions, synthesise
from tenfold.errors import SourceError

OPTIONS = SynthOptions(train=10, test=3, coasts=3, seed=4)
NODATA = -32768


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    directory = tmp_path_factory.mktemp("synth")
    synthesise(directory, OPTIONS)
    return directory


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def labels(source):
    return json.loads((source / "truth" / "labels.json").read_text())


def read(path):
    with rasterio.open(path) as image:
        return image.read()


def satellites(source):
    """Every readable satellite tile by identifier."""
    broken = {Path(name).name for name in labels(source)["truncated"]}
    paths = sorted((source / "data").glob("*_satellite/*.tif"))
    return {p.name.split("_")[0]: read(p) for p in paths if p.name not in broken}


def masks(source):
    """Every mask by identifier, the truth of the test tiles included."""
    paths = sorted(source.glob("*/*_kelp/*.tif"))
    return {p.name.split("_")[0]: read(p)[0] for p in paths}


def contents(directory):
    files = sorted(p for p in directory.rglob("*") if p.is_file())
    return {str(p.relative_to(directory)): p.read_bytes() for p in files}


def test_folders_hold_what_the_competition_ships(source):
    unmasked = len(labels(source)["unmasked"])
    count = {
        name: len(list((source / name).glob("*.tif")))
        for name in (
            "data/train_satellite",
            "data/train_kelp",
            "data/test_satellite",
            "truth/test_kelp",
        )
    }
    assert list(count.values()) == [10, 10 - unmasked, 3, 3]
    assert not (source / "data" / "test_kelp").exists()


@pytest.mark.parametrize(
    ("pattern", "dtype", "bands"),
    [("*_satellite/*.tif", "int32", 7), ("*_kelp/*.tif", "uint8", 1)],
)
def test_files_have_the_real_format(source, pattern, dtype, bands):
    path = next(p for p in sorted((source / "data").glob(pattern)))
    with rasterio.open(path) as image:
        assert (image.count, image.height, image.width) == (bands, 350, 350)
        assert set(image.dtypes) == {dtype}
        assert image.compression.value.lower() == "deflate"
        assert bands == 1 or image.interleaving.value.lower() == "pixel"
        assert image.crs is None
        assert image.transform.is_identity
        assert image.nodata is None


def test_metadata_describe_the_files(source):
    rows = table(source / "data" / "metadata_fTq0l2T.csv")
    assert list(rows[0]) == [
        *("tile_id", "filename", "md5_hash", "filesize_bytes", "type", "in_train")
    ]
    wrong = labels(source)
    unlike = {Path(n).name for n in wrong["truncated"] + wrong["unmasked"]}
    assert len(rows) == 2 * 10 + 3 + len(wrong["repeated"])
    for row in rows:
        split = {"True": "train", "False": "test"}[row["in_train"]]
        assert re.fullmatch(r"[A-Z]{2}\d{6}", row["tile_id"])
        assert row["filename"] == f"{row['tile_id']}_{row['type']}.tif"
        if row["filename"] in unlike:
            continue
        path = source / "data" / f"{split}_{row['type']}" / row["filename"]
        content = path.read_bytes()
        assert row["md5_hash"] == hashlib.md5(content).hexdigest()  # noqa: S324
        assert int(row["filesize_bytes"]) == len(content)


def test_same_options_give_the_same_bytes(source, tmp_path):
    synthesise(tmp_path, OPTIONS)
    assert contents(tmp_path) == contents(source)


def test_another_seed_gives_other_tiles(source, tmp_path):
    synthesise(tmp_path, SynthOptions(train=8, test=1, coasts=1, seed=5))
    assert not contents(tmp_path).items() & contents(source).items()


def test_overlapping_crops_share_the_elevation(source):
    pairs = table(source / "truth" / "overlaps.csv")
    tiles = satellites(source)
    readable = [p for p in pairs if {p["tile_a"], p["tile_b"]} <= set(tiles)]
    assert readable
    for pair in readable:
        row, col = int(pair["row_shift"]), int(pair["col_shift"])
        a, b = tiles[pair["tile_a"]], tiles[pair["tile_b"]]
        on_a = a[:, max(0, row) : 350 + row, max(0, col) : 350 + col]
        on_b = b[:, max(0, -row) : 350 - row, max(0, -col) : 350 - col]
        assert np.array_equal(on_a[6], on_b[6])
        assert not np.array_equal(on_a[1], on_b[1])
        share = on_a[6].size / 350**2
        assert float(pair["overlap_share"]) == pytest.approx(share, abs=1e-6)
        land = (on_a[6] > 0).sum() / 350**2
        assert float(pair["land_share"]) == pytest.approx(land, abs=1e-6)


def test_places_agree_with_the_shifts(source):
    places = {r["tile_id"]: r for r in table(source / "truth" / "aoi.csv")}
    assert len(places) == 13
    for pair in table(source / "truth" / "overlaps.csv"):
        a, b = places[pair["tile_a"]], places[pair["tile_b"]]
        assert a["coast"] == b["coast"]
        assert int(pair["row_shift"]) == int(b["row"]) - int(a["row"])
        assert int(pair["col_shift"]) == int(b["col"]) - int(a["col"])


def test_values_stay_in_their_ranges(source):
    tiles, drawn = satellites(source), masks(source)
    spectra = np.stack([t[:5] for t in tiles.values()])
    dem_m = np.stack([t[6] for t in tiles.values()])
    assert all(set(np.unique(t[5])) <= {0, 1} for t in tiles.values())
    assert all(set(np.unique(m)) <= {0, 1} for m in drawn.values())
    assert spectra.min() == NODATA
    assert spectra[spectra != NODATA].min() >= 1
    assert 32767 < spectra.max() <= 65535
    assert dem_m.min() == NODATA
    assert dem_m[dem_m != NODATA].min() >= 0
    assert 50 < dem_m.max() <= 706


def test_kelp_grows_in_the_sea_only(source):
    tiles, drawn = satellites(source), masks(source)
    honest = set(tiles) & set(drawn) - set(labels(source)["mislabelled"])
    assert any(drawn[i].any() for i in honest)
    assert not any((drawn[i] > 0)[tiles[i][6] > 0].any() for i in honest)


def test_bad_files_are_there_and_listed(source):
    wrong = labels(source)
    assert all(len(names) >= 1 for names in wrong.values())
    drawn = masks(source)
    assert {i for i, m in drawn.items() if m.mean() > 0.4} == set(wrong["mislabelled"])
    rows = table(source / "data" / "metadata_fTq0l2T.csv")
    listed = [r["tile_id"] for r in rows if r["type"] == "satellite"]
    assert {i for i in listed if listed.count(i) > 1} == set(wrong["repeated"])
    for name in wrong["truncated"]:
        with pytest.raises(rasterio.errors.RasterioIOError):
            read(source / "data" / name)
    assert not any((source / "data" / name).exists() for name in wrong["unmasked"])


def test_clean_data_have_no_bad_files(tmp_path):
    calls = []
    options = SynthOptions(train=8, test=1, coasts=2, bad_files=False)
    synthesise(tmp_path, options, lambda done, total: calls.append((done, total)))
    assert not any(labels(tmp_path).values())
    assert calls[-1] == (9, 9)
    assert calls == sorted(calls)


def test_an_existing_data_set_is_kept(source):
    with pytest.raises(SourceError, match="exists"):
        synthesise(source, OPTIONS)


def test_unknown_options_are_refused():
    with pytest.raises(pydantic.ValidationError):
        SynthOptions(tiles=3)
