"""Where a training stands, and what it leaves."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Run:
    """Where a job stands; all of it is in a checkpoint.

    Attributes:
        epoch: the current one, from 0; `step` counts within it.
        sums: loss and counts of the current epoch so far, perhaps on a device.
        history: one row a finished epoch.
        best: best monitored figure so far, the higher the better, and the weights
            that reached it.
        stale: epochs since then.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best: float = -math.inf
    best_state: Any = None
    stale: int = 0
    finished: bool = False


@dataclass(frozen=True)
class Fitted:
    """What training leaves.

    Attributes:
        weights: kind (last, best, ema, swa) → state, as the framework has it.
        history: one row an epoch, published names.
    """

    weights: Mapping[str, Any]
    history: list[dict[str, float]]
    threads: int
