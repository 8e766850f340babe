"""One member on one fold: what fit, train and trial share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from tenfold.challenges import Scoring
from tenfold.data.arrays import Arrays
from tenfold.data.dataset import Dataset, Extended, write_table
from tenfold.data.files import atomic_path, sha256_of
from tenfold.errors import RecipeError, StoreError
from tenfold.folds import FoldTable
from tenfold.recipe import Json, Member, Training
from tenfold.stages.context import Context, Reference
from tenfold.stages.device import check_device
from tenfold.stages.entries import HISTORY, HISTORY_CSV, SUMMARY, WEIGHTS
from tenfold.stages.proof import open_folds
from tenfold.store import Entry, Workspace
from tenfold.training.board import board_of
from tenfold.training.engines import (
    AfterEpoch,
    Engine,
    Finished,
    Order,
    Resume,
    find_engine,
)
from tenfold.training.monitor import monitor_of


@dataclass(frozen=True)
class FoldJob:
    """A member, the fold it leaves out, and the data it learns from.

    Attributes:
        data: entry of ingest; `split` is that of split, and `table` its folds.
        pseudo: entry of select, for a member that learns from pseudo-labels.
        engine: the member's; `task` is the challenge's for it.
    """

    context: Context
    member: Member
    fold: int
    data: Entry
    split: Entry
    table: FoldTable
    engine: Engine
    task: Any
    pseudo: Entry | None = None

    @property
    def inputs(self) -> dict[str, str]:
        """What the result depends on beside the recipe and the code."""
        files = {f"file {n}": sha256_of(p) for n, p in self.task.files().items()}
        if self.pseudo is not None:
            files["pseudo"] = self.pseudo.address
        return {"dataset": self.data.address, "folds": self.split.address, **files}

    @property
    def options(self) -> Json:
        """The part of the recipe that decides the result."""
        return {
            "member": self.member.decisive(),
            "fold": self.fold,
            "seed": self.context.recipe.seed,
        }

    @property
    def scoring(self) -> Scoring:
        """What the member's outputs are scored by."""
        return self.context.challenge.scoring.of_role(self.member.role)

    @cached_property
    def samples(self) -> Dataset:
        """All samples of the data set, and what is pseudo-labelled."""
        if self.pseudo is None:
            return Dataset(self.data.path)
        return Extended(self.data.path, self.pseudo.path, self._like_held_out())

    def _like_held_out(self) -> list[str]:
        """Return the test samples that are near-duplicates of held-out ones."""
        table, groups = (
            self.table.table,
            self.context.store.open(self.split.inputs["groups"]),
        )
        held_out = set(table.filter(pl.col("fold") == self.fold)["group"])
        matches: Mapping[str, list[int]] = groups.json(SUMMARY)["test_matches"]
        return sorted(id_ for id_, found in matches.items() if held_out & set(found))

    @cached_property
    def held_out(self) -> list[str]:
        """Samples of the fold, which are scored on."""
        return self.table.held_out(self.fold)

    def fit(
        self,
        workspace: Workspace,
        resume: Resume,
        pictured: Sequence[str] = (),
        end: AfterEpoch | None = None,
    ) -> Finished:
        """Train, and write the history.

        Args:
            workspace: of the entry that is being made.
            resume: what to do about a checkpoint.
            pictured: held-out samples whose outputs are kept at chosen epochs.
            end: may end the training early.
        """
        name = f"{self.member.name}-fold-{self.fold}"
        # Others on this fold differ in their recipe, and so in their entry.
        run = f"{name}-{workspace.path.name[:8]}"
        board = board_of(run, workspace.progress)

        def after_epoch(history: Sequence[Mapping[str, float]]) -> bool:
            if board is not None:
                board.show(history)
            return end is not None and end(history)

        mine = self.table.training(self.fold)
        if isinstance(self.samples, Extended):
            mine = [*mine, *sorted(self.samples.labelled)]
        learnt = pl.col("id").is_in(mine)
        order = Order(
            task=self.task,
            member=self.member,
            dataset=self.samples,
            scorer=self.scoring,
            catalogue=self.samples.rows("train").filter(learnt),
            held_out_ids=self.held_out,
            pictured_ids=pictured,
            seed=(self.context.recipe.seed, self.member.seed, self.fold),
            weights=workspace.path / WEIGHTS,
            after_epoch=after_epoch,
        )
        finished = self.engine.fit(order, workspace, resume)
        rows = pl.DataFrame(finished.history, infer_schema_length=None)
        write_table(workspace.path / HISTORY, rows)
        with atomic_path(workspace.path / HISTORY_CSV) as temporary:
            temporary.write_text(rows.write_csv(), "utf-8")
        return finished

    def score(
        self,
        description: Json,
        weights: Path,
        history: Sequence[Mapping[str, float | None]],
        workspace: Workspace,
        keep: Callable[[str, Arrays], None] | None = None,
    ) -> Json:
        """Return the figures of whole held-out samples.

        Args:
            description: of the trained model.
            weights: file of those in use.
            history: one row an epoch.
            workspace: whose progress is told.
            keep: gets the id and the outputs of every sample.
        """
        scoring, training = self.scoring, self.member.training
        precision = self.member.inference.precision or training.precision
        runner = self.engine.load(
            self.task, description, weights, precision, training.threads
        )
        tally: Any = None
        outputs_of = runner(self.samples, self.held_out, training.batch)
        for done, (id_, outputs) in enumerate(outputs_of, 1):
            counted = scoring.tally(outputs, self.samples.sample(id_))
            tally = counted if tally is None else tally + counted
            if keep is not None:
                keep(id_, outputs)
            workspace.progress.update(done, len(self.held_out), "held-out samples")
        return {
            "tally": tally.to_json(),
            **_test_figures(scoring, tally, _loss_of(history, training)),
            "model": self.member.name,
            "fold": self.fold,
            "role": self.member.role,
            "selected_on_fold": training.weights == "best"
            or len(history) < training.epochs
            # It lowers the rate by what it sees on the held-out fold.
            or training.schedule.name == "plateau",
            "pseudo_labelled": self.pseudo is not None,
            # Only the published split may have any.
            "leaks": len(self.table.leaked(self.fold)),
        }


def open_fold(
    context: Context,
    dataset: Reference,
    folds: Reference,
    model: str,
    fold: int,
    label: str,
    pseudo: Reference | None = None,
) -> FoldJob:
    """Check what a member is to be trained on, and the machine.

    Raises:
        LeakError: the folds do not hold.
        RecipeError: there is no such member or fold, or a member that learns from
            pseudo-labels is given none.
        TrainingError: the GPU that the profile asks for is missing.
    """
    recipe = context.recipe
    member = recipe.member(model)
    data, split = context.entry(dataset, "ingest"), context.entry(folds, "split")
    labels = _labels(context, member, data, pseudo)
    table = open_folds(split, data)
    table.check(fold)
    check_device(recipe.profile(member.profile), label, [member.engine])
    engine = find_engine(member.engine)
    task = context.challenge.model.task(recipe, member)
    return FoldJob(context, member, fold, data, split, table, engine, task, labels)


def _labels(
    context: Context, member: Member, data: Entry, pseudo: Reference | None
) -> Entry | None:
    """Return the pseudo-labels of a member that learns from them."""
    if not member.pseudo:
        return None
    if pseudo is None:
        raise RecipeError(
            f"{member.name} learns from pseudo-labels, which select makes after the"
            f" first round: tenfold run {context.recipe.challenge} --recipe"
            f" {context.recipe.name}"
        )
    labels = context.entry(pseudo, "select")
    if labels.inputs["dataset"] != data.address:
        raise StoreError(f"{labels.address} is of another data set; select again")
    return labels


def _loss_of(
    history: Sequence[Mapping[str, float | None]], training: Training
) -> float:
    """Return the validation loss of the weights that are used."""
    validated = [
        {name: value for name, value in row.items() if value is not None}
        for row in history
        if row.get("val/loss") is not None
    ]
    if training.weights == "best":
        return max(validated, key=monitor_of(training.monitor).gain)["val/loss"]
    return validated[-1]["val/loss"]


def _test_figures(scoring: Scoring, tally: Any, loss: float) -> Json:
    """Return the published names: what they call test is the held-out fold."""
    figures = scoring.metrics(tally)
    return {
        "score": figures[scoring.MONITOR],
        "figures": {"test/loss": loss}
        | {f"test/{name}": value for name, value in figures.items()},
    }
