"""Verbs that make data."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tenfold.cli.app import DATA, app
from tenfold.cli.shared import Challenge, Overrides, RecipeName


@app.command(rich_help_panel=DATA)
def synth(
    challenge: Challenge,
    directory: Annotated[
        Path, typer.Argument(help="empty folder; gets data/ and truth/")
    ],
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
) -> None:
    """Write a small synthetic data set in the exact real format.

    Example: tenfold synth kelp /tmp/kelp --set synth.train=24
    """
    from tenfold.challenges import find_challenge, load_recipe

    loaded = load_recipe(challenge, recipe, overrides or ())
    with typer.progressbar(length=1000, label="synthesising") as bar:
        shown = 0

        def on_progress(done: int, total: int) -> None:
            nonlocal shown
            now = 1000 * done // max(total, 1)
            bar.update(now - shown)
            shown = now

        options: Any = getattr(loaded, "synth", None)
        find_challenge(challenge).synth.synthesise(directory, options, on_progress)
    typer.echo(f"data for --source: {directory / 'data'}")
    typer.echo(f"truth, which no stage reads: {directory / 'truth'}")
