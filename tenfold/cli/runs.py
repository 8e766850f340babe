"""Verbs that look back at runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tenfold.cli.app import RESULTS, app

#: Columns that a terminal shows, and how they are called there.
_SHOWN = {
    "run": "run",
    "status": "status",
    "when": "when, UTC",
    "challenge": "challenge",
    "recipe": "recipe",
    "recipe_digest": "digest",
    "honest": "honest",
    "naive": "naive",
    "rule": "rule",
    "truth": "truth",
    "trained": "models × folds",
    "wall_s": "wall s",
    "work_s": "work s",
    "code": "code",
    "source": "source",
    "seed": "seed",
    "remark": "remark",
}
_DIGITS = 8


@app.command(rich_help_panel=RESULTS)
def runs(
    folder: Annotated[Path, typer.Argument(help="what lies below it is listed")] = Path(
        "runs"
    ),
    csv: Annotated[
        Path | None, typer.Option("--csv", help="file for all columns, in full")
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(help="column of the CSV; numbers highest first; default: when"),
    ] = None,
) -> None:
    """List all runs below a folder, with their scores, times and versions.

    Example: tenfold runs --sort honest --csv runs.csv
    """
    from tenfold.reports.text import text_table
    from tenfold.stages import runs as log

    found = log.find_runs(folder)
    found = log.sort_runs(found, sort) if sort else found
    listed = [run for run in found if run.status != log.FOREIGN]
    rows = []
    for run in listed:
        row = {name: getattr(run, column) for column, name in _SHOWN.items()}
        for name in ("code", "source"):
            row[name] = (row[name] or "")[:_DIGITS] or None
        row["when, UTC"] = (row["when, UTC"] or "")[:16] or None
        rows.append(row)
    typer.echo(text_table(rows) if rows else f"no runs below {folder}")
    strange = [run.run for run in found if run.status == log.FOREIGN]
    if strange:
        typer.echo(f"\nno run in: {', '.join(strange)}")
    if csv:
        log.write_log(found, csv)
        typer.echo(f"written  {csv}")


@app.command(rich_help_panel=RESULTS)
def compare(
    run_a: Annotated[Path, typer.Argument(help="folder of a finished run")],
    run_b: Annotated[Path, typer.Argument(help="folder of another")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="folder for index.html and the figures")
    ],
) -> None:
    """Set two runs side by side: recipes, scores, folds, curves, and pictures.

    Example: tenfold compare runs/kelp-baseline runs/kelp-winning --out comparison
    """
    from tenfold.data.files import write_json
    from tenfold.stages.compare import compare as work
    from tenfold.stages.pages.compare import page_of, verdict

    found = work(run_a, run_b)
    write_json(out / "comparison.json", found.to_json())
    page_of(found).write(out / "index.html")
    for row in found.scores:
        typer.echo(f"{row['what']:20}  " + "  ".join(_scores_of(row)))
    for what, difference in found.differences.items():
        typer.echo(verdict(what, difference))
    if found.unpaired:
        typer.echo(found.unpaired)
    typer.echo(f"page  {out / 'index.html'}")


def _scores_of(row: dict[str, Any]) -> list[str]:
    return [
        f"{name} –" if row[name] is None else f"{name} {row[name]:.4f}"
        for name in ("A", "B", "difference")
    ]
