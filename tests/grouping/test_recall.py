import polars as pl
import pytest

from tenfold.grouping.recall import judge_overlaps

KNOWN = pl.DataFrame(
    {
        "tile_a": ["A", "A", "B", "X"],
        "tile_b": ["B", "C", "C", "Y"],
        "row_shift": [10, -60, 0, 0],
        "col_shift": [0, 5, 120, 0],
        "overlap_share": [0.9, 0.5, 0.3, 1.0],
        "land_share": [0.5, 0.2, 0.05, 0.9],
    }
)


def judge(*pairs):
    found = pl.DataFrame(list(pairs), schema={"a": str, "b": str}, orient="row")
    return judge_overlaps(found, KNOWN, ["A", "B", "C", "D"])


def test_pairs_with_little_land_or_absent_samples_need_not_be_found():
    judged = judge(("B", "A"))
    assert judged["pairs"] == 2
    assert judged["recall"] == pytest.approx(1 / 2)
    assert judged["precision"] == 1


def test_a_pair_that_is_none_costs_precision():
    judged = judge(("A", "B"), ("A", "D"), ("C", "B"))
    assert judged["precision"] == pytest.approx(2 / 3)


def test_recall_is_told_by_overlap_and_by_shift():
    judged = judge(("A", "B"))
    assert judged["by_overlap"] == [
        {"overlap_share": "0.4 to 0.6", "pairs": 1, "recall": 0.0},
        {"overlap_share": "0.8 to 1", "pairs": 1, "recall": 1.0},
    ]
    assert [row["shift"] for row in judged["by_shift"]] == ["0 to 25", "50 to 100"]


def test_nothing_found_has_no_precision():
    judged = judge()
    assert judged["precision"] is None
    assert judged["recall"] == 0
