"""The table that is handed in: written, read back, refused, scored."""

import numpy as np
import pytest
from PIL import Image

from tenfold.challenges.clouds import submission
from tenfold.errors import SubmissionError

CLASSES = ("Fish", "Flower", "Gravel", "Sugar")
HEADER = "Image_Label,EncodedPixels"
SHAPE = (350, 525)


def bits(**boxes):
    """Return bits with a box (top, bottom, left, right) for each class named."""
    found = np.zeros(SHAPE, np.uint8)
    for name, (top, bottom, left, right) in boxes.items():
        found[top:bottom, left:right] |= 1 << CLASSES.index(name)
    return found


PREDICTED = {
    "0011165": bits(Fish=(0, 2, 0, 2), Sugar=(0, 350, 0, 525)),
    "002be4f": bits(),
    "ffe8a50": bits(Flower=(348, 350, 524, 525), Gravel=(100, 200, 100, 300)),
}


@pytest.fixture
def written(tmp_path):
    predictions = ((id_, {"classes": mask}) for id_, mask in PREDICTED.items())
    submission.write(predictions, tmp_path / "out")
    return tmp_path / "out" / "submission.csv"


def rows_of(path):
    return path.read_text().split("\n")


def table(path, rows):
    path.write_text("\n".join([HEADER, *rows, ""]))
    return path


# Writing.


def test_the_table_is_the_competitions(written):
    header, *rows, last = rows_of(written)
    assert (header, last, len(rows)) == (HEADER, "", 12)
    assert [row.split(",")[0] for row in rows] == [
        f"{id_}.jpg_{name}" for id_ in PREDICTED for name in CLASSES
    ]
    codes = dict(row.split(",") for row in rows)
    assert codes["0011165.jpg_Fish"] == "1 2 351 2"
    assert codes["0011165.jpg_Sugar"] == "1 183750"
    assert codes["ffe8a50.jpg_Flower"] == "183749 2"
    assert codes["0011165.jpg_Flower"] == codes["002be4f.jpg_Fish"] == ""
    gravel = codes["ffe8a50.jpg_Gravel"].split()
    assert len(gravel) == 400
    assert gravel[:4] == ["35101", "100", "35451", "100"]
    assert b"\r" not in written.read_bytes()
    assert {path.name for path in written.parent.iterdir()} == {"submission.csv"}


def test_equal_masks_give_equal_bytes(written, tmp_path):
    again = ((i, {"classes": np.asfortranarray(m)}) for i, m in PREDICTED.items())
    submission.write(again, tmp_path / "again")
    other = tmp_path / "again" / "submission.csv"
    assert other.read_bytes() == written.read_bytes()


def test_a_failed_write_leaves_nothing(tmp_path):
    def predictions():
        yield "0011165", {"classes": PREDICTED["0011165"]}
        raise RuntimeError("no power")

    with pytest.raises(RuntimeError, match="no power"):
        submission.write(predictions(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.zeros((384, 576), np.uint8), r"uint8 of shape \(384, 576\), not bytes of"),
        (np.zeros((4, 350, 525), bool), r"bool of shape \(4, 350, 525\)"),
        (np.full(SHAPE, 16, np.uint8), "16 is no set of four classes' bits"),
    ],
)
def test_what_is_no_mask_is_not_written(tmp_path, mask, reason):
    with pytest.raises(SubmissionError, match=f"0011165: {reason}"):
        submission.write([("0011165", {"classes": mask})], tmp_path)
    with pytest.raises(SubmissionError, match=f"0011165: {reason}"):
        submission.export("0011165", {"classes": mask}, tmp_path)
    assert list(tmp_path.iterdir()) == []


# Reading back.


def test_what_is_written_is_read_back(written):
    found = dict(submission.read(written))
    assert list(found) == list(PREDICTED)
    for id_, mask in PREDICTED.items():
        np.testing.assert_array_equal(found[id_]["classes"], mask)
        assert found[id_]["classes"].dtype == np.uint8


def test_exported_files_are_read_as_a_folder(tmp_path):
    folder = tmp_path / "masks"
    for id_, mask in PREDICTED.items():
        path = submission.export(id_, {"classes": mask}, folder)
        assert path == folder / f"{id_}.png"
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("L", (525, 350))
    (folder / ".DS_Store").write_bytes(b"x")
    found = dict(submission.read(folder))
    assert list(found) == sorted(PREDICTED)
    for id_, mask in PREDICTED.items():
        np.testing.assert_array_equal(found[id_]["classes"], mask)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda rows: rows[:-1], r"no row ffe8a50\.jpg_Sugar"),
        (lambda rows: [*rows, rows[0]], "row 14: key '0011165.jpg_Fish' comes twice"),
        (lambda rows: [*rows, "0011165.jpg_Cirrus,"], "row 14: .*class 'Cirrus'"),
        (lambda rows: ["0011165.jpg_Fish,1", *rows[1:]], "0011165.jpg_Fish: .*pairs"),
        (
            lambda rows: ["0011165.jpg_Fish,183750 2", *rows[1:]],
            r"0011165\.jpg_Fish: .*350 × 525",
        ),
        (lambda rows: ["0011165.jpg_Fish,5 1 3 1", *rows[1:]], "Fish: .*sorted"),
        (lambda rows: ["0011165.jpg_Fish,1 1,2", *rows[1:]], "Fish: .*'1,2'"),
        (lambda _: [], "has no rows"),
    ],
)
def test_a_table_that_breaks_a_rule_is_refused(written, spoil, reason):
    table(written, spoil(rows_of(written)[1:-1]))
    with pytest.raises(SubmissionError, match=rf"submission\.csv.*{reason}"):
        list(submission.read(written))


def test_another_header_and_a_missing_file_are_refused(written):
    written.write_text("id,rle\n")
    with pytest.raises(SubmissionError, match="its header is 'id,rle' instead of"):
        list(submission.read(written))
    with pytest.raises(SubmissionError, match=r"nowhere\.csv cannot be read"):
        list(submission.read(written.with_name("nowhere.csv")))


@pytest.mark.parametrize(
    ("name", "image", "reason"),
    [
        ("a.txt", None, "'a.txt' is not <id>.png"),
        ("a.png", None, r"a\.png cannot be read"),
        ("a.png", Image.new("L", (350, 525)), r"shape \(525, 350\)"),
        ("a.png", Image.new("RGB", (525, 350)), r"shape \(350, 525, 3\)"),
        ("a.png", Image.new("L", (525, 350), 255), "255 is no set"),
    ],
)
def test_a_file_that_was_not_exported_is_refused(tmp_path, name, image, reason):
    if image is None:
        (tmp_path / name).write_bytes(b"no picture")
    else:
        image.save(tmp_path / name)
    with pytest.raises(SubmissionError, match=reason):
        list(submission.read(tmp_path))


# Scoring.


def big(mask):
    """Return the code of a mask at four times the size: every pixel 4 × 4 of them."""
    flat = np.flatnonzero(np.diff(np.kron(mask, np.ones((4, 4))).T.ravel(), 1, 0, 0))
    return " ".join(f"{a + 1} {b - a}" for a, b in flat.reshape(-1, 2))


TRUE = {
    # Fish overlaps by half of each; Sugar was painted and is not there.
    "0011165": {"Fish": bits(Fish=(0, 2, 1, 3)) > 0},
    # Nothing painted, nothing there: four right rows.
    "002be4f": {},
    # Gravel as painted; Flower is painted and not there; Sugar is there and missed.
    "ffe8a50": {
        "Gravel": PREDICTED["ffe8a50"] == 4,
        "Sugar": bits(Sugar=(5, 9, 5, 9)) > 0,
    },
}


@pytest.fixture
def truth(tmp_path):
    folder = tmp_path / "truth"
    folder.mkdir()
    rows = [
        f"{id_}.jpg_{name},{big(TRUE[id_][name]) if name in TRUE[id_] else ''}"
        for id_ in reversed(TRUE)  # pairing goes by id, not by place
        for name in CLASSES
    ]
    table(folder / "truth.csv", rows)
    return folder


def test_the_score_is_the_mean_dice_of_all_rows(written, truth):
    dice = [0.5, 1, 1, 0, *[1] * 4, 1, 0, 1, 0]
    figures = submission.score(written, truth)
    assert figures["dice"] == pytest.approx(sum(dice) / 12, abs=1e-6)


def test_an_exported_folder_scores_the_same(written, truth, tmp_path):
    for id_, mask in PREDICTED.items():
        submission.export(id_, {"classes": mask}, tmp_path / "masks")
    figures = submission.score(tmp_path / "masks", truth)
    assert figures == submission.score(written, truth)
    found = dict(submission.tallies(tmp_path / "masks", truth))
    assert {i: t.to_json() for i, t in found.items()} == {
        i: t.to_json() for i, t in submission.tallies(written, truth)
    }


def test_truth_is_resized_by_the_published_rule(tmp_path):
    """A box at 1400 × 2100, of which 151 × 325 px are left at 350 × 525."""
    runs = [f"{c * 1400 + 102} 601" for c in range(203, 1504)]
    rows = [f"a.jpg_{n},{' '.join(runs) if n == 'Fish' else ''}" for n in CLASSES]
    table(tmp_path / "truth.csv", rows)
    predicted = bits(Fish=(25, 176, 51, 376))
    path = submission.export("a", {"classes": predicted}, tmp_path / "masks").parent
    assert submission.score(path, tmp_path)["dice"] == 1


def test_images_on_one_side_only_are_named(written, truth):
    rows = rows_of(truth / "truth.csv")[1:-1]
    table(
        truth / "truth.csv",
        [*rows, *(f"zz{n}.jpg_{c}," for n in range(7) for c in CLASSES)],
    )
    named = "missing of .*: zz0, zz1, zz2, zz3, zz4 and 2 more$"
    with pytest.raises(SubmissionError, match=named):
        submission.score(written, truth)
    table(truth / "truth.csv", [row for row in rows if "002be4f" not in row])
    with pytest.raises(SubmissionError, match=r"not in .*truth\.csv: 002be4f$"):
        submission.score(written, truth)


def test_a_threshold_cuts_no_masks(written, truth):
    with pytest.raises(SubmissionError, match="leave --threshold out"):
        list(submission.tallies(written, truth, threshold=0.5))


def test_a_folder_without_truth_and_malformed_truth_are_refused(written, truth):
    with pytest.raises(SubmissionError, match=r"truth\.csv cannot be read"):
        submission.score(written, written.parent)
    rows = rows_of(truth / "truth.csv")[1:-1]
    spoilt = [
        "ffe8a50.jpg_Fish,0 1" if "ffe8a50.jpg_Fish" in row else row for row in rows
    ]
    table(truth / "truth.csv", spoilt)
    with pytest.raises(
        SubmissionError, match=r"truth\.csv: ffe8a50\.jpg_Fish: .*first"
    ):
        submission.score(written, truth)
