"""The PyTorch engine: one training job from its first step, or from its last.

Everything that decides a step is a function of (seed, epoch, step), and the
state between steps is saved whole, so a run that is killed and started again
ends where the undisturbed one would have: on a CPU with equal threads and
versions, in the same bits.
"""

import itertools
import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from tenfold.data.arrays import Arrays, Float64Array
from tenfold.data.dataset import Dataset, Samples
from tenfold.errors import TrainingError
from tenfold.recipe import Training
from tenfold.store import Workspace
from tenfold.training.checkpoints import SCHEMA, Checkpoints, State
from tenfold.training.ema import Ema
from tenfold.training.engines import AfterEpoch, Resume, Scorer
from tenfold.training.examples import (
    EpochExamples,
    WholeSamples,
    inference_batches,
    steps_in,
    training_batches,
)
from tenfold.training.order import epoch_order, step_seed
from tenfold.training.task import Batch, TorchTask

TERMINATED = 143
_STEPS_BETWEEN_CHECKS = 25
StateDict = dict[str, Tensor]


@dataclass(frozen=True)
class Job:
    """One model on one fold.

    Attributes:
        train_ids: samples to learn from; `held_out_ids` are never among them.
        draw_weights: (train_ids,) chance of each to be drawn, or None.
        pictured_ids: held-out samples whose outputs are kept at chosen epochs.
        seed: of order, augmentation, dropout and the network's start.
        after_epoch: may end the training early.
    """

    task: TorchTask
    model: nn.Module
    dataset: Dataset
    scorer: Scorer
    training: Training
    train_ids: Sequence[str]
    held_out_ids: Sequence[str]
    draw_weights: Float64Array | None
    pictured_ids: Sequence[str]
    seed: tuple[int, ...]
    after_epoch: AfterEpoch | None = None


@dataclass
class Run:
    """Where a job stands; all of it is in a checkpoint.

    Attributes:
        epoch: the current one, from 0; `step` counts within it.
        sums: loss and counts of the current epoch so far.
        history: one row a finished epoch.
        best: best monitored score so far, and the weights that reached it.
        stale: validations since then.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best: float = -math.inf
    best_state: StateDict | None = None
    stale: int = 0
    finished: bool = False


@dataclass(frozen=True)
class Fitted:
    """What training leaves.

    Attributes:
        weights: kind (last, best, ema) → state.
        history: one row an epoch, published names.
    """

    weights: Mapping[str, StateDict]
    history: list[dict[str, float]]
    threads: int


class _Stepper(nn.Module):
    """A forward pass that ends in the loss, so that wrappers see all of it."""

    def __init__(self, task: TorchTask, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._task = task

    def forward(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        return self._task.step(self.model, batch)


class Trainer:
    """Runs one job to its end, saving as it goes.

    Args:
        job: what is trained on what.
        workspace: where checkpoints, pictures and progress go.
        resume: `auto`, `must` or `never`.
    """

    def __init__(self, job: Job, workspace: Workspace, resume: Resume = "auto") -> None:
        self._job, self._workspace = job, workspace
        training = job.training
        if training.threads:
            torch.set_num_threads(training.threads)
        # CUDA has no deterministic kernel for some layers; a CPU has.
        torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
        self._fabric = Fabric(
            accelerator="auto", devices=1, precision=training.precision
        )
        self._steps = steps_in(self._epoch_size(), training.batch)
        parameters = [p for p in job.model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(
            parameters, lr=training.learning_rate, weight_decay=training.weight_decay
        )
        self._schedule = _schedule(training, optimiser, self._steps)
        stepper = _Stepper(job.task, job.model)
        self._stepper, self._optimiser = self._fabric.setup(stepper, optimiser)
        self._ema = Ema(job.model, training.ema) if training.ema else None
        self._checkpoints = Checkpoints(workspace)
        self._run = Run()
        self._saved_at = time.monotonic()
        self._terminated = False
        state = self._checkpoints.load(resume)
        if state is not None:
            self._restore(state)

    def fit(self) -> Fitted:
        """Train to the end.

        Raises:
            TrainingError: if the loss is not finite.
            SystemExit: with 143 after SIGTERM, the state saved.
        """
        previous = signal.signal(signal.SIGTERM, self._on_terminate)
        try:
            while not self._run.finished:
                self._epoch()
        finally:
            signal.signal(signal.SIGTERM, previous)
        return Fitted(self._weights(), self._run.history, torch.get_num_threads())

    def _epoch_size(self) -> int:
        return self._job.training.samples_per_epoch or len(self._job.train_ids)

    def _epoch(self) -> None:
        run, job = self._run, self._job
        order = epoch_order(
            len(job.train_ids),
            job.training.samples_per_epoch,
            job.draw_weights,
            job.seed,
            run.epoch,
        )
        examples = EpochExamples(
            job.task, job.dataset, job.train_ids, order, job.seed, run.epoch
        )
        first_step, started = run.step, time.monotonic()
        waited = self._train_epoch(examples)
        seconds = max(time.monotonic() - started, 1e-9)
        done = (run.step - first_step) * job.training.batch
        row = self._train_row() | {
            "samples_per_second": done / seconds,
            "loader_wait": waited / seconds,
        }
        self._close_epoch(row)

    def _train_epoch(self, examples: EpochExamples) -> float:
        """Take the epoch's remaining steps; return seconds waited for data."""
        run, training = self._run, self._job.training
        batches = training_batches(examples, training.batch, run.step, training.workers)
        self._job.model.train()
        waited, asked = 0.0, time.monotonic()
        for batch in batches:
            waited += time.monotonic() - asked
            self._take_step(batch)
            self._after_step()
            asked = time.monotonic()
        return waited

    def _take_step(self, batch: Batch) -> None:
        run = self._run
        torch.manual_seed(step_seed(self._job.seed, self._global_step()))
        loss, counts = self._stepper(self._fabric.to_device(batch))
        self._fabric.backward(loss)
        self._optimiser.step()
        self._optimiser.zero_grad()
        total = self._steps * self._job.training.epochs
        if self._schedule is not None and self._global_step() + 1 < total:
            self._schedule.step()
        if self._ema is not None:
            self._ema.update(self._job.model)
        taken = {"loss": loss.detach().double(), **counts}
        run.sums = {k: run.sums.get(k, 0) + v.detach() for k, v in taken.items()}
        run.step += 1

    def _after_step(self) -> None:
        run, training = self._run, self._job.training
        total = self._steps * training.epochs
        note = f"epoch {run.epoch + 1}/{training.epochs}"
        if run.history and "val/score" in run.history[-1]:
            note += f", score {run.history[-1]['val/score']:.3f}"
        self._workspace.progress.update(self._global_step(), total, "steps", note)
        if run.step % _STEPS_BETWEEN_CHECKS == 0 or run.step == self._steps:
            self._check_finite()
        since = time.monotonic() - self._saved_at
        if self._terminated:
            self._save()
            self._leave()
        if since >= training.checkpoint_minutes * 60 and run.step < self._steps:
            self._save()

    def _leave(self) -> None:
        self._workspace.progress.log("terminated", step=self._global_step())
        raise SystemExit(TERMINATED)

    def _check_finite(self) -> None:
        if self._run.sums and not bool(torch.isfinite(self._run.sums["loss"])):
            raise TrainingError(
                f"the loss is not finite in epoch {self._run.epoch + 1}, step"
                f" {self._run.step}; lower training.learning_rate or use precision"
                " 32-true"
            )

    def _train_row(self) -> dict[str, float]:
        sums = {name: float(value) for name, value in self._run.sums.items()}
        figures = self._job.task.step_figures(sums)
        figures = {name: float(value) for name, value in figures.items()}
        rate = self._optimiser.param_groups[0]["lr"]
        row = {"epoch": float(self._run.epoch + 1), "lr": float(rate)}
        row["train/loss"] = sums["loss"] / self._steps
        return row | {f"train/{name}": value for name, value in figures.items()}

    def _close_epoch(self, row: dict[str, float]) -> None:
        run, training = self._run, self._job.training
        number = run.epoch + 1
        last = number == training.epochs
        run.stale += 1
        pictured = number in training.picture_epochs
        if last or pictured or number % training.validate_every == 0:
            row |= self._validate(number if pictured or last else None)
        run.history.append(row)
        self._workspace.progress.log("epoch", **row)
        run.epoch, run.step, run.sums = number, 0, {}
        patience = training.patience
        ended = self._job.after_epoch is not None and self._job.after_epoch(run.history)
        run.finished = (
            last
            or ended
            or ("val/score" in row and patience is not None and run.stale >= patience)
        )
        self._save()
        if self._terminated:
            self._leave()

    def _validate(self, picture_epoch: int | None) -> dict[str, float]:
        """Score the held-out samples whole, by the weights that will be used."""
        run, job = self._run, self._job
        state = self._weights()["ema" if job.training.weights == "ema" else "last"]
        kept = {name: t.clone() for name, t in job.model.state_dict().items()}
        job.model.load_state_dict(state)
        tally, pictures, losses = None, {}, []
        for id_, outputs, loss in self.assessed(job.held_out_ids):
            counted = job.scorer.tally(outputs, job.dataset.sample(id_))
            tally = counted if tally is None else tally + counted
            losses.append(loss)
            if id_ in job.pictured_ids:
                pictures[id_] = outputs
        job.model.load_state_dict(kept)
        if picture_epoch is not None:
            self._keep_pictures(picture_epoch, pictures)
        figures = {k: float(v) for k, v in job.scorer.metrics(tally).items()}
        score = figures[job.scorer.MONITOR]
        if score > run.best:
            run.best, run.stale = score, 0
            run.best_state = {name: t.detach().cpu() for name, t in state.items()}
        row = {"val/score": score, "val/loss": sum(losses) / len(losses)}
        return row | {f"val/{name}": value for name, value in figures.items()}

    def assessed(self, ids: Sequence[str]) -> Iterator[tuple[str, Arrays, float]]:
        """Yield (id, compact outputs, loss of its batch) of whole train samples."""
        job = self._job
        job.model.eval()
        batch = job.training.batch
        samples = WholeSamples(job.task.labelled, job.dataset, ids)
        for place, examples in _placed(samples, batch, 0):
            with torch.inference_mode(), self._fabric.autocast():
                moved = self._fabric.to_device(examples)
                outputs, loss = job.task.assess(job.model, moved)
            for row, id_ in enumerate(ids[place : place + batch]):
                yield id_, {k: a[row] for k, a in outputs.items()}, float(loss)

    def _keep_pictures(self, epoch: int, pictures: Mapping[str, Arrays]) -> None:
        folder = self._workspace.path / "pictures"
        folder.mkdir(exist_ok=True)
        for id_, outputs in pictures.items():
            with (folder / f"{epoch:04d}_{id_}.npz").open("wb") as stream:
                np.savez_compressed(stream, allow_pickle=False, **dict(outputs))

    def _weights(self) -> dict[str, StateDict]:
        weights = {"last": _cpu_state(self._job.model)}
        if self._ema is not None:
            weights["ema"] = {
                k: t.detach().cpu().clone() for k, t in self._ema.state.items()
            }
        if self._run.best_state is not None:
            weights["best"] = self._run.best_state
        return weights

    def _global_step(self) -> int:
        return self._run.epoch * self._steps + self._run.step

    def _save(self) -> None:
        run = self._run
        self._check_finite()
        state: State = {
            "schema": SCHEMA,
            "model": _cpu_state(self._job.model),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict() if self._schedule else None,
            "ema": (self._ema.state, self._ema.updates) if self._ema else None,
            "scaler": self._scaler_state(),
            "threads": torch.get_num_threads(),
            "run": {
                "epoch": run.epoch,
                "step": run.step,
                "sums": run.sums,
                "history": run.history,
                "best": run.best,
                "best_state": run.best_state,
                "stale": run.stale,
                "finished": run.finished,
            },
        }
        self._checkpoints.save(f"{self._global_step():09d}-{run.step}", state)
        self._saved_at = time.monotonic()

    def _restore(self, state: State) -> None:
        if state.get("schema") != SCHEMA:
            raise TrainingError("the checkpoint is of another version; resume=never")
        self._job.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        if self._schedule is not None:
            self._schedule.load_state_dict(state["schedule"])
        if self._ema is not None:
            self._ema.load(*state["ema"])
        scaler = getattr(self._fabric._precision, "scaler", None)
        if scaler is not None and state["scaler"]:
            scaler.load_state_dict(state["scaler"])
        self._run = Run(**state["run"])
        device = self._fabric.device
        self._run.sums = {k: v.to(device) for k, v in self._run.sums.items()}
        self._workspace.progress.log(
            "resume",
            epoch=self._run.epoch + 1,
            step=self._run.step,
            threads_before=state["threads"],
            threads=torch.get_num_threads(),
        )

    def _scaler_state(self) -> State | None:
        scaler = getattr(self._fabric._precision, "scaler", None)
        return scaler.state_dict() if scaler is not None else None

    def _on_terminate(self, _signal: int, _frame: FrameType | None) -> None:
        # Only a note: the step in hand is finished before anything is saved.
        self._terminated = True


def infer(
    task: TorchTask,
    model: nn.Module,
    dataset: Samples,
    ids: Sequence[str],
    fabric: Fabric,
    batch: int,
    workers: int = 0,
) -> Iterator[tuple[str, Arrays]]:
    """Yield compact outputs of whole samples, out-of-fold and test alike."""
    model.eval()
    samples = WholeSamples(task.whole, dataset, ids)
    for place, examples in _placed(samples, batch, workers):
        with torch.inference_mode(), fabric.autocast():
            outputs = task.outputs(model, fabric.to_device(examples))
        for row, id_ in enumerate(ids[place : place + batch]):
            yield id_, {name: array[row] for name, array in outputs.items()}


def _placed(
    samples: WholeSamples, batch: int, workers: int
) -> Iterator[tuple[int, Batch]]:
    """Yield batches with the place of their first sample."""
    batches = inference_batches(samples, batch, workers)
    yield from zip(itertools.count(0, batch), batches, strict=False)


def _cpu_state(model: nn.Module) -> StateDict:
    return {k: t.detach().cpu().clone() for k, t in model.state_dict().items()}


def _schedule(
    training: Training, optimiser: torch.optim.Optimizer, steps: int
) -> LRScheduler | None:
    """Build the schedule over all steps of the run."""
    schedule = training.schedule
    if schedule.name == "none":
        return None
    total = steps * training.epochs
    # A warm-up of exactly one step would divide by zero.
    one = math.isclose(schedule.warmup * total, 1)
    return OneCycleLR(
        optimiser,
        max_lr=training.learning_rate,
        total_steps=total,
        pct_start=schedule.warmup * (1 - 1e-9) if one else schedule.warmup,
        div_factor=schedule.start_divisor,
        final_div_factor=schedule.final_divisor,
    )
