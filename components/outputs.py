"""What every component does with a stage's result: hand it on and show it."""

import math
from pathlib import Path
from typing import Any

from tenfold.stages.context import Context, Reference
from tenfold.stages.pages import HEADLINE, page_path, show


def publish(
    context: Context,
    reference: Reference,
    artifact: Any,
    report: Any = None,
    metrics: Any = None,
) -> None:
    """Fill a component's output artifacts.

    Args:
        context: recipe and store.
        reference: what the stage returned.
        artifact: gets the reference as its content, and the entry's place as
            metadata that a console shows.
        report: HTML artifact, if the stage has a page.
        metrics: Metrics artifact; finite figures only, since others break the
            tasks that follow.
    """
    reference.write(artifact.path)
    artifact.metadata.update(
        entry=reference.uri, status=reference.status, reused=reference.reused
    )
    page = None
    if reference.address:
        page = show(context, context.store.open(reference.address))
    if report is not None:
        html = page_path(page).read_text("utf-8") if page else _failure(reference)
        Path(report.path).parent.mkdir(parents=True, exist_ok=True)
        Path(report.path).write_text(html, "utf-8")
    if metrics is not None and page is not None:
        for name, value in page.json(HEADLINE)["figures"].items():
            if math.isfinite(value):
                metrics.log_metric(name, value)


def _failure(reference: Reference) -> str:
    from tenfold.reports.page import Page

    page = Page(reference.label, "This job failed, as the recipe allows.")
    page.note("bad", reference.reason)
    return page.render()
