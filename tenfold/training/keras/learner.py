"""What a step changes: a network, its optimiser, its rate and its average.

A batch's gradient is added up where the device has it, and a step takes the mean over
its batches and devices; so nothing of a step is left between steps, and no more memory
is taken than for one batch. All that a network draws in a batch follows from the
batch's seed, which is given to its seed generators.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tenfold.data.arrays import Arrays
from tenfold.errors import TrainingError
from tenfold.training.keras.ema import Ema
from tenfold.training.keras.job import Job
from tenfold.training.keras.optimisers import Optimiser
from tenfold.training.keras.precision import LossScale
from tenfold.training.keras.process import threads_used
from tenfold.training.keras.rates import LearningRate
from tenfold.training.keras.strategy import share_out
from tenfold.training.keras.task import Batch
from tenfold.training.keras.weights import Weights, assign, values_of
from tenfold.training.pace import Pace

_SUM, _MEAN = tf.distribute.ReduceOp.SUM, tf.distribute.ReduceOp.MEAN
#: Name of the state of a layer's random numbers (keras.random.SeedGenerator).
_SEED_STATE = "seed_generator_state"


class Learner:
    """A job's network and all that moves with it; a checkpoint holds it whole.

    Args:
        job: whose model learns.
        pace: of the run's epochs.
    """

    averages_epochs = False

    def __init__(self, job: Job, pace: Pace) -> None:
        training = job.training
        self._job, self._model, self._strategy = job, job.model, job.strategy
        self.rate = LearningRate(training, pace)
        self._learning = job.model.trainable_variables
        self._moving = list(_moving(job.model))
        self._draws = [v for v in job.model.variables if v.path.endswith(_SEED_STATE)]
        with self._strategy.scope():
            self._optimiser = Optimiser(training, self._learning)
            self._scale = LossScale(training.precision)
            self._ema = Ema(job.model, training.ema) if training.ema else None
            # Not mirrored but in name: each device adds up what it sees.
            self._gradients = [
                tf.Variable(tf.zeros(v.shape, v.dtype), trainable=False)
                for v in self._learning
            ]
        self._taken: dict[str, Any] = {}
        self._part = tf.function(
            self._learn_part, autograph=False, jit_compile=training.compile or None
        )
        self._learn = tf.function(self._learn_all, autograph=False)
        self._step = tf.function(self._step_all, autograph=False)

    def train_mode(self) -> None:
        """Do nothing: a network is told at each call whether it learns."""

    @property
    def threads(self) -> int:
        """CPU threads."""
        return threads_used()

    def learn(self, batch: Arrays, seed: int, size: int) -> None:
        """Add a batch's part to the gradient of a step.

        Args:
            batch: examples; shared out to the devices.
            seed: of all that the network draws.
            size: batches of the step.
        """
        parts = share_out(self._strategy, batch)
        with _compiling(self._job.training.compile):
            taken = self._learn(parts, self._seeds(seed), tf.constant(1 / size))
        before = self._taken
        self._taken = {name: before.get(name, 0.0) + v for name, v in taken.items()}

    def step(self, done: int) -> Mapping[str, Any]:
        """Take a step; return the counts of its batches, float64."""
        share = self._ema.next_share() if self._ema is not None else 0.0
        self._step(tf.constant(self.rate.value), tf.constant(share))
        self.rate.after_step(done)
        taken, self._taken = self._taken, {}
        return taken

    def end_epoch(self, number: int) -> None:
        """Do nothing: epochs are not averaged."""

    def end(self, batches: Iterator[tuple[Any, int]]) -> None:
        """Do nothing: there is no average to finish."""

    def is_finite(self) -> bool:
        """Tell whether all weights are numbers."""
        return all(np.isfinite(v).all() for v in values_of(self._model).values())

    @contextmanager
    def with_used_weights(self) -> Iterator[Weights]:
        """Give the network the weights that will be used, as far as there are any."""
        weights, used = self.weights(), self._job.training.weights
        state = weights["ema" if used == "ema" else "last"]
        assign(self._model, state, "the average")
        try:
            yield state
        finally:
            assign(self._model, weights["last"], "the last step")

    def weights(self) -> dict[str, Weights]:
        """Return copies: last, and the average if there is one."""
        weights = {"last": values_of(self._model)}
        if self._ema is not None:
            weights["ema"] = self._ema.values()
        return weights

    def current_rate(self) -> float:
        """Return the learning rate of the next step."""
        return self.rate.value

    def to_state(self) -> dict[str, Any]:
        """Return all that a checkpoint needs: arrays and plain values."""
        return {
            "model": values_of(self._model),
            "optimiser": [v.numpy() for v in self._optimiser.keras.variables],
            "rate": self.rate.to_state(),
            "ema": self._ema.to_state() if self._ema is not None else None,
            "scale": self._scale.to_state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        assign(self._model, state["model"], "the checkpoint")
        slots = self._optimiser.keras.variables
        for slot, value in zip(slots, state["optimiser"], strict=True):
            slot.assign(value)
        self.rate.load(state["rate"])
        if self._ema is not None:
            self._ema.load(state["ema"])
        self._scale.load(state["scale"])

    def _seeds(self, seed: int) -> Any:
        """Return, on each device, a seed (2,) for each of the network's generators."""
        draws = len(self._draws)

        def seeds_of(context: tf.distribute.ReplicaContext) -> tf.Tensor:
            drawn = np.random.SeedSequence([seed, context.replica_id_in_sync_group])
            seeds = drawn.generate_state(2 * draws).reshape(draws, 2)
            return tf.constant(seeds.astype(np.int64))

        return self._strategy.experimental_distribute_values_from_function(seeds_of)

    # Graphs: of all devices, and of one. ---------------------------------------------

    def _learn_all(self, parts: Any, seeds: Any, weight: tf.Tensor) -> Any:
        counts = self._strategy.run(self._part, (parts, seeds, weight))
        return {
            name: self._strategy.reduce(
                _MEAN if name == "loss" else _SUM, count, axis=None
            )
            for name, count in counts.items()
        }

    def _learn_part(
        self, batch: Batch, seeds: tf.Tensor, weight: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        for place, state in enumerate(self._draws):
            state.assign(seeds[place])
        with tf.GradientTape() as tape:
            loss, counts = self._job.task.step(self._model, batch)
            scaled = loss * weight * self._scale.value()
        zero = tf.UnconnectedGradients.ZERO
        found = tape.gradient(scaled, self._learning, unconnected_gradients=zero)
        for total, gradient in zip(self._gradients, found, strict=True):
            total.assign_add(gradient)
        return {n: tf.cast(v, tf.float64) for n, v in {**counts, "loss": loss}.items()}

    def _step_all(self, rate: tf.Tensor, share: tf.Tensor) -> None:
        taken = self._strategy.run(self._step_part, (rate, share))
        self._optimiser.count(self._strategy.experimental_local_results(taken)[0])

    def _step_part(self, rate: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
        devices = tf.distribute.get_replica_context()
        sums = [tf.convert_to_tensor(total) for total in self._gradients]
        scale = self._scale.value()
        gradients = [mean / scale for mean in devices.all_reduce(_MEAN, sums)]
        taken = self._take(gradients, rate)
        self._scale.after_step(taken)
        for total in self._gradients:
            total.assign(tf.zeros_like(total))
        if self._moving:
            seen = [tf.convert_to_tensor(moving) for moving in self._moving]
            means = devices.all_reduce(_MEAN, seen)
            for moving, mean in zip(self._moving, means, strict=True):
                moving.assign(mean)
        if self._ema is not None:
            self._ema.move(share)
        return taken

    def _take(self, gradients: list[tf.Tensor], rate: tf.Tensor) -> tf.Tensor:
        """Take a step, unless float16 overflowed; tell whether it was taken."""

        def taken() -> tf.Tensor:
            self._optimiser.take(gradients, rate)
            return tf.constant(True)

        if not self._scale.moves:
            return taken()
        finite = [tf.reduce_all(tf.math.is_finite(g)) for g in gradients]
        return tf.cond(tf.reduce_all(finite), taken, lambda: tf.constant(False))


@contextmanager
def _compiling(wanted: bool) -> Iterator[None]:
    """Say what can be done where a step cannot be compiled.

    Raises:
        TrainingError: with what the compiler says first.
    """
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
        if not wanted:
            raise
        reason = error.message.strip().split("\n")[0]
        raise TrainingError(
            f"the step cannot be compiled here ({reason}); set training.compile to"
            " false"
        ) from error


def _moving(layer: keras.Layer) -> Iterator[keras.Variable]:
    """Yield the statistics that layers which learn keep, e.g. of batches."""
    if isinstance(layer, keras.Model):
        for part in layer.layers:
            yield from _moving(part)
    elif layer.trainable:
        for weight in layer.non_trainable_weights:
            if keras.backend.is_float_dtype(weight.dtype):
                yield weight
