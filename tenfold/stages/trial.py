"""trial: one choice of a sweep, trained on the sweep's fold and scored there.

A trial is not a fold of an ensemble: it keeps figures and no weights, and under the
median rule it may have ended early.
"""

import shutil
import time
from dataclasses import replace

from tenfold.codeversion import code_version
from tenfold.data.files import sha256_of, write_json
from tenfold.data.sources import fingerprint
from tenfold.data.storage import open_storage
from tenfold.errors import RecipeError, SourceError, TrainingError
from tenfold.recipe import Json, digest_of
from tenfold.stages import prepare
from tenfold.stages.context import Context, Reference, section
from tenfold.stages.entries import METRICS, WEIGHTS
from tenfold.stages.fold import FoldJob, open_fold
from tenfold.store import Workspace
from tenfold.sweep import Plan, trial_recipe
from tenfold.training.engines import Resume, backend_of
from tenfold.training.rivals import Rivals

PARTS = ("reader", "model", "scoring")
#: Folder of the store where trials publish their scores as they go.
SCORES = "sweeps"


def run(
    context: Context,
    dataset: Reference,
    folds: Reference,
    source: str,
    plan: Plan,
    number: int,
    resume: Resume = "auto",
) -> Reference:
    """Train and score one trial.

    Args:
        context: the recipe that all trials vary, and store.
        dataset: from ingest of that recipe.
        folds: from split of that recipe; trials of the same folds are rivals.
        source: raw data, for a trial that changes what is read from them.
        plan: the sweep.
        number: of the trial, from 0.
        resume: what to do about a checkpoint.

    Returns:
        A reference of the sweep's recipe; with status failed if this choice cannot
        be trained, which is a result too.

    Raises:
        SourceError: the trial reads the source anew, and it holds other data now.
    """
    trial = plan.trials[number]
    own = Context(trial_recipe(context.recipe, trial), context.store)
    data, split = _data(context, own, dataset, folds, source)
    job = open_fold(own, data, split, plan.member, plan.fold, trial.label)
    inputs, rule = job.inputs, plan.early_stop
    options = job.options | {"inference": section(job.member.inference)}
    study = None
    if rule.rule == "median":
        study = _study(context, dataset, folds, plan)
        options |= {"early_stop": section(rule), "study": study}

    def work(workspace: Workspace) -> None:
        rivals = None
        if study is not None:
            rivals = Rivals(
                open_storage(context.store.uri).child(f"{SCORES}/{study}"),
                f"trial-{digest_of(trial.set)[:12]}",
                rule.warmup_epochs,
                rule.min_trials,
                workspace.progress,
            )
        _work(job, rivals, workspace, resume)

    started = time.monotonic()
    try:
        engines = [job.member.engine]
        done = own.build(
            "trial", trial.label, inputs, options, PARTS, work, engines=engines
        )
    except (TrainingError, RecipeError, ValueError, ArithmeticError) as error:
        # Out-of-memory, I/O and signals are not among these: they may pass.
        seconds = time.monotonic() - started
        return context.failed("trial", trial.label, str(error), seconds)
    return replace(done, recipe=context.recipe.digest())


def _data(
    context: Context, own: Context, dataset: Reference, folds: Reference, source: str
) -> tuple[Reference, Reference]:
    """Return the sweep's data set and folds, or a trial's own of the same source."""
    base, _ = context.entry(dataset, "ingest"), context.entry(folds, "split")
    if _reads(own) == _reads(context):
        digest = own.recipe.digest()
        return replace(dataset, recipe=digest), replace(folds, recipe=digest)
    found = fingerprint(source, context.recipe.data.reads)
    if found != base.inputs["source"]:
        raise SourceError(
            f"{source} holds other data than when the sweep began, and this trial"
            " reads them anew; run the whole sweep again"
        )
    return prepare.run(own, source)


def _reads(context: Context) -> Json:
    """Return what decides the data set and the folds, beside source and code."""
    recipe = context.recipe
    channels = context.challenge.reader.channels(recipe)
    return {
        "data": section(recipe.data),
        "channels": channels.to_json() if channels else None,
        "groups": section(recipe.groups),
        "split": section(recipe.split),
        "seed": recipe.seed,
    }


def _study(context: Context, dataset: Reference, folds: Reference, plan: Plan) -> str:
    """Name those that a trial is compared with: variations of one training.

    A sweep that gets more trials keeps those it had, and goes on among them.
    """
    recipe = context.recipe
    member = recipe.member(plan.member)
    try:
        files = context.challenge.model.task(recipe, member).files()
    except RecipeError:
        # All trials may name other weights; one that needs these says so itself.
        files = {}
    code = [context.challenge.module(part) for part in PARTS]
    code += [__name__, backend_of(member.engine)]
    content = [
        [dataset.address, folds.address],
        [member.decisive(), section(member.inference), plan.fold, recipe.seed],
        {name: sha256_of(path) for name, path in files.items()},
        section(plan.early_stop),
        code_version(code),
    ]
    return digest_of(content)[:24]


def _work(
    job: FoldJob, rivals: Rivals | None, workspace: Workspace, resume: Resume
) -> None:
    finished = job.fit(workspace, resume, end=rivals.end if rivals else None)
    epochs, wanted = len(finished.history), job.member.training.epochs
    weights = finished.files[job.member.training.weights]
    figures = job.score(finished.description, weights, finished.history, workspace)
    metrics = figures | {
        "epochs": epochs,
        "of_epochs": wanted,
        "stopped": rivals is not None and epochs < wanted and rivals.ended(),
        "parameters": finished.description["parameters"],
    }
    write_json(workspace.path / METRICS, metrics)
    # Of a hundred trials one is run again, as a recipe, on all folds.
    shutil.rmtree(workspace.path / WEIGHTS)
