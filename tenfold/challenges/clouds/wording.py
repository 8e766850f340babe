"""A clouds decision in words and a table of its steps, for people."""

from collections.abc import Collection, Sequence

import numpy as np

from tenfold.challenges.clouds.cascade import Cascade
from tenfold.challenges.clouds.classes import CLASSES
from tenfold.challenges.clouds.measuring import Measured
from tenfold.challenges.clouds.options import CloudsTune
from tenfold.challenges.clouds.row_dice import (
    UNIT,
    count_rows,
    in_units,
    row_figures,
)
from tenfold.challenges.clouds.tuning import (
    REMOVERS,
    Found,
    classes_of,
    open_cuts,
)
from tenfold.data.arrays import BoolArray, IntArray
from tenfold.recipe import Json

_FIXED, _CHOSEN = "fixed by the recipe", "chosen out-of-fold"
#: Images of a kind.
_EXAMPLES = 3


def statement(options: CloudsTune, cascade: Cascade, folds: int) -> str:
    """Say what was chosen, on what, and to what it is applied.

    Args:
        options: of the recipe.
        cascade: with the cuts that were chosen.
        folds: that all models have in common.
    """
    parts = (
        _shape(options, cascade),
        _presence(options, cascade),
        _area(options, cascade),
        _classifier(options, cascade),
        "Whatever is chosen is chosen on outputs of single folds, and applied to means"
        " over folds.",
        _held_out(options, cascade, folds),
    )
    return " ".join(part for part in parts if part)


def _shape(options: CloudsTune, cascade: Cascade) -> str:
    models = cascade.models("seg2")
    if cascade.combine == "mean":
        how = f"where the mean of {_named(models)}"
    elif len(models) == 1:
        how = f"where {models[0]}"
    else:
        least = int(cascade.votes) + 1
        how = f"where at least {least} of {_named(models)}"
    open_ = len(options.pixel_cuts) > 1
    said = _each(cascade.pixel_cuts, _CHOSEN if open_ else _FIXED)
    return f"A mask is {how} exceeds the pixel cut {said}."


def _presence(options: CloudsTune, cascade: Cascade) -> str:
    models = cascade.models("seg1")
    whose = _named(models)
    if len(models) > 1:
        whose = ("all of " if cascade.agree == "all" else "the mean of ") + whose
    pixels = options.presence_pixels
    seen = "highest pixel" if pixels == 1 else f"mean of the {pixels:,} highest pixels"
    if cascade.presence_from == "head":
        seen = "head"
    how = _CHOSEN if options.presence_cut is None else _FIXED
    said = _each(cascade.presence_cuts, how)
    return f"It stands if the {seen} of {whose} exceeds {said}."


def _area(options: CloudsTune, cascade: Cascade) -> str:
    if not any(cascade.least_areas) and options.least_area is not None:
        return ""
    how = _CHOSEN if options.least_area is None else _FIXED
    core = cascade.core_cut
    of = "" if core is None else f" above {core:g}"
    return (
        f"It needs pixels{of} at 350 × 525, at least {_each(cascade.least_areas, how)}."
    )


def _classifier(options: CloudsTune, cascade: Cascade) -> str:
    if cascade.classifier_cuts is None:
        return "There is no classifier, so none removes masks."
    how = _CHOSEN if options.classifier_cut is None else _FIXED
    if how == _CHOSEN:
        grid = "0.00, 0.01 … 0.99" if options.published_grid else "all values"
        how += f" among {grid}, the lowest of the best"
    said = _each(cascade.classifier_cuts, how)
    text = f"A classifier's probability removes it up to {said}."
    if cascade.force_best:
        text += " Nothing removes the mask of an image's likeliest class."
    return text


def _held_out(options: CloudsTune, cascade: Cascade, folds: int) -> str:
    """Say so if no fold could be left out of the choice."""
    if folds > 1 or not open_cuts(options, cascade.classifier_cuts is not None):
        return ""
    return (
        "There is only one fold in common, so the choice could not be held out: the"
        " honest score is the naive one."
    )


def _each(values: Sequence[float], how: str) -> str:
    """Name the value of each class, or the one of all."""
    if len(set(values)) == 1:
        return f"{values[0]:.4g} ({how})"
    pairs = zip(CLASSES, values, strict=True)
    return ", ".join(f"{name} {value:.4g}" for name, value in pairs) + f" ({how})"


def _named(models: Sequence[str]) -> str:
    return ", ".join(models)


def effects(measured: Measured, found: Found, options: CloudsTune) -> list[Json]:
    """Return the score after each step of the cascade, on all out-of-fold rows.

    Two simple rules come last: all blank, and the whole picture wherever there is the
    class, which only those can do who know the truth.
    """
    blank = np.where(measured.truth, 0, UNIT)
    dice, area = (_at(values, found) for values in (measured.dice, measured.area))
    table = [_row("seg1 alone", measured.first, measured.truth)]
    before = area > 0
    for name, by in _steps(measured, found):
        after = _stands(measured, found, options, by) & (area > 0)
        # A row without a mask has the same score whatever removes it.
        row = _row(name, np.where(after, dice, blank), measured.truth)
        gone = before & ~after
        row["rightly removed"] = int((gone & ~measured.truth).sum())
        row["wrongly removed"] = int((gone & measured.truth).sum())
        table.append(row)
        before = after
    share = 2 * measured.labelled / (measured.pixels + measured.labelled)
    whole = np.where(measured.truth, in_units(share), UNIT)
    table.append(_row("rule: all blank", blank, measured.truth))
    table.append(_row("rule: true presence, whole picture", whole, measured.truth))
    return table


def examples(
    measured: Measured, found: Found, options: CloudsTune
) -> list[tuple[str, list[str]]]:
    """Name images in which removal was right, was wrong, or should have been."""
    painted = _at(measured.area, found) > 0
    stands = _stands(measured, found, options, REMOVERS)
    removed, left = painted & ~stands, painted & stands
    kinds = {
        "Fixed: masks of absent classes were removed": removed & ~measured.truth,
        "Mistakes: masks of present classes were removed": removed & measured.truth,
        "Mistakes: masks of absent classes stand": left & ~measured.truth,
    }
    return [
        (title, [measured.ids[place] for place in _most(rows.sum(axis=1))])
        for title, rows in kinds.items()
        if rows.any()
    ]


def _most(counts: IntArray) -> list[int]:
    """Return the places of the highest counts above 0, the first of equals first."""
    order = np.argsort(-counts, kind="stable")[:_EXAMPLES]
    return [int(place) for place in order if counts[place]]


def _steps(measured: Measured, found: Found) -> list[tuple[str, tuple[str, ...]]]:
    """Name the steps, each with what may remove masks in it."""
    steps = [("seg2 alone", REMOVERS[:0]), ("seg1, then seg2", REMOVERS[:1])]
    if any(cuts.area for cuts in found.cuts):
        steps.append(("and least area", REMOVERS[:2]))
    if measured.probability is not None:
        steps.append(("and classifier", REMOVERS))
    return steps


def _stands(
    measured: Measured, found: Found, options: CloudsTune, by: Collection[str]
) -> BoolArray:
    """Tell whose masks stand, (N, 4), if those cuts alone may remove them."""
    pairs = zip(classes_of(measured, options), found.cuts, strict=True)
    return np.stack([rows.stands(cuts, by) for rows, cuts in pairs], axis=-1)


def _at(values: IntArray, found: Found) -> IntArray:
    """Return (N, 4) of (cuts, N, 4) at the pixel cut that each class chose."""
    return np.stack(
        [values[cuts.place, :, place] for place, cuts in enumerate(found.cuts)], axis=-1
    )


def _row(step: str, units: IntArray, truth: BoolArray) -> Json:
    """Return the means of scores (N, 4) that the published scripts print."""
    figures = row_figures(count_rows(units, truth, truth))
    row: Json = {"step": step, "Dice": figures["dice"]}
    row |= {name: figures[f"dice_{name.lower()}"] for name in CLASSES}
    row |= {
        "empty rows": figures["dice_empty"],
        "positive rows": figures["dice_positive"],
    }
    positive = {n: figures[f"dice_positive_{n.lower()}"] for n in CLASSES}
    row |= {f"positive {name}": value for name, value in positive.items()}
    return row | {"rightly removed": None, "wrongly removed": None}
