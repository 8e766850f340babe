"""train: one model on one fold, then its predictions of the held-out samples."""

import time
from typing import Any

import polars as pl

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
from tenfold.training.engines import Finished, Order, Resume, Runner, find_engine

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
    engine = find_engine(member.engine)
    task = context.challenge.model.task(recipe, member)

    def work(workspace: Workspace) -> None:
        samples = Dataset(data.path)
        order = _order(context, samples, table, member, fold, task, workspace)
        finished = engine.fit(order, workspace, resume)
        _write(order, finished, fold, context.challenge.scoring, workspace)

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


def _order(
    context: Context,
    dataset: Dataset,
    folds: FoldTable,
    member: Member,
    fold: int,
    task: Any,
    workspace: Workspace,
) -> Order:
    held_out = folds.held_out(fold)
    learnt = pl.col("id").is_in(folds.training(fold))
    return Order(
        task=task,
        member=member,
        dataset=dataset,
        scorer=context.challenge.scoring,
        catalogue=dataset.rows("train").filter(learnt),
        held_out_ids=held_out,
        pictured_ids=_pictured(held_out),
        seed=(context.recipe.seed, member.seed, fold),
        weights=workspace.path / WEIGHTS,
    )


def _pictured(held_out: list[str]) -> list[str]:
    """Choose fixed samples, spread evenly over the fold."""
    stride = max(len(held_out) // _PICTURED, 1)
    return held_out[::stride][:_PICTURED]


def _write(
    order: Order,
    finished: Finished,
    fold: int,
    scoring: ScoringPart,
    workspace: Workspace,
) -> None:
    """Write the model's card, its held-out outputs, its figures and its history."""
    member, used = order.member, order.member.training.weights
    description = finished.description | {
        "name": member.name,
        "role": member.role,
        "fold": fold,
        "engine": member.engine,
        "weights": f"{WEIGHTS}/{finished.files[used].name}",
    }
    write_json(workspace.path / MODEL, description)
    loss = _loss_of(finished, used)
    metrics = _predict_held_out(workspace, order, finished.runner, scoring, loss)
    metrics |= {"model": member.name, "fold": fold, "role": member.role}
    stopped_early = len(finished.history) < member.training.epochs
    metrics["selected_on_fold"] = used == "best" or stopped_early
    write_json(workspace.path / METRICS, metrics)
    rows = pl.DataFrame(finished.history, infer_schema_length=None)
    write_table(workspace.path / HISTORY, rows)


def _predict_held_out(
    workspace: Workspace,
    order: Order,
    runner: Runner,
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

    held_out = order.held_out_ids
    outputs_of = runner(order.dataset, held_out, order.member.training.batch)
    for done, (id_, outputs) in enumerate(outputs_of, 1):
        counted = scoring.tally(outputs, order.dataset.sample(id_))
        tally = counted if tally is None else tally + counted
        samples.append((id_, outputs))
        if len(samples) == _SHARD:
            flush()
        workspace.progress.update(done, len(held_out), "held-out samples")
    if samples:
        flush()
    write_table(folder / CATALOGUE, pl.DataFrame(rows))
    return {"tally": tally.to_json(), **_test_figures(scoring, tally, loss)}


def _loss_of(finished: Finished, used: str) -> float:
    """Return the validation loss of the weights that are used."""
    validated = [row for row in finished.history if "val/loss" in row]
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
