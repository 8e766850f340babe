"""What every component does with a stage's result: hand it on and show it."""

import math
from pathlib import Path
from typing import Any

from tenfold.recipe import Json
from tenfold.stages.context import Context, Reference
from tenfold.stages.entries import METRICS
from tenfold.stages.pages import HEADLINE, page_path, show
from tenfold.store import Entry


def publish(
    context: Context,
    reference: Reference,
    artifact: Any,
    *,
    tags: str,
    report: Any = None,
    metrics: Any = None,
    summary: Any = None,
    confusion: Any = None,
) -> None:
    """Fill a component's output artifacts.

    Args:
        context: recipe and store.
        reference: what the stage returned.
        artifact: gets the reference as its content, and the entry's place as
            metadata that a console shows.
        tags: the user's words for this run; metadata, and part of no key.
        report: HTML artifact, if the stage has a page.
        metrics: Metrics artifact; finite figures only, since others break the
            tasks that follow.
        summary: Markdown artifact: the page's sentence and figures.
        confusion: ClassificationMetrics artifact, if the stage counts classes.
    """
    reference.write(artifact.path)
    artifact.metadata.update(
        entry=reference.uri, status=reference.status, reused=reference.reused, tags=tags
    )
    entry = context.store.open(reference.address) if reference.address else None
    page = show(context, entry) if entry else None
    if report is not None:
        html = page_path(page).read_text("utf-8") if page else _failure(reference)
        _write(report, html)
    if page is None or entry is None:
        return
    headline = page.json(HEADLINE)
    if summary is not None:
        _write(summary, _markdown(reference.label, headline))
    if metrics is not None:
        for name, value in headline["figures"].items():
            if math.isfinite(value):
                metrics.log_metric(name, value)
    if confusion is not None:
        _log_confusion(confusion, entry)


def _write(artifact: Any, text: str) -> None:
    path = Path(artifact.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _markdown(label: str, headline: Json) -> str:
    rows = [f"| {name} | {value:.4g} |" for name, value in headline["figures"].items()]
    table = ["", "| figure | value |", "|---|---:|", *rows] if rows else []
    return "\n".join([f"## {label}", "", headline["summary"], *table, ""])


def _log_confusion(artifact: Any, entry: Entry) -> None:
    counted = entry.json(METRICS)
    artifact.log_confusion_matrix(counted["classes"], counted["confusion"])


def _failure(reference: Reference) -> str:
    from tenfold.reports.page import Page

    page = Page(reference.label, "This job failed, as the recipe allows.")
    page.note("bad", reference.reason)
    return page.render()
