"""The search for cuts against trying everything, one row at a time."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from tenfold.challenges.clouds import decision as decisions
from tenfold.challenges.clouds.masks import resize_predictions
from tenfold.challenges.clouds.measuring import Measured
from tenfold.challenges.clouds.options import CloudsTune
from tenfold.challenges.clouds.tuning import search
from tenfold.challenges.clouds.wording import examples
from tests.challenges.clouds.measured_rows import Forced, mean, measured, part
from tests.challenges.clouds.out_of_fold import SUBMITTED, OutOfFold, recipe_with

SEG2 = ("a", "b", "c")


def exact_dice(painted, truth):
    both = int((painted & truth).sum())
    sizes = int(painted.sum()) + int(truth.sum())
    return Fraction(2 * both, sizes) if sizes else Fraction(1)


class Published:
    """The published cascade and its search, written out in loops over rows."""

    def __init__(self, source):
        self.rows = []
        for image, fold in enumerate(source.fold_of):
            outputs = source.outputs[image]
            q = outputs["which"]["presence"]
            for c in range(4):
                first = self.mask(outputs["where"]["prob"][c])
                votes = sum(self.mask(outputs[m]["prob"][c]).astype(int) for m in SEG2)
                second = votes > 1
                result = second if first.any() else np.zeros(SUBMITTED, bool)
                truth = source.truth[image][c]
                self.rows.append((fold, c, result.any(), truth.any(), float(q[c])))
                kept = exact_dice(result, truth)
                self.rows[-1] += (kept, Fraction(0 if truth.any() else 1))

    @staticmethod
    def mask(steps):
        binary = steps / 255 > 0.5
        if not binary.any():
            return np.zeros(SUBMITTED, bool)
        return resize_predictions(binary[None], SUBMITTED)[0]

    def scores(self, cut, c, folds):
        for fold, own, _, _, q, kept, blank in self.rows:
            if own == c and fold in folds:
                # Both are single precision in the published tables.
                yield blank if np.float32(q) <= np.float32(cut) else kept

    def choose(self, c, folds):
        best, best_score = None, -1
        for hundredths in range(100):
            score = sum(self.scores(hundredths / 100, c, folds))
            if score > best_score:
                best, best_score = hundredths / 100, score
        return best, best_score


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_published_settings_choose_what_the_published_loops_choose(seed):
    source = OutOfFold(images=9, seed=seed)
    result = decisions.tune(recipe_with(), source, lambda _: None)
    loops = Published(source)
    drawn = [curve["chosen"] for curve in result["curves"]]
    assert drawn == result["decision"]["classifier_cuts"]
    total, honest = Fraction(0), Fraction(0)
    for c in range(4):
        cut, score = loops.choose(c, source.folds)
        assert result["decision"]["classifier_cuts"][c] == cut
        total += score
        for fold in source.folds:
            others, _ = loops.choose(c, [f for f in source.folds if f != fold])
            honest += sum(loops.scores(others, c, [fold]))
    rows = len(loops.rows)
    assert result["naive"] == pytest.approx(float(total / rows), abs=1e-10)
    assert result["honest"] == pytest.approx(float(honest / rows), abs=1e-10)
    blank = sum(row[-1] for row in loops.rows)
    assert result["baseline"]["honest"] == pytest.approx(float(blank / rows))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("open_", ["presence_cut", "least_area", "classifier_cut"])
def test_a_single_open_cut_is_the_lowest_of_the_best_of_all(seed, force, open_):
    rows = measured(seed)
    fixed = {"presence_cut": 0.25, "least_area": 500, "classifier_cut": 0.125}
    options = CloudsTune(
        **fixed | {open_: None},
        pixel_cuts=(0.4, 0.5),
        force_best=force,
        published_grid=False,
    )
    found = search(rows, options)
    values = {
        "presence_cut": sorted({0.0, *rows.presence.ravel().tolist()}),
        "least_area": sorted({0, *(rows.core + 1).ravel().tolist()}),
        "classifier_cut": sorted({0.0, *rows.probability.ravel().tolist()}),
    }[open_]
    seen = Forced(rows, force)
    for c, cuts in enumerate(found.cuts):
        tried = [
            (place, fixed | {open_: value})
            for place, value in itertools.product(range(2), values)
        ]
        scores = [mean(seen, c, place, *cut.values()) for place, cut in tried]
        place, best = tried[int(np.argmax(scores))]
        assert cuts.place == place
        assert cuts.pixel == options.pixel_cuts[place]
        assert cuts[1:4] == pytest.approx(tuple(best.values()))
    total = np.mean([mean(seen, c, k.place, *k[1:4]) for c, k in enumerate(found.cuts)])
    assert found.naive == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_open_cuts_together_cannot_be_bettered_by_any_one_of_them(seed):
    rows = measured(seed, ties=False)
    options = CloudsTune(
        presence_cut=None, least_area=None, classifier_cut=None, published_grid=False
    )
    found = search(rows, options)
    seen = Forced(rows, forced=False)
    alone = search(rows, CloudsTune(published_grid=False, presence_cut=0.0))
    assert found.naive >= alone.naive
    for c, cuts in enumerate(found.cuts):
        score = mean(seen, c, cuts.place, *cuts[1:4])
        others = {
            1: rows.presence[:, c].tolist(),
            2: (rows.core[0, :, c] + 1).tolist(),
            3: rows.probability[:, c].tolist(),
        }
        for which, values in others.items():
            for value in values:
                changed = [*cuts[1:4]]
                changed[which - 1] = value
                assert mean(seen, c, cuts.place, *changed) <= score + 1e-12


def test_each_fold_is_left_out_of_the_choice_it_is_scored_by():
    rows = measured(7, images=18)
    options = CloudsTune(pixel_cuts=(0.4, 0.5), presence_cut=None, least_area=None)
    total = 0
    for fold in range(3):
        mine = np.flatnonzero(rows.fold == fold)
        others = np.flatnonzero(rows.fold != fold)
        chosen = search(part(rows, others), options).cuts
        seen = Forced(rows, forced=False)
        for c, cuts in enumerate(chosen):
            total += len(mine) * mean(seen, c, cuts.place, *cuts[1:4], keep=mine)
    found = search(rows, options)
    assert found.honest == pytest.approx(total / rows.truth.size)
    assert found.honest < found.naive


def test_a_single_fold_is_scored_by_its_own_choice():
    rows = part(measured(3), np.flatnonzero(measured(3).fold == 0))
    found = search(rows, CloudsTune())
    assert found.honest == found.naive


def test_the_statement_says_if_the_choice_could_not_be_held_out():
    alone = OutOfFold(images=9)
    alone.folds, alone.fold_of = (4,), [4] * 9
    recipe, words = recipe_with(), "only one fold in common, so the choice could not be"
    result = decisions.tune(recipe, alone, lambda _: None)
    assert words in result["statement"]
    assert result["honest"] == result["naive"]
    several = decisions.tune(recipe, OutOfFold(images=9), lambda _: None)
    assert words not in several["statement"]
    # Where nothing is chosen, nothing needs to be held out.
    fixed = decisions.tune(recipe_with(classifier_cut=0.5), alone, lambda _: None)
    assert words not in fixed["statement"]


def test_masks_that_are_never_right_are_all_removed_by_the_lowest_cut_that_does():
    rows = measured(0)
    wrong = Measured(**vars(rows) | {"dice": np.zeros_like(rows.dice)})
    wrong = Measured(**vars(wrong) | {"truth": np.zeros_like(rows.truth)})
    found = search(wrong, CloudsTune(presence_cut=0.0))
    assert found.naive == 1
    for c, cuts in enumerate(found.cuts):
        highest = wrong.probability[wrong.presence[:, c] > 0, c].max()
        assert cuts.classifier == np.ceil(highest * 100) / 100


def test_steps_are_told_as_the_published_scripts_print_them():
    source = OutOfFold(images=9, seed=2)
    result = decisions.tune(recipe_with(), source, lambda _: None)
    steps = {row["step"]: row for row in result["effects"]}
    assert list(steps) == [
        "seg1 alone",
        "seg2 alone",
        "seg1, then seg2",
        "and classifier",
        "rule: all blank",
        "rule: true presence, whole picture",
    ]
    rows = Published(source).rows
    cascade = steps["seg1, then seg2"]
    kept = [float(row[5]) for row in rows]
    positive = np.array([row[3] for row in rows])
    assert cascade["Dice"] == pytest.approx(np.mean(kept))
    assert cascade["empty rows"] == pytest.approx(np.mean(np.array(kept)[~positive]))
    assert cascade["positive rows"] == pytest.approx(np.mean(np.array(kept)[positive]))
    of_gravel = [k for k, row in zip(kept, rows, strict=True) if row[1] == 2]
    assert cascade["Gravel"] == pytest.approx(np.mean(of_gravel))
    cuts = result["decision"]["classifier_cuts"]
    removed = [row for row in rows if row[2] and row[4] <= cuts[row[1]] + 1e-7]
    last = steps["and classifier"]
    assert last["rightly removed"] == sum(not row[3] for row in removed)
    assert last["wrongly removed"] == sum(row[3] for row in removed)
    assert last["Dice"] == pytest.approx(result["naive"])
    assert steps["rule: all blank"]["Dice"] == pytest.approx((~positive).mean())
    whole = [
        exact_dice(np.ones(SUBMITTED, bool), truth) if truth.any() else 1
        for image in source.truth
        for truth in image
    ]
    oracle = steps["rule: true presence, whole picture"]["Dice"]
    assert oracle == pytest.approx(float(sum(whole) / len(whole)))


def test_the_statement_says_what_was_chosen_and_what_was_fixed():
    source = OutOfFold(images=6)
    said = decisions.tune(recipe_with(), source, lambda _: None)["statement"]
    assert "at least 2 of a, b, c exceeds the pixel cut 0.5 (fixed" in said
    assert "the highest pixel of where exceeds 0.5 (fixed by the recipe)" in said
    assert "0.00, 0.01 … 0.99, the lowest of the best" in said
    assert "350 × 525" not in said
    options = {
        "combine": "mean",
        "pixel_cuts": [0.4, 0.5],
        "presence_pixels": 1000,
        "least_area": None,
        "core_cut": 0.7,
        "classifier_cut": 0.3,
        "force_best": True,
    }
    result = decisions.tune(recipe_with(**options), source, lambda _: None)
    said = result["statement"]
    assert "the mean of a, b, c" in said
    assert "1,000 highest pixels" in said
    assert "pixels above 0.7 at 350 × 525" in said
    assert "likeliest class" in said
    assert "up to 0.3 (fixed by the recipe)" in said


def test_examples_are_of_images_with_such_rows_the_most_first():
    options = recipe_with().tune
    rows = measured(5)
    found = search(rows, options)
    cuts = found.cuts
    painted = np.stack([rows.area[c.place, :, at] for at, c in enumerate(cuts)], 1) > 0
    stands = np.stack(
        [
            (rows.presence[:, at] > c.presence)
            & (rows.core[c.place, :, at] >= c.area)
            & (rows.probability[:, at] > np.float32(c.classifier))
            for at, c in enumerate(cuts)
        ],
        axis=1,
    )
    named = dict(examples(rows, found, options))
    kinds = {
        "Fixed: masks of absent classes were removed": ~stands & ~rows.truth,
        "Mistakes: masks of present classes were removed": ~stands & rows.truth,
        "Mistakes: masks of absent classes stand": stands & ~rows.truth,
    }
    for title, such in kinds.items():
        counts = dict(zip(rows.ids, (such & painted).sum(axis=1), strict=True))
        shown = [counts[id_] for id_ in named.get(title, [])]
        assert shown == sorted(counts.values(), reverse=True)[: len(shown)]
        assert all(shown)
        assert len(shown) == min(3, sum(count > 0 for count in counts.values()))
