"""Boosted trees over the rows of whole samples, in training and after it alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xgboost as xgb

from tenfold.data.arrays import Arrays, BoolArray, Float32Array, Float64Array
from tenfold.data.dataset import Samples
from tenfold.training.trees_task import TreesTask


@dataclass(frozen=True)
class Predicted:
    """One sample.

    Attributes:
        arrays: as it was read.
        rows: (R, features).
        probability: (R,) of the label.
    """

    id: str
    arrays: Arrays
    rows: Float32Array
    probability: Float32Array


def predict(
    booster: xgb.Booster,
    task: TreesTask,
    samples: Samples,
    ids: Sequence[str],
    batch: int,
) -> Iterator[Predicted]:
    """Yield samples in order, `batch` of them predicted in one call."""
    for first in range(0, len(ids), batch):
        chosen = ids[first : first + batch]
        read = [samples.sample(id_) for id_ in chosen]
        rows = [task.rows(arrays) for arrays in read]
        chances = booster.inplace_predict(np.concatenate(rows))
        ends = np.cumsum([len(part) for part in rows])[:-1]
        parts = np.split(chances, ends)
        for one in zip(chosen, read, rows, parts, strict=True):
            yield Predicted(*one)


def log_losses(probability: Float32Array, truth: BoolArray) -> Float64Array:
    """Return the logistic loss of each row, (R,); probabilities keep 1e-7 off 0, 1."""
    chance = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    losses: Float64Array = -np.log(np.where(truth, chance, 1 - chance))
    return losses
