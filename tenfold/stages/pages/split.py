"""The page of split: how even the folds are, and the proof that nothing leaks."""

from tenfold.reports import figures
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
        page.figure(figures.bars(values, name), name)
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
