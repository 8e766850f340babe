"""The page of split: how even the folds are, and the proof that nothing leaks."""

from tenfold.grouping.statement import is_complete
from tenfold.recipe import Json
from tenfold.reports import alts, figures
from tenfold.reports.page import Page
from tenfold.stages.context import Context
from tenfold.stages.entries import PROOF, SUMMARY
from tenfold.stages.pages import Shown
from tenfold.store import Entry


def show(context: Context, entry: Entry) -> Shown:
    """Describe the folds."""
    del context
    proof, summary = entry.json(PROOF), entry.json(SUMMARY)
    page = Page("Folds", "Which samples are held out together.", "split")
    page.facts(
        {
            "folds": proof["k"],
            "samples": proof["samples"],
            "groups": proof["groups"],
            "groups in two folds": proof["groups_in_two_folds"],
            "left out": len(summary["left_out"]),
        }
    )
    page.section("Proof")
    leaked = summary["random_split"]
    page.note(
        "good",
        f"None of the {proof['groups']} groups is in two folds. Train, evaluate and"
        " tune check this before they start.",
    )
    _statement(page, summary["statement"])
    page.note(
        "info",
        f"A split that ignores groups would have put {leaked['groups']:.0f} groups on"
        f" both sides: {leaked['samples']:.0%} of the held-out samples would have had a"
        " near-duplicate in training.",
    )
    page.section("Balance")
    rows = summary["folds"]
    measures = [name for name in rows[0] if name != "fold"]
    page.table(rows, bars=measures)
    for name in measures:
        values = {f"fold {row['fold']}": float(row[name]) for row in rows}
        drawn = figures.bars(values, name)
        page.figure(drawn, name, alts.extremes(f"{name} of folds", values))
    if summary["left_out"]:
        page.section("Left out of every fold")
        page.text("Their labels cannot be right; they are neither learnt nor scored.")
        page.table([{"sample": id_} for id_ in summary["left_out"]])
    line = f"{proof['k']} folds, no group in two of them"
    headline = {
        "folds": float(proof["k"]),
        "groups_in_two_folds": float(proof["groups_in_two_folds"]),
        "random_split_leaked_share": float(leaked["samples"]),
    }
    return Shown(page, line, headline)


def _statement(page: Page, statement: Json) -> None:
    """Say what the proof means, search by search."""
    page.note(
        "good" if statement["pairs"] else "info",
        f"None of the {statement['pairs']} pairs of near-duplicates among samples in"
        " folds is in two folds.",
    )
    for claim in statement["claims"]:
        page.text(claim)
    if not any(is_complete(search) for search in statement["searches"]):
        page.note(
            "info",
            "No search compared every pair, so what no search found may still be on"
            " both sides.",
        )
