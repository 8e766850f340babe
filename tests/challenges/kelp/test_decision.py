"""Tuning against a search by brute force, and what a decision does to a tile."""

import json
from itertools import product

import numpy as np
import pytest

from tenfold.challenges import load_recipe
from tenfold.challenges.kelp import decision as decisions
from tenfold.challenges.kelp.rules import PixelRule
from tenfold.challenges.kelp.tiles import pack_tile
from tenfold.ensembling.average import Average
from tenfold.errors import RecipeError

GAP = -32768
SHAPE = (350, 350)


def dice(prediction, truth):
    """The global Dice over a stack of masks."""
    both = np.logical_and(prediction, truth).sum()
    sizes = prediction.sum() + truth.sum()
    return 2 * both / sizes if sizes else 1.0


class OutOfFold:
    """Five tiles in three folds, seen by two models of different skill.

    Probabilities are multiples of 16/255, so that mixes of two models by quarters are
    multiples of 4/255 and no sum depends on rounding.
    """

    folds = (0, 1, 4)
    fold_of_tile = (0, 0, 1, 4, 4)

    def __init__(self, models=("a", "b"), fold_scores=None):
        rng = np.random.default_rng(11)
        self.models = models
        self.fold_scores = fold_scores or {0: 0.6, 1: 0.7, 4: 0.8}
        self.truth = rng.random((5, *SHAPE)) < 0.05
        self.valid = np.ones((5, *SHAPE), bool)
        self.valid[1, 100:180, 50:290] = False
        self.steps = {}
        for model, skill in zip(models, (3.5, 4.5), strict=False):
            # Fold 4 is brighter, so that each fold would choose for itself.
            offset = np.array([5, 5, 3.5, 8, 8])[:, None, None]
            mean = offset + skill * self.truth
            noisy = rng.normal(mean, 1.8).round().clip(0, 15)
            self.steps[model] = (16 * noisy).astype(np.uint8)
        for steps in self.steps.values():
            steps[~self.valid] = 240  # confident where nothing was seen
        self.arrays = [self._pack(i, rng) for i in range(5)]

    def _pack(self, tile, rng):
        raw = np.zeros((7, *SHAPE), np.int32)
        raw[:5] = rng.integers(7000, 12_000, (5, *SHAPE))
        raw[3][~self.valid[tile]] = GAP
        return pack_tile(raw, self.truth[tile].astype(np.uint8))

    def samples(self):
        for tile, fold in enumerate(self.fold_of_tile):
            outputs = {m: {"prob": self.steps[m][tile]} for m in self.models}
            yield f"tile-{tile}", fold, self.arrays[tile], outputs

    def scores(self, model):
        assert model in self.models
        return self.fold_scores

    def mixed(self, weights):
        """Return the models' mix in steps, (5, 350, 350)."""
        parts = [w * self.steps[m].astype(float) for m, w in weights.items()]
        return np.rint(sum(parts))


def recipe_with(**tune):
    settings = [f"tune.{name}={json.dumps(value)}" for name, value in tune.items()]
    return load_recipe("kelp", "smoke", settings)


def tuned(source, **options):
    seen = []
    result = decisions.tune(recipe_with(**options), source, seen.append)
    assert seen == [1, 2, 3, 4, 5]
    return result


@pytest.fixture(scope="module")
def source():
    return OutOfFold()


def brute_force(source, candidates, invalid):
    """Return the Dice counts of every candidate, threshold and fold."""
    counts = np.zeros((len(candidates), 256, 3, 3))
    for c, weights in enumerate(candidates):
        mixed = source.mixed(weights)
        if invalid == "background":
            mixed = np.where(source.valid, mixed, 0)
        for step in range(4, 256, 4):
            kelp = mixed >= step
            for f, fold in enumerate(source.folds):
                tiles = [i for i, g in enumerate(source.fold_of_tile) if g == fold]
                k, t = kelp[tiles], source.truth[tiles]
                counts[c, step - 3 : step + 1, f] = (k & t).sum(), k.sum(), t.sum()
        for f, fold in enumerate(source.folds):
            tiles = [i for i, g in enumerate(source.fold_of_tile) if g == fold]
            counts[c, 253:, f, 2] = source.truth[tiles].sum()
    return counts[:, 1:]


def best(counts):
    """Return the first best (candidate, step) and its Dice."""
    score = 2 * counts[..., 0] / (counts[..., 1] + counts[..., 2])
    c, s = np.unravel_index(int(np.argmax(score)), score.shape)
    return c, s + 1, score[c, s]


def leave_one_fold_out(counts):
    sums = np.zeros(3)
    for fold in range(3):
        rest = np.delete(counts, fold, axis=2).sum(axis=2)
        c, step, _ = best(rest)
        sums += counts[c, step - 1, fold]
    return 2 * sums[0] / (sums[1] + sums[2])


@pytest.mark.parametrize("invalid", ["background", "keep"])
def test_the_choice_and_its_honest_score_are_those_of_a_full_search(source, invalid):
    result = tuned(source, model_weights="tuned", weight_steps=4, invalid=invalid)
    candidates = [{"a": k / 4, "b": 1 - k / 4} for k in range(5)]
    counts = brute_force(source, candidates, invalid)
    c, step, score = best(counts.sum(axis=2))
    assert result["decision"]["model_weights"] == pytest.approx(candidates[c])
    # Both models are better than either: the search must have found a mix.
    assert 0 < candidates[c]["a"] < 1
    # The threshold lies between two steps, and cuts as the best one does.
    threshold = 255 * result["decision"]["threshold"]
    assert step - 1 < threshold <= step
    assert result["naive"] == pytest.approx(score)
    assert result["honest"] == pytest.approx(leave_one_fold_out(counts))
    assert result["honest"] < result["naive"]


def test_the_curve_is_the_score_of_every_threshold(source):
    result = tuned(source, model_weights="equal")
    counts = brute_force(source, [{"a": 0.5, "b": 0.5}], "background").sum(axis=2)
    expected = 2 * counts[0, :, 0] / (counts[0, :, 1] + counts[0, :, 2])
    (curve,) = result["curves"]
    x, y = curve["lines"]["land kept"]
    np.testing.assert_allclose(x, np.arange(256) / 255)
    np.testing.assert_allclose(y[1:], expected, atol=1e-12)
    assert curve["chosen"] == result["decision"]["threshold"]
    # There is no land in these tiles, and nothing was asked to be removed.
    assert curve["lines"]["land removed"] == curve["lines"]["land kept"]
    assert result["effects"] == []
    assert "removed" not in result["statement"]


@pytest.mark.parametrize("invalid", ["background", "keep"])
def test_a_decision_does_to_tiles_what_was_scored(source, invalid):
    result = tuned(source, model_weights="tuned", weight_steps=4, invalid=invalid)
    choice = json.loads(json.dumps(result["decision"]))
    assert choice == result["decision"]
    masks = []
    for _, _, arrays, outputs in source.samples():
        average = Average()
        for model, output in outputs.items():
            contribution = decisions.contribute(output, choice)
            average.add(contribution, choice["model_weights"][model])
        prediction = decisions.decide({"segment": average.result()}, arrays, choice)
        assert set(prediction) == {"kelp", "prob"}
        assert prediction["kelp"].dtype == prediction["prob"].dtype == np.uint8
        assert set(np.unique(prediction["kelp"])) <= {0, 1}
        masks.append(prediction["kelp"] == 1)
    assert dice(np.stack(masks), source.truth) == pytest.approx(result["naive"])


def test_a_fixed_threshold_is_scored_as_it_stands(source):
    result = tuned(source, threshold=0.4, model_weights="equal")
    assert result["decision"]["threshold"] == 0.4
    kelp = source.mixed({"a": 0.5, "b": 0.5}) >= 0.4 * 255
    expected = dice(kelp & source.valid, source.truth)
    assert result["naive"] == pytest.approx(expected)
    # Nothing was chosen, so nothing can be too good.
    assert result["honest"] == pytest.approx(expected)
    assert "fixed by the recipe" in result["statement"]
    assert "out-of-fold" in tuned(source)["statement"]


def test_weights_of_one_model_need_no_search():
    alone = OutOfFold(models=("a",))
    result = tuned(alone, model_weights="tuned")
    assert result["decision"]["model_weights"] == {"a": 1.0}
    counts = brute_force(alone, [{"a": 1.0}], "background")
    assert result["naive"] == pytest.approx(best(counts.sum(axis=2))[2])
    assert result["honest"] == pytest.approx(leave_one_fold_out(counts))


# Weights of members.


def test_folds_of_a_model_share_its_weight_equally(source):
    choice = tuned(source, fold_weights="equal", model_weights="equal")["decision"]
    for model, fold in product(("a", "b"), (0, 1, 4)):
        assert decisions.fold_weight(choice, model, fold) == 1
        assert decisions.model_weight(choice, model) == pytest.approx(1 / 2)


def test_fold_scores_are_scaled_to_a_fifth_and_one(source):
    choice = tuned(source, fold_weights="min-max", model_weights="equal")["decision"]
    assert choice["fold_weights"]["a"] == pytest.approx({"0": 0.2, "1": 0.6, "4": 1.0})
    found = [decisions.fold_weight(choice, "b", fold) for fold in (0, 1, 4)]
    assert found == pytest.approx([0.2, 0.6, 1.0])


def test_the_published_fold_weights_follow_from_its_scores():
    scores = (7110, 7086, 7110, 7139, 7106, 7100, 7119, 7105, 7155, 7047)
    published = (0.666, 0.5, 0.666, 0.88, 0.637, 0.59, 0.733, 0.63, 1.0, 0.2)
    by_fold = {fold: score / 1e4 for fold, score in enumerate(scores)}
    choice = tuned(OutOfFold(fold_scores=by_fold), fold_weights="min-max")["decision"]
    found = [choice["fold_weights"]["a"][str(fold)] for fold in range(10)]
    # The published 0.5 was rounded by hand; the others agree to three digits.
    np.testing.assert_allclose(found, published, atol=0.012)


def test_weights_of_folds_can_be_given_and_none_skips_a_fold(source):
    weights = [2.0, 1.0, 7.0, 7.0, 0.0]
    recipe = load_recipe("kelp", "smoke", ["split.k=5", f"tune.fold_weights={weights}"])
    choice = decisions.tune(recipe, source, lambda _: None)["decision"]
    # Folds 2 and 3 were not trained; fold 4 takes no part.
    assert choice["fold_weights"]["b"] == {"0": 2.0, "1": 1.0, "4": 0.0}
    found = [decisions.fold_weight(choice, "a", fold) for fold in (0, 1, 4)]
    assert found == [2.0, 1.0, 0.0]


def test_given_weights_that_no_trained_fold_has_are_refused(source):
    weights = [0.0, 0.0, 1.0, 0.0, 0.0]
    recipe = load_recipe("kelp", "smoke", ["split.k=5", f"tune.fold_weights={weights}"])
    with pytest.raises(RecipeError, match="trained folds of a all weigh 0"):
        decisions.tune(recipe, source, lambda _: None)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("fold_weights=[1, 1]", "2 weights for split.k = 4 folds"),
        ("fold_weights=[0, 0, 0, 0]", "at least one above 0"),
        ("fold_weights=[1, 1, 1, -1]", "greater than or equal to 0"),
        ("min_sizes=[]", "at least 1 item"),
        ("min_sizes=[4, 4]", "each size once"),
        ("min_sizes=[-1]", "greater than or equal to 0"),
        ("land=gone", "land"),
    ],
)
def test_options_that_make_no_sense_are_refused(setting, reason):
    with pytest.raises(RecipeError, match=reason):
        load_recipe("kelp", "smoke", [f"tune.{setting}"])


def test_folds_of_equal_score_weigh_the_same():
    alike = OutOfFold(fold_scores={0: 0.7, 1: 0.7, 4: 0.7})
    choice = tuned(alike, fold_weights="min-max")["decision"]
    assert choice["fold_weights"]["a"] == {"0": 1.0, "1": 1.0, "4": 1.0}


# Hard votes.

HARD = {
    "vote": "hard",
    "member_threshold": 0.48,
    "threshold": 0.528,
    "model_weights": "equal",
}


def test_a_hard_vote_is_scored_vote_by_vote():
    alone = OutOfFold(models=("a",))
    result = tuned(alone, **HARD)
    kelp = (alone.steps["a"] / 255 >= 0.48) & alone.valid
    assert result["naive"] == pytest.approx(dice(kelp, alone.truth))
    assert result["honest"] == pytest.approx(result["naive"])
    assert result["decision"]["threshold"] == 0.528
    assert result["decision"]["member_threshold"] == 0.48


@pytest.mark.parametrize("threshold", [0.4, 0.528])
def test_hard_votes_of_two_models_are_scored_at_the_threshold(source, threshold):
    """One vote of two is a half: enough for 0.4, not for 0.528."""
    result = tuned(source, **(HARD | {"threshold": threshold}))
    votes = sum((source.steps[m] / 255 >= 0.48).astype(float) for m in "ab") / 2
    expected = dice((votes >= threshold) & source.valid, source.truth)
    assert result["naive"] == pytest.approx(expected)
    assert result["honest"] == pytest.approx(expected)


def vote(members, choice, arrays):
    """Let members say the same probability all over a tile, then decide."""
    average = Average()
    weight = {"m": {str(i): 1.0 for i in range(len(members))}}
    decision = choice | {"fold_weights": weight, "model_weights": {"m": 1.0}}
    for fold, step in enumerate(members):
        output = {"prob": np.full(SHAPE, step, np.uint8)}
        average.add(
            decisions.contribute(output, decision),
            decisions.fold_weight(decision, "m", fold),
        )
    concluded = decisions.conclude(average.result(), "m", decision)
    return decisions.decide({"segment": concluded}, arrays, decision)


@pytest.fixture(scope="module")
def holed():
    """A tile without imagery in its left half."""
    raw = np.full((7, *SHAPE), 9000, np.int32)
    raw[5:] = 0
    raw[2, :, :175] = GAP
    return pack_tile(raw, None)


NOTHING_REMOVED = {"invalid": "keep", "land": "keep", "min_size": 0}
#: 0.48 of 255 is 122.4.
NO, YES = 122, 123


@pytest.mark.parametrize(("votes", "kelp"), [(10, 1), (6, 1), (5, 0), (0, 0)])
def test_six_of_ten_votes_are_needed_at_the_effective_threshold(holed, votes, kelp):
    choice = {**HARD, **NOTHING_REMOVED}
    # The order of the folds does not matter.
    for members in ([YES] * votes + [NO] * (10 - votes),) * 2:
        found = vote(members, choice, holed)
        assert (found["kelp"] == kelp).all()
        members.reverse()
    assert (found["prob"] == round(25.5 * votes)).all()


def test_a_member_never_votes_twice_however_sure_it_is(holed):
    choice = {**HARD, **NOTHING_REMOVED}
    assert not vote([255] * 5 + [NO] * 5, choice, holed)["kelp"].any()
    assert vote([YES] * 6 + [0] * 4, choice, holed)["kelp"].all()


@pytest.mark.parametrize("options", [HARD, {"vote": "soft", "member_threshold": None}])
def test_pixels_without_imagery_follow_the_recipe(holed, options):
    choice = {"threshold": 0.5} | options | NOTHING_REMOVED
    kept = vote([200] * 3, choice, holed)
    assert kept["kelp"].all()
    cleared = vote([200] * 3, choice | {"invalid": "background"}, holed)
    assert not cleared["kelp"][:, :175].any()
    assert not cleared["prob"][:, :175].any()
    assert cleared["kelp"][:, 175:].all()


def test_a_soft_mean_is_cut_at_the_threshold(holed):
    choice = {
        "vote": "soft",
        "member_threshold": None,
        "threshold": decisions.threshold_of(100),
        **NOTHING_REMOVED,
    }
    assert vote([90, 110], choice, holed)["kelp"].all()
    assert not vote([90, 108], choice, holed)["kelp"].any()
    assert (vote([90, 108], choice, holed)["prob"] == 99).all()


def test_a_prediction_is_described_by_its_shares():
    raw = np.full((7, *SHAPE), 9000, np.int32)
    raw[5:] = 0
    raw[5, :70] = 1  # a fifth is marked by QA
    raw[6, :, :35] = 12  # a tenth is land
    raw[3, 345:] = GAP  # 5 of 350 rows are missing
    kelp = np.zeros(SHAPE, np.uint8)
    kelp[:140] = 1  # two fifths
    prob = np.zeros(SHAPE, np.uint8)
    prob[:35] = 128  # as doubtful as can be
    found = decisions.describe(
        {"kelp": kelp, "prob": prob}, pack_tile(raw, None), {"threshold": 0.5}
    )
    assert found == pytest.approx(
        {
            "kelp_share": 0.4,
            "on_land": 0.04,
            "under_qa": 0.2,
            "uncertainty": 0.1 * 4 * (128 / 255) * (127 / 255),
            "near_threshold": 0.1,
            "valid_share": 345 / 350,
        },
        rel=1e-5,
    )


def test_the_baseline_comes_with_the_decision(source):
    rule = PixelRule(3)
    for tile, fold in enumerate(source.fold_of_tile):
        raw = decisions.unpack_tile(source.arrays[tile])
        rule.add(source.folds.index(fold), raw, source.truth[tile])
    assert tuned(source)["baseline"] == rule.result()
