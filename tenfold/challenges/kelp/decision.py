"""From members' probabilities of kelp to a mask, and how that is tuned."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from tenfold.challenges import OutOfFold
from tenfold.challenges.kelp.cleaning import settle, without_small
from tenfold.challenges.kelp.options import KelpRecipe, KelpTune
from tenfold.challenges.kelp.outputs import (
    decode,
    encode,
    opinion,
    step_of,
    threshold_of,
)
from tenfold.challenges.kelp.tiles import unpack_tile, unpack_valid
from tenfold.challenges.kelp.tuning import Found, Search
from tenfold.challenges.kelp.wording import curves, effects, statement
from tenfold.data.arrays import Arrays, ByteArray
from tenfold.errors import RecipeError
from tenfold.recipe import Json, Recipe

ROLE = "segment"
DECIDED = "kelp"
#: Probabilities this close to the threshold are called near.
_NEAR = 0.15
#: Where nothing was tuned: the more likely class.
_HALF = 0.5


def tune(recipe: Recipe, out_of_fold: OutOfFold, on_progress: Any) -> Json:
    """Choose weights, threshold, land and least size; see `DecisionPart.tune`."""
    options = cast(KelpRecipe, recipe).tune
    found = Search(options, out_of_fold, on_progress).run()
    decision = _decision(options, out_of_fold, found)
    return {
        "decision": decision,
        "honest": found.scores.honest,
        "naive": found.scores.naive,
        "baseline": found.rule.result(),
        "curves": curves(found, decision),
        "effects": effects(found),
        "examples": [],
        "statement": statement(options, decision),
    }


def _decision(options: KelpTune, out_of_fold: OutOfFold, found: Found) -> Json:
    threshold = options.threshold
    weights = map(float, found.candidate.weights)
    models = dict(zip(out_of_fold.models, weights, strict=True))
    return {
        "vote": options.vote,
        "member_threshold": options.member_threshold,
        "threshold": threshold_of(found.step) if threshold is None else threshold,
        "model_weights": models,
        "fold_weights": {m: _fold_weights(options, out_of_fold, m) for m in models},
        "invalid": options.invalid,
        "land": found.candidate.land,
        "min_size": found.least,
    }


def _fold_weights(
    options: KelpTune, out_of_fold: OutOfFold, model: str
) -> dict[str, float]:
    """Weigh a model's folds: equally, as the recipe says, or by their scores.

    By scores means scaled to 0.2 … 1, as the published system does.
    """
    scores = out_of_fold.scores(model)
    if isinstance(options.fold_weights, tuple):
        given = {str(fold): options.fold_weights[fold] for fold in scores}
        if not any(given.values()):
            raise RecipeError(
                f"tune.fold_weights: the trained folds of {model} all weigh 0"
            )
        return given
    low, high = min(scores.values()), max(scores.values())
    if options.fold_weights == "equal" or high == low:
        return {str(fold): 1.0 for fold in scores}
    return {
        str(fold): 0.2 + 0.8 * (score - low) / (high - low)
        for fold, score in scores.items()
    }


def untuned(recipe: Recipe, model: str, fold: int) -> Json:
    """Return the decision for one member alone; see `DecisionPart.untuned`.

    What the recipe fixes is kept; a threshold that it would choose out-of-fold is
    one half, and what else it would choose removes nothing.
    """
    options = cast(KelpRecipe, recipe).tune
    fixed = options.member_threshold if options.vote == "hard" else options.threshold
    sizes = options.min_sizes
    return {
        "vote": "soft",
        "member_threshold": None,
        "threshold": _HALF if fixed is None else fixed,
        "model_weights": {model: 1.0},
        "fold_weights": {model: {str(fold): 1.0}},
        "invalid": options.invalid,
        "land": "remove" if options.land == "remove" else "keep",
        "min_size": sizes[0] if len(sizes) == 1 else 0,
    }


def fold_weight(decision: Json, model: str, fold: int) -> float:
    """Return the weight of a fold among its model's."""
    return float(decision["fold_weights"][model][str(fold)])


def model_weight(decision: Json, model: str) -> float:
    """Return a model's weight; its folds share it."""
    return float(decision["model_weights"][model])


def contribute(outputs: Arrays, decision: Json) -> Arrays:
    """Return a member's probability, or its vote of 0 or 1."""
    return {"prob": opinion(outputs, decision["vote"], decision["member_threshold"])}


def conclude(mean: Arrays, model: str, decision: Json) -> Arrays:
    """Return the mean of a model's folds as it is: each fold has voted for itself."""
    return mean


def decide(
    averages: Mapping[str, Arrays], arrays: Arrays, decision: Json
) -> dict[str, ByteArray]:
    """Return the mask `kelp` and the mean `prob` in steps, (350, 350) each."""
    prob = averages[ROLE]["prob"]
    steps = encode(settle(prob, arrays, decision["invalid"], decision["land"]))
    # In steps, as the threshold was chosen; a tie between steps rounds alike.
    kelp = steps >= step_of(decision["threshold"])
    kelp = without_small(kelp, decision["min_size"])
    return {"kelp": kelp.astype(np.uint8), "prob": steps}


def describe(prediction: Arrays, arrays: Arrays, decision: Json) -> dict[str, float]:
    """Summarise a predicted tile; shares are of all its pixels."""
    kelp = np.asarray(prediction["kelp"]) == 1
    raw = unpack_tile(arrays)
    prob = decode(np.asarray(prediction["prob"]))
    return {
        "kelp_share": float(kelp.mean()),
        "on_land": float((kelp & (raw[6] > 0)).mean()),
        "under_qa": float((kelp & (raw[5] == 1)).mean()),
        "uncertainty": float((prob * (1 - prob)).mean() * 4),
        "near_threshold": float((np.abs(prob - decision["threshold"]) < _NEAR).mean()),
        "valid_share": float(unpack_valid(arrays).mean()),
    }
