"""The page of select: which test samples are learnt from, and how they look."""

from collections import Counter

from tenfold.data.dataset import Dataset
from tenfold.reports import alts, figures
from tenfold.reports.page import Page, Picture
from tenfold.stages.context import Context
from tenfold.stages.entries import SUMMARY
from tenfold.stages.pages import Shown
from tenfold.store import Entry

_SHOWN = 6


def show(context: Context, entry: Entry) -> Shown:
    """Describe the pseudo-labelled samples."""
    summary, data = entry.json(SUMMARY), Dataset(entry.path)
    taken, of = summary["samples"], summary["of"]
    page = Page(
        "Pseudo-labels",
        "Test samples whose prediction is sure enough to be learnt from.",
        "select",
    )
    page.facts({"samples taken": taken, "of": of, "share": f"{taken / of:.1%}"})
    page.text(
        "They join the training part of every fold of the second round's members,"
        " never a held-out one, and not where they are near-duplicates of held-out"
        " samples. The models that labelled them have seen every training sample, so"
        " out-of-fold scores of those members are somewhat optimistic."
    )
    if not taken:
        page.note(
            "warning",
            "None qualified, so the second round trains as the first; look at the"
            " recipe's section pseudo.",
        )
        return Shown(page, "none qualified", {"samples": 0.0})
    strata = context.challenge.strata
    labels = strata.strata(data.catalogue, context.recipe.split.strata).to_list()
    counts = {name or "none": float(n) for name, n in Counter(labels).most_common()}
    page.section("Strata")
    page.figure(
        figures.bars(counts, "samples"),
        "Samples of each stratum.",
        alts.extremes("samples of each stratum", counts),
    )
    page.section("Samples", f"The first {_SHOWN}, with the labels they were given.")
    page.pictures(_pictures(context, data))
    line = f"{taken} of {of} test samples"
    return Shown(page, line, {"samples": float(taken)})


def _pictures(context: Context, data: Dataset) -> list[Picture]:
    drawing = context.challenge.drawing
    return [
        Picture(pixels, name, id_)
        for id_ in data.catalogue["id"].to_list()[:_SHOWN]
        for name, pixels in list(drawing.views(data.sample(id_)).items())[:2]
    ]
