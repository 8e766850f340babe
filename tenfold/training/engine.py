"""The PyTorch engine: a job's network, data and device, run by the loop."""

from collections.abc import Iterator, Sequence

import torch

from tenfold.data.arrays import Arrays
from tenfold.store import Workspace
from tenfold.training.compilation import compiling
from tenfold.training.engines import Resume
from tenfold.training.examples import EpochExamples, training_batches
from tenfold.training.inference import assess
from tenfold.training.job import Job
from tenfold.training.learner import Learner
from tenfold.training.loop import Course, Loop
from tenfold.training.order import epoch_order
from tenfold.training.pace import pace_of
from tenfold.training.precision import fabric_of
from tenfold.training.run import Fitted
from tenfold.training.task import Batch
from tenfold.training.torch_checkpoints import TorchCheckpoints
from tenfold.training.validation import HeldOut, Validation


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
        self._job = job
        training = job.training
        if training.threads:
            torch.set_num_threads(training.threads)
        # CUDA has no deterministic kernel for some layers; a CPU has.
        torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
        self._fabric = fabric_of(training.precision)
        self._pace = pace_of(training, len(job.train_ids))
        self._learner = Learner(job, self._fabric, self._pace)
        course = Course(
            training=training,
            pace=self._pace,
            seed=job.seed,
            batches=self._batches,
            step_figures=job.task.step_figures,
            after_epoch=job.after_epoch,
        )
        held_out = HeldOut(
            ids=job.held_out_ids,
            pictured=job.pictured_ids,
            limit=training.limit_validation,
            samples=job.dataset,
            scorer=job.scorer,
        )
        validation = Validation(held_out, self._assess, workspace.path / "pictures")
        self._loop = Loop(
            course,
            self._learner,
            validation,
            TorchCheckpoints(workspace),
            workspace,
            resume,
        )

    def fit(self) -> Fitted:
        """Train to the end; see `Loop.fit`."""
        with compiling(self._job.training.compile):
            return self._loop.fit()

    def _batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """Yield an epoch's batches from one on."""
        job, training = self._job, self._job.training
        order = epoch_order(
            len(job.train_ids),
            training.samples_per_epoch,
            job.draw_weights,
            job.seed,
            epoch,
        )
        order = order[: self._pace.batches * training.batch]
        examples = EpochExamples(
            job.task, job.dataset, job.train_ids, order, job.seed, epoch
        )
        yield from training_batches(examples, training.batch, first, training.workers)

    def _assess(self, ids: Sequence[str]) -> Iterator[tuple[str, Arrays, float]]:
        job, batch = self._job, self._job.training.batch
        yield from assess(job.task, job.model, job.dataset, ids, self._fabric, batch)
