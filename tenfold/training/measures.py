"""Who times the steps of an engine.

Apart from `tenfold.training.engines`: to measure in another way changes no result.
"""

import importlib
from collections.abc import Callable
from typing import cast

from tenfold.training.engines import Order
from tenfold.training.measured import Measured

_MEASURES = {
    "torch": "tenfold.training.measure",
    "keras": "tenfold.training.keras.measure",
}
#: Trains and predicts with a member for some steps: (order, steps that are timed of
#: each kind, samples a batch of inference). Nothing is written.
Measure = Callable[[Order, int, int], Measured]


def takes_steps(name: str) -> bool:
    """Tell whether an engine takes steps that can be timed."""
    return name in _MEASURES


def find_measure(name: str) -> Measure:
    """Return what times the steps of an engine that takes some."""
    return cast(Measure, importlib.import_module(_MEASURES[name]).measure)
