"""What folds are balanced by: the classes of an image, as a set of labels."""

import numpy as np
import polars as pl
import pytest

from tenfold.challenges.clouds import strata
from tenfold.challenges.clouds.options import CloudsSplit
from tenfold.errors import RecipeError
from tenfold.folds import assign

IMAGES = pl.DataFrame(
    {
        "id": ["0a", "0b", "0c", "0d"],
        "fish": [True, True, False, False],
        "flower": [False, False, False, True],
        "gravel": [True, False, False, False],
        "sugar": [False, True, False, False],
        "fish_share": [0.2, 0.1, 0.0, 0.0],
        "classes": ["Fish Gravel", "Fish Sugar", "", "Flower"],
    }
)


def test_the_column_of_classes_is_the_set_of_labels():
    labels = strata.strata(IMAGES, CloudsSplit().strata)
    assert labels.to_list() == IMAGES["classes"].to_list()


def test_single_columns_give_their_class_where_it_is():
    labels = strata.strata(IMAGES, ["fish", "sugar"])
    assert labels.to_list() == ["Fish", "Fish Sugar", "", ""]
    every = strata.strata(IMAGES, ["fish", "flower", "gravel", "sugar"])
    assert every.to_list() == IMAGES["classes"].to_list()
    assert strata.strata(IMAGES, []).to_list() == ["all"] * 4


@pytest.mark.parametrize("column", ["fisch", "fish_share"])
def test_a_column_that_cannot_be_balanced_is_named_with_those_that_can(column):
    words = rf"'{column}' to balance; there is classes, fish, flower, gravel, sugar"
    with pytest.raises(RecipeError, match=words):
        strata.strata(IMAGES, ["classes", column])


def test_every_image_takes_part():
    assert strata.keep(IMAGES, CloudsSplit()).to_list() == [True] * 4
    assert strata.keep(IMAGES.head(0), CloudsSplit()).dtype == pl.Boolean


def test_balance_is_shown_a_class():
    amounts = {name: n.to_list() for name, n in strata.measures(IMAGES).items()}
    assert amounts == {
        "images with Fish": [1, 1, 0, 0],
        "images with Flower": [0, 0, 0, 1],
        "images with Gravel": [1, 0, 0, 0],
        "images with Sugar": [0, 1, 0, 0],
    }


def test_folds_of_the_challenges_defaults_are_even_in_every_class():
    split = CloudsSplit()
    many = pl.concat([IMAGES] * 25)
    labels = strata.strata(many, split.strata).to_list()
    fold_of = assign(np.arange(100), labels, split.k, 42, split.method)
    for amount in strata.measures(many).values():
        inside = np.bincount(fold_of, weights=amount.to_numpy(), minlength=5)
        assert np.ptp(inside) <= 1


def test_the_source_holds_no_labelled_image_out():
    assert strata.published(IMAGES) is None
