"""The page of one trial of a sweep: its score and its curves."""

import polars as pl

from tenfold.reports.page import Page
from tenfold.stages.context import Context
from tenfold.stages.entries import HISTORY, METRICS
from tenfold.stages.pages import Shown
from tenfold.stages.pages.train import curves, held_out_figures
from tenfold.store import Entry


def show(context: Context, entry: Entry) -> Shown:
    """Describe a trial."""
    metrics = entry.json(METRICS)
    monitor = context.challenge.scoring.of_role(metrics["role"]).MONITOR
    fold, score = metrics["fold"], metrics["score"]
    epochs = f"{metrics['epochs']} of {metrics['of_epochs']}"
    title = entry.manifest["label"].partition(": ")[2]
    page = Page(title, f"One choice of a sweep, on fold {fold}.", "trial")
    page.facts({monitor: score, "epochs": epochs, "parameters": metrics["parameters"]})
    if metrics["stopped"]:
        page.note("info", "Ended by the median rule: it was behind its rivals.")
    curves(page, pl.read_parquet(entry.path / HISTORY))
    held_out_figures(page, metrics["figures"])
    line = f"{monitor} {score:.4f} on fold {fold}, {epochs} epochs"
    headline = {key.replace("/", "_"): v for key, v in metrics["figures"].items()}
    return Shown(page, line, headline)
