"""The Keras engine: a job's network, data and devices, run by the loop."""

from collections.abc import Iterator, Sequence

from tenfold.data.arrays import Arrays
from tenfold.store import Workspace
from tenfold.training.engines import Resume
from tenfold.training.keras.checkpoints import KerasCheckpoints
from tenfold.training.keras.examples import Examples
from tenfold.training.keras.inference import Inference
from tenfold.training.keras.job import Job
from tenfold.training.keras.learner import Learner
from tenfold.training.loop import Course, Loop
from tenfold.training.pace import Pace, pace_of
from tenfold.training.run import Fitted
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
        self._job, training = job, job.training
        self._inference = Inference(job.task, job.model)
        pace = pace_of(training, len(job.train_ids))
        course = Course(
            training=training,
            pace=pace,
            seed=job.seed,
            batches=examples_of(job, pace).batches,
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
        self._loop = Loop(
            course,
            Learner(job, pace),
            Validation(held_out, self._assess, workspace.path / "pictures"),
            KerasCheckpoints(workspace),
            workspace,
            resume,
        )

    def fit(self) -> Fitted:
        """Train to the end; see `Loop.fit`."""
        return self._loop.fit()

    def _assess(self, ids: Sequence[str]) -> Iterator[tuple[str, Arrays, float]]:
        job = self._job
        yield from self._inference.assess(job.dataset, ids, job.training.batch)


def examples_of(job: Job, pace: Pace) -> Examples:
    """Return a job's training examples."""
    return Examples(
        job.task,
        job.dataset,
        job.train_ids,
        job.draw_weights,
        job.training,
        pace,
        job.seed,
    )
