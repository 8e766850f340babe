"""evaluate: all folds of one model into cross-validated figures and a board row."""

from collections.abc import Sequence
from typing import Any

from tenfold.challenges import Scoring
from tenfold.data.files import write_json
from tenfold.errors import LeakError, TrainingError
from tenfold.recipe import Json
from tenfold.stages.context import OK, Context, Reference
from tenfold.stages.entries import LEADERBOARD, METRICS
from tenfold.stages.proof import open_folds
from tenfold.store import Entry, Workspace

PARTS = ("scoring",)


def run(
    context: Context,
    dataset: Reference,
    folds: Reference,
    model: str,
    trained: Sequence[Reference],
    leaderboard: Reference | None = None,
) -> Reference:
    """Join the folds of a model.

    Args:
        context: recipe and store.
        dataset: from ingest.
        folds: from split.
        model: name of the member.
        trained: one reference a fold, in any order.
        leaderboard: from the evaluate before this one, if any.

    Raises:
        TrainingError: if folds are missing, of another model, or more failed than the
            recipe allows.
        LeakError: one was trained on other folds.
    """
    recipe = context.recipe
    data, split = context.entry(dataset, "ingest"), context.entry(folds, "split")
    board = context.entry(leaderboard, "evaluate") if leaderboard else None
    entries = [context.entry(r, "train") for r in trained if r.status == OK]
    failed = [r.reason for r in trained if r.status != OK]
    table = open_folds(split, data)
    _check_members(model, entries, split)
    _check_complete(model, entries, failed, table.k, recipe.allow_failed_folds)
    inputs = {f"fold_{e.json(METRICS)['fold']}": e.address for e in entries}
    inputs |= {"dataset": data.address, "folds": split.address}
    inputs |= {"leaderboard": board.address} if board else {}

    scoring = context.challenge.scoring.of_role(recipe.member(model).role)

    def work(workspace: Workspace) -> None:
        _evaluate(scoring, model, entries, board, failed, workspace)

    options = {"model": model, "failed": failed}
    return context.build("evaluate", f"evaluate {model}", inputs, options, PARTS, work)


def _check_members(model: str, entries: Sequence[Entry], split: Entry) -> None:
    for entry in entries:
        found = entry.json(METRICS)["model"]
        if found != model:
            raise TrainingError(
                f"{entry.address} is a fold of {found}, not of {model}; name the files"
                f" of {model}'s folds, or --member {found}"
            )
        if entry.inputs["folds"] != split.address:
            raise LeakError(
                f"{entry.address} was trained on other folds; train it again"
            )


def _check_complete(
    model: str, entries: Sequence[Entry], failed: Sequence[str], k: int, allowed: int
) -> None:
    found = sorted(int(entry.json(METRICS)["fold"]) for entry in entries)
    if len(set(found)) != len(found):
        raise TrainingError(f"{model}: a fold comes twice among {found}")
    if len(found) + len(failed) < k:
        missing = sorted(set(range(k)) - set(found))
        raise TrainingError(
            f"{model}: folds {missing} are not trained; run `tenfold train` with"
            f" --member {model} --fold {missing[0]}, and name every fold's file"
        )
    if len(failed) > allowed:
        raise TrainingError(
            f"{model}: {len(failed)} folds failed, the recipe allows {allowed}; the"
            f" first: {failed[0]}"
        )
    if not found:
        raise TrainingError(f"{model}: no fold was trained")


def _evaluate(
    scoring: Scoring,
    model: str,
    entries: Sequence[Entry],
    board: Entry | None,
    failed: Sequence[str],
    workspace: Workspace,
) -> None:
    rows: list[Json] = []
    total: Any = None
    for entry in entries:
        metrics = entry.json(METRICS)
        tally = scoring.from_json(metrics["tally"])
        total = tally if total is None else total + tally
        rows.append({"fold": metrics["fold"], "address": entry.address, **metrics})
    rows.sort(key=lambda row: int(row["fold"]))
    figures = scoring.metrics(total)
    names, matrix = scoring.confusion(total)
    write_json(
        workspace.path / METRICS,
        {
            "model": model,
            "role": rows[0]["role"],
            "monitor": scoring.MONITOR,
            "score": figures[scoring.MONITOR],
            "figures": figures,
            "folds": rows,
            "failed": list(failed),
            "classes": list(names),
            "confusion": matrix.tolist(),
        },
    )
    write_json(
        workspace.path / LEADERBOARD, _board(model, rows, figures, scoring, board)
    )


def _board(
    model: str,
    rows: Sequence[Json],
    figures: dict[str, float],
    scoring: Scoring,
    board: Entry | None,
) -> list[Json]:
    """Return the board so far with this model's row; of each role, best first."""
    scores = [float(row["score"]) for row in rows]
    row = {
        "model": model,
        "role": rows[0]["role"],
        "monitor": scoring.MONITOR,
        "score": figures[scoring.MONITOR],
        "worst_fold": min(scores),
        "best_fold": max(scores),
        "selected_on_fold": any(r["selected_on_fold"] for r in rows),
        "pseudo_labelled": any(r["pseudo_labelled"] for r in rows),
        # Folds of an earlier version do not say; theirs had none.
        "leaks": sum(r.get("leaks", 0) for r in rows),
        "folds": {str(r["fold"]): r["address"] for r in rows},
        "fold_scores": {str(r["fold"]): r["score"] for r in rows},
        "figures": figures,
    }
    before = board.json(LEADERBOARD) if board else []
    return sorted([*before, row], key=lambda r: (r["role"], -r["score"], r["model"]))
