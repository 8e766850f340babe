"""Checks what a run on a cluster left in the store, and scores its submission.

Keys of entries follow from the source, the recipe and the code, so the graph is gone
through once more against a store that makes nothing: every task must find its entry,
complete and true, under the address that this checkout gives it.
"""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from tenfold.challenges import load_recipe
from tenfold.cli import run_app
from tenfold.errors import TenfoldError
from tenfold.recipe import Json
from tenfold.stages import (
    evaluate,
    group,
    ingest,
    predict,
    preview,
    split,
    submit,
    train,
    tune,
)
from tenfold.stages.context import Context, Reference
from tenfold.store import Entry, Key, Store, Work

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class OutputError(TenfoldError):
    """A run did not leave what it should have."""


class _Finished(Store):
    """A store in which everything is there already, or it is an error."""

    def build(self, key: Key, label: str, recipe: Json, work: Work) -> Entry:
        """Return the entry of `key`; nothing is ever made here."""
        del recipe, work
        entry = self.find(key.address)
        if entry is None:
            raise OutputError(
                f"{label}: {self.uri}/{key.address} is missing or incomplete; see the"
                " run in the console, or images and checkout are of different trees"
            )
        return entry


@app.command()
def check(
    source: Annotated[str, typer.Option(help="raw data that the run read")],
    store: Annotated[str, typer.Option(help="where it put its results")],
    truth: Annotated[Path, typer.Option(help="folder with the truth of the test set")],
    challenge: Annotated[str, typer.Option(help="name of a challenge")] = "kelp",
    recipe: Annotated[str, typer.Option(help="preset, or path of a file")] = "smoke",
    least: Annotated[
        float, typer.Option(help="what the first figure of the score must reach")
    ] = 0.5,
) -> None:
    """Find every entry of a run and score its submission against truth."""
    # A mirror that an earlier cluster filled would hide what is missing in this one.
    with tempfile.TemporaryDirectory() as mirror:
        context = Context(
            load_recipe(challenge, recipe), _Finished(store, Path(mirror))
        )
        found = entries_of(context, source)
        counts = Counter(reference.stage for reference in found)
        typer.echo(", ".join(f"{count} {stage}" for stage, count in counts.items()))
        submission = context.challenge.submission
        submitted = next(r for r in found if r.stage == "submit")
        file = context.entry(submitted).path / submission.FILE
        figures = submission.score(file, truth)
    for name, value in figures.items():
        typer.echo(f"{name:16s} {value:.4f}")
    name, value = next(iter(figures.items()))
    if value < least:
        raise OutputError(f"{name} is {value:.4f}, and at least {least} was expected")


def entries_of(context: Context, source: str) -> list[Reference]:
    """Return what every task of the graph left, in its order.

    Raises:
        OutputError: naming the first task whose entry is not there.
    """
    recipe = context.recipe
    data = ingest.run(context, source)
    groups = group.run(context, data)
    folds = split.run(context, data, groups)
    found = [data, groups, folds]
    boards: list[Reference] = []
    for member in recipe.members:
        trained = [
            train.run(context, data, folds, member.name, fold)
            for fold in range(recipe.split.k)
        ]
        earlier = boards[-1] if boards else None
        boards.append(evaluate.run(context, data, folds, member.name, trained, earlier))
        found += [*trained, boards[-1]]
    decision = tune.run(context, data, folds, boards[-1])
    parts = [
        predict.run(context, data, decision, worker)
        for worker in range(recipe.predict.workers)
    ]
    submission = submit.run(context, data, parts)
    shown = preview.run(context, data, submission)
    return [*found, decision, *parts, submission, shown]


if __name__ == "__main__":
    run_app(app, None)
