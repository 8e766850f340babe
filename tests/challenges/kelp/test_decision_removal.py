"""Land and small patches: the search against the whole procedure run anew.

The procedure is written out on masks, pixel by pixel, and run from scratch for every
fold that is left out: first weights, land and threshold, then the least size.
"""

import itertools
import json

import numpy as np
import pytest

from tenfold.challenges import load_recipe
from tenfold.challenges.kelp import decision as decisions
from tenfold.challenges.kelp.tiles import pack_tile
from tenfold.ensembling.average import Average

GAP = -32768
SIDE = 48
#: Everything happens in this corner of a tile; the rest is sea without kelp.
CORNER = np.s_[:SIDE, :SIDE]


class OutOfFold:
    """Six tiles in three folds: kelp in patches, specks of noise, some land."""

    folds = (0, 2, 5)
    fold_of_tile = (0, 0, 2, 2, 5, 5)
    models = ("a", "b")

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.truth = np.zeros((6, SIDE, SIDE), bool)
        self.dem = np.zeros((6, SIDE, SIDE), int)
        self.valid = np.ones((6, SIDE, SIDE), bool)
        for tile in range(6):
            for y, x in rng.integers(0, SIDE - 6, (5, 2)):
                h, w = rng.integers(1, 7, 2)
                self.truth[tile, y : y + h, x : x + w] = True
            self.dem[tile, :, rng.integers(20, 44) :] = rng.integers(1, 90)
            self.dem[tile, :9] = GAP
            self.valid[tile, 20:24, 5:30] = False
        # Some kelp is labelled on land, more of it in one fold than in the others.
        share = np.array([0.2, 0.2, 0.5, 0.5, 0.9, 0.9])[:, None, None]
        lost = (self.dem > 0) & (rng.random(self.truth.shape) > share)
        self.truth &= ~lost
        self.steps = {}
        for model, skill in zip(self.models, (4, 6), strict=True):
            noise = rng.normal(4, 2.2, self.truth.shape)
            level = noise + skill * self.truth + 2 * (self.dem > 0)
            self.steps[model] = 16 * level.round().clip(0, 15).astype(int)
        self.arrays = [self._packed(tile) for tile in range(6)]

    def _packed(self, tile):
        raw = np.zeros((7, 350, 350), np.int32)
        raw[:5] = 9000
        raw[6][CORNER] = self.dem[tile]
        raw[2][CORNER][~self.valid[tile]] = GAP
        return pack_tile(raw, whole(self.truth[tile]))

    def samples(self):
        for tile, fold in enumerate(self.fold_of_tile):
            outputs = {m: {"prob": whole(self.steps[m][tile])} for m in self.models}
            yield f"tile-{tile}", fold, self.arrays[tile], outputs

    def scores(self, model):
        assert model in self.models
        return dict.fromkeys(self.folds, 0.5)

    def tiles(self, folds):
        return [t for t, fold in enumerate(self.fold_of_tile) if fold in folds]


def whole(corner):
    tile = np.zeros((350, 350), np.uint8)
    tile[CORNER] = corner
    return tile


def land_of(dem):
    """The sum over a pixel and its neighbours above and to the left."""
    metres = np.pad(np.maximum(dem, 0), ((0, 0), (1, 0), (1, 0)))
    boxes = (metres[:, a : a + SIDE, b : b + SIDE] for a in (0, 1) for b in (0, 1))
    return sum(boxes) >= 0.5


def cleaned(mask, least):
    """Remove patches, found by walking from pixel to pixel."""
    kept = np.zeros_like(mask)
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    while left:
        patch, waiting = [], [left.pop()]
        while waiting:
            y, x = waiting.pop()
            patch.append((y, x))
            near = {(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & left
            left -= near
            waiting += near
        if len(patch) >= least:
            for pixel in patch:
                kept[pixel] = True
    return kept


class Procedure:
    """The choice as the documentation tells it, on any of the folds."""

    def __init__(self, source, lands, sizes):
        self.source, self.sizes = source, sorted(sizes)
        self.land = land_of(source.dem)
        self.tried = list(itertools.product(range(5), lands, range(4, 256, 4)))
        self.masks = {tried: self.mask(*tried) for tried in self.tried}

    def mask(self, quarters, land, step):
        a, b = self.source.steps["a"], self.source.steps["b"]
        mean = (quarters * a + (4 - quarters) * b) / 4
        mean = np.where(self.source.valid, mean, 0)
        return (np.where(self.land, 0, mean) if land == "remove" else mean) >= step

    def count(self, tried, least, tiles):
        tp = predicted = 0
        for tile in tiles:
            mask = self.masks[tried][tile]
            kept = cleaned(mask, least) if least > 1 else mask
            tp += (kept & self.source.truth[tile]).sum()
            predicted += kept.sum()
        return np.array([2 * tp, predicted + self.source.truth[tiles].sum()])

    def choose(self, folds):
        tiles = self.source.tiles(folds)
        first = self.best(self.tried, lambda tried: self.count(tried, 0, tiles))
        least = self.best(self.sizes, lambda size: self.count(first, size, tiles))
        return first, least

    @staticmethod
    def best(options, count):
        scores = [top / bottom for top, bottom in map(count, options)]
        return options[scores.index(max(scores))]

    def honest(self):
        sums, choices = np.zeros(2), set()
        for fold in self.source.folds:
            others = [f for f in self.source.folds if f != fold]
            choices.add(self.choose(others))
            sums += self.count(*self.choose(others), self.source.tiles([fold]))
        return sums[0] / sums[1], choices


def recipe_with(**tune):
    tune = {"model_weights": "tuned", "weight_steps": 4, **tune}
    settings = [f"tune.{name}={json.dumps(value)}" for name, value in tune.items()]
    return load_recipe("kelp", "smoke", settings)


def tuned(source, **options):
    return decisions.tune(recipe_with(**options), source, lambda _: None)


@pytest.fixture(scope="module", params=[3, 4])
def source(request):
    return OutOfFold(request.param)


@pytest.mark.parametrize("land", ["keep", "remove", "tuned"])
def test_the_choice_is_that_of_the_procedure_run_anew_without_each_fold(source, land):
    sizes = [0, 3, 6, 12]
    result = tuned(source, land=land, min_sizes=sizes)
    lands = ("keep", "remove") if land == "tuned" else (land,)
    procedure = Procedure(source, lands, sizes)
    (quarters, chosen_land, step), least = procedure.choose(source.folds)
    choice = result["decision"]
    assert choice["model_weights"] == {"a": quarters / 4, "b": 1 - quarters / 4}
    assert choice["land"] == chosen_land
    assert choice["min_size"] == least
    assert step - 4 < 255 * choice["threshold"] <= step

    top, bottom = procedure.count((quarters, chosen_land, step), least, range(6))
    honest, choices = procedure.honest()
    assert result["naive"] == pytest.approx(top / bottom)
    assert result["honest"] == pytest.approx(honest)
    # The folds disagree, so that leaving one out of both choices was tried.
    assert len(choices) > 1


def test_the_tiles_give_every_choice_something_to_decide(source):
    """Else the tests here would pass without anything being removed."""
    result = tuned(source, land="tuned", min_sizes=[0, 3, 6, 12])
    assert result["decision"]["min_size"] > 1
    assert 0 < result["decision"]["model_weights"]["a"] < 1
    plain = tuned(source)
    assert plain["decision"]["min_size"] == 0
    assert plain["decision"]["land"] == "keep"
    assert result["naive"] > plain["naive"]


def predicted(source, choice):
    """Decide every tile as predict does, from the outputs of its own fold."""
    masks = []
    for _, _, arrays, outputs in source.samples():
        average = Average()
        for model, output in outputs.items():
            share = choice["model_weights"][model]
            average.add(decisions.contribute(output, choice), share)
        decided = decisions.decide({"segment": average.result()}, arrays, choice)
        assert decided["kelp"].dtype == np.uint8
        masks.append(decided["kelp"])
    return np.stack(masks)


@pytest.mark.parametrize("land", ["remove", "tuned"])
def test_a_decision_does_to_tiles_what_was_scored(source, land):
    result = tuned(source, land=land, min_sizes=[2, 5, 9])
    choice = json.loads(json.dumps(result["decision"]))
    masks = predicted(source, choice)
    truth = np.stack([whole(t) for t in source.truth])
    both = (masks & truth).sum()
    assert 2 * both / (masks.sum() + truth.sum()) == pytest.approx(result["naive"])


@pytest.mark.parametrize(("land", "least"), [("keep", 7), ("remove", 4)])
def test_what_the_recipe_fixes_is_done_and_not_chosen(source, land, least):
    plain = tuned(source, land=land)
    result = tuned(source, land=land, min_sizes=[least])
    # The threshold is chosen first, without a look at patches.
    same = {k: v for k, v in plain["decision"].items() if k != "min_size"}
    assert {k: v for k, v in result["decision"].items() if k != "min_size"} == same
    assert result["decision"]["min_size"] == least
    masks = predicted(source, result["decision"])[:, :SIDE, :SIDE] == 1
    before = predicted(source, plain["decision"])[:, :SIDE, :SIDE] == 1
    for mask, uncleaned in zip(masks, before, strict=True):
        np.testing.assert_array_equal(mask, cleaned(uncleaned, least))
    assert masks.sum() < before.sum()
    assert not (masks & land_of(source.dem)).any() or land == "keep"
    assert f"fewer than {least} pixels are removed, fixed" in result["statement"]


def test_without_a_search_nothing_is_read_twice():
    """A second pass over the tiles is made for patches alone."""
    passes = []

    class Counted(OutOfFold):
        def samples(self):
            passes.append(1)
            return super().samples()

    counted = Counted(1)
    for options, expected in (
        ({}, 1),
        ({"min_sizes": [0, 1]}, 1),
        ({"land": "tuned"}, 1),
    ):
        tuned(counted, **options)
        assert len(passes) == expected
        passes.clear()
    seen = []
    decisions.tune(recipe_with(min_sizes=[0, 4]), counted, seen.append)
    assert len(passes) == 2
    assert seen == [1, 2, 3, 4, 5, 6] * 2


def test_a_single_fold_chooses_for_itself():
    class Alone(OutOfFold):
        folds, fold_of_tile = (0,), (0,) * 6

    source, sizes = Alone(3), [0, 4]
    result = tuned(source, min_sizes=sizes)
    procedure = Procedure(source, ("keep",), sizes)
    first, least = procedure.choose([0])
    top, bottom = procedure.count(first, least, range(6))
    assert result["honest"] == result["naive"] == pytest.approx(top / bottom)


def test_hard_votes_lose_their_patches_too(source):
    fixed = {
        "vote": "hard",
        "member_threshold": 0.4,
        "threshold": 0.6,
        "model_weights": "equal",
    }
    result = tuned(source, **fixed, land="remove", min_sizes=[0, 5])
    votes = [source.steps[m] / 255 >= 0.4 for m in source.models]
    kelp = votes[0] & votes[1] & source.valid & ~land_of(source.dem)
    best = max(
        (score(source, np.stack([cleaned(m, least) for m in kelp])), -least)
        for least in (0, 5)
    )
    assert result["naive"] == pytest.approx(best[0])
    assert result["decision"]["min_size"] == -best[1]


def score(source, masks):
    return 2 * (masks & source.truth).sum() / (masks.sum() + source.truth.sum())


# What people are shown.


def test_curves_are_scores_with_land_and_without(source):
    result = tuned(source, land="tuned", min_sizes=[3, 9], model_weights="equal")
    by_threshold, by_size = result["curves"]
    procedure = Procedure(source, ("keep", "remove"), [])
    for line, land in (("land kept", "keep"), ("land removed", "remove")):
        _, y = by_threshold["lines"][line]
        for step in range(4, 241, 4):
            expected = score(source, procedure.masks[2, land, step])
            assert y[step] == pytest.approx(expected)
    choice = result["decision"]
    x, y = by_size["lines"]["Dice"]
    assert x == [0, 3, 9]
    assert by_size["chosen"] == choice["min_size"]
    for least, found in zip(x, y, strict=True):
        masks = predicted(source, choice | {"min_size": int(least)})[:, :SIDE, :SIDE]
        assert found == pytest.approx(score(source, masks == 1))


def test_effects_count_what_went(source):
    result = tuned(source, land="remove", min_sizes=[6])
    land, small = result["effects"]
    choice, truth = result["decision"], source.truth

    def masks(**changed):
        return predicted(source, choice | changed)[:, :SIDE, :SIDE] == 1

    steps = [masks(land="keep", min_size=0), masks(min_size=0), masks()]
    for row, before, after in zip((land, small), steps[:2], steps[1:], strict=True):
        gone = before & ~after
        assert row["pixels"] == gone.sum() > 0
        assert row["of them labelled kelp"] == (gone & truth).sum()
        assert row["Dice before"] == pytest.approx(score(source, before))
        assert row["Dice after"] == pytest.approx(score(source, after))
    assert land["patches"] is None
    assert small["patches"] > 0
    assert small["step"] == "without patches under 6 pixels"


def test_the_statement_says_what_was_chosen_and_in_what_order(source):
    said = tuned(source, land="tuned", min_sizes=[0, 3, 6])["statement"]
    assert "chosen out-of-fold among 0, 3, 6, after the threshold" in said
    assert "Kelp on land" in said
    assert "mean over folds" in said
    assert (
        "Kelp on land is removed, fixed by the recipe."
        in (tuned(source, land="remove")["statement"])
    )
    assert "land" not in tuned(source)["statement"]


def test_a_member_alone_gets_what_the_recipe_fixes():
    recipe = recipe_with(threshold=0.4, land="remove", min_sizes=[8])
    choice = decisions.untuned(recipe, "a", 2)
    assert (choice["threshold"], choice["land"], choice["min_size"]) == (
        0.4,
        "remove",
        8,
    )
    assert decisions.fold_weight(choice, "a", 2) == 1
    assert decisions.model_weight(choice, "a") == 1
    open_ = recipe_with(land="tuned", min_sizes=[4, 8])
    choice = decisions.untuned(open_, "a", 0)
    assert (choice["threshold"], choice["land"], choice["min_size"]) == (0.5, "keep", 0)
    hard = recipe_with(
        vote="hard", member_threshold=0.48, threshold=0.528, model_weights="equal"
    )
    assert decisions.untuned(hard, "a", 0)["threshold"] == 0.48
