"""Arguments that verbs share, and what they do before and after a stage."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tenfold.stages.context import Context, Reference

Challenge = Annotated[str, typer.Argument(help="name of a challenge, e.g. kelp")]
RecipeName = Annotated[
    str, typer.Option("--recipe", "-r", help="preset, or path of a YAML file")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        help="override, e.g. split.k=5 or members.unet.training.epochs=3; repeatable",
    ),
]
StoreUri = Annotated[
    str, typer.Option("--store", help="folder, gs:// or s3:// address of all results")
]
Out = Annotated[
    Path, typer.Option("--out", "-o", help="file that will name the result")
]
Named = Annotated[Path, typer.Option(help="file that an earlier verb wrote")]


def context_of(
    challenge: str, recipe: str, overrides: list[str] | None, store: str
) -> "Context":
    """Load the recipe and open the store."""
    from tenfold.challenges import load_recipe
    from tenfold.stages.context import Context
    from tenfold.store import Store

    return Context(load_recipe(challenge, recipe, overrides or ()), Store(store))


def read(path: Path, stage: str) -> "Reference":
    """Read what the verb of a stage named."""
    from tenfold.stages.context import read_reference

    return read_reference(path, stage)


def finish(context: "Context", reference: "Reference", out: Path) -> None:
    """Write the reference and say what happened."""
    from tenfold.stages.pages import page_path, show

    reference.write(out)
    verb = "was there already" if reference.reused else f"{reference.seconds:.1f} s"
    typer.echo(f"{reference.label}: {verb}")
    typer.echo(f"  entry  {reference.uri}")
    if reference.address:
        page = show(context, context.store.open(reference.address))
        if page is not None:
            typer.echo(f"  page   {page_path(page)}")
    typer.echo(f"  named  {out}")
