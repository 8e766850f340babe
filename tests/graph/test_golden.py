"""The compiled files as they were reviewed; `make goldens` writes them anew."""

import os
from pathlib import Path

import pytest

from tests.graph.conftest import FILES

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(("challenge", "recipe", "target"), FILES)
def test_the_compiled_file_is_the_reviewed_one(compiled, challenge, recipe, target):
    path = compiled[challenge, recipe, target]
    golden = GOLDEN / path.name
    if os.environ.get("UPDATE_GOLDENS"):
        golden.write_bytes(path.read_bytes())
    assert path.read_text("utf-8") == golden.read_text("utf-8"), (
        f"{golden.name} differs; if it should, `make goldens` and review the diff"
    )


def test_no_golden_is_left_of_a_recipe_that_is_gone():
    wanted = {f"{c}-{r}-{t}.yaml" for c, r, t in FILES}
    assert {path.name for path in GOLDEN.glob("*.yaml")} == wanted
