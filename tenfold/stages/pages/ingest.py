"""The page of ingest: what was read, what was set aside, what a sample looks like."""

import polars as pl

from tenfold.data.dataset import QUARANTINE, Dataset
from tenfold.reports import figures
from tenfold.reports.page import Page, Picture
from tenfold.stages.context import Context
from tenfold.stages.entries import SUMMARY
from tenfold.stages.pages import Shown
from tenfold.store import Entry

_PICTURED = 4


def show(context: Context, entry: Entry) -> Shown:
    """Describe an ingested data set."""
    summary = entry.json(SUMMARY)
    dataset = Dataset(entry.path)
    counts, faults = summary["samples"], summary["quarantined"]
    page = Page("Data", "What was read, checked and packed.", "ingest")
    page.facts(
        {
            **{f"{split} samples": count for split, count in counts.items()},
            "set aside": faults,
            "fingerprint": summary["fingerprint"][:8],
        }
    )
    _faults(page, entry, faults)
    _samples(page, context, dataset)
    _columns(page, dataset)
    line = ", ".join(f"{count} {split}" for split, count in counts.items())
    figures_ = {f"samples_{split}": float(count) for split, count in counts.items()}
    return Shown(
        page, f"{line}; {faults} set aside", figures_ | {"quarantined": float(faults)}
    )


def _faults(page: Page, entry: Entry, count: int) -> None:
    page.section("Set aside")
    if not count:
        page.note("good", "Every file was usable.")
        return
    page.note("warning", f"{count} files were unusable and take no part in anything.")
    page.table(pl.read_parquet(entry.path / QUARANTINE).to_dicts())


def _samples(page: Page, context: Context, dataset: Dataset) -> None:
    page.section("Samples", "A few training samples as a person sees them.")
    ids = dataset.rows("train")["id"].to_list()
    stride = max(len(ids) // _PICTURED, 1)
    pictures = [
        Picture(pixels, name, id_)
        for id_ in ids[::stride][:_PICTURED]
        for name, pixels in context.challenge.drawing.views(dataset.sample(id_)).items()
    ]
    page.pictures(pictures)


def _columns(page: Page, dataset: Dataset) -> None:
    """Show the distribution of each share, and the share of each yes or no."""
    page.section("Distributions", "Training against test samples.")
    train, test = dataset.rows("train"), dataset.rows("test")
    for name, kind in dataset.catalogue.schema.items():
        if kind == pl.Float64:
            page.figure(
                figures.histogram(
                    train[name].drop_nulls().to_list(),
                    x_label=name,
                    log_y=True,
                    second=test[name].drop_nulls().to_list(),
                    labels=("train", "test"),
                    y_label="samples",
                ),
                name,
            )
    rows = [
        {
            "column": name,
            "train": train[name].cast(pl.Float64).mean(),
            "test": test[name].cast(pl.Float64).mean(),
        }
        for name, kind in dataset.catalogue.schema.items()
        if kind == pl.Boolean
    ]
    page.table(rows, "Share of samples for which it is true.")
