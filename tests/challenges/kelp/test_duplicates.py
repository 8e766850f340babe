"""How near-duplicates of tiles are not judged: no tile says where it is."""

import polars as pl
import pytest

from tenfold.challenges.kelp import duplicates, strata
from tenfold.errors import RecipeError

TILES = pl.DataFrame({"id": ["a", "b"], "split": ["train", "test"]})


def test_footprints_are_refused_with_the_way_out():
    with pytest.raises(RecipeError, match=r"place and time: set groups\.footprint\."):
        duplicates.footprints(TILES)


def test_the_source_holds_no_labelled_tile_out():
    assert strata.published(TILES) is None
