"""compare: two runs of a challenge beside each other, paired where that is fair."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.challenges import Challenge, Scoring
from tenfold.data.arrays import Arrays
from tenfold.errors import RecipeError
from tenfold.metrics.paired import Difference, bootstrap
from tenfold.recipe import Json
from tenfold.stages.runs import seconds_of_work
from tenfold.stages.side import Side, open_side

ENSEMBLE = "ensemble"
_ORDER = ("ingest", "group", "split", "train", "evaluate", "tune", "predict", "submit")


@dataclass(frozen=True)
class Comparison:
    """Two runs, A and B, and what can be said of them together.

    Attributes:
        unpaired: why paired statements are refused, or nothing.
        undecided: why ensembles are left out of paired statements and pictures, or
            nothing.
        recipes: rows of key, A, B where the recipes differ.
        scores: rows of what, A, B, difference.
        folds: rows of model, fold, A, B, difference; empty if unpaired.
        differences: what → how far B is ahead of A; empty if unpaired.
        tiles: samples of which most is decided otherwise, with the share that is, most
            first; empty if the data differ.
    """

    a: Side
    b: Side
    unpaired: str
    undecided: str
    recipes: list[Json]
    scores: list[Json]
    folds: list[Json]
    differences: Mapping[str, Difference]
    tiles: Sequence[tuple[str, float]]

    @property
    def challenge(self) -> Challenge:
        """Of both."""
        return self.a.context.challenge

    @property
    def monitors(self) -> dict[str, str]:
        """What the ensembles and each common model are scored by."""
        scorings = _scorings(self.a, self.b)
        return {what: scoring.MONITOR for what, scoring in scorings.items()}

    def to_json(self) -> Json:
        """Return the figures as plain data."""
        return {
            "a": str(self.a.folder),
            "b": str(self.b.folder),
            "unpaired": self.unpaired,
            "undecided": self.undecided,
            "recipes": self.recipes,
            "scores": self.scores,
            "folds": self.folds,
            "differences": {k: asdict(v) for k, v in self.differences.items()},
            "tiles": [list(tile) for tile in self.tiles],
        }


def compare(first: Path, second: Path, tiles: int = 6) -> Comparison:
    """Compare two finished runs.

    Args:
        first: folder of run A.
        second: folder of run B.
        tiles: how many samples are named on which they differ most.

    Raises:
        StoreError: a folder holds no finished run, or its results are gone.
        RecipeError: they are of different challenges.
    """
    a, b = open_side(first), open_side(second)
    names = [side.context.recipe.challenge for side in (a, b)]
    if names[0] != names[1]:
        raise RecipeError(
            f"{first} is of {names[0]} and {second} of {names[1]}; compare two runs of"
            " one challenge"
        )
    unpaired, undecided = why_unpaired(a, b), a.undecided or b.undecided
    pictured = a.fingerprint == b.fingerprint and not undecided
    return Comparison(
        a=a,
        b=b,
        unpaired=unpaired,
        undecided=undecided,
        recipes=recipe_differences(_recipe(a), _recipe(b)),
        scores=_scores(a, b),
        folds=[] if unpaired else _folds(a, b),
        differences={} if unpaired else _differences(a, b),
        tiles=_most_different(a, b, tiles) if pictured else [],
    )


def why_unpaired(a: Side, b: Side) -> str:
    """Say why scores of the two may not be compared sample by sample, or nothing."""
    if a.fingerprint != b.fingerprint:
        return (
            f"They are of different data ({a.fingerprint[:8]} and {b.fingerprint[:8]}),"
            " so a difference of their scores says nothing about the models."
        )
    tables = [side.table.table.select("id", "fold").sort("id") for side in (a, b)]
    if not tables[0].equals(tables[1]):
        return (
            "Their folds differ, so their models learnt from different samples; a"
            " paired difference would mix that with what the recipes change."
        )
    if set(a.outputs) != set(b.outputs):
        return "Folds failed in one and not in the other, so they score other samples."
    return ""


def _recipe(side: Side) -> Json:
    return side.context.recipe.model_dump(mode="json")


def recipe_differences(a: Json, b: Json) -> list[Json]:
    """Return rows of key, A, B for every option that differs.

    Members are matched by name; an option that one side lacks is None there.
    """
    left, right = dict(_flat(a)), dict(_flat(b))
    keys = dict.fromkeys([*left, *right])
    return [
        {"key": key, "A": left.get(key), "B": right.get(key)}
        for key in keys
        if left.get(key) != right.get(key)
    ]


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys; a list of named sections is keyed by their names."""
    named = isinstance(value, list) and all(
        isinstance(item, dict) and "name" in item for item in value
    )
    if named and value:
        value = {item["name"]: item for item in value}
    if not isinstance(value, dict):
        yield prefix, value
        return
    for key, inner in value.items():
        yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))


def _scores(a: Side, b: Side) -> list[Json]:
    rows = [
        ("ensemble, honest", a.scores["honest"], b.scores["honest"]),
        ("ensemble, naive", a.scores["naive"], b.scores["naive"]),
        (
            "simple rule, honest",
            a.scores["baseline"]["honest"],
            b.scores["baseline"]["honest"],
        ),
        ("on kept-aside truth", a.truth, b.truth),
    ]
    return [_row({"what": what}, x, y) for what, x, y in rows if (x, y) != (None, None)]


def _row(key: Json, x: float | None, y: float | None) -> Json:
    difference = None if x is None or y is None else y - x
    return {**key, "A": x, "B": y, "difference": difference}


def _common(a: Side, b: Side) -> list[str]:
    """Name the models that both have, in A's order."""
    others = {row["model"] for row in b.board}
    return [row["model"] for row in a.board if row["model"] in others]


def _folds(a: Side, b: Side) -> list[Json]:
    """Pair the score of every model on every fold."""
    of = [{row["model"]: row["fold_scores"] for row in side.board} for side in (a, b)]
    return [
        _row({"model": m, "fold": int(fold)}, of[0][m][fold], of[1][m][fold])
        for m in _common(a, b)
        for fold in sorted(of[0][m], key=int)
        if fold in of[1][m]
    ]


def _differences(a: Side, b: Side) -> dict[str, Difference]:
    """Bootstrap each common model, and the ensembles, over groups."""
    group_of = dict(a.table.table.select("id", "group").iter_rows())
    counts: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    scored = _scorings(a, b)
    for id_ in a.outputs:
        group, arrays = str(group_of[id_]), a.dataset.sample(id_)
        for what, *pair in _to_count(a, b, id_):
            sides = counts.setdefault(what, ({}, {}))
            for side, outputs in zip(sides, pair, strict=True):
                one = scored[what].tally(outputs, arrays)
                side[group] = side[group] + one if group in side else one
    return {
        what: bootstrap(x, y, partial(_score, scored[what]))
        for what, (x, y) in counts.items()
    }


def _scorings(a: Side, b: Side) -> dict[str, Scoring]:
    """Return what the ensembles and each common model are scored by."""
    scoring, recipe = a.context.challenge.scoring, a.context.recipe
    roles = {model: recipe.member(model).role for model in _common(a, b)}
    members = {model: scoring.of_role(role) for model, role in roles.items()}
    return {ENSEMBLE: scoring, **members}


def _score(scoring: Scoring, tally: Any) -> float:
    return float(scoring.metrics(tally)[scoring.MONITOR])


def _to_count(a: Side, b: Side, id_: str) -> Iterator[tuple[str, Arrays, Arrays]]:
    """Yield what is scored, and a sample's predictions or outputs of both runs."""
    if not (a.undecided or b.undecided):
        yield ENSEMBLE, a.decide(id_), b.decide(id_)
    for model in _common(a, b):
        yield model, a.outputs[id_][model], b.outputs[id_][model]


def _most_different(a: Side, b: Side, count: int) -> list[tuple[str, float]]:
    """Return the samples of which most is decided otherwise, and how much it is."""
    name, found = a.context.challenge.decision.DECIDED, []
    for id_ in sorted(set(a.outputs) & set(b.outputs)):
        x, y = (side.decide(id_)[name] for side in (a, b))
        share = float(np.mean(x != y))
        if share > 0:
            found.append((id_, share))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:count]


def work_by_stage(a: Side, b: Side) -> list[Json]:
    """Return rows of stage, A, B: seconds of work; empty if manifests are gone."""
    left, right = seconds_of_work(a.record), seconds_of_work(b.record)
    if left is None or right is None:
        return []
    both = {*left, *right}
    stages = [s for s in _ORDER if s in both] + sorted(both - set(_ORDER))
    return [
        {
            "stage": stage,
            "A": round(left.get(stage, 0.0), 1),
            "B": round(right.get(stage, 0.0), 1),
        }
        for stage in stages
    ]
