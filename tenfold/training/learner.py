"""What a step changes: a network, its optimiser, its rate and its averages."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from tenfold.training.compilation import compile_network, uncompiled
from tenfold.training.ema import Ema
from tenfold.training.job import Job
from tenfold.training.optimisers import optimiser_of
from tenfold.training.pace import Pace
from tenfold.training.schedules import LearningRate
from tenfold.training.stepper import Stepper
from tenfold.training.swa import SwaAverage, epochs_before, renew_statistics
from tenfold.training.task import Batch

StateDict = dict[str, Tensor]
#: Kinds of weights that are averages, which are validated where they are used.
_AVERAGES = ("ema", "swa")


class Learner:
    """A job's network and all that moves with it; a checkpoint holds it whole.

    Args:
        job: whose model learns.
        fabric: in whose precision, and on whose device.
        pace: of the run's epochs.
    """

    def __init__(self, job: Job, fabric: Fabric, pace: Pace) -> None:
        training = job.training
        self._job, self._fabric, self._model = job, fabric, job.model
        optimiser = optimiser_of(training, job.model)
        self.rate = LearningRate(training, optimiser, pace)
        stepper = Stepper(job.task, job.model)
        self._stepper, self._optimiser = fabric.setup(stepper, optimiser)
        if training.compile:
            compile_network(job.model)
        self.threads = torch.get_num_threads()
        self._taken: dict[str, Tensor] = {}
        self._ema = Ema(job.model, training.ema) if training.ema else None
        self._swa: SwaAverage | None = None
        if training.swa is not None:
            self._swa = SwaAverage(epochs_before(training.swa, training.epochs))

    def train_mode(self) -> None:
        """Make layers behave as in training."""
        self._model.train()

    def learn(self, batch: Batch, seed: int, size: int) -> None:
        """Add a batch's part to the gradient of a step.

        Args:
            batch: examples, on any device.
            seed: of all that the network draws.
            size: batches of the step.
        """
        torch.manual_seed(seed)
        loss, counts = self._stepper(self._fabric.to_device(batch))
        self._fabric.backward(loss / size)
        found = {"loss": loss.detach().double(), **counts}
        for name, value in found.items():
            self._taken[name] = self._taken.get(name, 0) + value.detach()

    def step(self, done: int) -> dict[str, Tensor]:
        """Take a step; `done` are those of the run, this one included.

        Returns:
            Counts that add up over its batches, `loss` among them.
        """
        largest = self._job.training.clip_norm
        if largest is not None:
            # Not an error: where float16 scales the loss, such a step is left out.
            self._fabric.clip_gradients(
                self._stepper,
                self._optimiser,
                max_norm=largest,
                error_if_nonfinite=False,
            )
        self._optimiser.step()
        self._optimiser.zero_grad()
        self.rate.after_step(done)
        if self._ema is not None:
            self._ema.update(self._model)
        taken, self._taken = self._taken, {}
        return taken

    @property
    def averages_epochs(self) -> bool:
        """Whether the end of an epoch changes anything."""
        return self._swa is not None

    def end_epoch(self, number: int) -> None:
        """Average the weights after an epoch, numbered from 1."""
        if self._swa is not None:
            self._swa.end_epoch(self._model, number)

    def end(self, batches: Iterator[tuple[Batch, int]]) -> None:
        """Give averaged weights the statistics of batch normalisation they need.

        Args:
            batches: of training examples, on any device, and their seeds.
        """
        if self._swa is None:
            return
        if not self._swa.count:
            self._swa.take(self._model)
        stepper = Stepper(self._job.task, self._model)
        moved = (self._seeded(batch, seed) for batch, seed in batches)
        with self._borrowed(self._swa.state), self._fabric.autocast():
            renew_statistics(stepper, moved)
            self._swa.finish(self._model)

    def _seeded(self, batch: Batch, seed: int) -> Batch:
        torch.manual_seed(seed)
        moved: Batch = self._fabric.to_device(batch)
        return moved

    def is_finite(self) -> bool:
        """Tell whether all weights are numbers."""
        finite = [torch.isfinite(p.detach()).all() for p in self._model.parameters()]
        return bool(torch.stack(finite).all())

    @contextmanager
    def with_used_weights(self) -> Iterator[StateDict]:
        """Give the network the weights that will be used, as far as there are any.

        These are the averaged ones, where the recipe uses them; in all other cases,
        those of the last step.
        """
        weights, used = self.weights(), self._job.training.weights
        averaged = used in _AVERAGES and used in weights
        state = weights[used if averaged else "last"]
        with self._borrowed(state):
            yield state

    @contextmanager
    def _borrowed(self, state: StateDict) -> Iterator[None]:
        kept = {name: t.clone() for name, t in self._model.state_dict().items()}
        self._model.load_state_dict(state)
        try:
            with uncompiled(self._job.training.compile):
                yield
        finally:
            self._model.load_state_dict(kept)

    def weights(self) -> dict[str, StateDict]:
        """Return copies on the CPU: last, and the averages there are."""
        weights = {"last": _on_cpu(self._model.state_dict())}
        if self._ema is not None:
            weights["ema"] = _on_cpu(self._ema.state)
        if self._swa is not None and self._swa.finished:
            weights["swa"] = _on_cpu(self._swa.state)
        return weights

    def current_rate(self) -> float:
        """Return the learning rate of the next step."""
        return float(self._optimiser.param_groups[0]["lr"])

    def to_state(self) -> dict[str, Any]:
        """Return all that a checkpoint needs: tensors and plain values."""
        scaler = self._scaler()
        return {
            "model": _on_cpu(self._model.state_dict()),
            "optimiser": self._optimiser.state_dict(),
            "rate": self.rate.to_state(),
            "ema": (self._ema.state, self._ema.updates) if self._ema else None,
            "swa": self._swa.to_state() if self._swa else None,
            "scaler": scaler.state_dict() if scaler else None,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.rate.load(state["rate"])
        if self._ema is not None:
            self._ema.load(*state["ema"])
        if self._swa is not None:
            self._swa.load(state["swa"], self._model)
        scaler = self._scaler()
        if scaler is not None and state["scaler"]:
            scaler.load_state_dict(state["scaler"])

    def _scaler(self) -> torch.amp.GradScaler | None:
        return getattr(self._fabric._precision, "scaler", None)


def _on_cpu(state: Mapping[str, Tensor]) -> StateDict:
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
