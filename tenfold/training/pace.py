"""How an epoch is cut into batches, and batches into steps of the optimiser."""

from dataclasses import dataclass

from tenfold.recipe import Training


@dataclass(frozen=True)
class Pace:
    """Batches and steps of one epoch; all epochs of a run are alike.

    A step takes the gradient of the mean over its batches of their losses. For a loss
    that is itself a mean over equally many terms a batch, it is the step that one
    batch of all their samples would give, batch normalisation apart. The last step of
    an epoch may have fewer batches, and is the mean over those.

    Attributes:
        batches: of an epoch.
        accumulate: batches of a step.
    """

    batches: int
    accumulate: int

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.batches // self.accumulate)

    def before(self, step: int) -> int:
        """Return the batches of an epoch before one of its steps."""
        return min(step * self.accumulate, self.batches)

    def size(self, place: int) -> int:
        """Return the batches of the step that the batch at `place` belongs to."""
        step = place // self.accumulate
        return self.before(step + 1) - self.before(step)

    def ends_step(self, place: int) -> bool:
        """Tell whether the batch at `place` is the last of its step."""
        return place + 1 == self.before(place // self.accumulate + 1)


def pace_of(training: Training, samples: int) -> Pace:
    """Return the pace of a training on a number of samples."""
    batches = steps_in(training.samples_per_epoch or samples, training.batch)
    if training.limit_steps is not None:
        batches = min(batches, training.limit_steps * training.accumulate)
    return Pace(batches, training.accumulate)


def steps_in(examples: int, batch: int) -> int:
    """Return the full batches in an epoch; a small epoch is one batch."""
    return max(examples // batch, 1)
