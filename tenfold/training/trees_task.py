"""What the engine of boosted trees asks of a member: rows of a table, and outputs.

A sample is as many rows as it has things to decide on, e.g. a tile its pixels, and
always the same number in the same order.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from tenfold.data.arrays import Arrays, BoolArray, Float32Array, IntArray
from tenfold.recipe import Json
from tenfold.training.trees_options import TreesMember


class TreesTask(Protocol):
    """A member as the engine sees it; made by a challenge."""

    member: TreesMember

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns."""

    @property
    def most_rows(self) -> int:
        """Rows that are learnt from at most, since they are held in memory."""

    def files(self) -> Mapping[str, Path]:
        """Return the files besides the data that it reads."""

    def describe(self) -> Json:
        """Return what is needed beside the trees, as plain data (`model.json`)."""

    def restore(self, description: Json) -> "TreesTask":
        """Return the task of a description, to predict as in training."""

    def rows(self, arrays: Arrays) -> Float32Array:
        """Return a sample's rows, (R, features); NaN is missing, nothing infinite."""

    def candidates(self, arrays: Arrays, rng: np.random.Generator) -> IntArray:
        """Return the positions of the rows to learn from, ascending.

        Args:
            arrays: of a sample with its truth.
            rng: of this sample; all that is drawn comes from it.
        """

    def truth(self, arrays: Arrays) -> tuple[BoolArray, BoolArray]:
        """Return the label of each row, and whether it counts in losses; (R,) both."""

    def outputs(self, probability: Float32Array, arrays: Arrays) -> Arrays:
        """Return the compact outputs of a sample.

        Args:
            probability: (R,) of the label.
            arrays: of the sample, maybe without its truth.
        """
