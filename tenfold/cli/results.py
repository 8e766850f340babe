"""Verbs about what came out."""

from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli.app import RESULTS, app
from tenfold.cli.shared import (
    Challenge,
    Named,
    Out,
    Overrides,
    RecipeName,
    StoreUri,
    context_of,
    finish,
    read,
)


@app.command(rich_help_panel=RESULTS)
def score(
    challenge: Challenge,
    submission: Annotated[Path, typer.Argument(help="submission file, or a folder")],
    truth: Annotated[Path, typer.Argument(help="folder with the truth")],
) -> None:
    """Score a submission against truth, as the competition does."""
    from tenfold.challenges import find_challenge

    figures = find_challenge(challenge).submission.score(submission, truth)
    for name, value in figures.items():
        typer.echo(f"{name:16s} {value:.4f}")


@app.command(rich_help_panel=RESULTS)
def judge(
    challenge: Challenge,
    truth: Annotated[Path, typer.Argument(help="folder with the truth")],
    dataset: Named,
    groups: Named,
    decision: Named,
    submission: Named,
    store: StoreUri,
    out: Out,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
) -> None:
    """Score the submission and each of its members alone against truth.

    Example: tenfold judge kelp /tmp/kelp/truth --dataset dataset.json --groups
    groups.json --decision decision.json --submission submission.json --store
    runs/store --out judged.json
    """
    from tenfold.stages import judge as stage

    context = context_of(challenge, recipe, overrides, store)
    done = stage.run(
        context,
        read(dataset),
        read(groups),
        read(decision),
        read(submission),
        truth,
    )
    finish(context, done, out)


@app.command(rich_help_panel=RESULTS)
def report(
    run: Annotated[Path, typer.Argument(help="folder of a run (its --out)")],
) -> None:
    """Make the report of a run again.

    Example: tenfold report runs/kelp-smoke
    """
    from tenfold.stages.report import read_run, write_report

    typer.echo(str(write_report(read_run(run), run)))
