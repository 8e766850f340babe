"""A kelp decision in words, curves and a table, for people."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tenfold.challenges.kelp.options import KelpTune
from tenfold.challenges.kelp.outputs import STEPS
from tenfold.challenges.kelp.tuning import Found
from tenfold.data.arrays import IntArray
from tenfold.ensembling.thresholds import counts_at, dice_at, dice_of
from tenfold.recipe import Json


def statement(options: KelpTune, decision: Json) -> str:
    """Say what was chosen, on what, and to what it is applied."""
    parts = [_threshold(options, decision), _removed(options, decision)]
    return " ".join(part for part in parts if part)


def _threshold(options: KelpTune, decision: Json) -> str:
    weights, threshold = decision["model_weights"], decision["threshold"]
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


def _removed(options: KelpTune, decision: Json) -> str:
    """Say what is taken out of masks; nothing where nothing was asked for."""
    said = []
    if options.land != "keep":
        removed = decision["land"] == "remove"
        how = "chosen out-of-fold" if options.land == "tuned" else "fixed by the recipe"
        said.append(f"Kelp on land {'is removed' if removed else 'stays'}, {how}.")
    sizes = sorted(options.min_sizes)
    least = decision["min_size"]
    if len(sizes) > 1:
        tried = ", ".join(str(size) for size in sizes)
        said.append(
            f"Patches of fewer than {least} pixels are removed: chosen out-of-fold"
            f" among {tried}, after the threshold and at it, on masks of single folds;"
            " it is applied to the mask of the mean over folds."
        )
    elif least > 1:
        said.append(
            f"Patches of fewer than {least} pixels are removed, fixed by the recipe."
        )
    return " ".join(said)


def curves(found: Found, decision: Json) -> list[Json]:
    """Return the score by threshold, with land and without, and by least size."""
    x = [step / STEPS for step in range(STEPS + 1)]
    kept, removed = (dice_at(counts.sum(axis=0)) for counts in found.histograms)
    by_threshold = {
        "title": "Every threshold",
        "text": "Score of all out-of-fold tiles by threshold, before small patches go.",
        "x": "threshold",
        "lines": {
            "land kept": [x, _plain(kept)],
            "land removed": [x, _plain(removed)],
        },
        "chosen": decision["threshold"],
    }
    if not found.sizes.size:
        return [by_threshold]
    scores = dice_of(found.by_size[:, :3])
    by_size = {
        "title": "Every least size",
        "text": "Score at the chosen threshold by the pixels a patch needs to stay.",
        "x": "least size, pixels",
        "lines": {"Dice": [_plain(found.sizes), _plain(scores)]},
        "chosen": float(found.least),
    }
    return [by_threshold, by_size]


def effects(found: Found) -> list[Json]:
    """Return what each removal took out of the out-of-fold masks, in its order."""
    rows = []
    if found.candidate.land == "remove":
        counts = np.stack(
            [count[:, found.step] for count in counts_at(found.histograms.sum(axis=1))],
            axis=1,
        )
        rows.append(_effect("kelp on land", *counts))
    if found.least > 1:
        at = int(np.searchsorted(found.sizes, found.least))
        before, after = found.by_size[0], found.by_size[at]
        row = _effect(f"patches under {found.least} pixels", before[:3], after[:3])
        rows.append(row | {"patches": int(before[3] - after[3])})
    return rows


def _effect(what: str, before: IntArray, after: IntArray) -> Json:
    """Compare tp, fp and fn before a removal with those after."""
    kelp, other = (int(before[i] - after[i]) for i in (0, 1))
    return {
        "step": f"without {what}",
        "patches": None,
        "pixels": kelp + other,
        "of them labelled kelp": kelp,
        "Dice before": float(dice_of(before)),
        "Dice after": float(dice_of(after)),
    }


def _plain(values: Iterable[Any]) -> list[float]:
    return [float(value) for value in values]
