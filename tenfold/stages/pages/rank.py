"""The page of a sweep: its trials, best first, and what they were worth."""

from tenfold.recipe import Json
from tenfold.reports import alts, figures
from tenfold.reports.page import Page
from tenfold.stages.context import Context
from tenfold.stages.entries import RANKING
from tenfold.stages.pages import Shown
from tenfold.store import Entry

_BARS, _CURVES = 20, 7


def show(context: Context, entry: Entry) -> Shown:
    """Describe a ranking."""
    ranking = entry.json(RANKING)
    role = context.recipe.member(ranking["member"]).role
    monitor = context.challenge.scoring.of_role(role).MONITOR
    rows, failed = ranking["trials"], ranking["failed"]
    best, stopped = rows[0], sum(row["stopped"] for row in rows)
    page = Page(f"Sweep {ranking['sweep']}", ranking["about"], "sweep")
    page.facts(
        {
            f"best {monitor}, optimistic": best["score"],
            "trials": len(rows) + len(failed),
            "ended early": stopped,
            "fold": ranking["fold"],
        }
    )
    page.note("warning", caveat(ranking, monitor))
    if ranking["rule"] == "median":
        page.note(
            "info",
            "Trials were ended by the median rule. Which ones depends on who ran"
            " beside whom, so another run of this sweep may end others.",
        )
    for row in failed:
        page.note("bad", f"{row['label']} could not be trained: {row['reason']}")
    page.section("Ranking")
    shown = {_name(row, ranking): float(row["score"]) for row in rows[:_BARS]}
    page.figure(
        figures.bars(shown, monitor),
        f"The best {len(shown)} of {len(rows)}.",
        alts.extremes(f"{monitor} of trials", shown),
    )
    table = [_row(row, ranking, monitor) for row in rows]
    page.table(table, highlight=0, bars=[monitor])
    page.text(f"The best as a recipe, on all folds: {best['command']}")
    _curves(page, ranking, monitor)
    _axes(page, ranking, monitor)
    page.section("Record")
    commands = [{"trial": row["trial"], "command": row["command"]} for row in rows]
    page.details("Every trial as a recipe", commands)
    line = (
        f"best of {len(rows)} trials on fold {ranking['fold']}, optimistic: {monitor}"
        f" {best['score']:.4f}, {best['label']}; run it on all folds: {best['command']}"
    )
    headline = {
        f"best_{monitor}": float(best["score"]),
        "trials": float(len(rows)),
        "ended_early": float(stopped),
        "failed": float(len(failed)),
    }
    return Shown(page, line, headline)


def caveat(ranking: Json, monitor: str) -> str:
    """Say how far the best score can be trusted."""
    return (
        f"Chosen on fold {ranking['fold']}: the best {monitor} is optimistic, the more"
        " so the more trials there were. Train the choice on all folds to know."
    )


def _name(row: Json, ranking: Json) -> str:
    """Return what a trial is called in a chart, where room is short."""
    values = ", ".join(str(row["values"][axis]) for axis in ranking["axes"])
    return f"{row['trial']}: {values}"


def _row(row: Json, ranking: Json, monitor: str) -> Json:
    return {
        "trial": row["trial"],
        **{axis: row["values"][axis] for axis in ranking["axes"]},
        monitor: row["score"],
        "epochs": f"{row['epochs']} of {row['of_epochs']}",
        "ended early": "yes" if row["stopped"] else "no",
        "parameters": row["parameters"],
        "seconds": row["seconds"],
    }


def _curves(page: Page, ranking: Json, monitor: str) -> None:
    """Draw the best trials by name; those that were ended, and the rest, in grey."""
    page.section("Scores over epochs", "Of the held-out fold.")
    rows = ranking["trials"]
    whole = [row for row in rows if not row["stopped"]]
    named = {row["trial"] for row in whole[:_CURVES]}
    series = {
        _name(row, ranking): (row["curve"]["epochs"], row["curve"]["scores"])
        for row in rows
    }
    faint = [_name(row, ranking) for row in rows if row["trial"] not in named]
    caption = f"In grey: ended early, or not among the best {_CURVES}." if faint else ""
    leading = {name: row for name, row in series.items() if name not in faint}
    page.figure(
        figures.lines(series, "epoch", monitor, faint=faint),
        caption,
        alts.ends(f"{monitor} by epoch", leading),
    )


def _axes(page: Page, ranking: Json, monitor: str) -> None:
    """Show the best of each value of an axis, where trials share values."""
    page.section("Axes", "The best of each value, over the choices on the other axes.")
    for axis in ranking["axes"]:
        found: dict[str, list[Json]] = {}
        for row in ranking["trials"]:
            found.setdefault(str(row["values"][axis]), []).append(row)
        if len(found) < len(ranking["trials"]):
            # Rows come best first, and so do their values.
            values = [
                {
                    axis: value,
                    f"best {monitor}": rows[0]["score"],
                    "trials": len(rows),
                    "ended early": sum(row["stopped"] for row in rows),
                }
                for value, rows in found.items()
            ]
            page.table(values, bars=[f"best {monitor}"])
