"""The table that is handed in: written, read back, refused, scored."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from tenfold.challenges.contrails import submission
from tenfold.errors import SubmissionError

HEADER = "record_id,encoded_pixels"


def boxes(*edges, shape=(256, 256)):
    """A mask with boxes (top, bottom, left, right)."""
    mask = np.zeros(shape, np.uint8)
    for top, bottom, left, right in edges:
        mask[top:bottom, left:right] = 1
    return mask


PREDICTED = {
    "1000216489776414077": boxes((0, 2, 0, 2)),
    # The foot of column 3 and the top of column 4 are one run of four pixels.
    "1000603527582775543": boxes((254, 256, 3, 4), (0, 2, 4, 5)),
    "1000660467359258186": boxes(),
    "9999": boxes((0, 256, 0, 256)),
}


def decoded_by_pixel(code, shape):
    """Set pixel after pixel, each by its number down the columns from 1."""
    mask = np.zeros(shape, np.uint8)
    numbers = [] if code == "-" else [int(word) for word in code.split()]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        for number in range(start, start + length):
            column, row = divmod(number - 1, shape[0])
            assert mask[row, column] == 0
            mask[row, column] = 1
    return mask


def write(folder, masks):
    predictions = ((id_, {"contrail": mask}) for id_, mask in masks.items())
    submission.write(predictions, folder)
    return folder / "submission.csv"


@pytest.fixture
def written(tmp_path):
    return write(tmp_path / "out", PREDICTED)


def rows_of(path):
    return path.read_text().split("\n")


# Writing.


def test_the_table_is_the_competitions(written):
    header, *rows, last = rows_of(written)
    assert (header, last) == (HEADER, "")
    assert [row.split(",")[0] for row in rows] == list(PREDICTED)
    codes = dict(row.split(",") for row in rows)
    assert codes["1000216489776414077"] == "1 2 257 2"
    # Row 254 of column 3 has the number 3 × 256 + 254 + 1.
    assert codes["1000603527582775543"] == "1023 4"
    assert codes["1000660467359258186"] == "-"
    assert codes["9999"] == "1 65536"
    assert b"\r" not in written.read_bytes()
    assert {path.name for path in written.parent.iterdir()} == {"submission.csv"}


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    data=st.data(),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    count=st.integers(1, 4),
)
def test_any_masks_come_back_and_decode_pixel_by_pixel(tmp_path, data, shape, count):
    drawn = arrays(np.uint8, shape, elements=st.integers(0, 1))
    masks = {str(100 + i): data.draw(drawn) for i in range(count)}
    path = write(tmp_path, masks)
    codes = dict(row.split(",") for row in rows_of(path)[1:-1])
    found = dict(submission.read(path))
    assert list(found) == list(masks)
    for id_, mask in masks.items():
        np.testing.assert_array_equal(decoded_by_pixel(codes[id_], shape), mask)
        np.testing.assert_array_equal(found[id_]["contrail"], mask)
        assert found[id_]["contrail"].dtype == np.uint8


def test_equal_masks_give_equal_bytes(written, tmp_path):
    again = write(tmp_path, {i: np.asfortranarray(m) for i, m in PREDICTED.items()})
    assert again.read_bytes() == written.read_bytes()


def test_only_masks_of_another_size_have_a_file_beside_them(written):
    path = write(written.parent, {"7": boxes((1, 3, 1, 5), shape=(4, 6))})
    beside = path.with_name("submission-size.json")
    ((id_, found),) = submission.read(path)
    assert (id_, found["contrail"].shape) == ("7", (4, 6))
    beside.write_text("{}")
    with pytest.raises(SubmissionError, match=r"submission-size\.json is not a height"):
        list(submission.read(path))
    # What was written before is of no size any more.
    write(written.parent, PREDICTED)
    assert not beside.exists()
    assert dict(submission.read(path))["9999"]["contrail"].all()


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.full((256, 256), 2, np.uint8), "9999 holds values other than 0 and 1"),
        (np.zeros((256, 256, 1), np.uint8), r"shape \(256, 256, 1\) is no mask"),
        (np.zeros((256, 256), np.float32), "9999: float32 of shape"),
        (np.zeros((8, 9), np.uint8), "9999 is 8 × 9 pixels and the first is 256 × 256"),
    ],
)
def test_what_is_no_mask_is_not_written(tmp_path, mask, reason):
    with pytest.raises(SubmissionError, match=reason):
        write(tmp_path, PREDICTED | {"9999": mask})
    assert list(tmp_path.iterdir()) == []


# Reading back.


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda rows: [*rows, rows[0]], "row 6: 1000216489776414077 comes twice"),
        (lambda rows: ["9 1 2", *rows], "row 2: '9 1 2' is not an id, a comma"),
        (lambda rows: [",1 2", *rows], "row 2: ',1 2' is not an id"),
        (lambda rows: ["5,1", *rows], "5: .*pairs"),
        (lambda rows: ["5,", *rows], "5: .*blank; a mask without a set pixel is '-'"),
        (lambda rows: ["5,65536 2", *rows], "5: .*last of 256 × 256 is 65536"),
        (lambda rows: ["5,0 2", *rows], "5: .*the first pixel is 1"),
        (lambda rows: ["5,3 4 5 1", *rows], "5: .*overlaps run 1"),
        (lambda rows: ["5,5 1 3 1", *rows], "5: .*sorted"),
        (lambda rows: ["5,a b", *rows], "5: .*'a'"),
        (lambda rows: ["5,1 2,3 4", *rows], "5: .*'2,3'"),
    ],
)
def test_a_table_that_breaks_a_rule_is_refused(written, spoil, reason):
    header, *rows, _ = rows_of(written)
    written.write_text("\n".join([header, *spoil(rows), ""]))
    with pytest.raises(SubmissionError, match=rf"submission\.csv.*{reason}"):
        list(submission.read(written))


def test_windows_line_ends_are_read(written):
    written.write_bytes(written.read_bytes().replace(b"\n", b"\r\n"))
    found = dict(submission.read(written))
    for id_, mask in PREDICTED.items():
        np.testing.assert_array_equal(found[id_]["contrail"], mask)


def test_another_header_and_a_missing_file_are_refused(written):
    written.write_text("")
    with pytest.raises(SubmissionError, match="its header is '' instead of 'record_id"):
        list(submission.read(written))
    with pytest.raises(SubmissionError, match=r"nowhere\.csv cannot be read"):
        list(submission.read(written.with_name("nowhere.csv")))


def test_exported_masks_are_pictures_and_read_as_a_folder(tmp_path):
    for id_, mask in PREDICTED.items():
        path = submission.export(id_, {"contrail": mask}, tmp_path / "masks")
        assert path == tmp_path / "masks" / f"{id_}.png"
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("L", (256, 256))
            np.testing.assert_array_equal(np.asarray(image), 255 * mask)
    (tmp_path / "masks" / ".DS_Store").write_bytes(b"x")
    found = dict(submission.read(tmp_path / "masks"))
    assert list(found) == sorted(PREDICTED)
    for id_, mask in PREDICTED.items():
        np.testing.assert_array_equal(found[id_]["contrail"], mask)


@pytest.mark.parametrize(
    ("name", "image", "reason"),
    [
        ("a.txt", None, "'a.txt' is not <id>.png"),
        ("a.png", None, r"a\.png cannot be read"),
        ("a.png", Image.new("RGB", (4, 4)), r"a\.png is of mode RGB, not grey"),
        ("a.png", Image.new("L", (4, 4), 9), r"other than 0 and 255.*--threshold"),
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


@pytest.fixture
def truth(tmp_path):
    """Half of a box, the run of four, nothing, and nothing where all is painted."""
    masks = {
        "9999": boxes(),
        "1000660467359258186": boxes(),
        "1000603527582775543": PREDICTED["1000603527582775543"],
        "1000216489776414077": boxes((0, 2, 1, 3)),
    }
    folder = tmp_path / "truth" / "test"
    folder.mkdir(parents=True)
    for id_, mask in masks.items():
        np.save(folder / f"{id_}.npy", mask)
    return folder.parent


def test_the_score_is_one_dice_of_all_pixels(written, truth):
    figures = submission.score(written, truth)
    predicted, labelled = 4 + 4 + 65536, 4 + 4
    assert figures["dice"] == pytest.approx(2 * (2 + 4) / (predicted + labelled))
    assert submission.score(written, truth / "test") == figures


def test_an_exported_folder_scores_the_same_record_by_record(written, truth, tmp_path):
    for id_, mask in PREDICTED.items():
        submission.export(id_, {"contrail": mask}, tmp_path / "masks")
    of_table = dict(submission.tallies(written, truth))
    assert dict(submission.tallies(tmp_path / "masks", truth)) == of_table
    assert (of_table["9999"].fp, of_table["1000603527582775543"].tp) == (65536, 4)


def test_pictures_of_probabilities_are_cut_strictly_above_a_threshold(tmp_path):
    (tmp_path / "truth").mkdir()
    (tmp_path / "masks").mkdir()
    np.save(tmp_path / "truth" / "5.npy", np.array([[1, 1, 0]], np.uint8))
    picture = Image.fromarray(np.array([[51, 52, 0]], np.uint8))
    picture.save(tmp_path / "masks" / "5.png")
    # 51 of 255 is 0.2, and not above it.
    for threshold, hits in ((0.2, 1), (0.199, 2), (0.21, 0)):
        found = submission.tallies(tmp_path / "masks", tmp_path / "truth", threshold)
        assert [(id_, c.tp, c.fp) for id_, c in found] == [("5", hits, 0)]


def test_records_on_one_side_only_are_named(written, truth):
    for number in range(7):
        np.save(truth / "test" / f"2{number}.npy", boxes())
    named = "missing of .*: 20, 21, 22, 23, 24 and 2 more$"
    with pytest.raises(SubmissionError, match=named):
        submission.score(written, truth)
    for number in range(7):
        (truth / "test" / f"2{number}.npy").unlink()
    (truth / "test" / "9999.npy").unlink()
    with pytest.raises(SubmissionError, match=r"not in .*test: 9999$"):
        submission.score(written, truth)


def test_truth_of_another_size_is_not_what_a_table_is_of(written, truth):
    np.save(truth / "test" / "9999.npy", np.zeros((8, 8), np.uint8))
    with pytest.raises(SubmissionError, match=r"9999: .*the last of 8 × 8 is 64"):
        submission.score(written, truth)


def test_a_picture_of_another_size_than_its_truth_is_refused(truth, tmp_path):
    submission.export("9999", {"contrail": boxes(shape=(4, 4))}, tmp_path / "masks")
    reason = r"9999\.png is 4 × 4 pixels and its truth is 256 × 256"
    with pytest.raises(SubmissionError, match=reason):
        submission.score(tmp_path / "masks", truth)


def test_a_threshold_cuts_no_table(written, truth):
    with pytest.raises(SubmissionError, match="leave --threshold out"):
        list(submission.tallies(written, truth, threshold=0.5))


def test_truth_that_is_none_is_refused(written, truth):
    with pytest.raises(SubmissionError, match=r"no <record_id>\.npy to score against"):
        submission.score(written, written.parent)
    (truth / "test" / "9999.npy").write_bytes(b"nothing")
    with pytest.raises(SubmissionError, match=r"9999\.npy cannot be read"):
        submission.score(written, truth)
    np.save(truth / "test" / "9999.npy", np.full((256, 256), 3, np.uint8))
    with pytest.raises(SubmissionError, match=r"9999\.npy holds values other than"):
        submission.score(written, truth)
