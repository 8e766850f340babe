"""Verbs that look at the data."""

from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli.app import DATA, app
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

Groups = Annotated[Path | None, typer.Option(help="file that group wrote")]
Folds = Annotated[Path | None, typer.Option(help="file that split wrote")]


@app.command(rich_help_panel=DATA)
def draw(
    challenge: Challenge,
    dataset: Named,
    store: StoreUri,
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for the pictures")],
    ids: Annotated[
        list[str] | None, typer.Argument(help="samples; or --first or --all")
    ] = None,
    first: Annotated[
        int | None, typer.Option(min=1, help="the first so many, by id")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="every sample")] = False,
    composite: Annotated[
        list[str] | None,
        typer.Option(
            help="one view at its own resolution instead of the overview, e.g."
            " true-colour, ndvi, dem; repeatable"
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="draw again what is there")
    ] = False,
) -> None:
    """Draw samples as pictures: one overview sheet, or chosen views, of each.

    Example: tenfold draw kelp --first 20 --dataset dataset.json --store runs/store
    --out tiles
    """
    from tenfold.data.dataset import Dataset
    from tenfold.errors import RecipeError
    from tenfold.stages import draw as stage
    from tenfold.stages.explore import open_dataset
    from tenfold.store import Store

    if bool(ids) + (first is not None) + everything != 1:
        raise RecipeError("say which samples: their ids, --first N, or --all")
    data = open_dataset(Store(store), challenge, read(dataset, "ingest"))
    known = Dataset(data.path).catalogue["id"].sort().to_list()
    chosen = ids or known[:first]
    with typer.progressbar(length=len(chosen), label="drawing") as bar:
        done = stage.draw(
            data,
            challenge,
            chosen,
            out,
            composite or (),
            force,
            lambda drawn, total: bar.update(len(chosen) - total + drawn - bar.pos),
        )
    typer.echo(f"{done.written} pictures written in {out}, {done.kept} samples kept")
    if done.lacking:
        typer.echo(f"{done.lacking} samples lack such a view, e.g. a label in test")


@app.command(rich_help_panel=DATA)
def explore(
    challenge: Challenge,
    dataset: Named,
    store: StoreUri,
    out: Out,
    groups: Groups = None,
    folds: Folds = None,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
) -> None:
    """Tabulate a data set, and show it as a page. The recipe decides nothing here.

    Example: tenfold explore kelp --dataset dataset.json --groups groups.json
    --folds folds.json --store runs/store --out explore.json
    """
    from tenfold.stages import explore as stage

    context = context_of(challenge, recipe, overrides, store)
    done = stage.run(
        context,
        read(dataset, "ingest"),
        read(groups, "group") if groups else None,
        read(folds, "split") if folds else None,
    )
    finish(context, done, out)


@app.command(rich_help_panel=DATA)
def statistics(
    challenge: Challenge,
    dataset: Named,
    store: StoreUri,
    folds: Folds = None,
    fold: Annotated[
        int | None, typer.Option(help="over the samples that this fold trains on")
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all-indices", help="all channels, not the recipe's alone"),
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="file for the same as JSON")
    ] = None,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
) -> None:
    """Measure the channels of the recipe's models over the training samples.

    Example: tenfold statistics kelp --dataset dataset.json --folds folds.json
    --fold 3 --recipe winning --store runs/store --json statistics.json
    """
    from tenfold.data.files import write_json
    from tenfold.reports.text import text_table
    from tenfold.stages import statistics as stage

    context = context_of(challenge, recipe, overrides, store)
    found = stage.run(
        context,
        read(dataset, "ingest"),
        read(folds, "split") if folds else None,
        fold,
        everything,
    )
    over = "all training samples" if fold is None else f"the training of fold {fold}"
    rows = [
        {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()}
        for row in found.rows
    ]
    typer.echo(text_table(rows))
    typer.echo(f"\nOver {over}, {found.samples} samples. {found.legend}")
    if json_file:
        scope = {"recipe": context.recipe.name, "fold": fold, "samples": found.samples}
        write_json(json_file, {**scope, "channels": found.rows})
        typer.echo(f"written  {json_file}")
