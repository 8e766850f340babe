"""What the verb predict does with images of a person's own."""

from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from tenfold.errors import RecipeError, SourceError


def given(arguments: typer.Context, *names: str) -> list[str]:
    """Return which of some options stand on the command line."""
    sources = {name: arguments.get_parameter_source(name) for name in names}
    return [
        f"--{name}"
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    ]


def predict_images(
    model: str,
    files: Sequence[str],
    out: Path,
    store: str | None,
    overrides: Sequence[str] | None,
    threshold: float | None,
    weights: str | None,
    wrong: Sequence[str],
) -> None:
    """Show images to a model, and say what became of each.

    Args:
        model: entry, as a person names it.
        files: images, and folders of them.
        out: folder for masks, pictures and a page.
        store: where an address lies.
        overrides: of the model's recipe.
        threshold: instead of the decision's.
        weights: other ones than those in use.
        wrong: options that only go without a model.
    """
    if wrong:
        raise RecipeError(
            f"{', '.join(wrong)}: not with --model, which knows its recipe and takes"
            " images"
        )
    from tenfold.challenges import challenge_names
    from tenfold.stages.image import PAGE, open_model
    from tenfold.stages.image import predict_images as stage

    if files[0] in challenge_names() and not Path(files[0]).exists():
        raise RecipeError(
            f"{files[0]}: with --model all arguments are images, and the challenge is"
            " the model's; leave it out"
        )
    opened = open_model(model, store, overrides or (), weights, threshold)
    typer.echo(f"{opened.name}, {opened.context.recipe.name}")
    is_sample = opened.context.challenge.reader.is_sample
    for done in stage(opened, images_of(files, is_sample), out):
        name, value = next(iter(done.facts.items()))
        typer.echo(f"  {done.id}: {name} {value:.4f}, {done.mask}")
    typer.echo(f"  page   {out / PAGE}")


def images_of(names: Sequence[str], is_sample: Callable[[Path], bool]) -> list[Path]:
    """Put the files of a folder in its place, by their names.

    Hidden files and folders below it are left out. What is no image is not: whoever
    reads it says so.

    Raises:
        SourceError: if a folder holds no file itself.
    """
    found: list[Path] = []
    for path in map(Path, names):
        if not path.is_dir() or is_sample(path):
            found.append(path)
            continue
        inside = sorted(path.glob("[!.]*"))
        files = [p for p in inside if not p.is_dir() or is_sample(p)]
        if not files:
            raise SourceError(
                f"{path}: a folder without files; name the one that holds the images"
            )
        found += files
    return found
