"""The loop of a training, whatever the framework: from its first step, or its last.

Everything that decides a step is a function of (seed, epoch, step), and the state
between steps is saved whole, so a run that is killed and started again ends where the
undisturbed one would have: on a CPU with equal threads and versions, in the same bits.
"""

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from types import FrameType
from typing import Any, Protocol

from tenfold.errors import TrainingError
from tenfold.recipe import Training
from tenfold.store import Workspace
from tenfold.training.checkpoints import SCHEMA, Checkpoints, State
from tenfold.training.engines import AfterEpoch, Resume
from tenfold.training.monitor import monitor_of
from tenfold.training.order import step_seed
from tenfold.training.pace import Pace
from tenfold.training.run import Fitted, Run
from tenfold.training.validation import Validation

TERMINATED = 143
_STEPS_BETWEEN_CHECKS = 25

#: Gives an epoch's batches from one on: (epoch, first).
Batches = Callable[[int, int], Iterator[Any]]


class Rate(Protocol):
    """Moves the learning rate when something other than a step is over."""

    def after_validation(self, epoch: int, row: Mapping[str, float]) -> None:
        """Take in a validation's figures; `epoch` is numbered from 1."""

    def after_epoch(self, epoch: int) -> None:
        """Take in the end of an epoch, numbered from 1."""


class Learner(Protocol):
    """What a step changes: a network and all that moves with it, of one framework."""

    @property
    def rate(self) -> Rate:
        """Who moves the learning rate."""

    @property
    def threads(self) -> int:
        """CPU threads that it computes with."""

    @property
    def averages_epochs(self) -> bool:
        """Whether the end of an epoch changes anything."""

    def train_mode(self) -> None:
        """Make the network ready for steps."""

    def learn(self, batch: Any, seed: int, size: int) -> None:
        """Add a batch's part to a step.

        Args:
            batch: examples, on any device.
            seed: of all that the network draws.
            size: batches of the step.
        """

    def step(self, done: int) -> Mapping[str, Any]:
        """Take a step; `done` are those of the run, this one included.

        Returns:
            Counts over the step's batches that add up, `loss` among them: the sum of
            their losses. They may stay on a device until they are turned into floats.
        """

    def end_epoch(self, number: int) -> None:
        """Take in the end of an epoch, numbered from 1."""

    def end(self, batches: Iterator[tuple[Any, int]]) -> None:
        """Finish averaged weights with an epoch of batches and their seeds."""

    def is_finite(self) -> bool:
        """Tell whether all weights are numbers."""

    def with_used_weights(self) -> AbstractContextManager[Any]:
        """Give the network the weights that will be used, as far as there are any."""

    def weights(self) -> dict[str, Any]:
        """Return copies by kind: last, and the averages there are."""

    def current_rate(self) -> float:
        """Return the learning rate of the next step."""

    def to_state(self) -> dict[str, Any]:
        """Return all that a checkpoint needs."""

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""


@dataclass(frozen=True)
class Course:
    """What a training goes through.

    Attributes:
        training: of the recipe.
        pace: of its epochs.
        seed: of the run.
        batches: of examples, each a function of (seed, epoch, place).
        step_figures: turns the counts of an epoch into figures.
        after_epoch: may end the training early.
    """

    training: Training
    pace: Pace
    seed: tuple[int, ...]
    batches: Batches
    step_figures: Callable[[Mapping[str, float]], Mapping[str, float]]
    after_epoch: AfterEpoch | None = None


class Loop:
    """Runs one job to its end, saving as it goes.

    Args:
        course: that is run.
        learner: that learns.
        validation: of held-out samples.
        checkpoints: of the learner's framework.
        workspace: where progress goes.
        resume: `auto`, `must` or `never`.

    Raises:
        TrainingError: there is no checkpoint where one must be, or no held-out figure
            has the name of one that is monitored.
    """

    def __init__(
        self,
        course: Course,
        learner: Learner,
        validation: Validation,
        checkpoints: Checkpoints,
        workspace: Workspace,
        resume: Resume = "auto",
    ) -> None:
        self._course, self._learner = course, learner
        self._validation, self._checkpoints = validation, checkpoints
        self._workspace = workspace
        self._monitor = monitor_of(course.training.monitor)
        self._run, self._terminated = Run(), False
        self._saved_as, self._saved_at = "", time.monotonic()
        state = checkpoints.load(resume)
        if state is not None:
            self._restore(state)
        else:
            watched = monitor_of(course.training.schedule.monitor)
            with learner.with_used_weights():
                validation.check([self._monitor, watched])

    def fit(self) -> Fitted:
        """Train to the end.

        Raises:
            TrainingError: if the loss or the weights are not finite.
            SystemExit: with 143 after SIGTERM, the state saved.
        """
        previous = signal.signal(signal.SIGTERM, self._on_terminate)
        try:
            while not self._run.finished:
                self._epoch()
        finally:
            signal.signal(signal.SIGTERM, previous)
        weights, best = self._learner.weights(), self._run.best_state
        if best is not None:
            weights["best"] = best
        return Fitted(weights, self._run.history, self._learner.threads)

    def _epoch(self) -> None:
        run, pace = self._run, self._course.pace
        first, started = pace.before(run.step), time.monotonic()
        waited = self._train_epoch()
        seconds = max(time.monotonic() - started, 1e-9)
        done = (pace.before(run.step) - first) * self._course.training.batch
        row = self._train_row() | {
            "samples_per_second": done / seconds,
            "loader_wait": waited / seconds,
        }
        self._close_epoch(row)

    def _train_epoch(self) -> float:
        """Take the epoch's remaining steps; return seconds waited for data."""
        run, pace, learner = self._run, self._course.pace, self._learner
        first = pace.before(run.step)
        learner.train_mode()
        waited, asked = 0.0, time.monotonic()
        for place, (batch, seed) in enumerate(self._batches(run.epoch, first), first):
            waited += time.monotonic() - asked
            learner.learn(batch, seed, pace.size(place))
            if pace.ends_step(place):
                run.step += 1
                taken = learner.step(self._global_step())
                run.sums = {n: run.sums.get(n, 0) + v for n, v in taken.items()}
                self._after_step()
            asked = time.monotonic()
        return waited

    def _batches(self, epoch: int, first: int) -> Iterator[tuple[Any, int]]:
        """Yield an epoch's batches from one on, each with a seed of its own."""
        course = self._course
        before = epoch * course.pace.batches
        for place, batch in enumerate(course.batches(epoch, first), first):
            yield batch, step_seed(course.seed, before + place)

    def _after_step(self) -> None:
        run, training, pace = self._run, self._course.training, self._course.pace
        total = pace.steps * training.epochs
        note = f"epoch {run.epoch + 1}/{training.epochs}"
        if run.history and "val/score" in run.history[-1]:
            note += f", score {run.history[-1]['val/score']:.3f}"
        self._workspace.progress.update(self._global_step(), total, "steps", note)
        ends_epoch = run.step == pace.steps
        if run.step % _STEPS_BETWEEN_CHECKS == 0 or ends_epoch:
            self._check_finite()
        since = time.monotonic() - self._saved_at
        if self._terminated:
            self._save()
            self._leave()
        if since >= training.checkpoint_minutes * 60 and not ends_epoch:
            self._save()

    def _leave(self) -> None:
        self._workspace.progress.log("terminated", step=self._global_step())
        raise SystemExit(TERMINATED)

    def _check_finite(self) -> None:
        run = self._run
        if run.sums and not math.isfinite(float(run.sums["loss"])):
            raise TrainingError(_not_finite("loss is", run))
        ends_epoch = run.step == self._course.pace.steps
        if ends_epoch and not self._learner.is_finite():
            raise TrainingError(_not_finite("weights are", run))

    def _train_row(self) -> dict[str, float]:
        sums = {name: float(value) for name, value in self._run.sums.items()}
        figures = self._course.step_figures(sums)
        figures = {name: float(value) for name, value in figures.items()}
        rate = self._learner.current_rate()
        row = {"epoch": float(self._run.epoch + 1), "lr": rate}
        row["train/loss"] = sums["loss"] / self._course.pace.batches
        return row | {f"train/{name}": value for name, value in figures.items()}

    def _close_epoch(self, row: dict[str, float]) -> None:
        run, training, learner = self._run, self._course.training, self._learner
        number = run.epoch + 1
        last = number == training.epochs
        if learner.averages_epochs:
            # Who is ended in what follows, which may take long, begins here again.
            self._save()
        run.stale += 1
        learner.end_epoch(number)
        if last:
            self._finish()
        pictured = number in training.picture_epochs
        if last or pictured or number % training.validate_every == 0:
            row |= self._validate(number if pictured or last else None)
            learner.rate.after_validation(number, row)
        learner.rate.after_epoch(number)
        run.history.append(row)
        self._workspace.progress.log("epoch", **row)
        ends_early = self._ends_early(row)
        run.finished = last or ends_early
        if run.finished and not last:
            self._finish()
        run.epoch, run.step, run.sums = number, 0, {}
        self._save()
        if self._terminated:
            self._leave()

    def _validate(self, picture_epoch: int | None) -> dict[str, float]:
        """Score the held-out samples whole, by the weights that will be used."""
        run = self._run
        with self._learner.with_used_weights() as state:
            row = self._validation.run(picture_epoch)
        gain = self._monitor.gain(row)
        if gain > run.best or run.best_state is None:
            run.best, run.best_state, run.stale = gain, state, 0
        return row

    def _ends_early(self, row: Mapping[str, float]) -> bool:
        run, course = self._run, self._course
        ended = course.after_epoch is not None and course.after_epoch(run.history)
        patience = course.training.patience
        weary = patience is not None and run.stale >= patience
        return ended or ("val/score" in row and weary)

    def _finish(self) -> None:
        """Finish averaged weights on an epoch of examples that no step saw."""
        self._learner.end(self._untrained_batches())

    def _untrained_batches(self) -> Iterator[tuple[Any, int]]:
        course = self._course
        note, batches = "statistics of averaged weights", course.pace.batches
        for place, batch in enumerate(self._batches(course.training.epochs, 0)):
            if self._terminated:
                self._leave()
            yield batch
            self._workspace.progress.update(place + 1, batches, "batches", note)

    def _global_step(self) -> int:
        return self._run.epoch * self._course.pace.steps + self._run.step

    def _name(self) -> str:
        return f"{self._global_step():09d}-{self._run.step}"

    def _save(self) -> None:
        if self._name() == self._saved_as:
            return
        self._check_finite()
        self._run.sums = {name: _plain(v) for name, v in self._run.sums.items()}
        state: State = {
            "schema": SCHEMA,
            **self._learner.to_state(),
            "threads": self._learner.threads,
            "batches": self._course.pace.batches,
            "run": {f.name: getattr(self._run, f.name) for f in fields(Run)},
        }
        self._checkpoints.save(self._name(), state)
        self._saved_as, self._saved_at = self._name(), time.monotonic()

    def _restore(self, state: State) -> None:
        if state.get("schema") != SCHEMA:
            raise TrainingError("the checkpoint is of another version; resume=never")
        batches = self._course.pace.batches
        if state["batches"] != batches:
            raise TrainingError(
                f"the checkpoint's epochs have {state['batches']} batches, and these"
                f" {batches}; train on as many devices as before, or resume=never"
            )
        self._learner.load(state)
        self._run = Run(**state["run"])
        self._saved_as = self._name()
        self._workspace.progress.log(
            "resume",
            epoch=self._run.epoch + 1,
            step=self._run.step,
            threads_before=state["threads"],
            threads=self._learner.threads,
        )

    def _on_terminate(self, _signal: int, _frame: FrameType | None) -> None:
        # Only a note: the step in hand is finished before anything is saved.
        self._terminated = True


def _plain(value: Any) -> Any:
    """Return a count as a plain number; whole ones stay whole."""
    if isinstance(value, int | float):
        return value
    return value.item() if hasattr(value, "item") else float(value)


def _not_finite(what: str, run: Run) -> str:
    return (
        f"the {what} not finite in epoch {run.epoch + 1}, step {run.step}; lower"
        " training.learning_rate or use precision 32-true"
    )
