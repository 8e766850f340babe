"""The stage verbs of the command line.

Each verb is the function its component calls, on files that name store
entries. Libraries are imported inside a verb, so that `--help` is quick.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenfold.errors import TenfoldError

if TYPE_CHECKING:
    from tenfold.stages.context import Context, Reference

app = typer.Typer(
    name="tenfold",
    help="Raw competition imagery in, a checked submission out.",
    epilog="Start with `tenfold run kelp`; `tenfold VERB --help` explains each verb.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
recipes = typer.Typer(
    help="List, show and check recipes.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(recipes, name="recipes")
STAGES = "One stage at a time"

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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's error is one sentence and exit code 2."""
    run_app(app, arguments)


def run_app(command: typer.Typer, arguments: Sequence[str] | None) -> None:
    """Run an app, turning what a user can mend into one sentence."""
    try:
        command(args=list(arguments) if arguments is not None else None)
    except TenfoldError as error:
        _fail(str(error))
    except OSError as error:
        # A full disk or a lost mount: nothing that was stored is half-written.
        _fail(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))


def _fail(sentence: str) -> None:
    typer.secho(f"error: {sentence}", fg="red", err=True)
    sys.exit(2)


def _context(
    challenge: str, recipe: str, overrides: list[str] | None, store: str
) -> "Context":
    from tenfold.challenges import load_recipe
    from tenfold.stages.context import Context
    from tenfold.store import Store

    return Context(load_recipe(challenge, recipe, overrides or ()), Store(store))


def _read(path: Path) -> "Reference":
    from tenfold.stages.context import read_reference

    return read_reference(path)


def _finish(context: "Context", reference: "Reference", out: Path) -> None:
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


@app.command(rich_help_panel="Data")
def synth(
    challenge: Challenge,
    directory: Annotated[
        Path, typer.Argument(help="empty folder; gets data/ and truth/")
    ],
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
) -> None:
    """Write a small synthetic data set in the exact real format."""
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
    """Read the raw data, check every file, and pack it for training."""
    from tenfold.stages import ingest as stage

    context = _context(challenge, recipe, overrides, store)
    _finish(context, stage.run(context, source, strict), out)


@app.command(rich_help_panel=STAGES)
def group(
    challenge: Challenge,
    dataset: Named,
    store: StoreUri,
    out: Out,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
) -> None:
    """Find near-duplicates and put them into one group."""
    from tenfold.stages import group as stage

    context = _context(challenge, recipe, overrides, store)
    _finish(context, stage.run(context, _read(dataset)), out)


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
    """Make folds that no group crosses, with the proof."""
    from tenfold.stages import split as stage

    context = _context(challenge, recipe, overrides, store)
    _finish(context, stage.run(context, _read(dataset), _read(groups)), out)


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
) -> None:
    """Train one model on all folds but one."""
    from tenfold.errors import RecipeError
    from tenfold.stages import train as stage

    if resume not in ("auto", "must", "never"):
        raise RecipeError(f"--resume {resume}: it is auto, must or never")
    context = _context(challenge, recipe, overrides, store)
    done = stage.run(
        context,
        _read(dataset),
        _read(folds),
        member,
        fold,
        resume,  # type: ignore[arg-type]
    )
    _finish(context, done, out)


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
    """Join all folds of one model and add it to the leaderboard."""
    from tenfold.stages import evaluate as stage

    context = _context(challenge, recipe, overrides, store)
    done = stage.run(
        context,
        _read(dataset),
        _read(folds),
        member,
        [_read(path) for path in trained],
        _read(earlier) if earlier else None,
    )
    _finish(context, done, out)


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
) -> None:
    """Choose weights and thresholds on out-of-fold predictions alone."""
    from tenfold.stages import tune as stage

    context = _context(challenge, recipe, overrides, store)
    done = stage.run(context, _read(dataset), _read(folds), _read(leaderboard))
    _finish(context, done, out)


@app.command(rich_help_panel=STAGES)
def predict(
    challenge: Challenge,
    dataset: Named,
    decision: Named,
    store: StoreUri,
    out: Out,
    recipe: RecipeName = "smoke",
    overrides: Overrides = None,
    worker: Annotated[int, typer.Option(help="which share of the test samples")] = 0,
) -> None:
    """Run the whole ensemble over a share of the test samples."""
    from tenfold.stages import predict as stage

    context = _context(challenge, recipe, overrides, store)
    _finish(context, stage.run(context, _read(dataset), _read(decision), worker), out)


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
    """Write the competition's own files and check them by reading them back."""
    from tenfold.stages import submit as stage

    context = _context(challenge, recipe, overrides, store)
    parts = [_read(path) for path in predictions]
    _finish(context, stage.run(context, _read(dataset), parts), out)


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
    """Show predictions worth a look, and say what seems odd."""
    from tenfold.stages import preview as stage

    context = _context(challenge, recipe, overrides, store)
    _finish(context, stage.run(context, _read(dataset), _read(submission)), out)


@app.command(rich_help_panel="Outside the graph")
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
    """Make what every fold is trained on: data set, groups and folds."""
    from tenfold.stages import prepare as stage

    context = _context(challenge, recipe, overrides, store)
    dataset, folds = stage.run(context, source)
    _finish(context, dataset, out / "dataset.json")
    _finish(context, folds, out / "folds.json")


@app.command(rich_help_panel="Outside the graph")
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
    """Train one fold from raw data; what comes before is in the store, or is made."""
    from tenfold.stages import prepare as before
    from tenfold.stages import train as stage

    context = _context(challenge, recipe, overrides, store)
    context.recipe.member(member)
    dataset, folds = before.run(context, source)
    _finish(context, stage.run(context, dataset, folds, member, fold), out)


@app.command(rich_help_panel="Results")
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


@app.command(rich_help_panel="Results")
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
    """Score the submission and each of its members alone against truth."""
    from tenfold.stages import judge as stage

    context = _context(challenge, recipe, overrides, store)
    done = stage.run(
        context,
        _read(dataset),
        _read(groups),
        _read(decision),
        _read(submission),
        truth,
    )
    _finish(context, done, out)


@app.command(rich_help_panel="Results")
def report(
    run: Annotated[Path, typer.Argument(help="folder of a run (its --out)")],
) -> None:
    """Make the report of a run again."""
    from tenfold.stages.report import read_run, write_report

    typer.echo(str(write_report(read_run(run), run)))


@recipes.command("list")
def recipes_list() -> None:
    """List the recipes of every challenge."""
    from tenfold.challenges import challenge_names, find_challenge, load_recipe

    for name in challenge_names():
        for preset in find_challenge(name).recipes():
            recipe = load_recipe(name, preset)
            typer.echo(f"{name:10s} {preset:10s} {recipe.about}")
            typer.echo(f"{'':21s} {recipe.lands_near}")


@recipes.command("show")
def recipes_show(
    challenge: Challenge,
    recipe: Annotated[str, typer.Argument(help="preset, or path of a YAML file")],
    overrides: Overrides = None,
) -> None:
    """Print a recipe whole, defaults and overrides filled in, as YAML."""
    import yaml

    from tenfold.challenges import load_recipe

    loaded = load_recipe(challenge, recipe, overrides or ())
    dump = loaded.model_dump(mode="json")
    typer.echo(yaml.safe_dump(dump, sort_keys=False, allow_unicode=True))


@recipes.command("check")
def recipes_check(
    challenge: Challenge,
    recipe: Annotated[str, typer.Argument(help="preset, or path of a YAML file")],
    overrides: Overrides = None,
) -> None:
    """Validate a recipe and print its digest."""
    from tenfold.challenges import load_recipe

    loaded = load_recipe(challenge, recipe, overrides or ())
    typer.echo(f"{challenge}/{loaded.name} is valid; digest {loaded.digest()[:16]}")
