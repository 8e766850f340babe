"""The learning rate as a function of steps, or epochs; who moves it when is the loop's.

The schedules, their options and when they move are those of
`tenfold.training.schedules`, in closed form: a rate follows from how many moves there
were, and from nothing before. Only plateau, which goes by held-out figures, remembers.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from tenfold.recipe import Schedule, Training
from tenfold.training.monitor import monitor_of
from tenfold.training.pace import Pace

#: From moves so far to the rate.
Shape = Callable[[int], float]
#: A smaller change of the rate is none (torch's ReduceLROnPlateau).
_LEAST_CHANGE = 1e-8


class LearningRate:
    """Moves the rate over a run.

    Attributes:
        value: rate of the next step.

    Args:
        training: of the recipe.
        pace: of the run's epochs.
    """

    def __init__(self, training: Training, pace: Pace) -> None:
        options = training.schedule
        self._epochs = training.epochs
        self._tail = [rate for many, rate in options.tail for _ in range(many)]
        self._scheduled = training.epochs - len(self._tail)
        self._by_epoch = options.by_epoch
        epoch = 1 if options.by_epoch else pace.steps
        moves = self._scheduled * epoch
        # After the last step, or epoch, there is no next one to set a rate for.
        self._last_move = moves - 1
        self._shape = shape_of(options, training.learning_rate, epoch, moves)
        self._monitor = monitor_of(options.monitor)
        self._plateau: Plateau | None = None
        if options.name == "plateau":
            self._plateau = Plateau(options, self._monitor.minimised)
        self.value = self._shape(0)

    def after_step(self, done: int) -> None:
        """Move on after a step; `done` are those of the run so far."""
        if not self._by_epoch:
            self._move(done)

    def after_validation(self, epoch: int, row: Mapping[str, float]) -> None:
        """Move on after the validation of an epoch, numbered from 1."""
        if self._plateau is not None and epoch <= self._scheduled:
            figure = self._monitor.read(row)
            self.value = self._plateau.after(figure, self.value)

    def after_epoch(self, epoch: int) -> None:
        """Move on after an epoch, numbered from 1."""
        if self._by_epoch:
            self._move(epoch)
        if self._tail and self._scheduled <= epoch < self._epochs:
            self.value = self._tail[epoch - self._scheduled]

    def to_state(self) -> dict[str, Any]:
        """Return all that a checkpoint needs, as plain values."""
        plateau = self._plateau.to_state() if self._plateau else None
        return {"value": self.value, "plateau": plateau}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.value = state["value"]
        if self._plateau is not None:
            self._plateau.load(state["plateau"])

    def _move(self, done: int) -> None:
        if self._plateau is None and done <= self._last_move:
            self.value = self._shape(done)


class Plateau:
    """Lowers the rate whenever a figure has not become better for long.

    Args:
        options: of the recipe.
        minimised: the figure is better when it is lower.
    """

    def __init__(self, options: Schedule, minimised: bool) -> None:
        self._options, self._minimised = options, minimised
        self._best = math.inf if minimised else -math.inf
        self._stale = 0

    def after(self, figure: float, rate: float) -> float:
        """Take in a validation's figure; return the new rate."""
        options = self._options
        if self._is_gain(figure):
            self._best, self._stale = figure, 0
        else:
            self._stale += 1
        if self._stale <= options.patience:
            return rate
        self._stale = 0
        lower = max(rate * options.factor, options.lowest)
        return lower if rate - lower > _LEAST_CHANGE else rate

    def to_state(self) -> dict[str, Any]:
        """Return what it remembers."""
        return {"best": self._best, "stale": self._stale}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._best, self._stale = state["best"], state["stale"]

    def _is_gain(self, figure: float) -> bool:
        threshold = self._options.threshold
        if self._minimised:
            return figure < self._best * (1 - threshold)
        return figure > self._best * (1 + threshold)


def shape_of(options: Schedule, peak: float, epoch: int, moves: int) -> Shape:
    """Return a schedule's rate after so many moves.

    Args:
        options: of the recipe; `cyclic` is none of this engine's.
        peak: the highest rate.
        epoch: moves of one: its steps, or 1.
        moves: of the whole schedule.
    """
    if options.name == "onecycle":
        return _one_cycle(options, peak, moves)
    if options.name == "cosine":
        return _cosine(options, peak, moves)
    if options.name == "cosine-restarts":
        return _restarts(options, peak, options.period_epochs * epoch)
    if options.name == "exponential":
        period = options.period_epochs * epoch
        return lambda done: peak * options.factor ** (done / period)
    return lambda _: peak


def _between(start: float, end: float, share: float) -> float:
    """Return the point of half a cosine from start to end."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _one_cycle(options: Schedule, peak: float, moves: int) -> Shape:
    """Cosine from a first rate up to the peak, then down to the last rate.

    As in torch's OneCycleLR, the peak is reached a move before the warm-up's end.
    """
    first = peak / options.start_divisor
    last = first / options.final_divisor
    top = options.warmup * moves - 1

    def rate(done: int) -> float:
        if done <= top and top > 0:
            return _between(first, peak, done / top)
        falling = moves - 1 - top
        return _between(peak, last, (done - top) / falling) if falling > 0 else peak

    return rate


def _cosine(options: Schedule, peak: float, moves: int) -> Shape:
    """Straight from a first rate up to the peak, then half a cosine to the lowest."""
    warmup = round(options.warmup * moves)
    first = peak / options.start_divisor

    def rate(done: int) -> float:
        if done < warmup:
            return first + (peak - first) * done / warmup
        falling = max(moves - warmup, 1)
        return _between(peak, options.lowest, (done - warmup) / falling)

    return rate


def _restarts(options: Schedule, peak: float, period: int) -> Shape:
    """Half a cosine from the peak to the lowest, again and again, each time longer."""

    def rate(done: int) -> float:
        length, since = period, done
        while since >= length:
            since -= length
            length *= options.period_factor
        return _between(peak, options.lowest, since / length)

    return rate
