"""Run-length codes against pixels counted one by one, and against pycocotools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pycocotools import mask as coco

from tenfold.codecs.run_length import (
    any_between,
    decode,
    encode,
    mask_of,
    read_runs,
    runs_of,
)
from tenfold.errors import CodecError

SHAPES = npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
MASKS = npst.arrays(bool, SHAPES)
ORDERS = st.sampled_from(["column", "row"])
BASES = st.sampled_from([0, 1])


def brute_force(mask, order, base):
    """Walk over the pixels in their order and note where runs begin."""
    height, width = mask.shape
    if order == "column":
        pixels = [mask[r, c] for c in range(width) for r in range(height)]
    else:
        pixels = [mask[r, c] for r in range(height) for c in range(width)]
    runs, length = [], 0
    for number, is_set in enumerate([*pixels, False], base):
        if is_set:
            length += 1
        elif length:
            runs.append((number - length, length))
            length = 0
    return runs


@given(MASKS, ORDERS, BASES)
def test_codes_are_those_counted_pixel_by_pixel(mask, order, base):
    runs = brute_force(mask, order, base)
    assert runs_of(mask, order, base).tolist() == [list(run) for run in runs]
    assert encode(mask, order, base) == " ".join(f"{s} {n}" for s, n in runs)


@given(MASKS, ORDERS, BASES)
def test_a_round_trip_changes_nothing(mask, order, base):
    text = encode(mask, order, base, "-")
    decoded = decode(text, mask.shape, order, base, "-")
    assert decoded.dtype == bool
    np.testing.assert_array_equal(decoded, mask)
    assert encode(decoded, order, base, "-") == text
    of_runs = mask_of(runs_of(mask, order, base), mask.shape, order, base)
    np.testing.assert_array_equal(of_runs, mask)


@given(st.data(), MASKS, BASES)
def test_what_is_set_between_rows_is_that_of_the_whole_mask(data, mask, base):
    height, width = mask.shape
    rows = st.lists(st.integers(0, height - 1), min_size=6, max_size=6)
    one, other = (sorted(data.draw(rows)) for _ in range(2))
    first, last = (np.sort([one, other], 0)[place] for place in range(2))
    columns = sorted(data.draw(st.sets(st.integers(0, width - 1))))
    places = np.array(columns, np.int64)
    runs = runs_of(mask, base=base)
    found = any_between(runs, mask.shape, first, last, places, base)
    assert found.dtype == bool
    assert found.shape == (6, len(columns))
    for r, (top, foot) in enumerate(zip(first, last, strict=True)):
        for c, column in enumerate(columns):
            assert found[r, c] == mask[top : foot + 1, column].any()


@given(MASKS, ORDERS)
def test_how_a_mask_lies_in_memory_makes_no_difference(mask, order):
    expected = encode(mask, order)
    spread = np.zeros((2 * mask.shape[0], 3 * mask.shape[1]), bool)
    spread[::2, ::3] = mask
    turned = np.ascontiguousarray(mask[::-1, ::-1])[::-1, ::-1]
    for same in (np.asfortranarray(mask), spread[::2, ::3], turned):
        assert encode(same, order) == expected


@given(MASKS, st.sampled_from([np.uint8, np.int64, np.float32]))
def test_what_is_not_zero_is_set(mask, kind):
    given_mask = mask.astype(kind) * 3
    assert encode(given_mask) == encode(mask)
    assert encode(given_mask.tolist()) == encode(mask)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@given(MASKS)
def test_runs_are_those_of_pycocotools(mask):
    # Its counts: pixels not set, set, not set, … down the columns.
    edges = runs_of(mask, "column", 0)
    edges[:, 1] += edges[:, 0]
    counts = np.diff(edges.ravel(), prepend=0, append=mask.size).tolist()
    height, width = mask.shape
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    ours = {"size": [height, width], "counts": counts}
    compressed = coco.frPyObjects(ours, height, width)
    np.testing.assert_array_equal(coco.decode(compressed), mask)
    if mask.ravel("F")[-1]:
        # Ours closes with no pixels that are not set, theirs leaves that out.
        compressed = coco.frPyObjects(ours | {"counts": counts[:-1]}, height, width)
    assert compressed["counts"] == theirs["counts"]
    np.testing.assert_array_equal(decode(encode(mask), mask.shape), mask)


def test_a_full_mask_of_the_clouds_competition():
    assert encode(np.ones((350, 525))) == "1 183750"
    assert decode("1 183750", (350, 525)).all()


@pytest.mark.parametrize(("row", "column"), [(0, 0), (349, 0), (0, 524), (17, 401)])
def test_the_number_of_a_pixel(row, column):
    mask = np.zeros((350, 525), bool)
    mask[row, column] = True
    assert encode(mask) == f"{column * 350 + row + 1} 1"
    assert encode(mask, base=0) == f"{column * 350 + row} 1"
    assert encode(mask, "row") == f"{row * 525 + column + 1} 1"
    assert encode(mask, "row", 0) == f"{row * 525 + column} 1"


def test_codes_worked_out_by_hand():
    mask = np.array([[0, 1, 1], [1, 1, 0]], bool)
    # Down the columns 0 1, 1 1, 1 0; along the rows 0 1 1, 1 1 0.
    assert encode(mask) == "2 4"
    assert encode(mask, "row") == "2 4"
    other = np.array([[1, 0, 1], [0, 0, 1]], bool)
    assert encode(other) == "1 1 5 2"
    assert encode(other, "row", 0) == "0 1 2 1 5 1"
    # A run that goes on from the foot of a column to the top of the next.
    wrapped = np.zeros((256, 256), bool)
    wrapped[-2:, 3] = wrapped[:2, 4] = True
    assert encode(wrapped) == "1023 4"


@pytest.mark.parametrize("empty", ["", "-", "1 0"])
def test_a_mask_without_a_set_pixel(empty):
    mask = np.zeros((3, 4), bool)
    assert encode(mask, empty=empty) == empty
    np.testing.assert_array_equal(decode(empty, (3, 4), empty=empty), mask)
    assert runs_of(mask).shape == (0, 2)
    np.testing.assert_array_equal(mask_of(runs_of(mask), (3, 4)), mask)


def test_blanks_around_numbers_and_runs_that_touch():
    expected = decode("2 5", (3, 4))
    np.testing.assert_array_equal(decode("  2 2  4  3 ", (3, 4)), expected)
    assert not decode("  ", (3, 4)).any()


def test_decoding_leaves_the_runs_alone():
    runs = np.array([[1, 2], [5, 1]])
    mask_of(runs, (2, 3))
    assert runs.tolist() == [[1, 2], [5, 1]]


HUGE = "9223372036854775807"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", "has 3 numbers; starts and lengths come in pairs"),
        ("1 2 x 1", "number 3 of a run-length code is 'x'; whole numbers"),
        ("1  2.5", "number 2 of a run-length code is '2.5'"),
        ("1 -", "number 2 of a run-length code is '-'"),
        ("1 +2", "number 2 of a run-length code is '\\+2'"),
        ("1 2-3", "number 2 of a run-length code is '2-3'"),
        ("1\t2 5 1", r"number 1 of a run-length code is '1\\t2'"),
        ("1 ٢", "number 2 of a run-length code is '٢'"),
        ("1 2 5 0", r"run 2 \(5 0\) has length 0; a run has at least 1 pixel"),
        ("1 2 5 -4", r"run 2 \(5 -4\) has length -4; a run has"),
        ("0 2", r"run 1 \(0 2\) starts at 0; the first pixel is 1"),
        ("-3 9", r"run 1 \(-3 9\) starts at -3; the first pixel is 1"),
        ("1 2 12 2", r"run 2 \(12 2\) ends at pixel 13; the last of 3 × 4 is 12"),
        ("13 1", r"run 1 \(13 1\) ends at pixel 13; the last of"),
        ("5 2 1 2", r"run 2 \(1 2\) starts before run 1, at 5; runs are sorted"),
        ("1 3 3 2", r"run 2 \(3 2\) overlaps run 1, which ends at pixel 3"),
        ("3 1 3 1", r"run 2 \(3 1\) overlaps run 1, which ends at pixel 3"),
        (f"{HUGE} {HUGE}", rf"run 1 \({HUGE} {HUGE}\) ends at pixel"),
        (f"1 {HUGE} 5 {HUGE}", rf"run 1 \(1 {HUGE}\) ends at pixel {HUGE}; the"),
        (f"{HUGE}9 1", rf"run 1 \({HUGE} 1\) ends at pixel"),
    ],
)
def test_a_malformed_code_is_refused(text, message):
    with pytest.raises(CodecError, match=message):
        decode(text, (3, 4))
    with pytest.raises(CodecError, match=message):
        any_between(read_runs(text), (3, 4), *np.array([[1], [1], [2]]))


def test_the_first_pixel_may_be_0():
    np.testing.assert_array_equal(decode("0 2", (3, 4), base=0), decode("1 2", (3, 4)))
    with pytest.raises(CodecError, match="starts at -1; the first pixel is 0"):
        decode("-1 2", (3, 4), base=0)
    with pytest.raises(CodecError, match="ends at pixel 12; the last of 3 × 4 is 11"):
        decode("12 1", (3, 4), base=0)


def test_a_blank_code_where_another_mark_is_due():
    with pytest.raises(CodecError, match=r"is blank; a mask without .* is '-'"):
        decode(" ", (3, 4), empty="-")
    with pytest.raises(CodecError, match="number 1 of a run-length code is '-'"):
        decode("-", (3, 4))


@pytest.mark.filterwarnings("error")
@given(st.lists(st.integers(-3, 16), max_size=8), BASES)
def test_a_code_is_either_refused_or_as_many_pixels_as_it_says(numbers, base):
    text = " ".join(map(str, numbers))
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
    pixels = [n for start, length in pairs for n in range(start, start + length)]
    right = (
        len(numbers) % 2 == 0
        and all(length > 0 for _, length in pairs)
        and pixels == sorted(set(pixels) & set(range(base, base + 12)))
    )
    if right:
        flat = decode(text, (3, 4), base=base).ravel("F")
        assert (np.flatnonzero(flat) + base).tolist() == pixels
    else:
        with pytest.raises(CodecError):
            decode(text, (3, 4), base=base)


def test_an_unknown_order_is_refused():
    with pytest.raises(KeyError):
        encode(np.ones((2, 2)), "diagonal")
