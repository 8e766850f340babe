"""The PyTorch engine: one training job from its first step, or from its last.

Everything that decides a step is a function of (seed, epoch, step), and the
state between steps is saved whole, so a run that is killed and started again
ends where the undisturbed one would have: on a CPU with equal threads and
versions, in the same bits.
"""

import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields
from types import FrameType

import torch

from tenfold.errors import TrainingError
from tenfold.store import Workspace
from tenfold.training.checkpoints import SCHEMA, Checkpoints, State
from tenfold.training.compilation import compiling
from tenfold.training.engines import Resume
from tenfold.training.examples import EpochExamples, training_batches
from tenfold.training.job import Job
from tenfold.training.learner import Learner
from tenfold.training.monitor import monitor_of
from tenfold.training.order import epoch_order, step_seed
from tenfold.training.pace import pace_of
from tenfold.training.precision import fabric_of
from tenfold.training.run import Fitted, Run
from tenfold.training.task import Batch
from tenfold.training.validation import Validation

TERMINATED = 143
_STEPS_BETWEEN_CHECKS = 25


class Trainer:
    """Runs one job to its end, saving as it goes.

    Args:
        job: what is trained on what.
        workspace: where checkpoints, pictures and progress go.
        resume: `auto`, `must` or `never`.

    Raises:
        TrainingError: there is no checkpoint where one must be, or no held-out figure
            has the name of one that is monitored.
    """

    def __init__(self, job: Job, workspace: Workspace, resume: Resume = "auto") -> None:
        self._job, self._workspace = job, workspace
        training = job.training
        if training.threads:
            torch.set_num_threads(training.threads)
        # CUDA has no deterministic kernel for some layers; a CPU has.
        torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
        fabric = fabric_of(training.precision)
        self._device = fabric.device
        self._pace = pace_of(training, len(job.train_ids))
        self._learner = Learner(job, fabric, self._pace)
        self._monitor = monitor_of(training.monitor)
        self._validation = Validation(job, fabric, workspace.path / "pictures")
        self._checkpoints = Checkpoints(workspace)
        self._run, self._terminated = Run(), False
        self._saved_as, self._saved_at = "", time.monotonic()
        state = self._checkpoints.load(resume)
        if state is not None:
            self._restore(state)
        else:
            watched = monitor_of(training.schedule.monitor)
            with self._learner.with_used_weights():
                self._validation.check([self._monitor, watched])

    def fit(self) -> Fitted:
        """Train to the end.

        Raises:
            TrainingError: if the loss or the weights are not finite.
            SystemExit: with 143 after SIGTERM, the state saved.
        """
        previous = signal.signal(signal.SIGTERM, self._on_terminate)
        try:
            with compiling(self._job.training.compile):
                while not self._run.finished:
                    self._epoch()
        finally:
            signal.signal(signal.SIGTERM, previous)
        weights, best = self._learner.weights(), self._run.best_state
        if best is not None:
            weights["best"] = best
        return Fitted(weights, self._run.history, torch.get_num_threads())

    def _epoch(self) -> None:
        run, pace = self._run, self._pace
        first, started = pace.before(run.step), time.monotonic()
        waited = self._train_epoch()
        seconds = max(time.monotonic() - started, 1e-9)
        done = (pace.before(run.step) - first) * self._job.training.batch
        row = self._train_row() | {
            "samples_per_second": done / seconds,
            "loader_wait": waited / seconds,
        }
        self._close_epoch(row)

    def _train_epoch(self) -> float:
        """Take the epoch's remaining steps; return seconds waited for data."""
        run, pace = self._run, self._pace
        first = pace.before(run.step)
        self._job.model.train()
        waited, asked = 0.0, time.monotonic()
        for place, batch in enumerate(self._batches(run.epoch, first), first):
            waited += time.monotonic() - asked
            taken = self._learner.learn(batch, pace.size(place))
            run.sums = {name: run.sums.get(name, 0) + v for name, v in taken.items()}
            if pace.ends_step(place):
                run.step += 1
                self._learner.step(self._global_step())
                self._after_step()
            asked = time.monotonic()
        return waited

    def _batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """Yield an epoch's batches from one on, each with its own random numbers."""
        job, training, pace = self._job, self._job.training, self._pace
        order = epoch_order(
            len(job.train_ids),
            training.samples_per_epoch,
            job.draw_weights,
            job.seed,
            epoch,
        )
        order = order[: pace.batches * training.batch]
        examples = EpochExamples(
            job.task, job.dataset, job.train_ids, order, job.seed, epoch
        )
        batches = training_batches(examples, training.batch, first, training.workers)
        for place, batch in enumerate(batches, first):
            torch.manual_seed(step_seed(job.seed, epoch * pace.batches + place))
            yield batch

    def _after_step(self) -> None:
        run, training = self._run, self._job.training
        total = self._pace.steps * training.epochs
        note = f"epoch {run.epoch + 1}/{training.epochs}"
        if run.history and "val/score" in run.history[-1]:
            note += f", score {run.history[-1]['val/score']:.3f}"
        self._workspace.progress.update(self._global_step(), total, "steps", note)
        ends_epoch = run.step == self._pace.steps
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
        if run.sums and not bool(torch.isfinite(run.sums["loss"])):
            raise TrainingError(_not_finite("loss is", run))
        if run.step == self._pace.steps and not self._learner.is_finite():
            raise TrainingError(_not_finite("weights are", run))

    def _train_row(self) -> dict[str, float]:
        sums = {name: float(value) for name, value in self._run.sums.items()}
        figures = self._job.task.step_figures(sums)
        figures = {name: float(value) for name, value in figures.items()}
        rate = self._learner.current_rate()
        row = {"epoch": float(self._run.epoch + 1), "lr": rate}
        row["train/loss"] = sums["loss"] / self._pace.batches
        return row | {f"train/{name}": value for name, value in figures.items()}

    def _close_epoch(self, row: dict[str, float]) -> None:
        run, training, learner = self._run, self._job.training, self._learner
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
        run, job = self._run, self._job
        ended = job.after_epoch is not None and job.after_epoch(run.history)
        patience = job.training.patience
        weary = patience is not None and run.stale >= patience
        return ended or ("val/score" in row and weary)

    def _finish(self) -> None:
        """Finish averaged weights on an epoch of examples that no step saw."""
        self._learner.end(self._untrained_batches())

    def _untrained_batches(self) -> Iterator[Batch]:
        note, batches = "statistics of averaged weights", self._pace.batches
        for place, batch in enumerate(self._batches(self._job.training.epochs, 0)):
            if self._terminated:
                self._leave()
            yield batch
            self._workspace.progress.update(place + 1, batches, "batches", note)

    def _global_step(self) -> int:
        return self._run.epoch * self._pace.steps + self._run.step

    def _name(self) -> str:
        return f"{self._global_step():09d}-{self._run.step}"

    def _save(self) -> None:
        if self._name() == self._saved_as:
            return
        self._check_finite()
        state: State = {
            "schema": SCHEMA,
            **self._learner.to_state(),
            "threads": torch.get_num_threads(),
            "run": {f.name: getattr(self._run, f.name) for f in fields(Run)},
        }
        self._checkpoints.save(self._name(), state)
        self._saved_as, self._saved_at = self._name(), time.monotonic()

    def _restore(self, state: State) -> None:
        if state.get("schema") != SCHEMA:
            raise TrainingError("the checkpoint is of another version; resume=never")
        self._learner.load(state)
        self._run = Run(**state["run"])
        self._run.sums = {k: v.to(self._device) for k, v in self._run.sums.items()}
        self._saved_as = self._name()
        self._workspace.progress.log(
            "resume",
            epoch=self._run.epoch + 1,
            step=self._run.step,
            threads_before=state["threads"],
            threads=torch.get_num_threads(),
        )

    def _on_terminate(self, _signal: int, _frame: FrameType | None) -> None:
        # Only a note: the step in hand is finished before anything is saved.
        self._terminated = True


def _not_finite(what: str, run: Run) -> str:
    return (
        f"the {what} not finite in epoch {run.epoch + 1}, step {run.step}; lower"
        " training.learning_rate or use precision 32-true"
    )
