"""A tuned decision does to images what was scored, and to lone members what it can."""

import json

import numpy as np
import pytest

from tenfold.challenges.clouds import decision as decisions
from tenfold.challenges.clouds import scoring
from tenfold.challenges.clouds.planes import unpack_planes
from tenfold.ensembling.average import Average
from tenfold.errors import RecipeError
from tests.challenges.clouds.out_of_fold import ROLES, OutOfFold, recipe_with

TWO_WHERE = {**ROLES, "there": "seg1"}
WITHOUT_CLS = {name: role for name, role in ROLES.items() if role != "cls"}


def tuned(source, **options):
    seen = []
    recipe = recipe_with(source.roles, **options)
    result = decisions.tune(recipe, source, seen.append)
    assert seen == list(range(1, len(source.fold_of) + 1))
    return result


def averages_of(source, image, choice, only=None):
    """Do as predict does: a model's folds first, here one, then a role's models."""
    roles = {}
    for model, outputs in source.outputs[image].items():
        if only not in (None, model):
            continue
        folds = Average()
        weight = decisions.fold_weight(choice, model, source.fold_of[image])
        folds.add(decisions.contribute(outputs, choice), weight)
        concluded = decisions.conclude(folds.result(), model, choice)
        average = roles.setdefault(source.roles[model], Average())
        average.add(concluded, decisions.model_weight(choice, model))
    return {role: average.result() for role, average in roles.items()}


def decided(source, choice, only=None):
    for image in range(len(source.fold_of)):
        means = averages_of(source, image, choice, only)
        yield decisions.decide(means, source.arrays(image), choice)


OPTIONS = [
    {},
    {"votes": 0},
    {"combine": "mean", "pixel_cuts": [0.4, 0.5, 0.55]},
    {"pixel_cuts": [0.45, 0.5], "presence_cut": None, "published_grid": False},
    {"presence_pixels": 40, "presence_cut": None, "least_area": None},
    {"core_cut": 0.65, "least_area": None, "force_best": True},
    {"combine": "mean", "core_cut": 0.65, "least_area": 9000, "classifier_cut": 0.4},
    {"force_best": True, "presence_cut": 0.8},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_decision_does_to_images_what_was_scored(options):
    check(OutOfFold(), options)


@pytest.mark.parametrize("agree", ["mean", "all"])
@pytest.mark.parametrize("presence", [0.5, None])
def test_several_seg1_decide_as_scored(agree, presence):
    options = {"agree": agree, "presence_cut": presence}
    check(OutOfFold(roles=TWO_WHERE), options)


@pytest.mark.parametrize("agree", ["mean", "all"])
def test_heads_decide_as_scored(agree):
    source = OutOfFold(roles=TWO_WHERE, head=("where", "there"))
    options = {"agree": agree, "presence_from": "head", "presence_cut": None}
    check(source, options)


def test_without_a_classifier_nothing_is_removed_by_one():
    result = check(OutOfFold(roles=WITHOUT_CLS), {})
    assert result["decision"]["classifier_cuts"] is None
    assert result["curves"] == []
    assert "no classifier" in result["statement"]


def check(source, options):
    result = tuned(source, **options)
    choice = json.loads(json.dumps(result["decision"]))
    assert choice == result["decision"]
    total = None
    for image, prediction in enumerate(decided(source, choice)):
        assert prediction["classes"].dtype == np.uint8
        assert prediction["classes"].shape == (350, 525)
        counted = scoring.tally(prediction, source.arrays(image))
        total = counted if total is None else total + counted
    score = scoring.metrics(total)["dice"]
    assert score == pytest.approx(result["naive"], abs=1e-12)
    assert 0.05 < score < 1
    assert result["honest"] <= result["naive"] + 1e-12
    return result


def test_all_must_see_a_class_that_the_mean_of_two_sees():
    source = OutOfFold(images=1, roles=TWO_WHERE)
    for model, level in (("where", 255), ("there", 100)):
        source.outputs[0][model]["prob"][:] = level
    for model in "abc":
        source.outputs[0][model]["prob"][:] = 255
    source.outputs[0]["which"]["presence"][:] = 1
    for agree, painted in (("mean", True), ("all", False)):
        choice = tuned(source, agree=agree, classifier_cut=0.5)["decision"]
        (prediction,) = decided(source, choice)
        assert (prediction["classes"] == (15 if painted else 0)).all()


def test_a_classifier_removes_up_to_its_cut_and_forcing_brings_one_back():
    source = OutOfFold(images=1)
    for model in ("where", *"abc"):
        source.outputs[0][model]["prob"][:] = 255
    source.outputs[0]["which"]["presence"][:] = (0.3, 0.25, 0.3, 0.31)
    choice = tuned(source, classifier_cut=0.3)["decision"]
    (prediction,) = decided(source, choice)
    assert unpack_planes(prediction["classes"]).any(axis=(1, 2)).tolist() == [
        False,
        False,
        False,
        True,
    ]
    strict = {**choice, "classifier_cuts": [0.9] * 4, "force_best": True}
    (prediction,) = decided(source, strict)
    assert (prediction["classes"] == 8).all()
    assert prediction["presence"].dtype == np.float32
    # Neither seg1 nor the least area takes away the likeliest class.
    for more in ({"least_areas": [10**6] * 4}, {"presence_cuts": [1.0] * 4}):
        (prediction,) = decided(source, strict | more)
        assert (prediction["classes"] == 8).all()


@pytest.mark.parametrize("model", ROLES)
def test_each_member_can_be_used_alone(model):
    source = OutOfFold(images=2)
    choice = decisions.untuned(recipe_with(), model, 0)
    for image, prediction in enumerate(decided(source, choice, only=model)):
        masks = unpack_planes(prediction["classes"])
        outputs = source.outputs[image][model]
        if ROLES[model] == "cls":
            # Whole pictures of what is there.
            expected = outputs["presence"] > 0.5
            assert masks.all(axis=(1, 2)).tolist() == expected.tolist()
        expected = outputs.get("presence", outputs.get("prob"))
        half = 0.5 if ROLES[model] == "cls" else 127
        seen = (expected > half).reshape(4, -1).any(axis=1)
        assert masks.any(axis=(1, 2)).tolist() == seen.tolist()


@pytest.mark.parametrize("model", ROLES)
def test_a_member_of_a_tuned_decision_draws_alone_too(model):
    source = OutOfFold(images=3)
    choice = tuned(source)["decision"]
    assert len(list(decided(source, choice, only=model))) == 3


def test_what_is_open_is_as_plain_as_can_be_for_a_lone_member():
    options = {
        "presence_cut": None,
        "least_area": None,
        "pixel_cuts": [0.3, 0.4],
        "votes": 2,
    }
    choice = decisions.untuned(recipe_with(**options), "a", 1)
    assert choice["pixel_cuts"] == choice["presence_cuts"] == [0.5] * 4
    assert choice["least_areas"] == [0] * 4
    assert choice["combine"] == "mean"


def test_a_prediction_is_described_by_its_shares():
    choice = decisions.untuned(recipe_with(classifier_cut=0.5), "which", 0)
    bits = np.zeros((350, 525), np.uint8)
    bits[:35] |= 1
    bits[:, :105] |= 4
    prediction = {"classes": bits, "presence": np.float32([0.9, 0.1, 0.75, 0.5625])}
    found = decisions.describe(prediction, {}, choice)
    assert found == pytest.approx(
        {
            "classes": 2,
            "fish_share": 0.1,
            "flower_share": 0,
            "gravel_share": 0.2,
            "sugar_share": 0,
            "presence_margin": 0.0625,
            "presence_best": 0.9,
        }
    )


def test_outputs_without_the_head_that_presence_is_read_from_are_refused():
    with pytest.raises(RecipeError, match=r"head, but where has none"):
        tuned(OutOfFold(), presence_from="head")
    choice = decisions.untuned(recipe_with(presence_from="head"), "where", 0)
    with pytest.raises(RecipeError, match="head, but seg1 has none"):
        list(decided(OutOfFold(), choice, only="where"))
