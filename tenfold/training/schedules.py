"""The learning rate, and who moves it when: steps, validations, epochs.

| schedule | classes of torch | moved after each |
|---|---|---|
| onecycle | OneCycleLR | step |
| cosine | LinearLR, then CosineAnnealingLR | step, or epoch |
| cosine-restarts | CosineAnnealingWarmRestarts | step, or epoch |
| cyclic | CyclicLR, exp_range | step |
| exponential | ExponentialLR | step, or epoch |
| plateau | ReduceLROnPlateau | validation |

The published 2nd-place kelp system moves them likewise, but for cosine, which there
moves once an epoch and has no warm-up; the published 3rd-place clouds system moves
cosine-restarts once an epoch. Momentum goes with onecycle and cyclic as torch has it:
while the rate rises it falls, from 0.95 to 0.85 and from 0.9 to 0.8.

A tail takes over after a schedule's last epoch: the rate is then what the tail says,
and momentum stays what it was.
"""

import math
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)
from torch.optim.swa_utils import SWALR

from tenfold.recipe import Schedule, Training
from tenfold.training.monitor import monitor_of
from tenfold.training.pace import Pace
from tenfold.training.swa import epochs_before


class LearningRate:
    """Moves an optimiser's rate over a run.

    With stochastic weight averaging, the schedule ends where averaging begins; from
    there on the rate is annealed, an epoch at a time, to averaging's own. With a tail,
    the schedule is made for the epochs before it.

    Args:
        training: of the recipe.
        optimiser: whose rate and momentum are moved.
        pace: of the run's epochs.
    """

    def __init__(self, training: Training, optimiser: Optimizer, pace: Pace) -> None:
        options, swa, epochs = training.schedule, training.swa, training.epochs
        self._epochs, self._optimiser = epochs, optimiser
        self._tail = [rate for many, rate in options.tail for _ in range(many)]
        # Of the schedule as it is planned, and as far as it is followed: averaging
        # cuts it off.
        planned = epochs - len(self._tail)
        self._scheduled = planned if swa is None else epochs_before(swa, epochs)
        self._by_epoch = options.by_epoch
        epoch = 1 if options.by_epoch else pace.steps
        # After the last step, or epoch, there is no next one to set a rate for.
        self._last_move = min(self._scheduled * epoch, planned * epoch - 1)
        self._monitor = monitor_of(options.monitor)
        self._moving = _moving(
            options, training.learning_rate, optimiser, epoch, planned
        )
        self._plateau: ReduceLROnPlateau | None = None
        if options.name == "plateau":
            self._plateau = _plateau(options, self._monitor.minimised, optimiser)
        self._annealing: SWALR | None = None
        if swa is not None:
            rate, over = swa.learning_rate, swa.annealing_epochs
            self._annealing = SWALR(optimiser, rate, over)

    def after_step(self, done: int) -> None:
        """Move on after a step; `done` are those of the run so far."""
        if not self._by_epoch:
            self._move(done)

    def after_validation(self, number: int, row: Mapping[str, float]) -> None:
        """Move on after the validation of an epoch, numbered from 1."""
        if self._plateau is not None and number <= self._scheduled:
            self._plateau.step(self._monitor.read(row))

    def after_epoch(self, number: int) -> None:
        """Move on after an epoch, numbered from 1."""
        if self._by_epoch:
            self._move(number)
        if self._annealing is not None and self._scheduled < number < self._epochs:
            self._annealing.step()
        if self._tail and self._scheduled <= number < self._epochs:
            for group in self._optimiser.param_groups:
                group["lr"] = self._tail[number - self._scheduled]

    def to_state(self) -> dict[str, Any]:
        """Return all that a checkpoint needs beside the optimiser's own state."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _move(self, done: int) -> None:
        """Move on after so many steps, or epochs, of the run."""
        if self._moving is not None and done <= self._last_move:
            self._moving.step()

    def _parts(self) -> dict[str, LRScheduler]:
        parts = {
            "moving": self._moving,
            "plateau": self._plateau,
            "annealing": self._annealing,
        }
        return {name: part for name, part in parts.items() if part is not None}


def _moving(
    options: Schedule, peak: float, optimiser: Optimizer, epoch: int, epochs: int
) -> LRScheduler | None:
    """Build a schedule that moves after each step, or after each epoch.

    Args:
        options: of the recipe.
        peak: the highest rate.
        optimiser: whose rate is moved.
        epoch: moves of one: its steps, or 1.
        epochs: of the whole schedule.
    """
    if options.name == "onecycle":
        return _one_cycle(options, peak, optimiser, epochs * epoch)
    if options.name == "cosine":
        return _cosine(options, optimiser, epochs * epoch)
    if options.name == "cosine-restarts":
        return CosineAnnealingWarmRestarts(
            optimiser,
            T_0=options.period_epochs * epoch,
            T_mult=options.period_factor,
            eta_min=options.lowest,
        )
    if options.name == "cyclic":
        return CyclicLR(
            optimiser,
            base_lr=options.base_rate,
            max_lr=peak,
            step_size_up=options.up_epochs * epoch,
            step_size_down=options.down_epochs * epoch,
            mode="exp_range",
            gamma=options.decay,
            cycle_momentum=options.cycle_momentum,
        )
    if options.name == "exponential":
        # To `factor` of itself in so many moves, evenly.
        moves = options.period_epochs * epoch
        return ExponentialLR(optimiser, gamma=options.factor ** (1 / moves))
    return None


def _one_cycle(
    options: Schedule, peak: float, optimiser: Optimizer, steps: int
) -> LRScheduler:
    """Cosine from a first rate up to the peak, then down to the last rate."""
    # A warm-up of exactly one step would divide by zero.
    one = math.isclose(options.warmup * steps, 1)
    return OneCycleLR(
        optimiser,
        max_lr=peak,
        total_steps=steps,
        pct_start=options.warmup * (1 - 1e-9) if one else options.warmup,
        cycle_momentum=options.cycle_momentum,
        div_factor=options.start_divisor,
        final_div_factor=options.final_divisor,
    )


def _cosine(options: Schedule, optimiser: Optimizer, moves: int) -> LRScheduler:
    """Straight from a first rate up to the peak, then half a cosine to the lowest."""
    warmup = round(options.warmup * moves)
    lowest = options.lowest
    if not warmup:
        return CosineAnnealingLR(optimiser, T_max=moves, eta_min=lowest)
    first = 1 / options.start_divisor
    rising = LinearLR(optimiser, start_factor=first, total_iters=warmup)
    if warmup == moves:
        return rising
    falling = CosineAnnealingLR(optimiser, T_max=moves - warmup, eta_min=lowest)
    return SequentialLR(optimiser, [rising, falling], milestones=[warmup])


def _plateau(
    options: Schedule, minimised: bool, optimiser: Optimizer
) -> ReduceLROnPlateau:
    """Lower the rate whenever a held-out figure has not become better for long."""
    return ReduceLROnPlateau(
        optimiser,
        mode="min" if minimised else "max",
        factor=options.factor,
        patience=options.patience,
        threshold=options.threshold,
        min_lr=options.lowest,
    )
