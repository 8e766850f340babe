"""The page of tune: what was decided, on what, and what it is worth."""

from tenfold.challenges import DecisionPart
from tenfold.recipe import Json
from tenfold.reports import figures
from tenfold.reports.page import Page
from tenfold.stages.context import Context
from tenfold.stages.entries import DECISION, SCORES
from tenfold.stages.pages import Shown
from tenfold.store import Entry


def show(context: Context, entry: Entry) -> Shown:
    """Describe the decision."""
    decision, scores = entry.json(DECISION), entry.json(SCORES)
    monitor = context.challenge.scoring.MONITOR
    baseline = scores["baseline"]
    page = Page("Decision", decision["statement"], "tune")
    page.facts(
        {
            f"{monitor}, honest": scores["honest"],
            f"{monitor}, naive": scores["naive"],
            "simple rule, honest": baseline["honest"],
        }
    )
    page.section("What the figures mean")
    page.text(
        "Honest: for each fold the choice was made on the other folds and counted on"
        " this one. Naive: the choice counted on the samples it was made on. Both use"
        " predictions of samples that their model never saw."
    )
    gain = scores["honest"] - baseline["honest"]
    kind = "good" if gain > 0 else "bad"
    page.note(
        "good" if kind == "good" else "bad",
        f"The best simple rule ({baseline['name']}) reaches {baseline['honest']:.4f};"
        f" the models are {abs(gain):.4f} {'above' if gain > 0 else 'below'} it.",
    )
    for model in scores["selected_on_fold"]:
        page.note(
            "warning",
            f"{model} chose its epoch on the fold it predicts, so its part of this"
            " score is optimistic.",
        )
    for model in scores["pseudo_labelled"]:
        page.note(
            "warning",
            f"{model} learnt from test samples that were labelled by models which saw"
            " every fold, so its part of this score is somewhat optimistic.",
        )
    for curve in scores["curves"]:
        _curve(page, curve, monitor)
    _effects(page, scores["effects"])
    page.section("Members")
    choice = decision["choice"]
    rows = [
        {
            "model": member["model"],
            "role": member["role"],
            "fold": int(fold),
            "weight": weight,
        }
        for member in decision["members"]
        for fold, weight in _shares(context.challenge.decision, choice, member)
    ]
    page.table(rows, "Weight of each trained fold in the ensemble.", bars=["weight"])
    page.details("Decision", [{"key": k, "value": str(v)} for k, v in choice.items()])
    line = f"{monitor} {scores['honest']:.4f} out-of-fold, honest"
    headline = {
        "honest": scores["honest"],
        "naive": scores["naive"],
        "baseline": baseline["honest"],
    }
    return Shown(page, line, headline)


def _shares(part: DecisionPart, choice: Json, member: Json) -> list[tuple[str, float]]:
    """Return each fold of a model and its share of the model's weight."""
    model, folds = member["model"], sorted(member["folds"], key=int)
    weights = [part.fold_weight(choice, model, int(fold)) for fold in folds]
    share = part.model_weight(choice, model) / sum(weights)
    return [(fold, weight * share) for fold, weight in zip(folds, weights, strict=True)]


def _curve(page: Page, curve: Json, monitor: str) -> None:
    page.section(curve["title"], curve["text"])
    marks = {} if curve["chosen"] is None else {"chosen": float(curve["chosen"])}
    lines = {name: (x, y) for name, (x, y) in curve["lines"].items()}
    drawn = figures.lines(lines, curve["x"], monitor, marks)
    page.figure(drawn, alt=f"{monitor} by {curve['x']}.")


def _effects(page: Page, rows: list[Json]) -> None:
    """Show what was taken out of the masks, if anything was."""
    if not rows:
        return
    page.section(
        "What removal did",
        "On masks of out-of-fold samples, one step after the other.",
    )
    page.table(rows)
