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
    predictions: Annotated[
        Path,
        typer.Argument(help="submission file, or a folder of masks or probabilities"),
    ],
    truth: Annotated[Path, typer.Argument(help="folder with the truth")],
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="for probabilities: at or above is predicted"),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--json", help="file for the figures, as JSON")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="file for the figures of each sample, as CSV")
    ] = None,
) -> None:
    """Score predictions against truth, as the competition does.

    Predictions and truth are paired by the ids in their names; what is on one side only
    is an error.

    Example: tenfold score kelp submission.tar /tmp/kelp/truth --table tiles.csv

    Example: tenfold score kelp probabilities /tmp/kelp/truth --threshold 0.48
    --json figures.json
    """
    from tenfold.challenges import find_challenge
    from tenfold.stages import score as stage

    found = find_challenge(challenge)
    scored = stage.score(found, predictions, truth, threshold)
    for name, value in scored.figures.items():
        typer.echo(f"{name:16s} {value:.4f}")
    if figures is not None:
        about = {
            "challenge": challenge,
            "predictions": str(predictions),
            "truth": str(truth),
            "threshold": threshold,
        }
        stage.write_figures(figures, scored, about)
    if table is not None:
        stage.write_rows(table, scored)


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
        read(dataset, "ingest"),
        read(groups, "group"),
        read(decision, "tune"),
        read(submission, "submit"),
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
