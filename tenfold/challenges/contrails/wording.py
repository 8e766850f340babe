"""A contrails decision in words, curves, tables and examples, for people."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tenfold.challenges.contrails.measuring import PARTS
from tenfold.challenges.contrails.options import ContrailsTune
from tenfold.challenges.contrails.thresholds import first_above, multiples
from tenfold.challenges.contrails.tuning import (
    HALF,
    PUBLISHED_RECORDS,
    Found,
)
from tenfold.data.arrays import BoolArray, IntArray
from tenfold.ensembling.thresholds import counts_at, dice_at, dice_of
from tenfold.metrics.confusion import ratio
from tenfold.recipe import Json

_EXAMPLES = 3
#: Between the points of a curve; a wider step of the recipe's would hide its shape.
_FINE = 0.01


def statement(
    options: ContrailsTune, found: Found, models: Iterable[str], folds: int
) -> str:
    """Say what was chosen, on what, and to what it is applied."""
    threshold = f"{found.chosen.threshold:g}"
    records = len(found.measured.ids)
    how = "fixed by the recipe"
    if options.threshold is None:
        how = f"chosen on {records:,} held-out records in steps of {options.step:g}"
    said = [
        f"Contrail is where the probability is above {threshold}, {how}, on"
        " probabilities of single folds; it is applied to the mean over folds and"
        f" models, rounded to 1/255. Models, all alike: {', '.join(models)}."
    ]
    return " ".join([*said, *_removed(options, found), *_left_out(folds)])


def _removed(options: ContrailsTune, found: Found) -> list[str]:
    """Say what is taken out of masks; nothing where nothing was asked for."""
    sizes, least = sorted(set(options.least_pixels)), found.chosen.least
    if len(sizes) > 1:
        tried = ", ".join(str(size) for size in sizes)
        if least <= 1:
            return [
                f"No specks are removed, however small: chosen among {tried},"
                " together with the threshold."
            ]
        return [
            f"Specks of fewer than {least} pixels are removed: chosen among {tried},"
            " together with the threshold."
        ]
    if least > 1:
        return [
            f"Specks of fewer than {least} pixels are removed, fixed by the recipe."
        ]
    return []


def _left_out(folds: int) -> list[str]:
    if folds > 1:
        return []
    return [
        f"There is one fold only, so the honest score leaves each of {PARTS} parts of"
        " its held-out records out of the choice, instead of folds. A record's id says"
        " which it is in, so neighbours in space and time may be in two."
    ]


def curves(found: Found, options: ContrailsTune, folds: tuple[int, ...]) -> list[Json]:
    """Return the score by threshold, of all records and by fold, and by least size."""
    x = multiples(min(options.step, _FINE))
    steps = [first_above(threshold) for threshold in x]
    by_part = dice_at(found.measured.by_part(found.measured.histograms))[:, steps]
    whole = dice_at(found.measured.histograms.sum(axis=0, dtype=np.int64))[steps]
    drawn = [
        _curve(
            "Every threshold",
            "Score of all out-of-fold records by threshold, with nothing removed.",
            {"all records": [[*x], _plain(whole)]},
            found,
        )
    ]
    if len(folds) > 1:
        lines = {
            f"fold {fold}": [[*x], _plain(scores)]
            for fold, scores in zip(folds, by_part, strict=True)
        }
        text = "Folds that agree on the threshold agree on what a probability means."
        drawn.append(_curve("Every fold", text, lines, found))
    if len(found.least) > 1:
        drawn.append(_by_least(found))
    return drawn


def _curve(title: str, text: str, lines: Json, found: Found) -> Json:
    chosen = found.chosen.threshold
    return {
        "title": title,
        "text": text,
        "x": "threshold",
        "lines": lines,
        "chosen": chosen,
    }


def _by_least(found: Found) -> Json:
    counts = _counted(found.measured.labelled.sum(), found.by_least.sum(axis=0))
    return {
        "title": "Every least size",
        "text": "Score at the chosen threshold by the pixels a speck needs to stay.",
        "x": "least size, pixels",
        "lines": {"Dice": [_plain(found.least), _plain(dice_of(counts))]},
        "chosen": float(found.chosen.least),
    }


def effects(found: Found) -> list[Json]:
    """Return the score of other ways of deciding, and what removal took out.

    All are of all out-of-fold records, on which they were chosen as well: none is
    honest but that of one half.
    """
    histograms = found.measured.histograms.sum(axis=0, dtype=np.int64)
    chosen = found.chosen.threshold
    rows = [
        _at("one half", HALF, histograms),
        _at(
            f"the published search: tenths, first {PUBLISHED_RECORDS} records, mean of"
            " batches",
            found.published,
            histograms,
        ),
        _at("chosen threshold", chosen, histograms),
    ]
    if found.chosen.least > 1:
        rows.append(_without_specks(found))
    rule = found.measured.rule
    rows.append(_row(f"rule: brightness of one channel, {rule['name']}", None, None))
    rows[-1]["Dice"] = rule["naive"]
    return rows


def _at(step: str, threshold: float, histograms: IntArray) -> Json:
    counts = [at[first_above(threshold)] for at in counts_at(histograms)]
    return _row(step, threshold, np.array(counts))


def _row(step: str, threshold: float | None, counts: IntArray | None) -> Json:
    row: Json = {"step": step, "threshold": threshold}
    row |= dict.fromkeys(("Dice", "precision", "recall"))
    if counts is not None:
        tp, fp, fn = (int(number) for number in counts)
        row["Dice"] = float(dice_of(counts))
        row["precision"], row["recall"] = ratio(tp, tp + fp), ratio(tp, tp + fn)
    return row | dict.fromkeys(("specks", "pixels", "of them labelled contrail"))


def _without_specks(found: Found) -> Json:
    before, after = found.by_least[:, 0].sum(axis=0), found.final.sum(axis=0)
    gone = before - after
    counts = _counted(found.measured.labelled.sum(), after)
    name = f"and without specks under {found.chosen.least} pixels"
    return _row(name, found.chosen.threshold, counts) | {
        "specks": int(gone[2]),
        "pixels": int(gone[1]),
        "of them labelled contrail": int(gone[0]),
    }


def _counted(labelled: Any, counts: IntArray) -> IntArray:
    """Return (..., 3) of tp, fp, fn for (..., 3) of tp, predicted pixels, pieces."""
    tp, predicted = counts[..., 0], counts[..., 1]
    return np.stack([tp, predicted - tp, labelled - tp], axis=-1)


def examples(found: Found) -> list[tuple[str, list[str]]]:
    """Name records in which the decision does worst, best, and other extremes."""
    labelled = found.measured.labelled
    tp, predicted = found.final[:, 0], found.final[:, 1]
    dice = dice_of(_counted(labelled, found.final))
    some, none = labelled > 0, labelled == 0
    kinds: dict[str, tuple[BoolArray, list[Any]]] = {
        # Of equal scores, those first in which more is at stake.
        "Worst, of records with contrails": (some, [dice, -labelled]),
        "Best, of records with contrails": (some & (tp > 0), [-dice, -labelled]),
        "Most contrail": (some, [-labelled]),
        "False alarms: nothing is labelled": (none & (predicted > 0), [-predicted]),
    }
    named = ((title, _first(found, of, keys)) for title, (of, keys) in kinds.items())
    return [(title, ids) for title, ids in named if ids]


def _first(found: Found, of: BoolArray, keys: list[Any]) -> list[str]:
    """Return ids of some records, in the order of keys, the first one first."""
    # numpy.lexsort takes the last key first; equals stay in their order.
    order = np.lexsort([*reversed(keys)])
    places = [place for place in order if of[place]][:_EXAMPLES]
    return [found.measured.ids[place] for place in places]


def _plain(values: Iterable[Any]) -> list[float]:
    return [float(value) for value in values]
