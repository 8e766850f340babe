"""The page of submit: the file to upload."""

from tenfold.reports.page import Page
from tenfold.stages.context import Context
from tenfold.stages.entries import SUMMARY
from tenfold.stages.pages import Shown
from tenfold.store import Entry


def show(context: Context, entry: Entry) -> Shown:
    """Describe the submission."""
    del context
    summary = entry.json(SUMMARY)
    page = Page("Submission", "Written, read back and compared.", "submit")
    page.facts(
        {
            "samples": summary["samples"],
            "size": f"{summary['bytes'] / 1e6:.1f} MB",
            "sha256": summary["sha256"][:12],
        }
    )
    page.note(
        "good",
        f"{summary['file']} holds every test sample once, in the competition's own"
        " format; each was read back and is what was predicted.",
    )
    page.text(f"File: {summary['file']} in {entry.address} of the store.")
    line = f"{summary['samples']} samples, {summary['bytes'] / 1e6:.1f} MB, checked"
    return Shown(page, line, {"samples": float(summary["samples"])})
