"""How fast a member trains and predicts on this machine, by some steps of each.

The same pieces as in a training: its batches, its learner, its inference. What is
learnt is thrown away.
"""

import itertools
import math
import time
from collections.abc import Iterator, Mapping

import torch

from tenfold.training.compilation import compiling, uncompiled
from tenfold.training.engines import Order
from tenfold.training.examples import EpochExamples, collate, training_batches
from tenfold.training.inference import infer
from tenfold.training.job import Job
from tenfold.training.learner import Learner
from tenfold.training.measured import Measured, Timing
from tenfold.training.meter import Meter, device_name
from tenfold.training.order import epoch_order, step_seed
from tenfold.training.pace import pace_of
from tenfold.training.precision import fabric_of
from tenfold.training.task import Batch, TorchTask

#: Steps before the clock runs: the first ones choose kernels, and compile.
_WARM_UP = 2


def measure(order: Order, steps: int, inference_batch: int) -> Measured:
    """Train and predict with a member for some steps.

    Args:
        order: as for a training; nothing is written.
        steps: that are timed, of each kind.
        inference_batch: samples a batch of inference.
    """
    training = order.member.training
    if training.threads:
        torch.set_num_threads(training.threads)
    # As in a training.
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    job = _job(order, steps)
    lesson = _Lesson(job, steps)
    batches = _batches(job)
    example = next(batches)
    with compiling(training.compile):
        read = lesson.time(batches)
        repeated = lesson.time(itertools.repeat(lesson.on_device(example)))
    whole = order.dataset.copies(job.train_ids[:1])
    with uncompiled(training.compile):
        inference = _infer(order, job, steps, inference_batch)
    return Measured(
        device=device_name(lesson.device),
        parameters=sum(p.numel() for p in job.model.parameters()),
        pixels=_pixels(example),
        whole_pixels=_pixels(collate([job.task.whole(a) for a in whole.values()])),
        training=read,
        repeated=repeated,
        inference=inference,
    )


def _job(order: Order, steps: int) -> Job:
    """Return the job of a training that is long enough for all steps."""
    task: TorchTask = order.task
    train_ids = order.catalogue["id"].to_list()
    channels = task.channels()
    statistics = order.dataset.statistics(channels, train_ids) if channels else None
    torch.manual_seed(step_seed(order.seed, 0))
    training = order.member.training
    epoch = pace_of(training, len(train_ids)).steps
    epochs = math.ceil(2 * (steps + _WARM_UP) / epoch)
    longer = {"epochs": max(training.epochs, epochs)}
    return Job(
        task=task,
        model=task.model(statistics),
        dataset=order.dataset,
        scorer=order.scorer,
        training=training.model_copy(update=longer),
        train_ids=train_ids,
        held_out_ids=order.held_out_ids,
        draw_weights=task.draw_weights(order.catalogue),
        pictured_ids=(),
        seed=order.seed,
    )


def _batches(job: Job) -> Iterator[Batch]:
    """Yield the batches of one epoch after the other."""
    training, ids = job.training, job.train_ids
    pace = pace_of(training, len(ids))
    for epoch in itertools.count():
        draws, weights = training.samples_per_epoch, job.draw_weights
        order = epoch_order(len(ids), draws, weights, job.seed, epoch)
        order = order[: pace.batches * training.batch]
        examples = EpochExamples(job.task, job.dataset, ids, order, job.seed, epoch)
        yield from training_batches(examples, training.batch, 0, training.workers)


class _Lesson:
    """A learner, and how many steps are timed.

    Args:
        job: what is trained.
        steps: of the optimiser.
    """

    def __init__(self, job: Job, steps: int) -> None:
        self._steps, self._training = steps, job.training
        self._fabric = fabric_of(job.training.precision)
        pace = pace_of(job.training, len(job.train_ids))
        self._learner = Learner(job, self._fabric, pace)
        self._done = itertools.count(1)
        job.model.train()

    @property
    def device(self) -> torch.device:
        """Where it learns."""
        return self._fabric.device

    def on_device(self, batch: Batch) -> Batch:
        """Return a batch that need not be moved any more."""
        moved: Batch = self._fabric.to_device(batch)
        return moved

    def time(self, batches: Iterator[Batch]) -> Timing:
        """Take some steps for warming up, and time the others."""
        for _ in range(_WARM_UP):
            self._step(batches)
        meter = Meter(self.device)
        waited = sum(self._step(batches) for _ in range(self._steps))
        samples = self._steps * self._training.accumulate * self._training.batch
        return meter.timing(samples, self._steps, waited)

    def _step(self, batches: Iterator[Batch]) -> float:
        """Take a step; return the seconds waited for its batches."""
        waited, done = 0.0, next(self._done)
        for _ in range(self._training.accumulate):
            asked = time.monotonic()
            batch = next(batches)
            waited += time.monotonic() - asked
            self._learner.learn(batch, done, self._training.accumulate)
        self._learner.step(done)
        return waited


def _infer(order: Order, job: Job, batches: int, batch: int) -> Timing:
    """Time some batches of whole samples, after one that is not timed."""
    fabric = fabric_of(order.member.inference.precision or job.training.precision)
    fabric.setup_module(job.model)
    ids = list(itertools.islice(itertools.cycle(job.train_ids), batches * batch))

    def run(some: list[str]) -> None:
        for _ in infer(job.task, job.model, job.dataset, some, fabric, batch):
            pass

    run(ids[:batch])
    meter = Meter(fabric.device)
    run(ids)
    return meter.timing(len(ids), batches)


def _pixels(batch: Mapping[str, torch.Tensor]) -> int:
    """Return height × width of a sample's largest array; 1 if it has no plane."""
    shape = max(batch.values(), key=lambda tensor: tensor.numel()).shape[1:]
    return math.prod(shape[-2:]) if len(shape) > 1 else 1
