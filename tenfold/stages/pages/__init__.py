"""What a stage found, as a page for people and a few figures for dashboards.

A page is derived from a store entry and kept in the store under its own key,
so that changing how something is shown never does work again.
"""

import importlib
from dataclasses import dataclass, field
from pathlib import Path

from tenfold.codeversion import code_version
from tenfold.data.files import write_json
from tenfold.reports.page import Page
from tenfold.stages.context import Context
from tenfold.store import Entry, Key, Workspace

PAGE, HEADLINE = "page.html", "headline.json"
#: Stages with a page; predict's results are shown by preview.
STAGES = (
    "ingest",
    "group",
    "split",
    "train",
    "evaluate",
    "tune",
    "select",
    "submit",
    "preview",
    "trial",
    "rank",
    "explore",
)


@dataclass(frozen=True)
class Shown:
    """A stage's page.

    Attributes:
        page: for people.
        headline: finite figures for dashboards, by flat names.
        summary: one line for a table of contents.
    """

    page: Page
    summary: str
    headline: dict[str, float] = field(default_factory=dict)


def show(context: Context, entry: Entry) -> Entry | None:
    """Return the entry of a stage's page, making it if it is not there."""
    if entry.stage not in STAGES:
        return None
    module = f"{__name__}.{entry.stage}"
    drawing = context.challenge.module("drawing")

    def work(workspace: Workspace) -> None:
        shown: Shown = importlib.import_module(module).show(context, entry)
        shown.page.write(workspace.path / PAGE)
        headline = {"summary": shown.summary, "figures": shown.headline}
        write_json(workspace.path / HEADLINE, headline)

    key = Key(
        "page",
        {"entry": entry.address},
        {"stage": entry.stage},
        code_version([module, drawing]),
    )
    label = f"page of {entry.manifest['label']}"
    return context.store.build(key, label, entry.manifest["recipe"], work)


def page_path(page: Entry) -> Path:
    """Return the file of a page."""
    return page.path / PAGE
