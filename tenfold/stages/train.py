"""train: one model on one fold, then its predictions of the held-out samples."""

import time
from typing import Any

import polars as pl
import torch
from safetensors.torch import save_file
from torch import nn

from tenfold.challenges import ScoringPart
from tenfold.data.dataset import CATALOGUE, SHARDS, Dataset, write_table
from tenfold.data.files import sha256_of, write_json
from tenfold.data.shards import write_shard
from tenfold.errors import TrainingError
from tenfold.folds import FoldTable
from tenfold.recipe import Json, Member
from tenfold.stages.context import Context, Reference, section
from tenfold.stages.device import check_device
from tenfold.stages.entries import (
    HISTORY,
    METRICS,
    MODEL,
    OUT_OF_FOLD,
    WEIGHTS,
)
from tenfold.stages.proof import open_folds
from tenfold.store import Workspace
from tenfold.training.checkpoints import Resume
from tenfold.training.engine import Fitted, Job, Trainer
from tenfold.training.order import step_seed
from tenfold.training.task import TorchTask

PARTS = ("model", "scoring")
_PICTURED = 6
_SHARD = 64


def run(
    context: Context,
    dataset: Reference,
    folds: Reference,
    model: str,
    fold: int,
    resume: Resume = "auto",
) -> Reference:
    """Train a member on all folds but one.

    Args:
        context: recipe and store.
        dataset: from ingest.
        folds: from split.
        model: name of a member of the recipe.
        fold: the one held out.
        resume: `auto` goes on from a checkpoint if there is one, `must` refuses to
            start over, `never` starts over.

    Returns:
        A reference; with status failed if the recipe allows failed folds and the
        failure is one that would come again.
    """
    recipe, label = context.recipe, f"train {model}, fold {fold}"
    member = recipe.member(model)
    data, split = context.entry(dataset), context.entry(folds)
    table = open_folds(split, data)
    table.check(fold)
    check_device(recipe.profile(member.profile), label)
    task: TorchTask = context.challenge.model.task(recipe, member)

    def work(workspace: Workspace) -> None:
        _train(context, Dataset(data.path), table, member, fold, resume, workspace)

    inputs = {"dataset": data.address, "folds": split.address}
    inputs |= {f"file {name}": sha256_of(p) for name, p in task.files().items()}
    options = {"member": _options(member), "fold": fold, "seed": recipe.seed}
    started = time.monotonic()
    try:
        return context.build("train", label, inputs, options, PARTS, work)
    except (TrainingError, ValueError, ArithmeticError) as error:
        # Out-of-memory, I/O and signals are not among these: they may pass.
        if not recipe.allow_failed_folds:
            raise
        seconds = time.monotonic() - started
        return context.failed("train", label, str(error), seconds)


def _options(member: Member) -> Any:
    """Return what of a member decides its result; the machine does not."""
    options = section(member)
    del options["profile"]
    for name in ("workers", "checkpoint_minutes"):
        del options["training"][name]
    return options


def _train(
    context: Context,
    dataset: Dataset,
    folds: FoldTable,
    member: Member,
    fold: int,
    resume: Resume,
    workspace: Workspace,
) -> None:
    scoring = context.challenge.scoring
    task: TorchTask = context.challenge.model.task(context.recipe, member)
    train_ids, held_out = folds.training(fold), folds.held_out(fold)
    seed = (context.recipe.seed, member.seed, fold)
    channels = task.channels()
    statistics = dataset.statistics(channels, train_ids) if channels else None
    # The network's random start is a function of the seed, too.
    torch.manual_seed(step_seed(seed, 0))
    model = task.model(statistics)
    catalogue = dataset.rows("train").filter(pl.col("id").is_in(train_ids))
    job = Job(
        task=task,
        model=model,
        dataset=dataset,
        scorer=scoring,
        training=member.training,
        train_ids=train_ids,
        held_out_ids=held_out,
        draw_weights=task.draw_weights(catalogue),
        pictured_ids=_pictured(held_out),
        seed=seed,
    )
    trainer = Trainer(job, workspace, resume)
    fitted = trainer.fit()
    _save_model(workspace, task, model, member, fold, fitted)
    loss = _loss_of(fitted, member.training.weights)
    metrics = _predict_held_out(workspace, trainer, dataset, held_out, scoring, loss)
    metrics |= {"model": member.name, "fold": fold, "role": member.role}
    stopped_early = len(fitted.history) < member.training.epochs
    metrics["selected_on_fold"] = member.training.weights == "best" or stopped_early
    write_json(workspace.path / METRICS, metrics)
    rows = pl.DataFrame(fitted.history, infer_schema_length=None)
    write_table(workspace.path / HISTORY, rows)


def _pictured(held_out: list[str]) -> list[str]:
    """Choose fixed samples, spread evenly over the fold."""
    stride = max(len(held_out) // _PICTURED, 1)
    return held_out[::stride][:_PICTURED]


def _save_model(
    workspace: Workspace,
    task: TorchTask,
    model: nn.Module,
    member: Member,
    fold: int,
    fitted: Fitted,
) -> None:
    """Save every kind of weights; load into the model the kind that is used."""
    folder = workspace.path / WEIGHTS
    folder.mkdir(exist_ok=True)
    for kind, state in fitted.weights.items():
        tensors = {name: tensor.contiguous() for name, tensor in state.items()}
        save_file(tensors, folder / f"{kind}.safetensors")
    used = member.training.weights
    model.load_state_dict(fitted.weights[used])
    description = task.describe(model)
    description |= {
        "name": member.name,
        "role": member.role,
        "fold": fold,
        "engine": member.engine,
        "weights": f"{WEIGHTS}/{used}.safetensors",
        "threads": fitted.threads,
    }
    write_json(workspace.path / MODEL, description)


def _predict_held_out(
    workspace: Workspace,
    trainer: Trainer,
    dataset: Dataset,
    held_out: list[str],
    scoring: ScoringPart,
    loss: float,
) -> Json:
    """Store outputs of whole held-out samples, and score them."""
    folder = workspace.path / OUT_OF_FOLD
    rows: list[Json] = []
    samples: list[Any] = []
    tally: Any = None

    def flush() -> None:
        name = f"{len(rows) // _SHARD:05d}"
        for row, (id_, _) in enumerate(samples):
            rows.append({"id": id_, "split": "train", "shard": name, "row": row})
        write_shard(folder / SHARDS / name, [a for _, a in samples], {})
        samples.clear()

    for done, (id_, outputs) in enumerate(trainer.outputs(held_out), 1):
        counted = scoring.tally(outputs, dataset.sample(id_))
        tally = counted if tally is None else tally + counted
        samples.append((id_, outputs))
        if len(samples) == _SHARD:
            flush()
        workspace.progress.update(done, len(held_out), "held-out samples")
    if samples:
        flush()
    write_table(folder / CATALOGUE, pl.DataFrame(rows))
    return {"tally": tally.to_json(), **_test_figures(scoring, tally, loss)}


def _loss_of(fitted: Fitted, used: str) -> float:
    """Return the validation loss of the weights that are used."""
    validated = [row for row in fitted.history if "val/loss" in row]
    if used == "best":
        return max(validated, key=lambda row: row["val/score"])["val/loss"]
    return validated[-1]["val/loss"]


def _test_figures(scoring: ScoringPart, tally: Any, loss: float) -> Json:
    """Return the published names: what they call test is the held-out fold."""
    figures = scoring.metrics(tally)
    return {
        "score": figures[scoring.MONITOR],
        "figures": {"test/loss": loss}
        | {f"test/{name}": value for name, value in figures.items()},
    }
