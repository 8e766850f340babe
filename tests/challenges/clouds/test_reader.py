"""Reading the competition's files: every layout, every fault named, exact masks."""

import shutil

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tenfold.challenges.clouds import reader, submission
from tenfold.challenges.clouds.options import CloudsData
from tenfold.challenges.clouds.planes import unpack_planes
from tenfold.data import describe
from tenfold.errors import Rejected, SourceError

CLASSES = ("Fish", "Flower", "Gravel", "Sugar")
HEADER = "Image_Label,EncodedPixels"
PAIR = {"train": "train_images", "test": "test_images"}
ONE = {"train": "images", "test": "images"}
OPTIONS = CloudsData()
TRAIN, TEST = ("0011165", "002be4f", "046586a"), ("fa645da", "ffe8a50")


def code_of_box(top, bottom, left, right):
    """Return the code of a box at 1400 × 2100, last row and column included."""
    runs = (f"{c * 1400 + top + 1} {bottom - top + 1}" for c in range(left, right + 1))
    return " ".join(runs)


BOX = code_of_box(101, 701, 203, 1503)
#: Images have two classes that overlap, one class, and none.
LABELS = {
    "0011165": {"Fish": BOX, "Gravel": code_of_box(0, 1399, 0, 1049)},
    "002be4f": {"Sugar": "1 1"},
    "046586a": {},
}


class Source:
    """A data set of three train and two test images, to be spoilt by a test."""

    def __init__(self, root, folders=PAIR):
        self.root, self.folders = root, folders
        self.rows = {
            "train.csv": [
                f"{id_}.jpg_{name},{LABELS[id_].get(name, '')}"
                for id_ in TRAIN
                for name in CLASSES
            ],
            "sample_submission.csv": [
                f"{id_}.jpg_{name},1 1" for id_ in TEST for name in CLASSES
            ],
        }

    def path(self, id_):
        split = "train" if id_ in TRAIN else "test"
        return self.root / self.folders[split] / f"{id_}.jpg"

    def fill(self, picture):
        for id_ in (*TRAIN, *TEST):
            self.path(id_).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, self.path(id_))
        return self.tabulate()

    def tabulate(self):
        for name, rows in self.rows.items():
            (self.root / name).write_text("\n".join([HEADER, *rows, ""]), "utf-8")
        return self

    def label(self, key, code):
        """Give a key of train.csv another code."""
        kept = [row for row in self.rows["train.csv"] if not row.startswith(key)]
        self.rows["train.csv"] = [*kept, f"{key},{code}"]
        return self.tabulate()

    def scan(self, **options):
        return reader.scan(self.root, CloudsData(**options))

    def pack(self, id_, **options):
        (sample,) = (s for s in self.scan().samples if s.id == id_)
        return reader.pack(sample, None, CloudsData(**options))


@pytest.fixture(scope="session")
def picture(tmp_path_factory):
    """A picture whose left third is black, and whose right is red."""
    image = np.zeros((1400, 2100, 3), np.uint8)
    image[:, 700:] = (200, 40, 90)
    path = tmp_path_factory.mktemp("picture") / "picture.jpg"
    Image.fromarray(image).save(path, quality=95, subsampling=0)
    return path


@pytest.fixture
def source(tmp_path, picture):
    return Source(tmp_path / "data").fill(picture)


def rejections(scan):
    return {fault.file: fault.reason for fault in scan.rejected}


@pytest.mark.parametrize("folders", [PAIR, ONE])
@pytest.mark.parametrize("inside", ["", "understanding_cloud_organization"])
def test_both_layouts_are_read_also_one_folder_down(tmp_path, picture, folders, inside):
    source = Source(tmp_path / "data" / inside, folders).fill(picture)
    scan = reader.scan(tmp_path / "data", OPTIONS)
    assert scan.rejected == ()
    assert [(s.id, s.split) for s in scan.samples] == [
        *((id_, "train") for id_ in TRAIN),
        *((id_, "test") for id_ in TEST),
    ]
    for sample in scan.samples:
        assert sample.files == {"picture": source.path(sample.id)}
        expected = LABELS.get(sample.id)
        if expected is None:
            assert sample.labels == {}
        else:
            assert {n: c for n, c in sample.labels.items() if c} == expected


def test_the_masks_are_those_of_the_published_system(source):
    packed = source.pack("0011165")
    arrays = packed.arrays
    assert {n: (a.shape, a.dtype.name) for n, a in arrays.items()} == {
        "picture": ((384, 576, 3), "uint8"),
        "classes": ((384, 576), "uint8"),
        "truth": ((350, 525), "uint8"),
    }
    prepared, truth = unpack_planes(arrays["classes"]), unpack_planes(arrays["truth"])
    assert prepared.sum(axis=(1, 2)).tolist() == [58_905, 0, 384 * 288, 0]
    assert prepared[0, 28:193, 56:413].all()
    # Half of the columns, and the one that reads one pixel more.
    assert truth.sum(axis=(1, 2)).tolist() == [49_075, 0, 350 * 263, 0]
    assert truth[0, 25:176, 51:376].all()
    assert packed.partials is None


def test_columns_say_what_the_table_does(source):
    columns = source.pack("0011165").columns
    assert [columns[n.lower()] for n in CLASSES] == [True, False, True, False]
    assert columns["classes"] == "Fish Gravel"
    assert columns["fish_share"] == 49_075 / 183_750
    assert columns["gravel_share"] == 263 / 525
    assert columns["flower_share"] == columns["sugar_share"] == 0
    assert columns["black_share"] == pytest.approx(1 / 3, abs=0.005)
    # A class of one pixel that resizing does not read is present all the same.
    columns = source.pack("002be4f").columns
    assert (columns["sugar"], columns["sugar_share"]) == (True, 0)
    assert columns["classes"] == "Sugar"


@pytest.mark.parametrize(
    ("id_", "there", "share", "classes"),
    [("046586a", False, 0, ""), ("fa645da", None, None, None)],
)
def test_an_image_without_classes_and_a_test_image_have_no_mask(
    source, id_, there, share, classes
):
    packed = source.pack(id_)
    assert not packed.arrays["classes"].any()
    assert not packed.arrays["truth"].any()
    # What a test image shows is not "nothing", but not known.
    expected = {name.lower(): there for name in CLASSES}
    expected |= {f"{name.lower()}_share": share for name in CLASSES}
    expected |= {"classes": classes, "black_share": packed.columns["black_share"]}
    assert packed.columns == expected
    assert packed.columns["black_share"] == pytest.approx(1 / 3, abs=0.005)
    assert packed.arrays["picture"][:, 300:].mean((0, 1)) == pytest.approx(
        (200, 40, 90), abs=2
    )


def test_test_images_are_counted_as_unknown_not_as_without_the_class(source):
    rows = [
        {"id": s.id, "split": s.split, **source.pack(s.id).columns}
        for s in source.scan().samples
    ]
    counts = describe.proportions(pl.DataFrame(rows, infer_schema_length=None))
    fish = counts.filter(column="fish").select("split", "yes", "no", "unknown").rows()
    assert fish == [("test", 0, 0, 2), ("train", 1, 2, 0), ("all", 1, 2, 2)]


def test_the_recipe_decides_size_and_rules(source):
    packed = source.pack("0011165", size=(128, 192), resample="bilinear", masks="area")
    assert packed.arrays["picture"].shape == (128, 192, 3)
    fish, _, gravel, _ = unpack_planes(packed.arrays["classes"])
    # A box of 601 × 1301 px at 128 / 1400: rows 9.2 … 64.2 and columns 18.6 … 137.5.
    assert np.flatnonzero(fish.any(1))[[0, -1]].tolist() == [9, 63]
    assert np.flatnonzero(fish.any(0))[[0, -1]].tolist() == [19, 137]
    assert gravel.sum() == 128 * 96
    # What is scored has the published rule whatever the recipe says.
    np.testing.assert_array_equal(
        packed.arrays["truth"], source.pack("0011165").arrays["truth"]
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1 2 3", "pairs"),
        ("1 4 3 2", "overlap"),
        ("2939999 3", "2940001"),
        ("0 1", "first pixel is 1"),
        ("7 0", "length 0"),
        ("1 two", "'two'"),
    ],
)
def test_a_malformed_code_rejects_the_image_and_names_the_row(source, code, reason):
    source.label("002be4f.jpg_Gravel", code)
    with pytest.raises(Rejected, match=rf"002be4f\.jpg_Gravel: .*{reason}") as caught:
        source.pack("002be4f")
    assert caught.value.file == "train.csv"
    source.pack("0011165")


def test_a_broken_picture_is_rejected_by_name(source):
    whole = source.path("fa645da").read_bytes()
    source.path("fa645da").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Rejected, match="truncated") as caught:
        source.pack("fa645da")
    assert caught.value.file == "fa645da.jpg"


@pytest.mark.parametrize("folders", [PAIR, ONE])
def test_what_does_not_pair_is_rejected(tmp_path, picture, folders):
    source = Source(tmp_path / "data", folders).fill(picture)
    source.path("002be4f").unlink()
    folder = source.path("0011165").parent
    shutil.copyfile(picture, folder / "abcdef0.jpg")
    (folder / "._0011165.jpg").write_bytes(b"x")
    scan = source.scan()
    tables = "train.csv" if folders is PAIR else "train.csv or sample_submission.csv"
    assert rejections(scan) == {
        f"{folder.name}/002be4f.jpg": "listed in train.csv, but not there",
        f"{folder.name}/abcdef0.jpg": f"no rows in {tables}",
    }
    assert "002be4f" not in {sample.id for sample in scan.samples}


def test_a_picture_in_the_folder_of_the_other_split_is_rejected(source):
    shutil.copyfile(source.path("0011165"), source.root / "test_images" / "0011165.jpg")
    scan = source.scan()
    assert rejections(scan) == {
        "test_images/0011165.jpg": "no rows in sample_submission.csv"
    }
    assert len(scan.samples) == 5


def test_a_missing_test_image_stops(source):
    source.path("fa645da").unlink()
    reason = r"test_images/fa645da\.jpg: listed in sample_.*needs every test image"
    with pytest.raises(SourceError, match=reason):
        source.scan()


def test_the_recipe_leaves_images_out(source):
    scan = source.scan(leave_out=("0011165",))
    why = "left out by the recipe (data.leave_out)"
    assert rejections(scan) == {"train_images/0011165.jpg": why}
    # The list that went round names 046586a, others that are not there, and the test
    # image fa645da, which stays since a submission needs it.
    scan = source.scan(leave_out=("bad", "002be4f"))
    assert set(rejections(scan)) == {
        "train_images/002be4f.jpg",
        "train_images/046586a.jpg",
    }
    assert [s.id for s in scan.samples] == ["0011165", *TEST]


def test_a_test_image_to_leave_out_stops(source):
    reason = r"leave_out: fa645da is a test image, and a submission needs every test"
    with pytest.raises(SourceError, match=reason):
        source.scan(leave_out=("bad", "0011165", "fa645da"))


def test_a_sample_submission_in_another_order_than_is_written_stops(source):
    rows = source.rows["sample_submission.csv"]
    rows[:] = [*rows[4:], *rows[:4]]
    source.tabulate()
    reason = (
        r"sample_submission\.csv, row 6: key 'fa645da\.jpg_Fish' comes after 'ffe8a"
    )
    with pytest.raises(SourceError, match=reason):
        source.scan()


def test_the_rows_that_are_handed_in_have_the_order_of_the_sample(source, tmp_path):
    found = [sample.id for sample in source.scan().samples if sample.split == "test"]
    # The stage hands predictions over in polars' order of ids.
    ids = pl.Series(found[::-1]).sort().to_list()
    nothing = {"classes": np.zeros((350, 525), np.uint8)}
    submission.write(((id_, nothing) for id_ in ids), tmp_path)
    written, sample = (
        [line.partition(",")[0] for line in path.read_text().splitlines()]
        for path in (tmp_path / "submission.csv", source.root / "sample_submission.csv")
    )
    assert written == sample


def test_nothing_left_or_an_unknown_image_to_leave_out_stops(source):
    with pytest.raises(SourceError, match=r"leave_out: there is no image '0011165\.jp"):
        source.scan(leave_out=("0011165.jpg",))
    with pytest.raises(SourceError, match=r"no usable image of train\.csv"):
        source.scan(leave_out=TRAIN)


def test_an_image_of_both_splits_stops(source):
    source.rows["sample_submission.csv"][:0] = source.rows["train.csv"][:4]
    source.tabulate()
    with pytest.raises(SourceError, match=r"0011165 is in train\.csv and in sample_"):
        source.scan()


@pytest.mark.parametrize("table", ["train.csv", "sample_submission.csv"])
def test_a_table_that_breaks_a_rule_stops(source, table):
    source.rows[table].append(source.rows[table][0])
    source.tabulate()
    with pytest.raises(SourceError, match=rf"{table}, row \d+: key .* comes twice"):
        source.scan()
    (source.root / table).unlink()
    with pytest.raises(SourceError, match="not a clouds data set; expected"):
        source.scan()


def test_missing_folders_stop_and_archives_are_to_be_unpacked(source):
    shutil.rmtree(source.root / "test_images")
    with pytest.raises(SourceError, match=r"not both of train_images and test_images$"):
        source.scan()
    (source.root / "test_images.zip").write_bytes(b"PK")
    with pytest.raises(SourceError, match=r"unpack .*test_images\.zip into test_imag"):
        source.scan()


def test_two_layouts_at_once_stop(source):
    (source.root / "images").mkdir()
    with pytest.raises(SourceError, match="keep one of both"):
        source.scan()


def test_a_file_of_its_own_is_a_test_image(source, tmp_path):
    sample = reader.single(source.path("0011165"))
    assert (sample.id, sample.split) == ("0011165", "test")
    packed = reader.pack(sample, None, OPTIONS)
    assert not packed.arrays["truth"].any()
    with pytest.raises(SourceError, match=r"gone\.jpg: there is no such file"):
        reader.single(tmp_path / "gone.jpg")


def test_there_are_no_statistics_of_channels():
    assert reader.channels(None) is None
