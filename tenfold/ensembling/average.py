"""Weighted averages of members' outputs, in the memory of one."""

from collections.abc import Mapping

import numpy as np

from tenfold.data.arrays import Arrays, Float32Array


class Average:
    """Adds up contributions in place; holds one sum however many there are."""

    def __init__(self) -> None:
        self._sums: dict[str, Float32Array] = {}
        self._weight = 0.0

    def add(self, contribution: Arrays, weight: float) -> None:
        """Add one member's named arrays."""
        self._weight += weight
        for name, values in contribution.items():
            weighted = np.asarray(values, np.float32) * np.float32(weight)
            if name in self._sums:
                self._sums[name] += weighted
            else:
                self._sums[name] = weighted

    def result(self) -> Mapping[str, Float32Array]:
        """Return the weighted means."""
        weight = np.float32(self._weight)
        return {name: total / weight for name, total in self._sums.items()}
