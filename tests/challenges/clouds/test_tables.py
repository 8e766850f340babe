"""The competition's tables: every rule has a message that names row and key."""

import numpy as np
import pytest

from tenfold.challenges.clouds.tables import decode_rows, is_present, key_of, read_rows
from tenfold.errors import CodecError, SourceError, SubmissionError

HEADER = "Image_Label,EncodedPixels"
GOOD = [
    "0011165.jpg_Fish,1 3 8 1",
    "0011165.jpg_Flower,",
    "0011165.jpg_Gravel,2 2",
    "0011165.jpg_Sugar,",
]


def table(path, rows, header=HEADER, end="\n"):
    path.write_text(end.join([header, *rows, ""]), "utf-8", newline="")
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_are_found_by_image_and_class(tmp_path, end):
    other = [row.replace("0011165", "ffe8a50") for row in GOOD]
    # Nothing goes by position: the rows of two images are mixed and turned round.
    mixed = [row for pair in zip(other, GOOD[::-1], strict=True) for row in pair]
    found = read_rows(table(tmp_path / "train.csv", mixed, end=end), SourceError)
    assert list(found) == ["ffe8a50", "0011165"]
    for codes in found.values():
        assert codes == {"Fish": "1 3 8 1", "Flower": "", "Gravel": "2 2", "Sugar": ""}


def of(id_):
    return [row.replace("0011165", id_) for row in GOOD]


def test_rows_in_the_order_of_a_submission_are_taken(tmp_path):
    rows = [*GOOD, *of("002be4f"), *of("a000000"), *of("ffe8a50")]
    found = read_rows(table(tmp_path / "s.csv", rows), SourceError, ordered=True)
    assert list(found) == ["0011165", "002be4f", "a000000", "ffe8a50"]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        # Images the other way round.
        (
            [*of("ffe8a50"), *GOOD],
            r"row 6: key '0011165\.jpg_Fish' comes after 'ffe8a5",
        ),
        # Classes the other way round.
        ([GOOD[1], GOOD[0], *GOOD[2:]], r"row 3: key .*Fish' comes after .*Flower'"),
        # All of one class, then all of the next.
        (
            [row for pair in zip(GOOD, of("002be4f"), strict=True) for row in pair],
            r"row 4: key '0011165\.jpg_Flower' comes after '002be4f\.jpg_Fish'",
        ),
    ],
)
def test_a_table_in_another_order_is_refused_where_order_counts(tmp_path, rows, reason):
    path = table(tmp_path / "sample_submission.csv", rows)
    with pytest.raises(
        SourceError, match=rf"sample_submission\.csv, {reason}.*sort the"
    ):
        read_rows(path, SourceError, ordered=True)
    assert read_rows(path, SourceError)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([*GOOD, GOOD[2]], r"row 6: key '0011165\.jpg_Gravel' comes twice"),
        (GOOD[:3], r"no row 0011165\.jpg_Sugar; an image has a row for each class"),
        ([GOOD[0], *GOOD[2:]], r"no row 0011165\.jpg_Flower"),
        (
            [*GOOD, "0011165.jpg_Cirrus,1 2"],
            "row 6: key '0011165.jpg_Cirrus' has the class 'Cirrus'; there is Fish, Fl",
        ),
        ([*GOOD, "0011165.jpg_fish,"], "row 6: .* has the class 'fish'"),
        ([GOOD[0], "0011165.png_Fish,"], r"row 3: key '0011165.png_Fish' is not <id>"),
        (["0011165_Fish,1 1"], r"row 2: key '0011165_Fish' is not <id>\.jpg_<class>"),
        (["0011165.jpg,1 1"], r"row 2: key '0011165\.jpg' is not <id>\.jpg_<class>"),
        ([".jpg_Fish,1 1"], r"row 2: key '\.jpg_Fish' is not"),
        (["../a.jpg_Fish,1 1"], r"row 2: key '\.\./a\.jpg_Fish' is not"),
        (["0011165.jpg_Fish"], "row 2: '0011165.jpg_Fish' has no comma"),
        ([*GOOD, ""], "row 6: '' has no comma"),
        ([], "has no rows"),
    ],
)
@pytest.mark.parametrize("error", [SourceError, SubmissionError])
def test_a_row_that_breaks_a_rule_is_named(tmp_path, rows, reason, error):
    path = table(tmp_path / "train.csv", rows)
    with pytest.raises(error, match=f"train.csv.*{reason}"):
        read_rows(path, error)


@pytest.mark.parametrize(
    "header", ["", "Image_Label", "EncodedPixels,Image_Label", f"{HEADER},fold"]
)
def test_another_header_is_refused(tmp_path, header):
    path = table(tmp_path / "train.csv", GOOD, header)
    with pytest.raises(SourceError, match=f"its header is {header!r} instead of"):
        read_rows(path, SourceError)


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path):
    (tmp_path / "train.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match=r"train\.csv cannot be read"):
        read_rows(tmp_path / "train.csv", SourceError)
    with pytest.raises(SubmissionError, match=r"nowhere\.csv cannot be read"):
        read_rows(tmp_path / "nowhere.csv", SubmissionError)


def test_codes_are_decoded_by_class_and_blank_ones_are_not():
    codes = {"Sugar": "4 2", "Fish": "1 1 6 1", "Gravel": " "}
    found = dict(decode_rows("0011165", codes, (2, 3)))
    assert list(found) == [0, 3]
    # Down the columns from 1: pixel 4 is the second row's second.
    np.testing.assert_array_equal(found[0], [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(found[3], [[0, 0, 1], [0, 1, 0]])
    assert [is_present(codes, n) for n in ("Fish", "Flower", "Gravel")] == [1, 0, 0]


@pytest.mark.parametrize("code", ["1", "0 2", "5 3", "1 2 2 1", "1 0", "1 -1", "a b"])
def test_a_malformed_code_is_named_by_its_key(code):
    with pytest.raises(CodecError, match=r"^0011165\.jpg_Gravel: .*run"):
        list(decode_rows("0011165", {"Gravel": code}, (2, 3)))


def test_keys_are_those_of_the_competition():
    assert key_of("0011165", "Fish") == "0011165.jpg_Fish"
