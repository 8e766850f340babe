"""The page of preview: predictions worth looking at, and what looks odd."""

from collections.abc import Sequence

import polars as pl

from tenfold.data.dataset import Dataset
from tenfold.reports import figures
from tenfold.reports.page import Page, Picture
from tenfold.stages.context import Context
from tenfold.stages.entries import GALLERY, PREDICTIONS
from tenfold.stages.pages import Shown
from tenfold.stages.submit import open_predictions
from tenfold.store import Entry


def show(context: Context, entry: Entry) -> Shown:
    """Show the submission."""
    gallery = entry.json(GALLERY)
    test = pl.read_parquet(entry.path / PREDICTIONS)
    page = Page("Preview", "The submission as pictures and numbers.", "preview")
    measured = [
        name
        for name, kind in test.schema.items()
        if kind == pl.Float64
        and not name.endswith("_pct")
        and test[name].is_not_null().any()
    ]
    means = {name: float(test[name].mean() or 0) for name in measured}  # type: ignore[arg-type]
    page.facts({"samples": len(test), **{k: round(v, 4) for k, v in means.items()}})
    page.section("Does it look right?")
    for warning in gallery["warnings"]:
        page.note("warning", warning)
    if not gallery["warnings"]:
        page.note("good", "Predictions are distributed like the training labels.")
    rows = [{"what": row["what"]} | row for row in gallery["comparison"]]
    page.table(rows, "Against the labels of the training data.")
    for kind, ids in gallery["samples"]:
        page.section(kind[0].upper() + kind[1:])
        page.pictures(pictures_of(context, entry, ids))
    page.section("Distributions")
    for name in measured:
        page.figure(
            figures.histogram(test[name].to_list(), x_label=name, y_label="samples"),
            name,
        )
    page.details("All samples", test.select("id", *measured).to_dicts())
    line = f"{len(test)} samples, {len(gallery['warnings'])} warnings"
    headline = {k: v for k, v in means.items() if v == v}
    return Shown(page, line, headline | {"warnings": float(len(gallery["warnings"]))})


def pictures_of(
    context: Context, entry: Entry, ids: Sequence[str], views: int | None = None
) -> list[Picture]:
    """Draw test samples with what is predicted of them.

    Args:
        context: recipe and store.
        entry: of preview.
        ids: of the samples.
        views: how many of each sample's own views; none: all.
    """
    drawing = context.challenge.drawing
    dataset = Dataset(context.store.open(entry.inputs["dataset"]).path)
    submission = context.store.open(entry.inputs["submission"])
    workers = [a for n, a in submission.inputs.items() if n.startswith("worker_")]
    predictions = open_predictions([context.store.open(a) for a in workers])
    pictures = []
    for id_ in ids:
        arrays = dataset.sample(id_)
        drawn = drawing.overlay(arrays, predictions[id_].sample(id_))
        own = list(drawing.views(arrays).items())[:views]
        for name, pixels in (*drawn.items(), *own):
            pictures.append(Picture(pixels, name, id_))
    return pictures
