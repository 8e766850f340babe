"""Which figure of a validation choices are made by, and which way it is better."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tenfold.errors import TrainingError

#: Every validation has them, whatever the challenge.
ALWAYS = ("score", "loss")


@dataclass(frozen=True)
class Monitor:
    """A figure of the history.

    Attributes:
        figure: its name, without `val/`.
        minimised: lower is better.
    """

    figure: str
    minimised: bool

    def read(self, row: Mapping[str, float]) -> float:
        """Return the figure of a validated epoch."""
        return row[f"val/{self.figure}"]

    def gain(self, row: Mapping[str, float]) -> float:
        """Return a number that is higher the better; no number is the worst."""
        value = -self.read(row) if self.minimised else self.read(row)
        return -math.inf if math.isnan(value) else value


def monitor_of(name: str) -> Monitor:
    """Return what a recipe's `monitor` means.

    Args:
        name: `score`, `loss`, or a figure of the scorer, with or without `val/`. A
            sign before it says which way is better: minus, lower; plus, higher.
            Without one, the loss is minimised and all else is not.
    """
    sign = name[:1] if name.startswith(("+", "-")) else ""
    figure = name.removeprefix(sign).removeprefix("val/")
    return Monitor(figure, sign == "-" or (figure == "loss" and not sign))


def check_figure(monitor: Monitor, figures: Iterable[str]) -> None:
    """Refuse to go by a figure that no validation will have.

    Args:
        monitor: what a recipe names.
        figures: of the scorer.

    Raises:
        TrainingError: naming those there are.
    """
    known = list(dict.fromkeys((*ALWAYS, *figures)))
    if monitor.figure not in known:
        raise TrainingError(
            f"monitor: no held-out figure is called {monitor.figure!r}; there are"
            f" {', '.join(known)}"
        )
