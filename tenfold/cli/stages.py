"""The verbs of the stages, on files that name store entries."""

from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli.app import OUTSIDE, STAGES, app
from tenfold.cli.images import given, predict_images
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
from tenfold.errors import RecipeError


@app.command(rich_help_panel=STAGES)
def ingest(
    challenge: Challenge,
    source: Annotated[
        str, typer.Option(help="folder, zip or tar archive, gs:// or s3:// address")
    ],
    store: StoreUri,
    out: Out,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="an unusable file is an error")
    ] = False,
) -> None:
    """Read the raw data, check every file, and pack it for training.

    Example: tenfold ingest kelp --source /data/kelp --store runs/store --out
    dataset.json
    """
    from tenfold.stages import ingest as stage

    context = context_of(challenge, recipe, overrides, store)
    finish(context, stage.run(context, source, strict), out)


@app.command(rich_help_panel=STAGES)
def group(
    challenge: Challenge,
    dataset: Named,
    store: StoreUri,
    out: Out,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
) -> None:
    """Find near-duplicates and put them into one group.

    Example: tenfold group kelp --dataset dataset.json --store runs/store --out
    groups.json
    """
    from tenfold.stages import group as stage

    context = context_of(challenge, recipe, overrides, store)
    finish(context, stage.run(context, read(dataset, "ingest")), out)


@app.command(rich_help_panel=STAGES)
def split(
    challenge: Challenge,
    dataset: Named,
    groups: Named,
    store: StoreUri,
    out: Out,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
) -> None:
    """Make folds that no group crosses, with the proof.

    Example: tenfold split kelp --dataset dataset.json --groups groups.json --store
    runs/store --out folds.json
    """
    from tenfold.stages import split as stage

    context = context_of(challenge, recipe, overrides, store)
    finish(
        context, stage.run(context, read(dataset, "ingest"), read(groups, "group")), out
    )


@app.command(rich_help_panel=STAGES)
def train(
    challenge: Challenge,
    dataset: Named,
    folds: Named,
    member: Annotated[str, typer.Option(help="name of a model of the recipe")],
    fold: Annotated[int, typer.Option(help="the fold that is held out, from 0")],
    store: StoreUri,
    out: Out,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
    resume: Annotated[
        str,
        typer.Option(
            help="auto: go on from a checkpoint if there is one; must: refuse to"
            " start over; never: start over"
        ),
    ] = "auto",
    pseudo: Annotated[
        Path | None,
        typer.Option(help="file that select wrote, for a model that learns from it"),
    ] = None,
) -> None:
    """Train one model on all folds but one.

    Example: tenfold train kelp --dataset dataset.json --folds folds.json --member
    unet-quantile --fold 0 --store runs/store --out model-0.json
    """
    from tenfold.errors import RecipeError
    from tenfold.stages import train as stage

    if resume not in ("auto", "must", "never"):
        raise RecipeError(f"--resume {resume}: it is auto, must or never")
    context = context_of(challenge, recipe, overrides, store)
    done = stage.run(
        context,
        read(dataset, "ingest"),
        read(folds, "split"),
        member,
        fold,
        resume,  # type: ignore[arg-type]
        read(pseudo, "select") if pseudo else None,
    )
    finish(context, done, out)


@app.command(rich_help_panel=STAGES)
def evaluate(
    challenge: Challenge,
    dataset: Named,
    folds: Named,
    member: Annotated[str, typer.Option(help="name of a model of the recipe")],
    trained: Annotated[
        list[Path], typer.Option(help="file a fold of the model wrote; repeatable")
    ],
    store: StoreUri,
    out: Out,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
    earlier: Annotated[
        Path | None, typer.Option(help="leaderboard of the model before this one")
    ] = None,
) -> None:
    """Join all folds of one model and add it to the leaderboard.

    One model after the other, each with --earlier and what the one before it wrote;
    tune takes the last leaderboard.

    Example: tenfold evaluate kelp --dataset dataset.json --folds folds.json
    --member unet-quantile --trained model-0.json --trained model-1.json --trained
    model-2.json --trained model-3.json --store runs/store --out board.json
    """
    from tenfold.stages import evaluate as stage

    context = context_of(challenge, recipe, overrides, store)
    done = stage.run(
        context,
        read(dataset, "ingest"),
        read(folds, "split"),
        member,
        [read(path, "train") for path in trained],
        read(earlier, "evaluate") if earlier else None,
    )
    finish(context, done, out)


@app.command(rich_help_panel=STAGES)
def tune(
    challenge: Challenge,
    dataset: Named,
    folds: Named,
    leaderboard: Named,
    store: StoreUri,
    out: Out,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
    round_number: Annotated[
        int,
        typer.Option(
            "--round", min=1, max=2, help="2: with members trained on pseudo-labels"
        ),
    ] = 1,
) -> None:
    """Choose weights and thresholds on out-of-fold predictions alone.

    Example: tenfold tune kelp --dataset dataset.json --folds folds.json
    --leaderboard board.json --store runs/store --out decision.json
    """
    from tenfold.stages import tune as stage

    context = context_of(challenge, recipe, overrides, store)
    found = read(dataset, "ingest"), read(folds, "split"), read(leaderboard, "evaluate")
    finish(context, stage.run(context, *found, round_number), out)


@app.command(rich_help_panel=STAGES)
def predict(
    arguments: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="CHALLENGE|IMAGE...",
            help="name of a challenge, e.g. kelp; with --model: images, or folders of"
            " them",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="file that will name the result; with --model: folder for masks and"
            " pictures",
        ),
    ],
    store: Annotated[
        str | None,
        typer.Option(
            help="folder, gs:// or s3:// address of all results; with --model: only"
            " for an address in it"
        ),
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="file that ingest wrote; not with --model")
    ] = None,
    decision: Annotated[
        Path | None, typer.Option(help="file that tune wrote; not with --model")
    ] = None,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
    worker: Annotated[int, typer.Option(help="which share of the test samples")] = 0,
    model: Annotated[
        str | None,
        typer.Option(
            help="what images are shown to: the file that train or tune wrote, the"
            " folder of their entry, or its address in --store"
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="with --model: instead of the decision's (or of 0.5)"
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="with --model, a single fold: last, best, ema or swa"),
    ] = None,
) -> None:
    """Run the whole ensemble over a share of the test samples, or over images.

    With --model, images of your own become masks, pictures and a page: by one trained
    fold, or by all that a decision names. The recipe is the model's own; --set changes
    how it sees them, e.g. --set members.unet-b5.inference.tta=dihedral.

    Example: tenfold predict kelp --dataset dataset.json --decision decision.json
    --store runs/store --out predictions-0.json

    Example: tenfold predict --model decision.json AB123456_satellite.tif --out found

    Example: tenfold predict --model decision.json /data/kelp/test_satellite --out found
    """
    if model is not None:
        wrong = given(arguments, "dataset", "decision", "recipe", "worker")
        predict_images(
            model, names, out, store, overrides, threshold, weights, wrong=wrong
        )
        return
    wrong = given(arguments, "threshold", "weights")
    if wrong or len(names) != 1 or not (dataset and decision and store):
        raise RecipeError(
            "predict takes one challenge with --dataset, --decision and --store; or"
            " --model and images of your own"
        )
    from tenfold.stages import predict as stage

    context = context_of(names[0], recipe, overrides, store)
    finish(
        context,
        stage.run(context, read(dataset, "ingest"), read(decision, "tune"), worker),
        out,
    )


@app.command(rich_help_panel=STAGES)
def submit(
    challenge: Challenge,
    dataset: Named,
    predictions: Annotated[
        list[Path], typer.Option(help="file a predict worker wrote; repeatable")
    ],
    store: StoreUri,
    out: Out,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
) -> None:
    """Write the competition's own files and check them by reading them back.

    Example: tenfold submit kelp --dataset dataset.json --predictions
    predictions-0.json --store runs/store --out submission.json
    """
    from tenfold.stages import submit as stage

    context = context_of(challenge, recipe, overrides, store)
    parts = [read(path, "predict") for path in predictions]
    finish(context, stage.run(context, read(dataset, "ingest"), parts), out)


@app.command(rich_help_panel=STAGES)
def select(
    challenge: Challenge,
    dataset: Named,
    predictions: Annotated[
        list[Path], typer.Option(help="file a predict worker wrote; repeatable")
    ],
    store: StoreUri,
    out: Out,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
) -> None:
    """Make pseudo-labels of the predictions that are sure enough.

    Example: tenfold select clouds --dataset dataset.json --predictions
    predictions-0.json --store runs/store --out pseudo-labels.json
    """
    from tenfold.stages import select as stage

    context = context_of(challenge, recipe, overrides, store)
    parts = [read(path, "predict") for path in predictions]
    finish(context, stage.run(context, read(dataset, "ingest"), parts), out)


@app.command(rich_help_panel=STAGES)
def preview(
    challenge: Challenge,
    dataset: Named,
    submission: Named,
    store: StoreUri,
    out: Out,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
) -> None:
    """Show predictions worth a look, and say what seems odd.

    Example: tenfold preview kelp --dataset dataset.json --submission
    submission.json --store runs/store --out preview.json
    """
    from tenfold.stages import preview as stage

    context = context_of(challenge, recipe, overrides, store)
    finish(
        context,
        stage.run(context, read(dataset, "ingest"), read(submission, "submit")),
        out,
    )


@app.command(rich_help_panel=OUTSIDE)
def prepare(
    challenge: Challenge,
    source: Annotated[
        str, typer.Option(help="folder, zip or tar archive, gs:// or s3:// address")
    ],
    store: StoreUri,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="folder for dataset.json and folds.json")
    ],
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
) -> None:
    """Make what every fold is trained on: data set, groups and folds.

    Example: tenfold prepare kelp --source /data/kelp --store runs/store --out
    prepared
    """
    from tenfold.stages import prepare as stage

    context = context_of(challenge, recipe, overrides, store)
    dataset, folds = stage.run(context, source)
    finish(context, dataset, out / "dataset.json")
    finish(context, folds, out / "folds.json")


@app.command(rich_help_panel=OUTSIDE)
def fold(
    challenge: Challenge,
    source: Annotated[
        str, typer.Option(help="folder, zip or tar archive, gs:// or s3:// address")
    ],
    member: Annotated[str, typer.Option(help="name of a model of the recipe")],
    fold: Annotated[int, typer.Option(help="the fold that is held out, from 0")],
    store: StoreUri,
    out: Out,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
) -> None:
    """Train one fold from raw data; what comes before is in the store, or is made.

    Example: tenfold fold kelp --source /data/kelp --recipe winning --member unet-b5
    --fold 8 --store runs/store --out fold-8.json
    """
    from tenfold.stages import prepare as before
    from tenfold.stages import train as stage

    context = context_of(challenge, recipe, overrides, store)
    if context.recipe.member(member).pseudo:
        raise RecipeError(
            f"{member} learns from pseudo-labels, which only a first round makes; run"
            " the whole graph, or give tenfold train the file that select wrote"
        )
    dataset, folds = before.run(context, source)
    finish(context, stage.run(context, dataset, folds, member, fold), out)
