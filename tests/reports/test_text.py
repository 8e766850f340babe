"""Tables for a terminal."""

from tenfold.reports.text import text_table


def test_numbers_stand_right_and_text_left():
    rows = [
        {"run": "a", "score": 0.5, "remark": None},
        {"run": "longer", "score": -0.123, "remark": "two\nlines"},
    ]
    assert text_table(rows).splitlines() == [
        "run      score  remark",
        "a        0.500  –",
        "longer  −0.123  two lines",
    ]


def test_no_line_ends_in_spaces_and_no_rows_are_no_lines():
    assert text_table([]) == ""
    assert all(
        line == line.rstrip() for line in text_table([{"a": "x", "b": ""}]).splitlines()
    )
