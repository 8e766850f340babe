"""The table that boosted trees learn from: rows of many samples, drawn without bias.

Samples are read twice: once to count the rows that could be learnt from, once to fill
an array of just the size. What is drawn of a sample depends on the seed and its id
alone, so that neither the order nor the company of samples matters to it.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tenfold.data.arrays import Arrays, Float32Array, IntArray
from tenfold.data.dataset import Samples
from tenfold.errors import TrainingError
from tenfold.recipe import Json
from tenfold.training.trees_task import TreesTask

#: Each candidate draws one of these numbers; those below a cut are kept.
_TICKETS = 1 << 20
#: Told (samples read, samples to read in all); may raise to end it.
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Table:
    """Rows of many samples.

    Attributes:
        values: (rows, features), NaN where missing.
        truth: (rows,) of 0 and 1.
        candidates: rows it was drawn from; as many, unless there were too many.
        samples: that gave at least one row.
    """

    values: Float32Array
    truth: Float32Array
    candidates: int
    samples: int

    def summary(self) -> Json:
        """Return plain data for the record of a training."""
        return {
            "rows": len(self.truth),
            "positive_rows": int(self.truth.sum()),
            "candidates": self.candidates,
            "samples": self.samples,
        }


def sample_rng(
    seed: tuple[int, ...], id_: str, purpose: int = 0
) -> np.random.Generator:
    """Return the generator of what is drawn of one sample."""
    words = np.frombuffer(hashlib.sha256(id_.encode()).digest()[:16], "<u4")
    # 0 to 2 are taken by the order of networks' examples.
    return np.random.default_rng([*seed, 3, purpose, *words.tolist()])


def draw_table(
    task: TreesTask,
    dataset: Samples,
    ids: Sequence[str],
    seed: tuple[int, ...],
    on_progress: OnProgress,
) -> Table:
    """Draw the rows to learn from and read them.

    Every candidate has the same chance to be kept, whatever it is, if there are more
    than the task's `most_rows`.

    Args:
        task: says which rows are candidates.
        dataset: where samples are read.
        ids: of the samples to learn from.
        seed: of everything that is drawn.
        on_progress: told after each sample that was read.

    Raises:
        TrainingError: the rows hold one label only, or there are none.
    """
    drawn = np.zeros(_TICKETS, np.int64)
    for done, id_ in enumerate(ids, 1):
        _, tickets = _candidates(task, dataset.sample(id_), id_, seed)
        drawn += np.bincount(tickets, minlength=_TICKETS)
        on_progress(done, 2 * len(ids))
    below = np.cumsum(drawn)
    cut = int(np.searchsorted(below, task.most_rows, side="right"))
    size = int(below[cut - 1]) if cut else 0
    values = np.empty((size, len(task.features)), np.float32)
    truth = np.empty(size, np.float32)
    filled = samples = 0
    for done, id_ in enumerate(ids, 1):
        arrays = dataset.sample(id_)
        rows, tickets = _candidates(task, arrays, id_, seed)
        kept = rows[tickets < cut]
        if kept.size:
            place = slice(filled, filled + kept.size)
            values[place] = task.rows(arrays)[kept]
            truth[place] = task.truth(arrays)[0][kept]
            filled, samples = filled + kept.size, samples + 1
        on_progress(len(ids) + done, 2 * len(ids))
    table = Table(values, truth, int(below[-1]), samples)
    _check_labels(table, task.member.name, len(ids))
    return table


def _candidates(
    task: TreesTask, arrays: Arrays, id_: str, seed: tuple[int, ...]
) -> tuple[IntArray, IntArray]:
    """Return a sample's candidates, and the ticket of each."""
    rng = sample_rng(seed, id_)
    rows = task.candidates(arrays, rng)
    return rows, rng.integers(0, _TICKETS, len(rows))


def _check_labels(table: Table, name: str, samples: int) -> None:
    rows, positive = len(table.truth), int(table.truth.sum())
    if not rows:
        raise TrainingError(
            f"{name}: the {samples} samples that this fold learns from hold no usable"
            " row; look at the report of ingest for what is wrong with them"
        )
    if positive in (0, rows):
        what = "positive" if positive == 0 else "negative"
        raise TrainingError(
            f"{name}: none of the {rows} rows that this fold learns from is {what}, and"
            " trees cannot learn from one label; check the labels, or use fewer folds"
        )
