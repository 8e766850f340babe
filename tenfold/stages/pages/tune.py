"""The page of tune: what was decided, on what, and what it is worth."""

from tenfold.challenges import DecisionPart
from tenfold.data.arrays import Arrays, ByteArray
from tenfold.data.dataset import Dataset
from tenfold.recipe import Json
from tenfold.reports import alts, figures
from tenfold.reports.page import Page, Picture
from tenfold.stages.context import Context
from tenfold.stages.entries import DECISION, LEADERBOARD, SCORES
from tenfold.stages.pages import Shown
from tenfold.stages.proof import open_folds
from tenfold.stages.tune import HeldOut, Outputs, decide
from tenfold.store import Entry

#: Inputs of tune that out-of-fold outputs are read by.
_READ = ("dataset", "folds", "leaderboard")


def show(context: Context, entry: Entry) -> Shown:
    """Describe the decision."""
    decision, scores = entry.json(DECISION), entry.json(SCORES)
    monitor = context.challenge.scoring.MONITOR
    baseline = scores["baseline"]
    label = entry.manifest["label"]
    title = label.replace("tune", "Decision", 1)
    page = Page(title, decision["statement"], "tune")
    page.facts(
        {
            f"{monitor}, honest": scores["honest"],
            f"{monitor}, naive": scores["naive"],
            "simple rule, honest": baseline["honest"],
        }
    )
    page.section("What the figures mean")
    alone = all(len(member["folds"]) == 1 for member in decision["members"])
    part = "part of the only fold" if alone else "fold"
    page.text(
        f"Honest: for each {part} the choice was made on the other"
        f" {'parts' if alone else 'folds'} and counted on this one. Naive: the choice"
        " counted on the samples it was made on. Both use predictions of samples that"
        " their model never saw."
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
    for model in scores.get("pseudo_labelled", ()):
        page.note(
            "warning",
            f"{model} learnt from test samples that were labelled by models which saw"
            " every fold, so its part of this score is somewhat optimistic.",
        )
    if scores.get("leaks"):
        page.note(
            "warning",
            "The models learnt from near-duplicates of held-out samples, which the"
            " published split leaves in training, so this score is optimistic.",
        )
    for curve in scores["curves"]:
        _curve(page, curve, monitor)
    _effects(page, scores["effects"])
    _examples(page, context, entry, decision)
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
    page.figure(drawn, alt=alts.peaks(f"{monitor} by {curve['x']}", lines))


def _effects(page: Page, rows: list[Json]) -> None:
    """Show what each step of the decision did to the masks, if there are several."""
    if not rows:
        return
    page.section(
        "What each step did",
        "On masks of out-of-fold samples.",
    )
    page.table([{"step": row["step"]} | row for row in rows])


def _examples(page: Page, context: Context, entry: Entry, decided: Json) -> None:
    """Show samples in which the steps were right or wrong, as they were decided."""
    examples = entry.json(SCORES).get("examples")
    if not examples:
        return
    legend = context.challenge.drawing.LEGEND
    page.section("Examples", f"Out-of-fold predictions, as they were decided. {legend}")
    wanted = {id_ for _, ids in examples for id_ in ids}
    drawn = {
        id_: _drawn(context, decided, arrays, outputs)
        for id_, _, arrays, outputs in _held_out(context, entry, decided).samples()
        if id_ in wanted
    }
    for title, ids in examples:
        page.section(title)
        page.pictures([Picture(p, name, id_) for id_ in ids for name, p in drawn[id_]])


def _held_out(context: Context, entry: Entry, decided: Json) -> HeldOut:
    opened = {name: context.store.open(entry.inputs[name]) for name in _READ}
    models = {member["model"] for member in decided["members"]}
    board = [r for r in opened["leaderboard"].json(LEADERBOARD) if r["model"] in models]
    data, table = opened["dataset"], open_folds(opened["folds"], opened["dataset"])
    return HeldOut(context.store, Dataset(data.path), table, board)


def _drawn(
    context: Context, decided: Json, arrays: Arrays, outputs: Outputs
) -> list[tuple[str, ByteArray]]:
    challenge = context.challenge
    prediction = decide(challenge.decision, decided, outputs, arrays)
    return list(challenge.drawing.overlay(arrays, prediction).items())
