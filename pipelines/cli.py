"""The `tenfold` command: the library's verbs, and those that need the graph."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli import Challenge, RecipeName, Settings, app, run_app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's error is one sentence and exit code 2."""
    run_app(app, arguments)


@app.command("run", rich_help_panel="The whole graph")
def run_verb(
    challenge: Challenge,
    recipe: RecipeName = "smoke",
    source: Annotated[
        str | None,
        typer.Option(
            help="folder, zip or tar archive, or gs:// address of the raw data;"
            " without it, synthetic data are made"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="folder of the run; runs/CHALLENGE-RECIPE"),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="folder or gs:// address of all results; runs/store"),
    ] = None,
    settings: Settings = None,
) -> None:
    """Run a challenge on this machine, from raw data to submission and report.

    Only what is not in the store yet is done, so the same command goes on after
    any interruption, and does nothing when all is there.
    """
    from pipelines.run import run

    run(challenge, recipe, source, out, settings or (), store)


@app.command("compile", rich_help_panel="The whole graph")
def compile_verb(
    challenge: Annotated[
        str, typer.Option(help="name of a challenge, e.g. kelp")
    ] = "kelp",
    recipe: RecipeName = "winning",
    target: Annotated[
        list[str] | None,
        typer.Option(help="kubeflow or vertex; repeatable; both if not given"),
    ] = None,
    images: Annotated[
        str, typer.Option(help="prefix of the images, e.g. a registry's path")
    ] = "tenfold",
    directory: Annotated[
        Path, typer.Option(help="folder that gets the compiled files")
    ] = Path("build"),
    settings: Settings = None,
) -> None:
    """Write the graph of a recipe as the file each platform takes."""
    from pipelines.compile import compile_recipe

    targets = target or ["kubeflow", "vertex"]
    for path in compile_recipe(
        challenge, recipe, targets, settings or (), images, directory
    ):
        typer.echo(str(path))


if __name__ == "__main__":
    main(sys.argv[1:])
