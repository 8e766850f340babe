"""The page of group: how many near-duplicates there are, and what they look like."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from tenfold.data.dataset import Dataset
from tenfold.grouping.statement import EMBEDDING, FOOTPRINT, OVERLAP, method
from tenfold.recipe import Json
from tenfold.reports import figures
from tenfold.reports.page import Page, Picture
from tenfold.stages.context import Context
from tenfold.stages.entries import EDGES, GROUPS, SUMMARY
from tenfold.stages.pages import Shown
from tenfold.store import Entry

_GROUPS, _MEMBERS = 3, 6


def show(context: Context, entry: Entry) -> Shown:
    """Describe the groups of a data set."""
    summary = entry.json(SUMMARY)
    page = Page(
        "Near-duplicates",
        "Samples that show the same place share a group, and a group is never split"
        " between training and validation.",
        "group",
    )
    page.facts(
        {
            "samples": summary["samples"],
            "groups": summary["groups"],
            "alone": summary["singles"],
            "largest group": summary["largest"],
            "nothing to match on": len(summary["featureless"]),
        }
    )
    groups = pl.read_parquet(entry.path / GROUPS)
    edges = pl.read_parquet(entry.path / EDGES)
    _searches(page, summary["searches"])
    _sizes(page, groups, summary, context)
    _pictures(page, context, entry, groups)
    _edges(page, edges)
    _test(page, summary)
    line = f"{summary['groups']} groups of {summary['samples']} samples"
    names = ("samples", "groups", "singles", "largest")
    headline = {name: float(summary[name]) for name in names}
    return Shown(page, line, headline | _recall(summary["searches"]))


def _searches(page: Page, searches: Sequence[Json]) -> None:
    page.section("How they were looked for")
    for search in searches:
        page.text(f"{method(search)} Found: {search['pairs']} pairs.")
        if search.get("recall"):
            page.note(
                "warning",
                "An approximate index may miss pairs; set groups.embedding.index to"
                " exact, or raise groups.embedding.probes, if its recall is too low.",
            )
    if not searches:
        page.note("warning", "No search was made: every sample is a group of its own.")


def _recall(searches: Sequence[Json]) -> dict[str, float]:
    """Return the measured recall of an approximate search, if there is one."""
    for search in searches:
        recall = search.get("recall")
        if recall and recall["value"] is not None:
            return {"recall": float(recall["value"])}
    return {}


def _sizes(page: Page, groups: pl.DataFrame, summary: Any, context: Context) -> None:
    page.section("Sizes")
    sizes = groups.unique("group")["size"].value_counts().sort("size")
    counts = dict(zip(sizes["size"].to_list(), sizes["count"].to_list(), strict=True))
    page.figure(
        figures.bars({f"of size {size}": n for size, n in counts.items()}, "groups"),
        "Groups by their size.",
    )
    large = summary["large_groups"]
    if large:
        page.note(
            "warning",
            f"{large} groups have more than {context.recipe.groups.large} samples. They"
            " are kept whole; look at the pictures before you trust them.",
        )
    blank = len(summary["featureless"])
    if blank:
        page.note(
            "info",
            f"{blank} samples have nothing to match on and stay alone unless another"
            " search joins them.",
        )
    found = {kind for kind, pairs in summary["edges"].items() if pairs}
    if found == {OVERLAP}:
        page.note(
            "info",
            "Found by exact overlap alone. That rests on tiles being cut from one grid,"
            " as the published figures suggest; the embedding search does not need it.",
        )


def _pictures(page: Page, context: Context, entry: Entry, groups: pl.DataFrame) -> None:
    what = "The same place at different dates."
    if list(entry.json(SUMMARY)["edges"]) == [FOOTPRINT]:
        what = "Scenes that overlap, and were taken at about the same time."
    page.section("Largest groups", what)
    dataset = Dataset(context.store.open(entry.inputs["dataset"]).path)
    largest = groups.unique("group").sort(["size", "group"], descending=[True, False])
    pictures = []
    for number, size in largest.head(_GROUPS).select("group", "size").iter_rows():
        members = groups.filter(pl.col("group") == number)["id"].sort().to_list()
        for id_ in members[:_MEMBERS]:
            view = next(
                iter(context.challenge.drawing.views(dataset.sample(id_)).values())
            )
            pictures.append(Picture(view, id_, f"group {number}, {size} samples"))
    page.pictures(pictures)


def _edges(page: Page, edges: pl.DataFrame) -> None:
    page.section("Pairs")
    if edges.is_empty():
        page.text("No pair was found.")
        return
    overlaps = edges.filter(pl.col("kind") == OVERLAP)
    if len(overlaps):
        _shifts(page, overlaps)
    alike = edges.filter(pl.col("kind") == EMBEDDING)
    if len(alike):
        page.figure(
            figures.histogram(
                alike["strength"].to_numpy(), x_label="cosine", y_label="pairs"
            ),
            "How similar the embeddings of look-alikes are.",
        )
    scenes = edges.filter(pl.col("kind") == FOOTPRINT)
    if len(scenes):
        page.figure(
            figures.histogram(
                scenes["strength"].to_numpy(),
                x_label="shared part of the smaller one",
                y_label="pairs",
            ),
            "How much of their area scenes that overlap share.",
        )
    page.details("All pairs", edges.sort("a", "b").head(500).to_dicts())


def _shifts(page: Page, overlaps: pl.DataFrame) -> None:
    shift = overlaps.select(
        pl.max_horizontal(pl.col("row_shift").abs(), pl.col("col_shift").abs())
    ).to_series()
    page.figure(
        figures.histogram(shift.to_numpy(), x_label="shift, pixels", y_label="pairs"),
        "How far overlapping samples are shifted against each other.",
    )
    page.figure(
        figures.histogram(
            overlaps["overlap_share"].to_numpy(), x_label="shared area", y_label="pairs"
        ),
        "How much of their area they share.",
    )


def _test(page: Page, summary: Json) -> None:
    page.section("Test samples that match training groups")
    matches: dict[str, list[int]] = summary["test_matches"]
    page.note(
        "info",
        f"{len(matches)} test samples show places that are also in the training data."
        " This is for you to know; nothing makes use of it.",
    )
    for search in summary["searches"]:
        if search["kind"] == FOOTPRINT and search["unknown"]["test"]:
            page.text(
                f"{search['unknown']['test']} test samples have no metadata: of these,"
                " footprints tell nothing."
            )
    if matches:
        rows = [
            {"test sample": test, "training groups": ", ".join(map(str, found))}
            for test, found in matches.items()
        ]
        page.details("Which ones", rows)
