"""From members' probabilities of kelp to a mask, and how that is tuned.

One pass over the out-of-fold tiles fills histograms of the weighted mean
probability, by fold and truth; every threshold's score follows from them.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np

from tenfold.challenges import OutOfFold
from tenfold.challenges.kelp.options import KelpRecipe, KelpTune
from tenfold.challenges.kelp.outputs import STEPS, decode, encode, threshold_of
from tenfold.challenges.kelp.rules import PixelRule
from tenfold.challenges.kelp.tiles import unpack_mask, unpack_tile, unpack_valid
from tenfold.data.arrays import (
    Arrays,
    BoolArray,
    ByteArray,
    Float32Array,
    Float64Array,
    IntArray,
)
from tenfold.ensembling.thresholds import dice_at, leave_one_out
from tenfold.recipe import Json, Recipe

ROLE = "segment"
#: Probabilities this close to the threshold are called near.
_NEAR = 0.15


def tune(recipe: Recipe, out_of_fold: OutOfFold, on_progress: Any) -> Json:
    """Choose model weights and threshold; see `DecisionPart.tune`."""
    options = cast(KelpRecipe, recipe).tune
    candidates = list(_model_weights(options, out_of_fold.models))
    folds = out_of_fold.folds
    histograms = np.zeros((len(candidates), len(folds), 2, STEPS + 1), np.int64)
    rule = PixelRule(len(folds))
    for done, (_, fold, arrays, outputs) in enumerate(out_of_fold.samples(), 1):
        truth = unpack_mask(arrays) == 1
        place = folds.index(fold)
        valid = unpack_valid(arrays)
        stack = np.stack(
            [_contribution(outputs[m], options) for m in out_of_fold.models]
        )
        for c, weights in enumerate(candidates):
            mean = np.tensordot(weights.astype(np.float32), stack, axes=1)
            steps = encode(_settle(mean, valid, options.invalid))
            histograms[c, place] += _histogram(steps, truth)
        rule.add(place, unpack_tile(arrays), truth)
        on_progress(done)
    return _choose(options, out_of_fold, candidates, histograms, rule)


def _choose(
    options: KelpTune,
    out_of_fold: OutOfFold,
    candidates: list[Float64Array],
    histograms: IntArray,
    rule: PixelRule,
) -> Json:
    """Read the best choice, and what it is honestly worth, off the histograms."""
    allowed = _allowed_steps(options)
    scores = dice_at(histograms.sum(axis=1))[:, allowed]
    best, at = np.unravel_index(int(np.argmax(scores)), scores.shape)
    step = int(allowed[at])
    threshold = options.threshold
    chosen = threshold_of(step) if threshold is None else threshold
    weights = dict(zip(out_of_fold.models, map(float, candidates[best]), strict=True))
    decision = {
        "vote": options.vote,
        "member_threshold": options.member_threshold,
        "threshold": chosen,
        "model_weights": weights,
        "fold_weights": {m: _fold_weights(options, out_of_fold, m) for m in weights},
        "invalid": options.invalid,
    }
    curve = {str(t): float(v) for t, v in enumerate(dice_at(histograms[best].sum(0)))}
    return {
        "decision": decision,
        "honest": leave_one_out(histograms[:, :, :, :], allowed),
        "naive": float(scores[best, at]),
        "baseline": rule.result(),
        "curve": curve,
        "statement": _statement(options, weights, chosen),
    }


def _statement(
    options: KelpTune, weights: Mapping[str, float], threshold: float
) -> str:
    models = ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())
    if options.vote == "hard":
        return (
            f"Fixed by the recipe: a member votes where its probability is at least"
            f" {options.member_threshold}; kelp is where the weighted share of votes is"
            f" at least {threshold:.3f}. Models: {models}. Out-of-fold scores below are"
            " of single members' votes: each tile was held out of one fold only."
        )
    how = "chosen out-of-fold" if options.threshold is None else "fixed by the recipe"
    return (
        f"Threshold {threshold:.3f}, {how} on probabilities of single folds; it is"
        f" applied to the mean over folds. Models: {models}"
        f" ({'tuned out-of-fold' if options.model_weights == 'tuned' else 'equal'})."
    )


def _allowed_steps(options: KelpTune) -> IntArray:
    """Return the thresholds to choose from, as steps: `prob >= step` is kelp."""
    if options.threshold is not None:
        return np.array([_step_of(options.threshold)])
    return np.arange(1, STEPS + 1)


def _step_of(threshold: float) -> int:
    """Return the first step that is at or above a threshold."""
    return min(math.ceil(threshold * STEPS - 1e-9), STEPS)


def _model_weights(
    options: KelpTune, models: tuple[str, ...]
) -> Iterator[Float64Array]:
    """Yield the weights over models to try; each sums to 1."""
    count = len(models)
    if options.model_weights == "equal" or count == 1:
        yield np.full(count, 1 / count)
        return
    steps = options.weight_steps
    for cuts in itertools.combinations_with_replacement(range(steps + 1), count - 1):
        parts = np.diff([0, *cuts, steps])
        yield parts / steps


def _fold_weights(
    options: KelpTune, out_of_fold: OutOfFold, model: str
) -> dict[str, float]:
    """Weigh a model's folds: equally, or their scores scaled to 0.2 … 1."""
    scores = out_of_fold.scores(model)
    low, high = min(scores.values()), max(scores.values())
    if options.fold_weights == "equal" or high == low:
        return {str(fold): 1.0 for fold in scores}
    return {
        str(fold): 0.2 + 0.8 * (score - low) / (high - low)
        for fold, score in scores.items()
    }


def member_weight(decision: Json, model: str, fold: int) -> float:
    """Return a member's weight; a model's folds share its weight."""
    folds: Mapping[str, float] = decision["fold_weights"][model]
    share = folds[str(fold)] / sum(folds.values())
    return float(decision["model_weights"][model] * share)


def contribute(outputs: Arrays, decision: Json) -> Arrays:
    """Return a member's probability, or its vote of 0 or 1."""
    options = KelpTune.model_construct(
        vote=decision["vote"], member_threshold=decision["member_threshold"]
    )
    return {"prob": _contribution(outputs, options)}


def _contribution(outputs: Arrays, options: KelpTune) -> Float32Array:
    probability = decode(np.asarray(outputs["prob"]))
    if options.vote == "soft" or options.member_threshold is None:
        return probability
    return (probability >= options.member_threshold).astype(np.float32)


def decide(
    averages: Mapping[str, Arrays], arrays: Arrays, decision: Json
) -> dict[str, ByteArray]:
    """Return the mask `kelp` and the mean `prob` in steps, (350, 350) each."""
    mean = _settle(averages[ROLE]["prob"], unpack_valid(arrays), decision["invalid"])
    # In steps, as the threshold was chosen; a tie between steps rounds alike.
    kelp = encode(mean) >= _step_of(decision["threshold"])
    return {"kelp": kelp.astype(np.uint8), "prob": encode(mean)}


def _settle(mean: Float32Array, valid: BoolArray, invalid: str) -> Float32Array:
    """Apply the rule for pixels without imagery."""
    return np.where(valid, mean, np.float32(0)) if invalid == "background" else mean


def _histogram(steps: ByteArray, truth: BoolArray) -> IntArray:
    """Count pixels by truth and step, (2, 256)."""
    both = steps.astype(np.int64) + truth * (STEPS + 1)
    return np.bincount(both.ravel(), minlength=2 * (STEPS + 1)).reshape(2, STEPS + 1)


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
