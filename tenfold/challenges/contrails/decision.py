"""From members' probabilities of contrail to a mask, and how that is tuned."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from tenfold.challenges import OutOfFold
from tenfold.challenges.contrails.measuring import as_steps
from tenfold.challenges.contrails.options import ContrailsRecipe
from tenfold.challenges.contrails.outputs import decode
from tenfold.challenges.contrails.specks import pieces_of, without_specks
from tenfold.challenges.contrails.thresholds import first_above, whole_steps
from tenfold.challenges.contrails.tuning import HALF, search
from tenfold.challenges.contrails.wording import curves, effects, examples, statement
from tenfold.data.arrays import Arrays, ByteArray
from tenfold.recipe import Json, Recipe

ROLE = "predict"
DECIDED = "contrail"
#: Probabilities this close to the threshold are called near.
_NEAR = 0.15


def tune(recipe: Recipe, out_of_fold: OutOfFold, on_progress: Any) -> Json:
    """Choose threshold and least size; see `DecisionPart.tune`."""
    contrails = cast(ContrailsRecipe, recipe)
    options, folds = contrails.tune, out_of_fold.folds
    found = search(contrails, out_of_fold, on_progress)
    return {
        "decision": {
            "threshold": found.chosen.threshold,
            "least_pixels": found.chosen.least,
        },
        "honest": found.honest,
        "naive": found.naive,
        "baseline": found.measured.rule,
        "curves": curves(found, options, folds),
        "effects": effects(found),
        "examples": examples(found),
        "statement": statement(options, found, out_of_fold.models, len(folds)),
    }


def untuned(recipe: Recipe, model: str, fold: int) -> Json:
    """Return the decision for one member alone; see `DecisionPart.untuned`.

    What the recipe fixes is kept; a threshold that it would choose out-of-fold is one
    half, and of several least sizes none removes anything.
    """
    options = cast(ContrailsRecipe, recipe).tune
    sizes = options.least_pixels
    return {
        "threshold": HALF if options.threshold is None else options.threshold,
        "least_pixels": sizes[0] if len(sizes) == 1 else 0,
    }


def fold_weight(decision: Json, model: str, fold: int) -> float:
    """Return 1: a model's folds count alike."""
    return 1.0


def model_weight(decision: Json, model: str) -> float:
    """Return 1: models count alike."""
    return 1.0


def contribute(outputs: Arrays, decision: Json) -> Arrays:
    """Return a member's probability in steps of 1/255."""
    return {"prob": as_steps(outputs)}


def conclude(mean: Arrays, model: str, decision: Json) -> Arrays:
    """Return the mean of a model's folds as it is."""
    return mean


def decide(
    averages: Mapping[str, Arrays], arrays: Arrays, decision: Json
) -> dict[str, ByteArray]:
    """Return the mask `contrail` and the mean `prob` in whole steps, (H, W) each.

    The mean is rounded first, so that what is kept of it says all of the mask.
    """
    steps = whole_steps(averages[ROLE]["prob"])
    mask = steps >= first_above(decision["threshold"])
    mask = without_specks(mask, decision["least_pixels"])
    return {"contrail": mask.astype(np.uint8), "prob": steps}


def describe(prediction: Arrays, arrays: Arrays, decision: Json) -> dict[str, float]:
    """Summarise a predicted record; shares are of all its pixels."""
    mask = np.asarray(prediction["contrail"]) == 1
    prob = decode(np.asarray(prediction["prob"]))
    return {
        "contrail_share": float(mask.mean()),
        "contrail_pixels": float(mask.sum()),
        "pieces": float(pieces_of(mask)),
        "uncertainty": float((prob * (1 - prob)).mean() * 4),
        "near_threshold": float((np.abs(prob - decision["threshold"]) < _NEAR).mean()),
    }
