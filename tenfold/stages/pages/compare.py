"""The page of a comparison: what differs between two runs, and what that is worth."""

import json
from collections.abc import Sequence

import polars as pl

from tenfold.metrics.paired import Difference
from tenfold.recipe import Json, digest_of
from tenfold.reports import figures
from tenfold.reports.cells import MINUS
from tenfold.reports.page import Page, Picture
from tenfold.stages.compare import Comparison, work_by_stage
from tenfold.stages.report import optimism
from tenfold.stages.side import Side

_CURVES = {"val/score": "score", "val/loss": "validation loss"}
_FEW_UNITS = 10


def page_of(found: Comparison) -> Page:
    """Describe a comparison."""
    monitor = found.challenge.scoring.MONITOR
    page = Page("Comparison", f"A: {found.a.folder}. B: {found.b.folder}.", "compare")
    honest = found.scores[0]
    page.facts(
        {
            f"{monitor} of A, honest": honest["A"],
            f"{monitor} of B, honest": honest["B"],
            "B less A": honest["difference"],
        }
    )
    if found.unpaired:
        page.note("warning", f"{found.unpaired} Scores stand side by side only.")
    if found.undecided:
        page.note("warning", found.undecided)
    for letter, side in _sides(found):
        reason = optimism(side.scores)
        if reason:
            page.note("warning", f"Out-of-fold scores of {letter} are {reason}.")
    _scores(page, found, monitor)
    if not found.unpaired:
        _paired(page, found)
        _folds(page, found)
    _recipes(page, found)
    _choices(page, found, monitor)
    _learning(page, found)
    _times(page, found)
    _tiles(page, found)
    _record(page, found)
    return page


def _sides(found: Comparison) -> list[tuple[str, Side]]:
    return [("A", found.a), ("B", found.b)]


def _scores(page: Page, found: Comparison, monitor: str) -> None:
    page.section("Scores", "Honest: each fold left out of the choice it is scored by.")
    rows = {row["what"]: _pair(row) for row in found.scores}
    page.figure(figures.grouped_bars(rows, monitor), alt=f"{monitor} of A and B.")
    page.table(found.scores)


def _pair(row: Json) -> dict[str, float]:
    return {letter: row[letter] for letter in "AB" if row[letter] is not None}


def _paired(page: Page, found: Comparison) -> None:
    page.section("Is the difference more than chance?")
    for what, difference in found.differences.items():
        page.note("good" if difference.clear else "info", verdict(what, difference))
    units = next(iter(found.differences.values()), None)
    if units is not None and units.units < _FEW_UNITS:
        page.note(
            "warning",
            f"{units.units} groups are few: such an interval is often too narrow.",
        )
    page.text(
        "Groups of near-duplicates were drawn with replacement, the same for A and B,"
        " and both scored on them: the percentile bootstrap. It leaves out that another"
        " training of the same recipe scores differently. The ensemble is scored by"
        " the decision of its run, which was made on these samples; a model alone as"
        " its folds are scored in training."
    )
    rows = [
        {
            "what": what,
            "scored by": found.monitors[what],
            "A": d.first,
            "B": d.second,
            "difference": d.value,
            "95 % from": d.low,
            "95 % to": d.high,
            "share of resamples with B ahead": d.second_ahead,
            "groups": d.units,
        }
        for what, d in found.differences.items()
    ]
    page.table(rows)


def verdict(what: str, difference: Difference) -> str:
    """Say in words what a paired difference amounts to."""
    if difference.value == difference.low == difference.high == 0:
        return f"{what}: A and B score the same, on every resample."
    side = "above" if difference.value >= 0 else "below"
    low, high = (
        f"{end:+.4f}".replace("-", MINUS) for end in (difference.low, difference.high)
    )
    sentence = (
        f"{what}: B is {abs(difference.value):.4f} {side} A; 95 % of resamples lie"
        f" between {low} and {high}"
    )
    if difference.clear:
        return f"{sentence}, all on one side of 0."
    return f"{sentence}. That includes 0, so it may well be chance."


def _folds(page: Page, found: Comparison) -> None:
    page.section("Models and folds", "Models that both have, on the same samples.")
    rows = found.folds
    if not rows:
        page.text("The runs have no model of the same name.")
        return
    ahead = sum(row["difference"] > 0 for row in rows)
    page.text(f"B is ahead in {ahead} of {len(rows)}.")
    page.figure(
        figures.scatter(
            [row["A"] for row in rows],
            [row["B"] for row in rows],
            "score of A",
            "score of B",
            [row["model"] for row in rows],
            diagonal=True,
        ),
        "One point a model and fold; above the line B is ahead.",
    )
    page.table(rows)


def _recipes(page: Page, found: Comparison) -> None:
    page.section("Recipes", "Options that differ.")
    if not found.recipes:
        page.text("None: the recipes are the same.")
        return
    page.table([{k: _shown(v) for k, v in row.items()} for row in found.recipes])


def _shown(value: object) -> str:
    return "–" if value is None else str(value)


def _choices(page: Page, found: Comparison, monitor: str) -> None:
    """Draw the curves that tune chose by, those of one title in one figure."""
    curves: dict[str, dict[str, Json]] = {}
    for letter, side in _sides(found):
        # Absent where an older version of the code tuned.
        for curve in side.scores.get("curves", []):
            curves.setdefault(curve["title"], {})[letter] = curve
    if not curves:
        page.section("Thresholds")
        page.text("Neither run has kept its curves.")
    for title, of in curves.items():
        first = next(iter(of.values()))
        page.section(title, first["text"])
        series, marks = {}, {}
        for letter, curve in of.items():
            for name, (x, y) in curve["lines"].items():
                several = len(curve["lines"]) > 1
                series[f"{letter}, {name}" if several else letter] = (x, y)
            if curve["chosen"] is not None:
                marks[f"{letter} chose"] = float(curve["chosen"])
        page.figure(
            figures.lines(series, first["x"], monitor, marks),
            alt=f"{monitor} of A and B by {first['x']}.",
        )


def _learning(page: Page, found: Comparison) -> None:
    """Draw the mean over folds of each model's curves, and each fold's behind it."""
    page.section(
        "Learning curves", "Mean over folds; in grey the folds of both by themselves."
    )
    models = [[row["model"] for row in side.board] for side in (found.a, found.b)]
    for model in dict.fromkeys([*models[0], *models[1]]):
        histories = {
            letter: side.history(model)
            for (letter, side), known in zip(_sides(found), models, strict=True)
            if model in known
        }
        for column, words in _CURVES.items():
            _curves(page, histories, column, f"{words} of {model}")


def _curves(
    page: Page, histories: dict[str, list[pl.DataFrame]], column: str, title: str
) -> None:
    series, faint = {}, []
    for letter, folds in histories.items():
        known = [
            fold.select("epoch", column).drop_nulls()
            for fold in folds
            if column in fold.columns
        ]
        for number, fold in enumerate(known):
            faint.append(f"{letter}, {number}")
            series[faint[-1]] = (fold["epoch"].to_list(), fold[column].to_list())
        if known:
            mean = pl.concat(known).group_by("epoch").mean().sort("epoch")
            series[letter] = (mean["epoch"].to_list(), mean[column].to_list())
    if series:
        page.figure(figures.lines(series, "epoch", title, faint=faint), alt=title)


def _times(page: Page, found: Comparison) -> None:
    page.section("Times", "Seconds of work when it was done, here or in another run.")
    rows = work_by_stage(found.a, found.b)
    if not rows:
        page.text("Not known: the manifests of the results are not on this machine.")
        return
    values = {row["stage"]: _pair(row) for row in rows}
    page.figure(figures.grouped_bars(values, "seconds"), alt="Seconds by stage.")
    total = [sum(row[letter] for row in rows) for letter in "AB"]
    page.text(
        f"In all {total[0]:,.0f} s of work for A and {total[1]:,.0f} s for B; on the"
        f" clock {found.a.record.seconds:,.0f} s and {found.b.record.seconds:,.0f} s."
    )


def _tiles(page: Page, found: Comparison) -> None:
    page.section("Where they differ most")
    if found.a.fingerprint != found.b.fingerprint or found.undecided:
        page.text("Not shown, for the reason at the top of this page.")
        return
    if not found.tiles:
        page.text("Nowhere: their decisions are equal.")
        return
    page.text(
        "Samples of which the ensembles decide most otherwise, predicted by models that"
        " have not seen them."
    )
    page.pictures([p for tile in found.tiles for p in _pictures(found, *tile)])


def _pictures(found: Comparison, id_: str, amount: float) -> list[Picture]:
    drawing, group = found.challenge.drawing, f"{id_}: {amount:.2%} decided otherwise"
    arrays = found.a.dataset.sample(id_)
    name, view = next(iter(drawing.views(arrays).items()))
    pictures = [Picture(view, name, group)]
    for letter, side in _sides(found):
        drawn = drawing.overlay(arrays, side.decide(id_))
        pictures += [
            Picture(p, f"{what}, {letter}", group) for what, p in drawn.items()
        ]
    return pictures


def _record(page: Page, found: Comparison) -> None:
    page.section("Record")
    pairs: Sequence[tuple[str, str, str]] = [
        (name, a, b)
        for name, a, b in zip(
            ("folder", "recipe", "digest", "data", "code", "store"),
            _described(found.a),
            _described(found.b),
            strict=True,
        )
    ]
    page.table([{"": name, "A": a, "B": b} for name, a, b in pairs])


def _described(side: Side) -> tuple[str, ...]:
    recipe = side.context.recipe
    return (
        str(side.folder),
        recipe.name,
        digest_of(json.loads(side.record.recipe))[:12],
        side.fingerprint,
        side.record.code,
        side.record.store,
    )
