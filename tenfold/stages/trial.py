"""trial: one choice of a sweep, trained on the sweep's fold and scored there.

A trial is not a fold of an ensemble: it keeps figures and no weights, and under the
median rule it may have ended early.
"""

import shutil
import time
from dataclasses import replace

from tenfold.codeversion import code_version
from tenfold.data.files import write_json
from tenfold.data.storage import open_storage
from tenfold.errors import RecipeError, TrainingError
from tenfold.recipe import digest_of
from tenfold.stages import prepare
from tenfold.stages.context import Context, Reference, section
from tenfold.stages.entries import METRICS, WEIGHTS
from tenfold.stages.fold import FoldJob, open_fold
from tenfold.store import Workspace
from tenfold.sweep import Plan, trial_recipe
from tenfold.training.engines import Resume
from tenfold.training.rivals import Rivals

PARTS = ("model", "scoring")
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
    """
    trial = plan.trials[number]
    own = Context(trial_recipe(context.recipe, trial), context.store)
    data, split = prepare.run(own, source)
    job = open_fold(own, data, split, plan.member, plan.fold, trial.label)
    inputs, options, rivals = job.inputs, job.options, None
    if plan.early_stop.rule == "median":
        study = _study(context, dataset, folds, plan)
        options |= {"early_stop": section(plan.early_stop), "study": study}
        rivals = Rivals(
            open_storage(context.store.uri).child(f"{SCORES}/{study}"),
            f"trial-{digest_of(trial.set)[:12]}",
            plan.early_stop.warmup_epochs,
            plan.early_stop.min_trials,
        )

    def work(workspace: Workspace) -> None:
        _work(job, rivals, workspace, resume)

    started = time.monotonic()
    try:
        done = own.build("trial", trial.label, inputs, options, PARTS, work)
    except (TrainingError, RecipeError, ValueError, ArithmeticError) as error:
        # Out-of-memory, I/O and signals are not among these: they may pass.
        seconds = time.monotonic() - started
        return context.failed("trial", trial.label, str(error), seconds)
    return replace(done, recipe=context.recipe.digest())


def _study(context: Context, dataset: Reference, folds: Reference, plan: Plan) -> str:
    """Name those that a trial is compared with: variations of one training.

    A sweep that gets more trials keeps those it had, and goes on among them.
    """
    recipe = context.recipe
    parts = [context.challenge.module(part) for part in PARTS]
    content = [
        [dataset.address, folds.address],
        [recipe.member(plan.member).decisive(), plan.fold, recipe.seed],
        section(plan.early_stop),
        code_version([__name__, *parts]),
    ]
    return digest_of(content)[:24]


def _work(
    job: FoldJob, rivals: Rivals | None, workspace: Workspace, resume: Resume
) -> None:
    finished = job.fit(workspace, resume, end=rivals.end if rivals else None)
    epochs, wanted = len(finished.history), job.member.training.epochs
    metrics = job.score(finished, workspace) | {
        "epochs": epochs,
        "of_epochs": wanted,
        "stopped": rivals is not None and epochs < wanted and rivals.ended(),
        "parameters": finished.description["parameters"],
    }
    write_json(workspace.path / METRICS, metrics)
    # Of a hundred trials one is run again, as a recipe, on all folds.
    shutil.rmtree(workspace.path / WEIGHTS)
