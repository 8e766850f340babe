"""What people are told of a decision, against masks and scores counted by hand."""

import numpy as np
import pytest

from tenfold.challenges.contrails import decision as decisions
from tests.challenges.contrails.out_of_fold import (
    OutOfFold,
    above,
    cleaned,
    dice,
    recipe_with,
)


@pytest.fixture(scope="module")
def source():
    return OutOfFold()


def tuned(source, **tune):
    recipe = recipe_with({"frames": 2, "before": 1}, **tune)
    return decisions.tune(recipe, source, lambda _: None)


def test_the_statement_says_what_was_chosen_on_what(source):
    result = tuned(source)
    said, threshold = result["statement"], result["decision"]["threshold"]
    assert (
        f"above {threshold:g}, chosen on 15 held-out records in steps of 0.01," in said
    )
    assert "all alike: a, b." in said
    assert "Specks" not in said
    assert "one fold" not in said


def test_the_statement_says_what_is_fixed_and_what_is_removed(source):
    fixed = tuned(source, threshold=0.35, least_pixels=(4,))["statement"]
    assert "above 0.35, fixed by the recipe" in fixed
    assert "fewer than 4 pixels are removed, fixed by the recipe" in fixed
    result = tuned(source, least_pixels=(6, 0, 3))
    least = result["decision"]["least_pixels"]
    words = f"fewer than {least} pixels are removed: chosen among 0, 3, 6, together"
    assert words in result["statement"]


def test_the_statement_says_how_one_fold_is_honest():
    alone = OutOfFold(folds=(0,), models=("a",))
    assert "leaves each of 5 parts of its held-out records" in tuned(alone)["statement"]


def test_curves_are_the_score_of_every_threshold(source):
    result = tuned(source)
    whole, by_fold = result["curves"]
    x, y = whole["lines"]["all records"]
    assert x == [round(k / 100, 2) for k in range(1, 100)]
    mean, folds = source.mean(), np.array(source.fold_of)
    masks = [above(mean, t) for t in x]
    np.testing.assert_allclose(y, [dice(m, source.truth) for m in masks])
    assert max(y) == pytest.approx(result["naive"])
    assert whole["chosen"] == x[y.index(max(y))]
    assert list(by_fold["lines"]) == ["fold 0", "fold 2", "fold 3"]
    for fold in source.folds:
        mine = folds == fold
        expected = [dice(m[mine], source.truth[mine]) for m in masks]
        np.testing.assert_allclose(by_fold["lines"][f"fold {fold}"][1], expected)


def test_one_fold_has_no_curve_of_its_own_and_coarse_steps_still_have_a_curve():
    (whole,) = tuned(OutOfFold(folds=(0,)), step=0.25)["curves"]
    assert len(whole["lines"]["all records"][0]) == 99
    assert whole["chosen"] in (0.25, 0.5, 0.75)


def test_the_curve_of_sizes_is_at_the_chosen_threshold(source):
    result = tuned(source, least_pixels=(3, 8))
    curve = result["curves"][-1]
    x, y = curve["lines"]["Dice"]
    assert x == [0, 3, 8]
    masks = above(source.mean(), result["decision"]["threshold"])
    expected = [dice([cleaned(m, int(n)) for m in masks], source.truth) for n in x]
    np.testing.assert_allclose(y, expected)
    assert curve["chosen"] == result["decision"]["least_pixels"]
    # Of 3 and 8 one was to be chosen, nothing was not among them.
    assert curve["chosen"] in (3, 8)


def test_other_ways_of_deciding_stand_beside_the_chosen_one(source):
    result = tuned(source)
    rows = {row["step"]: row for row in result["effects"]}
    assert len(rows) == 4
    for name, threshold in (("one half", 0.5), ("chosen threshold", None)):
        threshold = threshold or result["decision"]["threshold"]
        masks = above(source.mean(), threshold)
        both, predicted = (masks & (source.truth == 1)).sum(), masks.sum()
        row = rows[name]
        assert row["threshold"] == threshold
        assert row["Dice"] == pytest.approx(dice(masks, source.truth))
        assert row["precision"] == pytest.approx(both / predicted)
        assert row["recall"] == pytest.approx(both / source.truth.sum())
    (published,) = [row for name, row in rows.items() if "published" in name]
    assert published["threshold"] in [k / 10 for k in range(1, 10)]
    masks = above(source.mean(), published["threshold"])
    assert published["Dice"] == pytest.approx(dice(masks, source.truth))
    best = rows["chosen threshold"]["Dice"]
    assert best >= max(published["Dice"], rows["one half"]["Dice"])
    (rule,) = [row for name, row in rows.items() if name.startswith("rule: brightness")]
    assert result["baseline"]["name"] in rule["step"]
    assert rule["Dice"] == result["baseline"]["naive"]


def test_removal_says_what_it_took(source):
    result = tuned(source, threshold=0.3, least_pixels=(7,))
    (row,) = [row for row in result["effects"] if "specks" in row["step"]]
    masks = above(source.mean(), 0.3)
    kept = np.stack([cleaned(mask, 7) for mask in masks])
    gone = masks & ~kept
    assert row["pixels"] == gone.sum() > 0
    assert row["of them labelled contrail"] == (gone & (source.truth == 1)).sum()
    assert row["specks"] > 0
    assert row["Dice"] == pytest.approx(dice(kept, source.truth))
    assert row["Dice"] == pytest.approx(result["naive"])


@pytest.mark.parametrize("least", [(0,), (5,)])
def test_examples_are_the_extremes_of_what_was_decided(source, least):
    result = tuned(source, threshold=0.3, least_pixels=least)
    masks = above(source.mean(), 0.3)
    masks = [cleaned(m, least[0]) for m in masks]
    scores = [dice(m, t) for m, t in zip(masks, source.truth, strict=True)]
    labelled = source.truth.sum(axis=(1, 2)).tolist()
    found = [int(m.sum()) for m in masks]
    place = {id_: i for i, id_ in enumerate(source.ids)}
    shown = {title: [place[i] for i in ids] for title, ids in result["examples"]}
    with_some = [i for i in range(len(labelled)) if labelled[i]]
    # Of equal scores, those with more at stake come first.
    worst = sorted(with_some, key=lambda i: (scores[i], -labelled[i]))
    best = sorted(with_some, key=lambda i: (-scores[i], -labelled[i]))
    assert shown["Worst, of records with contrails"] == worst[:3]
    assert shown["Best, of records with contrails"] == best[:3]
    most = shown["Most contrail"]
    assert [labelled[i] for i in most] == sorted(labelled, reverse=True)[:3]
    alarms = shown.get("False alarms: nothing is labelled", [])
    expected = [found[i] for i in range(len(found)) if not labelled[i] and found[i]]
    assert [found[i] for i in alarms] == sorted(expected, reverse=True)[:3]
    # Noise is in specks, which all go.
    assert bool(expected) == (least == (0,))


def test_of_equal_scores_those_with_more_at_stake_are_shown(source):
    # Nothing is found, so that all scores are 0.
    ((title, worst), (_, most)) = tuned(source, threshold=1.0)["examples"]
    labelled = dict(zip(source.ids, source.truth.sum(axis=(1, 2)), strict=True))
    assert len({labelled[id_] for id_ in source.ids if labelled[id_]}) > 1
    assert title.startswith("Worst")
    assert worst == most == sorted(labelled, key=lambda i: -int(labelled[i]))[:3]


def test_kinds_of_examples_that_nothing_is_of_are_left_out():
    source = OutOfFold()
    source.truth[:] = 0
    result = tuned(source, threshold=1.0)
    assert result["examples"] == []
    assert result["naive"] == result["honest"] == 1
