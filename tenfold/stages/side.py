"""A finished run, opened to stand beside another: its folds, outputs and decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from tenfold.data.arrays import Arrays
from tenfold.data.dataset import Dataset
from tenfold.errors import RecipeError, StoreError
from tenfold.folds import FoldTable
from tenfold.recipe import Json
from tenfold.stages.context import Context
from tenfold.stages.entries import DECISION, HISTORY, LEADERBOARD, SCORES, SUMMARY
from tenfold.stages.proof import open_folds
from tenfold.stages.report import RunRecord, read_run
from tenfold.stages.tune import HeldOut, decide
from tenfold.store import Entry


@dataclass(frozen=True)
class Side:
    """A finished run, opened.

    Attributes:
        folder: of the run.
        data: entry of ingest; `tuned` is that of tune.
        table: its folds, checked.
        board: rows of its leaderboard, best first.
    """

    folder: Path
    record: RunRecord
    context: Context
    data: Entry
    table: FoldTable
    tuned: Entry
    board: Sequence[Json]

    @property
    def fingerprint(self) -> str:
        """Of the samples by their content."""
        return str(self.data.json(SUMMARY)["fingerprint"])

    @cached_property
    def scores(self) -> Json:
        """What tune wrote: honest, naive, baseline, curves and more."""
        return dict(self.tuned.json(SCORES))

    @cached_property
    def truth(self) -> float | None:
        """Score on truth kept aside, if the run was judged."""
        judged = self.record.judged
        if judged is None:
            return None
        return float(self.context.store.open(judged.address).json(SCORES)["score"])

    @cached_property
    def decision(self) -> Json:
        """What tune chose."""
        return dict(self.tuned.json(DECISION))

    @cached_property
    def dataset(self) -> Dataset:
        """All samples."""
        return Dataset(self.data.path)

    @cached_property
    def outputs(self) -> dict[str, Mapping[str, Arrays]]:
        """Sample → model → its out-of-fold outputs, which are read when used."""
        held_out = HeldOut(self.context.store, self.dataset, self.table, self.board)
        return {id_: outputs for id_, _, _, outputs in held_out.samples()}

    def history(self, model: str) -> list[pl.DataFrame]:
        """Return what changed over a model's epochs, a table a fold."""
        (row,) = [row for row in self.board if row["model"] == model]
        entries = [self.context.store.open(a) for a in row["folds"].values()]
        return [pl.read_parquet(entry.path / HISTORY) for entry in entries]

    def decide(self, id_: str) -> Arrays:
        """Return the run's prediction of a sample that no model involved has seen."""
        part, arrays = self.context.challenge.decision, self.dataset.sample(id_)
        return decide(part, self.decision, self.outputs[id_], arrays)

    @cached_property
    def undecided(self) -> str:
        """Why the decision cannot be applied, or nothing."""
        try:
            self.decide(next(iter(self.outputs)))
        except (KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            return (
                f"The decision of {self.folder} is of another version of the code"
                f" ({reason}); run it again to compare ensembles."
            )
        return ""


def open_side(folder: Path) -> Side:
    """Open a finished run.

    Raises:
        StoreError: the folder holds none, or its results are gone.
    """
    record = read_run(folder)
    try:
        # By address: a newer code's defaults change a recipe's digest, not its results.
        context = record.context
        found = {
            stage: context.store.open(record.of(stage)[-1].address)
            for stage in ("ingest", "split", "tune")
        }
        board = context.store.open(found["tune"].inputs["leaderboard"])
    except IndexError:
        raise StoreError(f"{folder} has no decision to compare; run it again") from None
    except (RecipeError, StoreError) as error:
        raise StoreError(f"{folder} cannot be opened: {error}") from None
    return Side(
        folder=folder,
        record=record,
        context=context,
        data=found["ingest"],
        table=open_folds(found["split"], found["ingest"]),
        tuned=found["tune"],
        board=board.json(LEADERBOARD),
    )
