"""Reading the competition's files: both layouts, every bad file named, all columns."""

import csv
import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tenfold.challenges import load_recipe
from tenfold.challenges.kelp import reader
from tenfold.challenges.kelp.channels import wanted
from tenfold.challenges.kelp.masking import Masking
from tenfold.challenges.kelp.tiles import unpack_mask, unpack_tile
from tenfold.data.sources import localise
from tenfold.data.statistics import StatisticsSum
from tenfold.errors import Rejected, SourceError
from tenfold.recipe import DataOptions

COLUMNS = ("tile_id", "filename", "md5_hash", "filesize_bytes", "type", "in_train")
RAW = {
    ("train", "satellite"): "train_satellite",
    ("train", "kelp"): "train_kelp",
    ("test", "satellite"): "test_satellite",
}
SORTED = {
    ("train", "satellite"): "train/images",
    ("train", "kelp"): "train/masks",
    ("test", "satellite"): "test/images",
}


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324


class Source:
    """A data set of two train tiles and a test tile, to be spoilt by a test."""

    def __init__(self, root, kelp, folders):
        self.root, self.kelp, self.folders = root, kelp, folders

    def fill(self):
        blank = np.zeros((1, 350, 350), np.uint8)
        for number, id_ in enumerate(("AA000001", "BB000002")):
            self.write("train", "satellite", id_, self.kelp.make_tile(seed=number))
            self.write("train", "kelp", id_, blank)
        self.write("test", "satellite", "CC000003", self.kelp.make_tile(seed=9))
        return self

    def path(self, split, role, id_):
        return self.root / self.folders[split, role] / f"{id_}_{role}.tif"

    def write(self, split, role, id_, array):
        return self.kelp.write_tif(self.path(split, role, id_), array)

    def rows(self):
        return [
            {
                "tile_id": path.name.split("_")[0],
                "filename": path.name,
                "md5_hash": md5(path),
                "filesize_bytes": path.stat().st_size,
                "type": role,
                "in_train": split == "train",
            }
            for (split, role), folder in self.folders.items()
            for path in sorted((self.root / folder).glob("*.tif"))
        ]

    def list_files(self, rows=None, columns=COLUMNS):
        rows = self.rows() if rows is None else rows
        with (self.root / "metadata_fTq0l2T.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    def scan(self):
        return reader.scan(self.root, DataOptions())

    def pack(self, id_):
        (sample,) = (s for s in self.scan().samples if s.id == id_)
        return reader.pack(sample, None, DataOptions())


@pytest.fixture(scope="module")
def pristine(tmp_path_factory, kelp):
    return Source(tmp_path_factory.mktemp("pristine"), kelp, RAW).fill()


@pytest.fixture
def source(tmp_path, kelp, pristine):
    shutil.copytree(pristine.root, tmp_path / "data")
    return Source(tmp_path / "data", kelp, RAW)


def rejections(scan):
    return {r.file: r.reason for r in scan.rejected}


@pytest.mark.parametrize("folders", [RAW, SORTED])
@pytest.mark.parametrize("inside", ["", "kelp-wanted"])
def test_both_layouts_are_read_also_one_folder_down(tmp_path, kelp, folders, inside):
    source = Source(tmp_path / "data" / inside, kelp, folders).fill()
    source.list_files()
    scan = reader.scan(tmp_path / "data", DataOptions())
    assert scan.rejected == ()
    assert [(s.id, s.split) for s in scan.samples] == [
        ("AA000001", "train"),
        ("BB000002", "train"),
        ("CC000003", "test"),
    ]
    for sample in scan.samples:
        roles = {"satellite", "kelp"} if sample.split == "train" else {"satellite"}
        assert set(sample.files) == set(sample.md5) == roles
        for role, path in sample.files.items():
            assert path == source.path(sample.split, role, sample.id)
            assert sample.md5[role] == md5(path)


def test_a_zip_is_read_through_localise(tmp_path, source):
    source.list_files()
    archive = tmp_path / "kelp.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(source.root.rglob("*")):
            if path.is_file():
                name = path.relative_to(source.root).as_posix()
                file.write(path, f"kelp-wanted/{name}")
    scan = reader.scan(localise(archive, tmp_path / "scratch"), DataOptions())
    assert [s.id for s in scan.samples] == ["AA000001", "BB000002", "CC000003"]
    packed = reader.pack(scan.samples[1], None, DataOptions())
    expected = source.kelp.make_tile(seed=1)
    np.testing.assert_array_equal(unpack_tile(packed.arrays), expected)


def test_metadata_may_be_absent(source):
    scan = source.scan()
    assert len(scan.samples) == 3
    assert all(sample.md5 == {} for sample in scan.samples)


def test_a_packed_tile_holds_what_the_files_held(source):
    raw = source.kelp.make_tile(seed=5)
    raw[:5, 3, 4], raw[6, 0, 0], raw[1, 9, 9] = -32768, -32768, 65535
    mask = np.zeros((1, 350, 350), np.uint8)
    mask[0, 100:110, 3:9] = 1
    source.write("train", "satellite", "AA000001", raw)
    source.write("train", "kelp", "AA000001", mask)
    packed = source.pack("AA000001")
    np.testing.assert_array_equal(unpack_tile(packed.arrays), raw)
    np.testing.assert_array_equal(unpack_mask(packed.arrays), mask[0])
    assert packed.partials is None


# What is not a data set at all.


def test_an_empty_folder_is_no_data_set(tmp_path):
    with pytest.raises(SourceError, match=r"not a kelp data set.*train_satellite"):
        reader.scan(tmp_path, DataOptions())


def test_a_layout_without_one_of_its_folders_is_none(source):
    shutil.rmtree(source.root / "test_satellite")
    with pytest.raises(SourceError, match="test_satellite"):
        source.scan()


@pytest.mark.parametrize(
    ("folder", "split"), [("train_satellite", "train"), ("test_satellite", "test")]
)
def test_a_split_without_tiles_is_an_error(source, folder, split):
    for path in (source.root / folder).iterdir():
        path.unlink()
    with pytest.raises(SourceError, match=f"no usable {split} tile"):
        source.scan()


@pytest.mark.parametrize("lacking", ["md5_hash", "type", "tile_id", "filename"])
def test_metadata_without_a_column_are_refused_by_its_name(source, lacking):
    source.list_files(columns=[c for c in COLUMNS if c != lacking])
    with pytest.raises(SourceError, match=f"metadata_fTq0l2T.csv.*{lacking}"):
        source.scan()


# Tiles that scanning alone can refuse.


def test_a_tile_listed_twice_is_rejected_and_the_others_stay(source):
    rows = source.rows()
    source.list_files([*rows, next(r for r in rows if r["tile_id"] == "AA000001")])
    scan = source.scan()
    assert [s.id for s in scan.samples] == ["BB000002", "CC000003"]
    (reason,) = rejections(scan).values()
    assert "AA000001" in reason
    assert "more than once" in reason


def test_a_tile_in_both_splits_is_an_error(source):
    source.write("test", "satellite", "AA000001", source.kelp.make_tile())
    with pytest.raises(SourceError, match="AA000001 is in train and in test"):
        source.scan()


def test_a_test_tile_that_is_listed_but_missing_is_an_error(source):
    source.list_files()
    source.path("test", "satellite", "CC000003").unlink()
    with pytest.raises(SourceError, match=r"CC000003_satellite\.tif.*every test tile"):
        source.scan()


def test_two_files_of_one_tile_are_rejected(source):
    tile = source.path("train", "satellite", "AA000001")
    shutil.copy(tile, tile.with_name("AA000001_copy_satellite.tif"))
    scan = source.scan()
    assert "AA000001" not in [s.id for s in scan.samples]
    assert "tile AA000001 is there twice" in rejections(scan).values()


def test_a_train_tile_needs_its_mask(source):
    source.path("train", "kelp", "AA000001").unlink()
    scan = source.scan()
    assert [s.id for s in scan.samples] == ["BB000002", "CC000003"]
    assert rejections(scan) == {
        "train_satellite/AA000001_satellite.tif": "a train tile without its mask"
    }


def test_a_mask_needs_its_tile(source):
    source.path("train", "satellite", "AA000001").unlink()
    assert rejections(source.scan()) == {
        "train_kelp/AA000001_kelp.tif": "a mask without its tile"
    }


@pytest.mark.parametrize("role", ["satellite", "kelp"])
def test_a_listed_file_must_be_there(source, role):
    source.list_files()
    source.path("train", role, "BB000002").unlink()
    scan = source.scan()
    assert [s.id for s in scan.samples] == ["AA000001", "CC000003"]
    reasons = rejections(scan)
    assert list(reasons) == [f"BB000002_{role}.tif"]
    assert "not there" in reasons[f"BB000002_{role}.tif"]


def test_a_listed_tile_without_any_file_is_rejected_once(source):
    source.list_files()
    for role in ("satellite", "kelp"):
        source.path("train", role, "BB000002").unlink()
    scan = source.scan()
    assert [s.id for s in scan.samples] == ["AA000001", "CC000003"]
    assert len(scan.rejected) == 1
    assert scan.rejected[0].file.startswith("BB000002")


# Tiles that only show what is wrong when they are read.


def spoilt(change):
    """Return a tile changed by a function that may return a new array."""

    def make(kelp):
        raw = kelp.make_tile()
        changed = change(raw)
        return raw if changed is None else changed

    return make


def put(band, value):
    def change(raw):
        raw[band, 20, 30] = value

    return spoilt(change)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (spoilt(lambda raw: raw[:6]), "6 bands instead of 7"),
        (spoilt(lambda raw: np.concatenate([raw, raw[:1]])), "8 bands instead of 7"),
        (spoilt(lambda raw: raw[:, :349]), "349×350 pixels instead of 350×350"),
        (spoilt(lambda raw: raw.astype(np.float32)), "float32.*int32"),
        (spoilt(lambda raw: raw.astype(np.int16)), "int16.*int32"),
        (spoilt(lambda raw: raw.astype(np.uint16)), "uint16.*int32"),
        (put(5, 2), "QA holds values other than 0 and 1"),
        (put(5, -32768), "QA holds values other than 0 and 1"),
        (put(0, 65536), "65536 out of range"),
        (put(3, -1), "-1 out of range"),
        (put(6, 40_000), "elevation out of the range"),
        (put(6, -32769), "elevation out of the range"),
    ],
)
def test_a_bad_tile_is_rejected_by_name_and_reason(source, make, reason):
    source.write("train", "satellite", "AA000001", make(source.kelp))
    with pytest.raises(Rejected, match=reason) as caught:
        source.pack("AA000001")
    assert caught.value.file == "AA000001_satellite.tif"


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.zeros((1, 349, 350), np.uint8), "1×349×350 instead of 1×350×350"),
        (np.zeros((2, 350, 350), np.uint8), "2×350×350 instead of 1×350×350"),
        (np.full((1, 350, 350), 2, np.uint8), "values other than 0 and 1"),
        (np.full((1, 350, 350), np.nan, np.float32), "values other than 0 and 1"),
    ],
)
def test_a_bad_mask_is_rejected_by_name_and_reason(source, mask, reason):
    source.write("train", "kelp", "AA000001", mask)
    with pytest.raises(Rejected, match=reason) as caught:
        source.pack("AA000001")
    assert caught.value.file == "AA000001_kelp.tif"


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.98])
def test_a_file_cut_short_is_rejected(source, keep):
    path = source.path("train", "satellite", "AA000001")
    content = path.read_bytes()
    size = keep if isinstance(keep, int) else int(keep * len(content))
    path.write_bytes(content[:size])
    with pytest.raises(Rejected, match="cannot be read") as caught:
        source.pack("AA000001")
    assert caught.value.file == "AA000001_satellite.tif"


@pytest.mark.parametrize("role", ["satellite", "kelp"])
def test_a_file_that_is_not_the_listed_one_is_rejected(source, role):
    source.list_files()
    other = source.kelp.make_tile(seed=77) if role == "satellite" else None
    kelp = np.ones((1, 350, 350), np.uint8)
    source.write("train", role, "AA000001", kelp if other is None else other)
    found = md5(source.path("train", role, "AA000001"))
    with pytest.raises(Rejected, match=f"checksum {found}, the metadata says"):
        source.pack("AA000001")
    assert source.pack("BB000002").columns["kelp_pixels"] == 0


# The catalogue.


def test_columns_of_a_tile_made_by_hand(source):
    raw = source.kelp.make_tile()
    raw[6] = 5  # land, but for the parts below
    raw[6, :100] = 0  # 35000 pixels at sea level
    raw[6, 100:120] = -32768  # 7000 pixels without DEM
    raw[6, 120, :50] = -1  # 50 pixels below the sea, which count as unknown too
    raw[5, :150] = 1  # 52500 faulty pixels, share 3/7
    raw[2, 0, :70] = -32768  # 70 pixels without red
    raw[4, 0, 35:105] = -32768  # 70 without blue, half of them the same
    mask = np.zeros((1, 350, 350), np.uint8)
    mask[0, :7] = 1  # 2450 pixels, share 0.02
    source.write("train", "satellite", "AA000001", raw)
    source.write("train", "kelp", "AA000001", mask)
    pixels = 122_500
    assert source.pack("AA000001").columns == {
        "has_kelp": True,
        "kelp_level": 3,
        "kelp_pixels": 2450,
        "non_kelp_pixels": 120_050,
        "kelp_pixels_pct": pytest.approx(0.02),
        "high_kelp_pixels_pct": False,
        "dem_nan_pixels": 7050,
        "dem_has_nans": True,
        "dem_nan_pixels_pct": pytest.approx(7050 / pixels),
        "dem_zero_pixels": 35_000,
        "dem_zero_pixels_pct": pytest.approx(35_000 / pixels),
        "water_pixels": 42_050,
        "water_pixels_pct": pytest.approx(42_050 / pixels),
        "almost_all_water": False,
        "qa_corrupted_pixels": 52_500,
        "qa_ok": False,
        "qa_corrupted_pixels_pct": pytest.approx(3 / 7),
        "high_corrupted_pixels_pct": True,
        "valid_pixels_pct": pytest.approx(1 - 105 / pixels),
    }


@pytest.mark.parametrize(
    ("kelp_rows", "land_rows", "high", "watery"),
    [(140, 7, False, False), (141, 6, True, True)],
)
def test_shares_exactly_at_a_limit_are_not_beyond_it(
    source, kelp_rows, land_rows, high, watery
):
    # 140 of 350 rows are 40 %, 343 of 350 are 98 %.
    raw = source.kelp.make_tile()
    raw[6, :land_rows] = 9
    raw[5, :kelp_rows] = 1
    mask = np.zeros((1, 350, 350), np.uint8)
    mask[0, :kelp_rows] = 1
    source.write("train", "satellite", "AA000001", raw)
    source.write("train", "kelp", "AA000001", mask)
    columns = source.pack("AA000001").columns
    assert columns["high_kelp_pixels_pct"] is high
    assert columns["high_corrupted_pixels_pct"] is high
    assert columns["almost_all_water"] is watery


def test_a_test_tile_knows_nothing_of_kelp(source):
    columns = source.pack("CC000003").columns
    unknown = {name for name, value in columns.items() if value is None}
    assert unknown == {name for name in columns if "kelp" in name}
    assert columns["qa_ok"] is True
    assert set(columns) == set(source.pack("AA000001").columns)


# Statistics.


def test_partials_are_those_of_the_counted_pixels_under_each_masking(source):
    raw = source.kelp.make_tile(seed=8)
    raw[5, :100] = 1
    raw[6, :, :50] = 20
    raw[6, :, 300:] = -32768
    raw[1, 200:, :] = -32768
    source.write("test", "satellite", "CC000003", raw)
    strict, slipped = Masking(), Masking(unknown_is_land=True)
    channels = wanted([(("NIR", "NDVI"), strict), (("DEM", "NDVI"), slipped)])
    (sample,) = (s for s in source.scan().samples if s.id == "CC000003")
    partials = reader.pack(sample, channels, DataOptions()).partials
    total = StatisticsSum(channels)
    stacked = type(partials)(**{k: v[None] for k, v in vars(partials).items()})
    total.add(stacked, [0])
    found = total.result()
    nir, red = raw[1].astype(np.float64), raw[2].astype(np.float64)
    seen = nir != -32768
    sea = seen & (raw[5] == 0) & (raw[6] <= 0)
    expected = {
        "NIR": nir[seen],
        "DEM": raw[6][raw[6] != -32768].astype(np.float64),
        strict.key("NDVI"): ((nir - red) / (nir + red))[sea],
        slipped.key("NDVI"): ((nir - red) / (nir + red))[sea & (raw[6] == 0)],
    }
    assert set(found.mean) == set(expected)
    for name, values in expected.items():
        assert found.mean[name] == pytest.approx(values.mean(), rel=1e-5, abs=1e-7)
        assert found.std[name] == pytest.approx(values.std(), rel=1e-5)
        assert found.low[name] == pytest.approx(values.min(), rel=1e-6)
        assert found.high[name] == pytest.approx(values.max(), rel=1e-6)
    for name in ("NIR", strict.key("NDVI")):
        q01, q99 = np.quantile(expected[name], (0.01, 0.99))
        width = 0.02 * (q99 - q01)
        assert found.q01[name] == pytest.approx(q01, abs=width)
        assert found.q99[name] == pytest.approx(q99, abs=width)


def test_the_recipe_names_the_channels_that_need_statistics():
    recipe = load_recipe("kelp", "winning")
    names = reader.channels(recipe).names
    # 24 channels less QA and DEMWM, whose scale is fixed.
    assert len(names) == 22
    assert {"R", "G", "B", "SWIR", "NIR", "DEM"} < set(names)


# All of it at once.


def test_every_bad_file_of_a_synthetic_download_is_named(synthetic):
    wrong = json.loads((synthetic / "truth" / "labels.json").read_text())
    assert all(wrong.values())
    scan = reader.scan(synthetic / "data", DataOptions())
    expected = [*wrong["repeated"], *(Path(n).name[:8] for n in wrong["unmasked"])]
    assert len(scan.rejected) == len(expected)
    for id_ in expected:
        assert any(id_ in str(rejection) for rejection in scan.rejected)
    assert not {sample.id for sample in scan.samples} & set(expected)
    refused = {}
    packed = {}
    for sample in scan.samples:
        try:
            packed[sample.id] = reader.pack(sample, None, DataOptions())
        except Rejected as error:
            refused[error.file] = error.reason
    assert set(refused) == {Path(name).name for name in wrong["truncated"]}
    # 10 train tiles less three broken ones, and 3 test tiles.
    assert len(packed) == 10
    high = {i for i, p in packed.items() if p.columns["high_kelp_pixels_pct"]}
    assert high == set(wrong["mislabelled"])
