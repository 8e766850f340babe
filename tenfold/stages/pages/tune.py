"""The page of tune: what was decided, on what, and what it is worth."""

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
    _curve(page, scores["curve"], decision["choice"], monitor)
    page.section("Members")
    choice = decision["choice"]
    rows = [
        {
            "model": member["model"],
            "role": member["role"],
            "fold": int(fold),
            "weight": context.challenge.decision.member_weight(
                choice, member["model"], int(fold)
            ),
        }
        for member in decision["members"]
        for fold in sorted(member["folds"], key=int)
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


def _curve(
    page: Page, curve: dict[str, float], choice: dict[str, object], monitor: str
) -> None:
    points = sorted((int(step), score) for step, score in curve.items())
    top = points[-1][0]
    x = [step / top for step, _ in points]
    y = [score for _, score in points]
    marks = {}
    if isinstance(choice.get("threshold"), float):
        marks["chosen"] = float(str(choice["threshold"]))
    page.section("Every threshold", "Score of all out-of-fold samples by threshold.")
    page.figure(figures.lines({monitor: (x, y)}, "threshold", monitor, marks))
