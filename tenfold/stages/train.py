"""train: one model on one fold, then its predictions of the held-out samples."""

import os
import shutil
import time
from dataclasses import replace

import polars as pl

from tenfold.data.arrays import Arrays
from tenfold.data.dataset import CATALOGUE, SHARDS, write_table
from tenfold.data.files import write_json
from tenfold.data.shards import write_shard
from tenfold.errors import TrainingError
from tenfold.recipe import Json
from tenfold.stages.context import Context, Reference, section
from tenfold.stages.entries import HISTORY, METRICS, MODEL, OUT_OF_FOLD, WEIGHTS
from tenfold.stages.fit import fit
from tenfold.stages.fold import FoldJob, open_fold
from tenfold.store import Entry, Workspace
from tenfold.training.engines import Resume

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
    pseudo: Reference | None = None,
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
        pseudo: from select, for a member that learns from pseudo-labels.

    Returns:
        A reference; with status failed if the recipe allows failed folds and the
        failure is one that would come again.
    """
    label = f"train {model}, fold {fold}"
    job = open_fold(context, dataset, folds, model, fold, label, pseudo)

    started = time.monotonic()
    try:
        fitted = fit(context, job, label, _pictured(job.held_out), resume)

        def work(workspace: Workspace) -> None:
            _take_over(fitted, workspace)
            _predict(job, fitted, workspace)

        inputs = {
            "fit": fitted.address,
            "dataset": job.data.address,
            "folds": job.split.address,
        }
        used, engines = section(job.member.inference), [job.member.engine]
        done = context.build("train", label, inputs, used, PARTS, work, engines=engines)
        return replace(done, seconds=round(time.monotonic() - started, 2))
    except (TrainingError, ValueError, ArithmeticError) as error:
        # Out-of-memory, I/O and signals are not among these: they may pass.
        if not context.recipe.allow_failed_folds:
            raise
        seconds = time.monotonic() - started
        return context.failed("train", label, str(error), seconds)


def _pictured(held_out: list[str]) -> list[str]:
    """Choose fixed samples, spread evenly over the fold."""
    stride = max(len(held_out) // _PICTURED, 1)
    return held_out[::stride][:_PICTURED]


def _take_over(fitted: Entry, workspace: Workspace) -> None:
    """Give this entry all that was learnt, but for weights that are not used."""
    unused = set((fitted.path / WEIGHTS).iterdir())
    unused.discard(fitted.path / fitted.json(MODEL)["weights"])
    for file in fitted.manifest["files"]:
        source, target = fitted.path / file["name"], workspace.path / file["name"]
        if source in unused:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:  # Not every file system has links.
            shutil.copyfile(source, target)


def _predict(job: FoldJob, fitted: Entry, workspace: Workspace) -> None:
    """Write the held-out outputs and their figures."""
    outputs, description = _Outputs(workspace), fitted.json(MODEL)
    weights = fitted.path / description["weights"]
    history = pl.read_parquet(fitted.path / HISTORY).to_dicts()
    metrics = job.score(description, weights, history, workspace, outputs.add)
    outputs.close()
    write_json(workspace.path / METRICS, metrics)


class _Outputs:
    """Packs the outputs of held-out samples, a shard at a time."""

    def __init__(self, workspace: Workspace) -> None:
        self._folder = workspace.path / OUT_OF_FOLD
        self._rows: list[Json] = []
        self._waiting: list[Arrays] = []

    def add(self, id_: str, outputs: Arrays) -> None:
        shard, row = divmod(len(self._rows), _SHARD)
        name = f"{shard:05d}"
        self._rows.append({"id": id_, "split": "train", "shard": name, "row": row})
        self._waiting.append(outputs)
        if len(self._waiting) == _SHARD:
            self._flush(name)

    def close(self) -> None:
        if self._waiting:
            self._flush(str(self._rows[-1]["shard"]))
        write_table(self._folder / CATALOGUE, pl.DataFrame(self._rows))

    def _flush(self, name: str) -> None:
        write_shard(self._folder / SHARDS / name, self._waiting, {})
        self._waiting = []
