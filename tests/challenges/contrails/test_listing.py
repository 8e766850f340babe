"""Which records a source has: every part, every fault named, nothing dropped."""

import shutil

import numpy as np
import pytest

from tenfold.challenges.contrails import reader
from tenfold.challenges.contrails.options import ContrailsData
from tenfold.errors import SourceError

TRAIN = ("1000216489776414077", "1000603527582775543", "17")
VALIDATION = ("1000834164244036115", "1002653297254493116")
TEST = ("1704010292581573769", "9223372036854775807")
ASH = ("band_11", "band_14", "band_15")
LABEL, HANDS = "human_pixel_masks", "human_individual_masks"


def scan(made, **options):
    return reader.scan(made.root, ContrailsData(side=32, **options))


def rejections(found):
    return {fault.file: fault.reason for fault in found.rejected}


@pytest.mark.parametrize("inside", ["", "google-research-identify-contrails"])
def test_all_parts_are_listed_also_one_folder_down(made, tmp_path, inside):
    if inside:
        (tmp_path / "outer").mkdir()
        made.root.rename(tmp_path / "outer" / inside)
        made.root = tmp_path / "outer" / inside
    found = reader.scan(
        tmp_path / "outer" if inside else made.root, ContrailsData(side=32)
    )
    assert found.rejected == ()
    expected = dict.fromkeys((*TRAIN, *VALIDATION), "train")
    expected |= dict.fromkeys(TEST, "test")
    assert [(s.id, s.split) for s in found.samples] == sorted(expected.items())
    for sample in found.samples:
        part = sample.labels.get("part", "test")
        masks = {"train": (LABEL, HANDS), "validation": (LABEL,), "test": ()}[part]
        assert sample.files == {
            role: made.file(part, sample.id, role) for role in (*ASH, *masks)
        }
    parts = {s.id: s.labels["part"] for s in found.samples if s.labels}
    assert parts == dict.fromkeys(TRAIN, "train") | dict.fromkeys(
        VALIDATION, "validation"
    )


@pytest.mark.parametrize(
    ("part", "id_", "role"),
    [
        ("train", TRAIN[0], "band_11"),
        ("train", TRAIN[0], LABEL),
        ("train", TRAIN[0], HANDS),
        ("validation", VALIDATION[0], LABEL),
    ],
)
def test_a_missing_file_rejects_the_record(made, part, id_, role):
    made.file(part, id_, role).unlink()
    found = scan(made)
    assert rejections(found) == {f"{part}/{id_}/{role}.npy": "is not there"}
    assert id_ not in {sample.id for sample in found.samples}
    assert len(found.samples) == 6


@pytest.mark.parametrize("name", ["record", "017", "-5", "9223372036854775808", "1.5"])
def test_a_folder_that_is_no_record_is_rejected(made, name):
    (made.root / "train" / name).mkdir()
    made.entries["train"].append(made.entry(name))
    made.tabulate()
    reason = "is not a record id: a decimal number of at most 63 bits"
    assert rejections(scan(made)) == {f"train/{name}": reason}


def test_hidden_files_are_no_records_and_others_are_named(made):
    (made.root / "train" / ".DS_Store").write_text("x")
    (made.root / "train" / "18").write_text("x")
    made.entries["train"].append(made.entry("18"))
    made.tabulate()
    assert rejections(scan(made)) == {"train/18": "is not a folder"}


def test_records_and_metadata_must_pair(made):
    entries = made.entries["train"]
    entries[0] = made.entry("18")
    entries[1] = entries[1] | {"row_min": None}
    made.tabulate()
    found = scan(made)
    assert rejections(found) == {
        f"train/{TRAIN[0]}": "is not in train_metadata.json",
        "train/18": "is in train_metadata.json, but not there",
        "train_metadata.json": f"record {TRAIN[1]}: row_min is missing",
    }
    assert [s.id for s in found.samples if s.labels.get("part") == "train"] == ["17"]


@pytest.mark.parametrize("part", ["train", "validation"])
def test_metadata_that_are_not_there_stop(made, part):
    (made.root / f"{part}_metadata.json").unlink()
    with pytest.raises(SourceError, match=rf"{part}_metadata\.json is not there"):
        scan(made)


def test_validation_may_be_left_out(made):
    shutil.rmtree(made.root / "validation")
    (made.root / "validation_metadata.json").unlink()
    found = scan(made)
    assert found.rejected == ()
    assert {s.labels["part"] for s in found.samples if s.labels} == {"train"}


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_folder_without_train_or_test_is_something_else(made, part):
    shutil.rmtree(made.root / part)
    reason = "not a contrails data set; expected the folders train, validation and test"
    with pytest.raises(SourceError, match=reason):
        scan(made)


def test_the_size_that_most_records_have_is_kept(made):
    rng = np.random.default_rng(0)
    shutil.rmtree(made.root / "train" / "17")
    made.add("train", "17", rng, side=16)
    found = scan(made)
    assert rejections(found) == {
        "train/17": "has frames of 16×16 pixels, and most have 32×32"
    }
    shutil.rmtree(made.root / "test" / TEST[0])
    made.add("test", TEST[0], rng, side=16)
    reason = f"test/{TEST[0]}: has frames of 16×16 .* needs every test record"
    with pytest.raises(SourceError, match=reason):
        scan(made)


def test_a_record_of_two_parts_is_not_learnt_from(made):
    shutil.copytree(made.root / "train" / "17", made.root / "validation" / "17")
    made.entries["validation"].append(made.entry("17"))
    for part, id_ in [("validation", VALIDATION[0]), ("train", TRAIN[0])]:
        shutil.copytree(made.root / part / id_, made.root / "test" / id_)
    made.tabulate(rows=(*TEST, VALIDATION[0], TRAIN[0]))
    found = scan(made)
    tested = "is a test record, too, and so not learnt from"
    assert rejections(found) == {
        f"train/{TRAIN[0]}": tested,
        "train/17": "is in train and in validation",
        f"validation/{VALIDATION[0]}": tested,
        "validation/17": "is in train and in validation",
    }
    assert {fault.file for fault in found.rejected if fault.meant} == {
        *(f"train/{TRAIN[0]}", f"validation/{VALIDATION[0]}"),
    }
    ids = [sample.id for sample in found.samples]
    assert len(ids) == len(set(ids)) == 2 + 4


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (TEST[:1], rf"test/{TEST[1]} has no row in sample_submission\.csv"),
        ((*TEST, "18"), r"record 18 is in sample_.*, and there is no test/18"),
        ((*TEST, TEST[0]), rf"row 4: record {TEST[0]} comes twice"),
        ((TEST[0], f"{TEST[1]},-"), "row 3: 3 values instead of 2"),
        ((), "has no rows"),
    ],
)
def test_test_records_are_those_of_the_sample_submission(made, rows, reason):
    made.tabulate(rows=rows)
    with pytest.raises(SourceError, match=reason):
        scan(made)


def test_a_malformed_sample_submission_stops(made):
    made.tabulate(header="id,rle")
    with pytest.raises(
        SourceError, match="header is 'id,rle' instead of 'record_id,en"
    ):
        scan(made)
    table = made.root / "sample_submission.csv"
    table.write_bytes(b"record_id,encoded_pixels\n\xff,-\n")
    with pytest.raises(SourceError, match=r"sample_submission\.csv cannot be read"):
        scan(made)
    table.unlink()
    with pytest.raises(SourceError, match="is not there; it lists the test records"):
        scan(made)


def test_a_test_record_that_lacks_a_band_stops(made):
    made.file("test", TEST[0], "band_14").unlink()
    reason = rf"test/{TEST[0]}/band_14\.npy: is not there; a submission needs every"
    with pytest.raises(SourceError, match=reason):
        scan(made)
    # It is not needed by every recipe.
    scan(made, colours="raw")


def test_no_usable_record_stops_and_says_why(made):
    for part in ("train", "validation"):
        made.entries[part] = []
    made.tabulate()
    reason = r"no usable record in train; the first fault: train/10.*: is not in train_"
    with pytest.raises(SourceError, match=reason):
        scan(made)
