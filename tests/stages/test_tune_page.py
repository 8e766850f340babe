"""The page of tune shows every curve and what removal did, as tune wrote them."""

import pytest

from tenfold.challenges import load_recipe
from tenfold.data.files import write_json
from tenfold.stages.context import Context
from tenfold.stages.entries import DECISION, SCORES
from tenfold.stages.pages import page_path, show
from tenfold.store import Key, Store

CURVE = {
    "title": "Every threshold",
    "text": "Of <all> tiles.",
    "x": "threshold",
    "lines": {"land kept": [[0, 0.5, 1], [0.1, 0.7, 0]]},
    "chosen": 0.4,
}
EFFECT = {
    "step": "patches under 4 pixels",
    "patches": 17,
    "pixels": 4321,
    "of them labelled kelp": 21,
    "Dice before": 0.71234,
    "Dice after": 0.7234,
}


@pytest.fixture
def page_of(tmp_path):
    def page(curves, effects):
        recipe = load_recipe("kelp", "smoke")
        context = Context(recipe, Store(tmp_path))
        decision = {
            "members": [{"model": "a", "role": "segment", "folds": {"0": "train/a"}}],
            "choice": {"model_weights": {"a": 1}, "fold_weights": {"a": {"0": 1}}},
            "statement": "Chosen.",
        }
        baseline = {"name": "NDVI", "honest": 0.3, "naive": 0.4}
        scores = {
            "honest": 0.7,
            "naive": 0.72,
            "baseline": baseline,
            "selected_on_fold": [],
            "pseudo_labelled": [],
            "curves": curves,
            "effects": effects,
            "examples": [],
        }

        def work(workspace):
            write_json(workspace.path / DECISION, decision)
            write_json(workspace.path / SCORES, scores)

        key = Key("tune", {}, [len(curves), len(effects)], "code")
        plain = recipe.model_dump(mode="json")
        entry = context.store.build(key, "tune", plain, work)
        return page_path(show(context, entry)).read_text("utf-8")

    return page


def test_every_curve_is_drawn_with_what_was_chosen(page_of):
    second = {**CURVE, "title": "Every least size", "chosen": None}
    html = page_of([CURVE, second], [])
    assert "Every threshold" in html
    assert "Every least size" in html
    assert "Of &lt;all&gt; tiles." in html
    # One mark: nothing was chosen on the second.
    assert html.count(">chosen<") == 1
    assert "What each step did" not in html


def test_what_each_step_did_is_a_table(page_of):
    html = page_of([CURVE], [EFFECT])
    assert "What each step did" in html
    for cell in ("patches under 4 pixels", "17", "4,321", "0.7123"):
        assert cell in html
