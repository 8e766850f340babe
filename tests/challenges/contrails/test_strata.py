"""What folds are balanced by, and the split that the competition itself made."""

import numpy as np
import polars as pl
import pytest

from tenfold.challenges.contrails import strata
from tenfold.challenges.contrails.options import ContrailsSplit
from tenfold.errors import RecipeError
from tenfold.folds import ALWAYS, assign, published

RECORDS = pl.DataFrame(
    {
        "id": ["1", "2", "3", "4"],
        "part": ["train", "train", "validation", "validation"],
        "contrail": [True, False, True, False],
        "pixels": [120, 0, 31, 0],
        "agreement": [0.8, None, None, None],
    }
)


def test_labels_join_what_the_columns_say():
    labels = strata.strata(RECORDS, ContrailsSplit().strata)
    assert labels.to_list() == [
        "contrail train",
        "train",
        "contrail validation",
        "validation",
    ]
    assert strata.strata(RECORDS, ["contrail"]).to_list() == [
        "contrail",
        "",
        "contrail",
        "",
    ]
    assert strata.strata(RECORDS, []).to_list() == ["all"] * 4


@pytest.mark.parametrize("column", ["agreement", "nope"])
def test_a_column_that_cannot_be_balanced_is_named_with_those_that_can(column):
    with pytest.raises(RecipeError, match=rf"'{column}' to balance; there is contrail"):
        strata.strata(RECORDS, ["part", column])


def test_every_record_takes_part():
    assert strata.keep(RECORDS, ContrailsSplit()).to_list() == [True] * 4
    assert strata.keep(RECORDS.head(0), ContrailsSplit()).dtype == pl.Boolean


def test_balance_is_shown_in_contrails_and_in_parts():
    amounts = {name: n.to_list() for name, n in strata.measures(RECORDS).items()}
    assert amounts == {
        "records with contrails": [1, 0, 1, 0],
        "contrail pixels": [120, 0, 31, 0],
        "records of train": [1, 1, 0, 0],
        "records of validation": [0, 0, 1, 1],
    }


def test_the_published_split_holds_out_validation():
    held_out = strata.published(RECORDS)
    assert held_out.to_list() == [False, False, True, True]
    assert published(held_out.to_numpy()).tolist() == [ALWAYS, ALWAYS, 0, 0]


def test_folds_of_the_challenges_defaults_are_even_in_contrails_and_parts():
    split = ContrailsSplit()
    many = pl.concat([RECORDS] * 25)
    labels = strata.strata(many, split.strata).to_list()
    fold_of = assign(np.arange(100), labels, split.k, 42, split.method)
    for name, amount in strata.measures(many).items():
        inside = np.bincount(fold_of, weights=amount.to_numpy(), minlength=split.k)
        assert np.ptp(inside) == 0, name
