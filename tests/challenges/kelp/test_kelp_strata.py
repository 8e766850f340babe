"""What folds are balanced by, which tiles stay out, and pictures of terrain."""

import numpy as np
import polars as pl
import pytest

from tenfold.challenges.kelp import duplicates, strata
from tenfold.challenges.kelp.options import KelpSplit
from tenfold.challenges.kelp.tiles import pack_tile
from tenfold.errors import RecipeError

TILES = pl.DataFrame(
    {
        "has_kelp": [True, True, False, True],
        "qa_ok": [True, False, True, True],
        "kelp_pixels": [12, 49_000, 0, 50_000],
        "kelp_pixels_pct": [0.0001, 0.4, 0.0, 0.41],
    }
)


def test_tiles_of_equal_columns_share_a_stratum():
    labels = strata.strata(TILES, ["has_kelp", "qa_ok"]).to_list()
    assert labels[0] == labels[3]
    assert len(set(labels)) == 3
    assert len(set(strata.strata(TILES, []))) == 1


def test_an_unknown_column_is_named_with_the_ones_there_are():
    with pytest.raises(RecipeError, match=r"'has_help'.*has_kelp, qa_ok"):
        strata.strata(TILES, ["has_help"])


def test_tiles_almost_all_kelp_stay_out():
    assert strata.keep(TILES, KelpSplit()).to_list() == [True, True, True, False]
    every = KelpSplit(max_kelp_share=1.0)
    assert strata.keep(TILES, every).to_list() == [True] * 4


def test_balance_is_shown_in_pixels_and_tiles():
    amounts = strata.measures(TILES)
    assert amounts["kelp pixels"].sum() == 99_012
    assert amounts["tiles with kelp"].sum() == 3


def test_gaps_in_the_elevation_do_not_blank_its_picture(kelp):
    raw = kelp.make_tile()
    raw[6] = np.arange(350)  # 0 to 349 m
    whole = duplicates.picture(pack_tile(raw, None))
    raw[6, :40] = kelp.GAP
    gapped = duplicates.picture(pack_tile(raw, None))
    assert whole.shape == (350, 350, 3)
    assert len(np.unique(whole)) > 200
    np.testing.assert_array_equal(gapped[40:], whole[40:])
    assert not gapped[:40].any()
    metres, known = duplicates.lattice(pack_tile(raw, None))
    np.testing.assert_array_equal(known, raw[6] != kelp.GAP)
    np.testing.assert_array_equal(metres[known], raw[6][known])
