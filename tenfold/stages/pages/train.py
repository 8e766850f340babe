"""The page of one training job: curves, confusion, pictures, throughput."""

from pathlib import Path

import numpy as np
import polars as pl

from tenfold.data.dataset import Dataset
from tenfold.recipe import Json
from tenfold.reports import alts, figures
from tenfold.reports.page import Page, Picture
from tenfold.stages.context import Context
from tenfold.stages.entries import HISTORY, METRICS, MODEL
from tenfold.stages.pages import Shown
from tenfold.store import Entry

_CURVES = ("loss", "score", "dice", "precision", "recall", "iou")
#: What is drawn of a model, and no line of its record.
_DRAWN = ("importance", "curves")
_MOST_CHANNELS = 20


def show(context: Context, entry: Entry) -> Shown:
    """Describe a trained fold."""
    metrics, model = entry.json(METRICS), entry.json(MODEL)
    history = pl.read_parquet(entry.path / HISTORY)
    name, fold = metrics["model"], metrics["fold"]
    scoring = context.challenge.scoring.of_role(metrics["role"])
    page = Page(f"{name}, fold {fold}", "Trained on all but this fold.", "train")
    page.facts(
        {
            scoring.MONITOR: metrics["score"],
            "epochs": len(history),
            "samples/s": float(history["samples_per_second"].median() or 0),  # type: ignore[arg-type]
            "waiting for data": f"{float(history['loader_wait'].mean() or 0):.0%}",  # type: ignore[arg-type]
            "parameters": model["parameters"],
        }
    )
    if metrics["selected_on_fold"]:
        page.note(
            "warning",
            "The epoch, or the learning rate, was chosen by what was seen on this very"
            " fold, as the published system does; the score is optimistic.",
        )
    if metrics.get("pseudo_labelled"):
        page.note(
            "warning",
            "Among its training samples are test samples labelled by models that saw"
            " this fold; the score is somewhat optimistic.",
        )
    if metrics.get("leaks"):
        page.note(
            "warning",
            f"{metrics['leaks']} samples of this fold have near-duplicates in training,"
            " where the published split leaves them; the score is optimistic.",
        )
    curves(page, history)
    names, matrix = scoring.confusion(scoring.from_json(metrics["tally"]))
    page.section("Confusion", "Pixels or samples of the held-out fold.")
    page.figure(
        figures.matrix(matrix, names, names, normalise=True),
        alt="Confusion of truth and prediction on the held-out fold.",
    )
    held_out_figures(page, metrics["figures"])
    if model["engine"] == "trees":
        _trees(page, model)
    _pictures(page, context, entry)
    page.section("Record")
    page.details(
        "Model",
        [{"key": k, "value": str(v)} for k, v in model.items() if k not in _DRAWN],
    )
    page.details("History", history.to_dicts())
    line = f"{scoring.MONITOR} {metrics['score']:.4f} on the held-out fold"
    headline = {key.replace("/", "_"): v for key, v in metrics["figures"].items()}
    return Shown(page, line, headline)


def curves(page: Page, history: pl.DataFrame) -> None:
    """Draw what changed over the epochs."""
    page.section("Curves")
    for name in _CURVES:
        series = {}
        for part in ("train", "val"):
            column = f"{part}/{name}"
            if column in history.columns:
                known = history.select("epoch", column).drop_nulls()
                series[part] = (known["epoch"].to_list(), known[column].to_list())
        if series:
            drawn = figures.lines(series, "epoch", name)
            page.figure(drawn, name, alts.ends(f"{name} by epoch", series))
    rates = {"rate": (history["epoch"].to_list(), history["lr"].to_list())}
    drawn = figures.lines(rates, "epoch", "learning rate")
    page.figure(drawn, "learning rate", alts.ends("learning rate by epoch", rates))


def held_out_figures(page: Page, values: dict[str, float]) -> None:
    """Show all figures of the held-out fold."""
    page.section("Figures", "Of the held-out fold, by the weights that are used.")
    page.table([{"figure": k, "value": v} for k, v in values.items()])


def _trees(page: Page, model: Json) -> None:
    """Show which channels trees ask for, and how they rank held-out rows."""
    rows = model["importance"]
    page.section(
        "What the trees look at",
        "Gain is the mean of a channel's splits. The last column is by how much the"
        " loss grows if the channel's values are shuffled among held-out rows.",
    )
    gains = {row["channel"]: row["gain"] for row in rows[:_MOST_CHANNELS]}
    drawn = figures.bars(gains, "gain")
    page.figure(drawn, "gain", alts.extremes("gain of channels", gains))
    page.table(
        [
            {
                "channel": row["channel"],
                "splits": row["splits"],
                "gain": row["gain"],
                "loss if shuffled": row["loss_if_shuffled"],
            }
            for row in rows
        ]
    )
    curves = model["curves"]
    if not curves:
        return
    page.section(
        "Thresholds",
        "Of valid held-out rows. Average precision"
        f" {curves['average_precision']:.4f}, area under the ROC curve"
        f" {curves['roc_area']:.4f}.",
    )
    precision = {"precision": (curves["recall"], curves["precision"])}
    page.figure(
        figures.lines(precision, "recall", "precision"),
        "precision and recall",
        f"Precision by recall; average precision {curves['average_precision']:.4f}.",
    )
    found = {"recall": (curves["false_positive_rate"], curves["recall"])}
    page.figure(
        figures.lines(found, "false positive rate", "recall"),
        "ROC",
        f"Recall by false positive rate; area {curves['roc_area']:.4f}.",
    )


def _pictures(page: Page, context: Context, entry: Entry) -> None:
    """Show fixed held-out samples at the epochs the recipe names."""
    drawing = context.challenge.drawing
    dataset = Dataset(context.store.open(entry.inputs["dataset"]).path)
    kept = sorted((entry.path / "pictures").glob("*.npz"))
    if not kept:
        return
    page.section("Held-out samples", drawing.LEGEND)
    by_sample: dict[str, list[tuple[str, Path]]] = {}
    for file in kept:
        epoch, _, id_ = file.stem.partition("_")
        by_sample.setdefault(id_, []).append((epoch.lstrip("0"), file))
    pictures = []
    for id_, files in by_sample.items():
        arrays = dataset.sample(id_)
        views = drawing.views(arrays)
        pictures += [Picture(pixels, name, id_) for name, pixels in views.items()]
        for epoch, file in files:
            with np.load(file, allow_pickle=False) as outputs:
                drawn = drawing.overlay(arrays, dict(outputs))
            pictures += [
                Picture(pixels, f"{name}, epoch {epoch}", id_)
                for name, pixels in drawn.items()
            ]
    page.pictures(pictures)
