"""The page of split: how even the folds are, and the proof that nothing leaks."""

from tenfold.grouping.statement import is_complete, leak
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
    is_published = summary["always"] is not None
    page = Page("Folds", "Which samples are held out together.", "split")
    page.facts(_of_source(proof) if is_published else _of_groups(proof, summary))
    if is_published:
        _published(page, proof, summary)
    else:
        _proof(page, proof, summary)
    _balance(page, summary)
    if summary["left_out"]:
        page.section("Left out of every fold")
        page.text("Their labels cannot be right; they are neither learnt nor scored.")
        page.table([{"sample": id_} for id_ in summary["left_out"]])
    line = f"{proof['k']} folds, no group in two of them"
    if is_published:
        line = (
            f"the published split; {proof['leaked']} of {proof['held_out']} held-out"
            " samples have near-duplicates in training"
        )
    return Shown(page, line, _headline(proof, summary))


def _of_groups(proof: Json, summary: Json) -> dict[str, int]:
    return {
        "folds": proof["k"],
        "samples": proof["samples"],
        "groups": proof["groups"],
        "groups in two folds": proof["groups_in_two_folds"],
        "left out": len(summary["left_out"]),
    }


def _of_source(proof: Json) -> dict[str, int]:
    return {
        "held out": proof["held_out"],
        "with near-duplicates in training": proof["leaked"],
        "trained on": proof["samples"] - proof["held_out"],
        "groups": proof["groups"],
        "groups on both sides": proof["groups_in_two_folds"],
    }


def _headline(proof: Json, summary: Json) -> dict[str, float]:
    figures_of = {
        "folds": float(proof["k"]),
        "groups_in_two_folds": float(proof["groups_in_two_folds"]),
    }
    if summary["random_split"] is not None:
        share = float(summary["random_split"]["samples"])
        figures_of["random_split_leaked_share"] = share
    of_source = summary["published_split"]
    if of_source is not None:
        share = of_source["leaked"] / of_source["held_out"]
        figures_of["published_split_leaked_share"] = share
    return figures_of


def _proof(page: Page, proof: Json, summary: Json) -> None:
    """Show that no group is split, and what other splits would have leaked."""
    page.section("Proof")
    page.note(
        "good",
        f"None of the {proof['groups']} groups is in two folds. Train, evaluate and"
        " tune check this before they start.",
    )
    _statement(page, summary["statement"])
    leaked, of_source = summary["random_split"], summary["published_split"]
    page.note(
        "info",
        f"A split that ignores groups would have put {leaked['groups']:.0f} groups on"
        f" both sides: {leaked['samples']:.0%} of the held-out samples would have had a"
        " near-duplicate in training.",
    )
    if of_source is not None:
        page.note(
            "info",
            "The published split, which holds out the source's own validation part, is"
            f" not used. {leak(of_source, summary['statement']['searches'])}",
        )


def _published(page: Page, proof: Json, summary: Json) -> None:
    """Show how much leaks from training into the source's own validation part."""
    statement = summary["statement"]
    page.section(
        "The published split",
        "The source's own validation part is held out, whatever it shares with"
        " training, as the published system does.",
    )
    first, *others = statement["claims"]
    if proof["leaked"]:
        page.note("bad", f"{first} Scores on this split are optimistic.")
        page.text(
            f"{statement['crossing']} of {statement['pairs']} pairs of near-duplicates"
            " have one sample on each side. With split.method stratified and split.k of"
            " 2 or more, none has."
        )
    else:
        page.note(
            "good" if statement["searches"] else "info",
            f"No group has samples on both sides. {first}",
        )
    for claim in others:
        page.text(claim)
    _caution(page, statement)


def _statement(page: Page, statement: Json) -> None:
    """Say what the proof means, search by search."""
    page.note(
        "good" if statement["pairs"] else "info",
        f"None of the {statement['pairs']} pairs of near-duplicates among samples in"
        " folds is in two folds.",
    )
    for claim in statement["claims"]:
        page.text(claim)
    _caution(page, statement)


def _caution(page: Page, statement: Json) -> None:
    """Say that more may leak than was found, unless every pair was compared."""
    if not any(is_complete(search) for search in statement["searches"]):
        page.note(
            "info",
            "No search compared every pair, so what no search found may still be on"
            " both sides.",
        )


def _balance(page: Page, summary: Json) -> None:
    """Show how even the folds are."""
    page.section("Balance")
    rows = summary["folds"]
    named = {f"fold {row['fold']}": row for row in rows}
    if summary["always"] is not None:
        named = {"held out": rows[0], "trained on": summary["always"]}
        rows = [{**row, "fold": side} for side, row in named.items()]
    measures = [name for name in rows[0] if name != "fold"]
    page.table(rows, bars=measures)
    for name in measures:
        values = {side: float(row[name]) for side, row in named.items()}
        drawn = figures.bars(values, name)
        page.figure(drawn, name, alts.extremes(f"{name} of folds", values))
