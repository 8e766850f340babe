"""How far a difference between two systems goes beyond chance, on the same samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

#: With as many, another seed moves the interval's ends by hundredths of its width.
RESAMPLES = 1000
COVERAGE = 0.95
_SEED = 0


@dataclass(frozen=True)
class Difference:
    """The second system's score less the first's.

    Attributes:
        first: score of the first over all units.
        second: score of the second.
        low: end of the 95 % bootstrap interval of the difference, as is `high`.
        second_ahead: share of resamples in which the second scores higher; ties count
            half.
        units: how many were drawn from.
    """

    first: float
    second: float
    low: float
    high: float
    second_ahead: float
    units: int

    @property
    def value(self) -> float:
        """The difference itself."""
        return self.second - self.first

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def bootstrap(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    score: Callable[[Any], float],
    resamples: int = RESAMPLES,
) -> Difference:
    """Resample units with replacement, the same ones for both systems.

    A unit is what may be seen as drawn by itself, such as a group of near-duplicates;
    single samples of one place are not. The percentile bootstrap (Efron and
    Tibshirani 1993), deterministic for equal input.

    Args:
        first: unit → counts of the first system, which add up by `+`.
        second: the same units of the second system.
        score: of counts.
        resamples: how often.

    Raises:
        ValueError: the units differ, or there are none.
    """
    units = sorted(first)
    if not units or units != sorted(second):
        raise ValueError("two systems are paired over the same units, and at least one")
    a, b = [first[unit] for unit in units], [second[unit] for unit in units]
    rng = np.random.default_rng(_SEED)
    differences = np.empty(resamples)
    for turn in range(resamples):
        drawn = rng.integers(len(units), size=len(units)).tolist()
        differences[turn] = score(_total(b, drawn)) - score(_total(a, drawn))
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.percentile(differences, [tail, 100 - tail])
    ahead = (differences > 0).mean() + (differences == 0).mean() / 2
    whole = range(len(units))
    return Difference(
        first=score(_total(a, whole)),
        second=score(_total(b, whole)),
        low=float(low),
        high=float(high),
        second_ahead=float(ahead),
        units=len(units),
    )


def _total(counts: Sequence[Any], chosen: Sequence[int]) -> Any:
    return reduce(add, [counts[unit] for unit in chosen])
