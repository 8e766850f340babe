"""What select refuses; that it selects is in the contract of challenges."""

import pytest

from tenfold.challenges import load_recipe
from tenfold.errors import RecipeError
from tenfold.stages import select
from tenfold.stages.context import Context, Reference
from tenfold.store import Store


def test_a_recipe_of_one_round_is_told_what_it_lacks(tmp_path):
    context = Context(load_recipe("clouds", "baseline"), Store(tmp_path))
    data = Reference("ingest", "ingest/x", "", context.recipe.digest())
    with pytest.raises(RecipeError, match="no second round; it needs a section pseudo"):
        select.run(context, data, [])


def test_kelp_makes_no_pseudo_labels():
    settings = ["pseudo={}", "members.1.pseudo=true"]
    with pytest.raises(RecipeError, match="kelp makes no pseudo-labels"):
        load_recipe("kelp", "smoke", settings)
