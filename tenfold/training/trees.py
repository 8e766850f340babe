"""The engine of boosted trees: one training job from its first round, or a later one.

XGBoost goes on from saved trees in the same bits, since a round depends on them and
the table alone. Only its generators of drawn rows and columns cannot be saved; where
trees draw, they are therefore seeded anew every 20 rounds, and only there a training
is saved. Bits are equal for equal thread counts and versions.
"""

import math
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

import xgboost as xgb

from tenfold.errors import TrainingError
from tenfold.recipe import Json
from tenfold.store import Workspace
from tenfold.training.engines import Order, Resume
from tenfold.training.monitor import Monitor, monitor_of
from tenfold.training.order import step_seed
from tenfold.training.trees_checkpoints import Saved, TreesCheckpoints
from tenfold.training.trees_table import draw_table
from tenfold.training.trees_task import TreesTask
from tenfold.training.trees_validation import Validation

TERMINATED = 143
_ROUNDS_A_SEED = 20
History = list[dict[str, float]]


@dataclass(frozen=True)
class Fitted:
    """What training leaves.

    Attributes:
        boosters: kind of weights (last, best) to trees.
        history: one row a round.
        table: facts about the rows that were learnt from.
        threads: of the training.
    """

    boosters: Mapping[str, xgb.Booster]
    history: History
    table: Json
    threads: int


class Trainer:
    """Runs one job to its end, saving as it goes.

    Args:
        order: what is trained on what; its task is a `TreesTask`.
        workspace: where checkpoints, pictures and progress go.
        resume: `auto`, `must` or `never`.
    """

    def __init__(self, order: Order, workspace: Workspace, resume: Resume) -> None:
        self._order, self._workspace = order, workspace
        self._task: TreesTask = order.task
        self._training = self._task.member.training
        self._stride = _ROUNDS_A_SEED if self._task.member.trees.draws else 1
        self._threads = self._training.threads or _available_threads()
        self._monitor = monitor_of(self._training.monitor)
        self._validation = Validation(order, workspace.path / "pictures")
        self._validation.check(self._monitor)
        self._booster: xgb.Booster | None = None
        self._history: History = []
        self._table: Json = {}
        self._finished = self._terminated = False
        self._saved_at = time.monotonic()
        self._checkpoints = TreesCheckpoints(workspace)
        self._resumed = self._checkpoints.load(resume)
        if self._resumed is not None:
            self._restore(self._resumed)

    def fit(self) -> Fitted:
        """Train to the end.

        Raises:
            TrainingError: nothing can be learnt from, or the loss is not finite.
            SystemExit: with 143 after SIGTERM, the state saved.
        """
        previous = signal.signal(signal.SIGTERM, self._on_terminate)
        trees = self._resumed.trees if self._resumed is not None else None
        try:
            if self._finished:
                booster = self._continued(trees, None)
            else:
                booster = self._boost(trees)
        finally:
            signal.signal(signal.SIGTERM, previous)
        boosters = {"last": booster}
        best = best_round(self._history, self._monitor)
        if best:
            boosters["best"] = booster[:best]
        return Fitted(boosters, self._history, self._table, self._threads)

    def _restore(self, saved: Saved) -> None:
        self._history = [dict(row) for row in saved.history]
        self._finished, self._table = saved.finished, saved.table
        self._workspace.progress.log(
            "resume",
            epoch=len(self._history) + 1,
            threads_before=saved.threads,
            threads=self._threads,
        )

    def _boost(self, trees: bytes | None) -> xgb.Booster:
        """Add the rounds that are missing to saved trees."""
        started = time.monotonic()
        matrix = self._read()
        booster = self._continued(trees, matrix)
        waited = time.monotonic() - started
        while not self._finished:
            done = len(self._history)
            if self._stride > 1 and done and done % self._stride == 0:
                booster = self._continued(booster.save_raw("ubj"), matrix)
            self._booster = booster
            self._round(booster, matrix, waited)
            waited = 0.0
        return booster

    def _read(self) -> xgb.QuantileDMatrix:
        """Draw the table, and bin its columns; the table itself is not kept."""
        order = self._order
        ids = order.catalogue["id"].to_list()
        table = draw_table(
            self._task, order.dataset, ids, order.seed, self._after_sample
        )
        self._table = table.summary()
        self._workspace.progress.log("table", **self._table)
        return xgb.QuantileDMatrix(
            table.values,
            table.truth,
            feature_names=list(self._task.features),
            nthread=self._threads,
        )

    def _after_sample(self, done: int, total: int) -> None:
        self._workspace.progress.update(done, total, "samples read")
        self._leave_if_asked()

    def _continued(
        self, trees: bytes | bytearray | None, matrix: xgb.DMatrix | None
    ) -> xgb.Booster:
        """Return a booster that goes on from saved trees, seeded for its round."""
        options = self._task.member.trees
        seed = step_seed(self._order.seed, len(self._history))
        parameters = {
            "objective": "binary:logistic",
            "eval_metric": "logloss",
            "tree_method": "hist",
            "device": "cpu",
            "eta": self._training.learning_rate,
            "nthread": self._threads,
            # XGBoost's seeds are signed.
            "seed": seed >> 1,
            **options.model_dump(),
        }
        booster = xgb.Booster(parameters, [] if matrix is None else [matrix])
        if trees is not None:
            booster.load_model(bytearray(trees))
            # Loading forgets what is no part of a model.
            booster.set_param(parameters)
        return booster

    def _round(self, booster: xgb.Booster, matrix: xgb.DMatrix, waited: float) -> None:
        order, training = self._order, self._training
        number, started = len(self._history) + 1, time.monotonic()
        booster.update(matrix, number - 1)
        seconds = max(waited + time.monotonic() - started, 1e-9)
        loss = float(booster.eval(matrix).rsplit(":", 1)[1])
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is not finite in round {number}; lower"
                " training.learning_rate"
            )
        row = {
            "epoch": float(number),
            "lr": training.learning_rate,
            "train/loss": loss,
            "samples_per_second": len(order.catalogue) / seconds,
            "loader_wait": waited / seconds,
        }
        last, pictured = number == training.epochs, number in training.picture_epochs
        if last or pictured or number % training.validate_every == 0:
            row |= self._validation.run(
                booster, number if pictured or last else None, self._leave_if_asked
            )
        self._history.append(row)
        self._workspace.progress.log("epoch", **row)
        self._close(row)

    def _close(self, row: Mapping[str, float]) -> None:
        """Decide whether to end, save if it is time, and tell how far it is."""
        training, number = self._training, len(self._history)
        best = best_round(self._history, self._monitor)
        note = f"score {self._history[best - 1]['val/score']:.3f}" if best else ""
        self._workspace.progress.update(number, training.epochs, "rounds", note)
        told = self._order.after_epoch
        ended = told is not None and told(self._history)
        patience = training.patience
        tired = patience is not None and number - best >= patience
        self._finished = (
            number == training.epochs or ended or ("val/score" in row and tired)
        )
        due = time.monotonic() - self._saved_at >= training.checkpoint_minutes * 60
        if self._finished or due:
            self._save()
        self._leave_if_asked()

    def _save(self) -> None:
        """Save the last state that a training can go on from in the same bits."""
        done = len(self._history)
        rounds = done if self._finished else done // self._stride * self._stride
        trees = None
        if rounds and self._booster is not None:
            # A round whose validation was broken off has no row yet.
            trees = bytes(self._booster[:rounds].save_raw("ubj"))
        self._checkpoints.save(
            Saved(
                trees=trees,
                history=self._history[:rounds],
                finished=self._finished,
                table=self._table,
                threads=self._threads,
            )
        )
        self._saved_at = time.monotonic()

    def _leave_if_asked(self) -> None:
        if not self._terminated:
            return
        # Before the first new round, a checkpoint that is there is the last state.
        if not self._finished and not (self._resumed and self._booster is None):
            self._save()
        self._workspace.progress.log("terminated", step=len(self._history))
        raise SystemExit(TERMINATED)

    def _on_terminate(self, _signal: int, _frame: FrameType | None) -> None:
        # Only a note: the round in hand is finished before anything is saved.
        self._terminated = True


def best_round(history: Sequence[Mapping[str, float]], monitor: Monitor) -> int:
    """Return the first of the best validated rounds, from 1; 0 if none was."""
    gains = {
        number: monitor.gain(row)
        for number, row in enumerate(history, 1)
        if "val/score" in row
    }
    return max(gains, key=lambda number: gains[number], default=0)


def _available_threads() -> int:
    """Return the CPUs this process may use; a container's time quota is not seen."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
