"""How fast a member trains and predicts on this machine, by some steps of each.

The same pieces as in a training: its batches, its learner, its inference. What is
learnt is thrown away.
"""

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import replace

import tensorflow as tf

from tenfold.data.arrays import Arrays
from tenfold.training.engines import Order
from tenfold.training.keras.engine import examples_of
from tenfold.training.keras.inference import Inference
from tenfold.training.keras.job import Job, built, job_of
from tenfold.training.keras.learner import Learner
from tenfold.training.keras.meter import Meter, device_name
from tenfold.training.measured import Measured, Timing
from tenfold.training.order import step_seed
from tenfold.training.pace import pace_of

#: Steps before the clock runs: the first ones trace graphs, and compile.
_WARM_UP = 2


def measure(order: Order, steps: int, inference_batch: int) -> Measured:
    """Train and predict with a member for some steps.

    Args:
        order: as for a training; nothing is written.
        steps: that are timed, of each kind.
        inference_batch: samples a batch of inference.
    """
    job = _long_enough(job_of(order), steps)
    lesson = _Lesson(job, steps)
    batches = _batches(job)
    example = next(batches)
    read = lesson.time(batches)
    on_device = {name: tf.constant(array) for name, array in example.items()}
    repeated = lesson.time(itertools.repeat(on_device))
    whole = job.task.whole(job.dataset.sample(job.train_ids[0]))
    return Measured(
        device=device_name(),
        parameters=job.model.count_params(),
        pixels=_pixels({name: array[0] for name, array in example.items()}),
        whole_pixels=_pixels(whole),
        training=read,
        repeated=repeated,
        inference=_infer(order, job, steps, inference_batch),
    )


def _long_enough(job: Job, steps: int) -> Job:
    """Return the job of a training that has all steps."""
    epoch = pace_of(job.training, len(job.train_ids)).steps
    epochs = math.ceil(2 * (steps + _WARM_UP) / epoch)
    longer = {"epochs": max(job.training.epochs, epochs)}
    return replace(job, training=job.training.model_copy(update=longer))


def _batches(job: Job) -> Iterator[Arrays]:
    """Yield the batches of one epoch after the other."""
    examples = examples_of(job, pace_of(job.training, len(job.train_ids)))
    for epoch in itertools.count():
        yield from examples.batches(epoch, 0)


class _Lesson:
    """A learner, and how many steps are timed.

    Args:
        job: what is trained.
        steps: of the optimiser.
    """

    def __init__(self, job: Job, steps: int) -> None:
        self._job, self._steps = job, steps
        self._learner = Learner(job, pace_of(job.training, len(job.train_ids)))
        self._done, self._learnt = itertools.count(1), itertools.count()

    def time(self, batches: Iterator[Arrays]) -> Timing:
        """Take some steps for warming up, and time the others."""
        for _ in range(_WARM_UP):
            self._step(batches)
        meter, training = Meter(), self._job.training
        waited = sum(self._step(batches) for _ in range(self._steps))
        samples = self._steps * training.accumulate * training.batch
        return meter.timing(samples, self._steps, waited)

    def _step(self, batches: Iterator[Arrays]) -> float:
        """Take a step; return the seconds waited for its batches."""
        waited, done, many = 0.0, next(self._done), self._job.training.accumulate
        for _ in range(many):
            asked = time.monotonic()
            batch = next(batches)
            waited += time.monotonic() - asked
            seed = step_seed(self._job.seed, next(self._learnt))
            self._learner.learn(batch, seed, many)
        self._learner.step(done)
        return waited


def _infer(order: Order, job: Job, batches: int, batch: int) -> Timing:
    """Time some batches of whole samples, after one that is not timed."""
    precision = order.member.inference.precision or job.training.precision
    model = built(lambda: job.task.restore(job.task.describe(job.model)), precision)
    inference = Inference(job.task, model)
    ids = list(itertools.islice(itertools.cycle(job.train_ids), batches * batch))

    def run(some: list[str]) -> None:
        for _ in inference.infer(job.dataset, some, batch):
            pass

    run(ids[:batch])
    meter = Meter()
    run(ids)
    return meter.timing(len(ids), batches)


def _pixels(arrays: Arrays) -> int:
    """Return height × width of a sample's largest array; 1 if it has no plane.

    Arrays are (H, W) or (..., H, W, C).
    """
    shape = max(arrays.values(), key=lambda array: array.size).shape
    if len(shape) < 2:
        return 1
    return math.prod(shape if len(shape) == 2 else shape[-3:-1])
