"""From members' outputs to four masks, and how that is tuned."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from tenfold.challenges import OutOfFold
from tenfold.challenges.clouds.cascade import (
    Cascade,
    forced,
    masks_of,
    present,
    voted,
)
from tenfold.challenges.clouds.classes import CLASSES, SUBMITTED
from tenfold.challenges.clouds.curves import curves
from tenfold.challenges.clouds.measuring import measure
from tenfold.challenges.clouds.options import CloudsRecipe, CloudsTune
from tenfold.challenges.clouds.outputs import decode
from tenfold.challenges.clouds.planes import pack_planes, unpack_planes
from tenfold.challenges.clouds.tuning import Found, search
from tenfold.challenges.clouds.wording import effects, examples, statement
from tenfold.data.arrays import Arrays, BoolArray, Float32Array, IntArray
from tenfold.recipe import Json, Recipe

DECIDED = "classes"
#: Where nothing was tuned: the more likely side.
_HALF = 0.5
_ALL = len(CLASSES)


def tune(recipe: Recipe, out_of_fold: OutOfFold, on_progress: Any) -> Json:
    """Choose the cuts of the cascade; see `DecisionPart.tune`."""
    clouds = cast(CloudsRecipe, recipe)
    roles = {name: clouds.member(name).role for name in out_of_fold.models}
    cascade = _open(clouds.tune, roles)
    measured = measure(cascade, clouds.tune, out_of_fold, on_progress)
    found = search(measured, clouds.tune)
    chosen, folds = _chosen(cascade, found), len(out_of_fold.folds)
    return {
        "decision": chosen.to_json(),
        "honest": found.honest,
        "naive": found.naive,
        "baseline": {"name": "all blank", "honest": float((~measured.truth).mean())},
        "curves": curves(measured, found, clouds.tune),
        "effects": effects(measured, found, clouds.tune),
        "examples": examples(measured, found, clouds.tune),
        "statement": statement(clouds.tune, chosen, folds),
    }


def _open(options: CloudsTune, roles: Mapping[str, str]) -> Cascade:
    """Return the cascade of a recipe; what is to be chosen is as plain as can be."""
    seg2 = sum(role == "seg2" for role in roles.values())
    cut = options.classifier_cut
    pixel = options.pixel_cuts[0] if len(options.pixel_cuts) == 1 else _HALF
    presence = _HALF if options.presence_cut is None else options.presence_cut
    removed = (_HALF if cut is None else cut,) * _ALL
    return Cascade(
        roles=dict(roles),
        combine=options.combine,
        votes=seg2 / 2 if options.votes is None else float(options.votes),
        agree=options.agree,
        presence_from=options.presence_from,
        presence_pixels=options.presence_pixels,
        core_cut=options.core_cut,
        force_best=options.force_best,
        pixel_cuts=(pixel,) * _ALL,
        presence_cuts=(presence,) * _ALL,
        least_areas=(options.least_area or 0,) * _ALL,
        classifier_cuts=removed if "cls" in roles.values() else None,
    )


def _chosen(cascade: Cascade, found: Found) -> Cascade:
    """Return the cascade with the cuts that were found."""
    cuts = found.cuts
    removed = tuple(cut.classifier for cut in cuts if cut.classifier is not None)
    return Cascade(
        **{
            **vars(cascade),
            "pixel_cuts": tuple(cut.pixel for cut in cuts),
            "presence_cuts": tuple(cut.presence for cut in cuts),
            "least_areas": tuple(cut.area for cut in cuts),
            "classifier_cuts": removed or None,
        }
    )


def untuned(recipe: Recipe, model: str, fold: int) -> Json:
    """Return the decision for one member alone; see `DecisionPart.untuned`.

    What the recipe fixes is kept; a cut that it would choose out-of-fold is one half,
    and the area that it would choose removes nothing.
    """
    clouds = cast(CloudsRecipe, recipe)
    roles = {model: clouds.member(model).role}
    return _open(clouds.tune, roles).to_json() | {"combine": "mean"}


def fold_weight(decision: Json, model: str, fold: int) -> float:
    """Return 1: a model's folds count alike, as published."""
    return 1.0


def model_weight(decision: Json, model: str) -> float:
    """Return 1: the models of a role count alike, as published."""
    return 1.0


def contribute(outputs: Arrays, decision: Json) -> Arrays:
    """Return a member's probabilities, of pixels and of presence where it has them."""
    found: dict[str, Float32Array] = {}
    if "prob" in outputs:
        found["prob"] = decode(np.asarray(outputs["prob"]))
    if "presence" in outputs:
        found["presence"] = np.asarray(outputs["presence"], np.float32)
    return found


def conclude(mean: Arrays, model: str, decision: Json) -> Arrays:
    """Return what a model adds to its role's mean, given the mean of its folds.

    Of a seg2 model that votes, `mask` (4, 350, 525) of 0 and 1, and `core` likewise
    if the least area is that of a core; of seg1 models that must all agree, `present`
    (4,) of 0 and 1 too; else the probabilities themselves.
    """
    cascade = Cascade.from_json(decision)
    role = cascade.roles[model]
    if role == "seg2" and cascade.combine == "vote":
        masks = {"mask": masks_of(mean["prob"], cascade.pixel_cuts)}
        if cascade.core_cut is not None:
            masks["core"] = masks_of(mean["prob"], (cascade.core_cut,) * _ALL)
        return {name: values.astype(np.float32) for name, values in masks.items()}
    if role == "seg1" and cascade.agree == "all":
        seen = present(mean, model, cascade)
        return {**mean, "present": seen.astype(np.float32)}
    return mean


def decide(
    averages: Mapping[str, Arrays], arrays: Arrays, decision: Json
) -> dict[str, Any]:
    """Return the masks `classes` (350, 525), in bits, and the classifier's `presence`.

    A role that is not there decides nothing: without seg2 the masks are seg1's, and a
    classifier alone fills the whole picture. Without a classifier there is no
    `presence`.
    """
    cascade = Cascade.from_json(decision)
    masks, area = _painted(averages, cascade)
    stands = area >= np.asarray(cascade.least_areas)
    if "seg1" in averages:
        stands &= _seen(averages["seg1"], cascade)
    if "cls" not in averages:
        return {"classes": pack_planes(masks & stands[:, None, None])}
    presence = np.asarray(averages["cls"]["presence"], np.float32)
    if cascade.classifier_cuts is not None:
        stands &= presence > np.asarray(cascade.classifier_cuts, np.float32)
    if cascade.force_best:
        stands |= forced(presence)
    kept = pack_planes(masks & stands[:, None, None])
    return {"classes": kept, "presence": presence}


def _painted(
    averages: Mapping[str, Arrays], cascade: Cascade
) -> tuple[BoolArray, IntArray]:
    """Return the masks before anything is removed, and the areas that count, (4,)."""
    if "seg2" not in averages and "seg1" not in averages:
        return np.ones((_ALL, *SUBMITTED), np.bool_), np.full(_ALL, np.prod(SUBMITTED))
    mean = averages["seg2" if "seg2" in averages else "seg1"]
    core_cut = cascade.core_cut
    if "mask" in mean:
        models = len(cascade.models("seg2"))
        masks = voted(np.rint(mean["mask"] * models), cascade.votes)
        core = masks
        if core_cut is not None:
            core = voted(np.rint(mean["core"] * models), cascade.votes)
    else:
        masks = masks_of(mean["prob"], cascade.pixel_cuts)
        core = masks
        if core_cut is not None:
            core = masks_of(mean["prob"], (core_cut,) * _ALL)
    return masks, np.asarray(np.count_nonzero(core, axis=(1, 2)), np.int64)


def _seen(mean: Arrays, cascade: Cascade) -> BoolArray:
    """Return which classes seg1 says are there, (4,)."""
    if "present" in mean:
        models = len(cascade.models("seg1"))
        return voted(np.rint(mean["present"] * models), models - 1)
    return present(mean, "seg1", cascade)


def describe(prediction: Arrays, arrays: Arrays, decision: Json) -> dict[str, float]:
    """Summarise a predicted image; shares are of all its pixels.

    With a classifier, `presence_margin` is the distance of its probabilities from
    their cuts, of the class that is closest, and `presence_best` the highest one.
    """
    masks = unpack_planes(np.asarray(prediction["classes"]))
    shares = masks.mean(axis=(1, 2))
    found = {"classes": float((shares > 0).sum())}
    for name, share in zip(CLASSES, shares, strict=True):
        found[f"{name.lower()}_share"] = float(share)
    cuts = Cascade.from_json(decision).classifier_cuts
    if "presence" in prediction and cuts is not None:
        presence = np.asarray(prediction["presence"], np.float64)
        found["presence_margin"] = float(np.abs(presence - cuts).min())
        found["presence_best"] = float(presence.max())
    return found
