"""The page of evaluate: a model over all its folds, and the leaderboard."""

from collections.abc import Iterator

from tenfold.recipe import Json
from tenfold.reports import alts, figures
from tenfold.reports.page import Page
from tenfold.stages.context import Context
from tenfold.stages.entries import LEADERBOARD, METRICS
from tenfold.stages.pages import Shown
from tenfold.store import Entry


def show(context: Context, entry: Entry) -> Shown:
    """Describe the cross-validation of a model."""
    metrics = entry.json(METRICS)
    board = entry.json(LEADERBOARD)
    monitor = metrics.get("monitor", "score")
    page = Page(metrics["model"], "All folds, counted together.", "evaluate")
    scores = {f"fold {row['fold']}": float(row["score"]) for row in metrics["folds"]}
    page.facts(
        {
            monitor: metrics["score"],
            "folds": len(scores),
            "worst fold": min(scores.values()),
            "best fold": max(scores.values()),
        }
    )
    if any(row["selected_on_fold"] for row in metrics["folds"]):
        page.note(
            "warning",
            "Epochs were chosen by their score on the fold they are scored on, as the"
            " published system does; these scores are optimistic.",
        )
    if any(row.get("pseudo_labelled") for row in metrics["folds"]):
        page.note(
            "warning",
            "Among its training samples are test samples labelled by models that saw"
            " every fold; these scores are somewhat optimistic.",
        )
    leaks = sum(row.get("leaks", 0) for row in metrics["folds"])
    if leaks:
        page.note(
            "warning",
            f"{leaks} held-out samples have near-duplicates in training, where the"
            " published split leaves them; these scores are optimistic.",
        )
    for reason in metrics["failed"]:
        page.note("bad", f"A fold failed, as the recipe allows: {reason}")
    page.section("Folds")
    caption = f"{monitor} of each held-out fold"
    drawn = figures.bars(scores, monitor)
    page.figure(drawn, f"{caption}.", alts.extremes(caption, scores))
    matrix, names = metrics["confusion"], metrics["classes"]
    page.figure(figures.matrix(matrix, names, names, normalise=True), "Confusion.")
    values = [{"figure": k, "value": v} for k, v in metrics["figures"].items()]
    page.table(values, "Cross-validated figures: counts of all folds together.")
    page.section("Leaderboard", "Models so far; of each role, best first.")
    rows = board_rows(board)
    place = [row["model"] for row in rows].index(metrics["model"])
    page.table(rows, highlight=place, bars=[score_name(board)])
    headline = {k: float(v) for k, v in metrics["figures"].items()}
    return Shown(page, f"{monitor} {metrics['score']:.4f} over all folds", headline)


def score_name(board: list[Json]) -> str:
    """Return what the column of scores is called: roles may be scored differently."""
    names = {row.get("monitor", "score") for row in board}
    return names.pop() if len(names) == 1 else "score"


def board_rows(board: list[Json]) -> list[Json]:
    """Return the leaderboard as a table for people."""
    column = score_name(board)
    return [
        {
            "model": row["model"],
            "role": row["role"],
            **({"measured by": row.get("monitor")} if column == "score" else {}),
            column: row["score"],
            "worst fold": row["worst_fold"],
            "best fold": row["best_fold"],
            "optimistic, since": ", ".join(_optimism(row)),
        }
        for row in board
    ]


def _optimism(row: Json) -> Iterator[str]:
    """Say why a model's score is too good, if it is."""
    if row["selected_on_fold"]:
        yield "epochs or rates were chosen on the fold"
    if row.get("pseudo_labelled"):
        yield "labels are by models that saw the fold"
    if row.get("leaks"):
        yield f"{row['leaks']} held-out samples have near-duplicates in training"
