"""The test records worth a look, and warnings that fire in time."""

import re

import polars as pl
import pytest

from tenfold.challenges.contrails import drawing

#: Eight training records; a mean of 50 pixels, half without contrail.
TRAIN = pl.DataFrame({"pixels": [0, 0, 0, 0, 60, 100, 100, 140]})


def predicted(pixels, **columns):
    count = len(pixels)
    return pl.DataFrame(
        {
            "id": [f"{i}" for i in range(count)],
            "contrail_pixels": [float(n) for n in pixels],
            "contrail_share": [n / 65536 for n in pixels],
            "pieces": [float(n > 0) for n in pixels],
            "uncertainty": [0.1 * i for i in range(count)],
            "near_threshold": [-0.1 * i for i in range(count)],
        }
        | columns
    )


ALIKE = [0, 0, 0, 0, 50, 110, 100, 130]


def test_the_records_that_tell_most_are_chosen():
    table = predicted(ALIKE, pieces=[0.0] * 4 + [9.0, 1.0, 1.0, 2.0])
    chosen = drawing.choose(table, 2)
    assert {kind: ids for kind, ids in chosen.items() if kind != "at random"} == {
        "most contrail": ["7", "5"],
        "least contrail, but some": ["4", "6"],
        "most pieces": ["4", "7"],
        "nothing found, most uncertain": ["3", "2"],
        "nearest the threshold": ["0", "1"],
    }
    assert len(set(chosen["at random"])) == 2
    assert chosen == drawing.choose(table, 2)


def test_few_records_and_no_contrail_can_be_chosen_from():
    chosen = drawing.choose(predicted([0, 0]), 5)
    assert chosen["least contrail, but some"] == []
    assert sorted(chosen["at random"]) == ["0", "1"]


def test_predictions_stand_beside_labels():
    rows = drawing.comparison(predicted(ALIKE), TRAIN)
    found = {
        row["what"]: (row["predicted, test"], row["labelled, train"]) for row in rows
    }
    assert found == {
        "contrail pixels a record, mean": pytest.approx((48.75, 50)),
        "records without contrail": (0.5, 0.5),
        "contrail pixels where there are any, median": (105, 100),
        "most contrail pixels in a record": (130, 140),
        "contrail, share of all pixels": (pytest.approx(48.75 / 65536), None),
        "separate pieces a record, mean": (0.5, None),
    }
    nothing = drawing.comparison(predicted([0, 0]), TRAIN)[2]
    assert nothing["predicted, test"] is None


def test_predictions_like_the_labels_give_no_warning():
    assert drawing.warnings(predicted(ALIKE), TRAIN) == []


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        ([0, 0, 0, 0, 0, 0, 90, 100], "23.8 pixels of a test record .* 50.0 of a"),
        ([0, 0, 0, 0, 130, 130, 130, 140, 140, 140], None),
        ([0, 0, 0, 0, 10, 10, 10, 20], "6.2 pixels of a test record"),
        ([60, 60, 60, 60, 60, 60, 60, 0], "12% of the test records have no contrail"),
        ([0, 0, 0, 0, 0, 0, 0, 120], "88% of the test records"),
        ([0, 0, 0, 0, 0, 60, 141, 170], "2 test records .* any training .* 140 pixels"),
    ],
)
def test_predictions_unlike_the_labels_are_warned_of(pixels, said):
    found = "\n".join(drawing.warnings(predicted(pixels), TRAIN))
    if said is None:
        assert found == ""
    else:
        assert re.search(said, found)
