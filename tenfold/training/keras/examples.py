"""Batches of examples by a tf.data pipeline, from any position of an epoch on.

The pipeline turns positions into examples and keeps their order; what an example is
follows from (seed, epoch, position) alone. So batches do not depend on how many calls
run at a time, nor on how fast they are.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tenfold.data.arrays import Arrays, Float64Array
from tenfold.data.dataset import Samples
from tenfold.errors import TrainingError
from tenfold.recipe import Training
from tenfold.training.keras.task import KerasTask
from tenfold.training.order import epoch_order, example_rng
from tenfold.training.pace import Pace

#: Batches that are ready before they are asked for.
_AHEAD = 2
#: Sources of the pipelines that are running, by number: TensorFlow keeps what it calls
#: for as long as the process lives, and would keep their samples, too.
_RUNNING: dict[int, "_Source"] = {}
_NUMBERS = itertools.count()


class Examples:
    """The training examples of a run.

    Args:
        task: prepares each.
        samples: where they are read, by several threads at once.
        ids: of samples that may be drawn.
        draw_weights: (ids,) chance of each to be drawn, or None.
        training: of the recipe.
        pace: of the run's epochs.
        seed: of the run.
    """

    def __init__(
        self,
        task: KerasTask,
        samples: Samples,
        ids: Sequence[str],
        draw_weights: Float64Array | None,
        training: Training,
        pace: Pace,
        seed: tuple[int, ...],
    ) -> None:
        self._task, self._samples, self._ids = task, samples, ids
        self._draw_weights, self._training = draw_weights, training
        self._pace, self._seed = pace, seed

    def batches(self, epoch: int, first: int) -> Iterator[Arrays]:
        """Yield an epoch's batches from one on; epochs are counted from 0."""
        training = self._training
        order = epoch_order(
            len(self._ids),
            training.samples_per_epoch,
            self._draw_weights,
            self._seed,
            epoch,
        )
        order = order[: self._pace.batches * training.batch]

        def example(position: int) -> Arrays:
            arrays = self._samples.sample(self._ids[order[position]])
            rng = example_rng(self._seed, epoch, position)
            return self._task.example(arrays, rng)

        positions = range(first * training.batch, len(order))
        yield from batched(example, positions, training.batch, training.workers)


def whole_samples(
    prepare: Callable[[Arrays], Arrays],
    samples: Samples,
    ids: Sequence[str],
    batch: int,
) -> Iterator[Arrays]:
    """Yield all of some samples in order, in batches; the last may be smaller.

    Args:
        prepare: `task.whole`, or `task.labelled` where the truth is wanted too.
        samples: where they are read.
        ids: in order.
        batch: samples a batch.
    """

    def example(position: int) -> Arrays:
        return prepare(samples.sample(ids[position]))

    yield from batched(example, range(len(ids)), batch, 0)


def batched(
    example: Callable[[int], Arrays], positions: range, batch: int, calls: int
) -> Iterator[Arrays]:
    """Yield examples in batches, prepared while the network is at work.

    Args:
        example: gives the one at a position: equal names, shapes and dtypes for all.
        positions: in order.
        batch: examples a batch; the last may be smaller.
        calls: of `example` at a time; 0: one.

    Raises:
        TrainingError: an example is unlike the first.
    """
    if not positions:
        return
    source, number = _Source(example, positions[0]), next(_NUMBERS)

    def tensors(position: tf.Tensor) -> dict[str, tf.Tensor]:
        return source.tensors(number, position)

    data = tf.data.Dataset.range(positions.start, positions.stop)
    data = data.map(tensors, num_parallel_calls=calls or 1, deterministic=True)
    data = data.batch(batch).prefetch(_AHEAD).with_options(_own_threads(calls or 1))
    _RUNNING[number] = source
    try:
        yield from data.as_numpy_iterator()
    except tf.errors.OpError:
        if source.error is None:
            raise
        raise source.error from None
    finally:
        del _RUNNING[number]


def _own_threads(calls: int) -> tf.data.Options:
    """Let examples be prepared beside the network, whose operations wait in line."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = calls
    return options


def _arrays_of(number: NDArray[np.int64], position: NDArray[np.int64]) -> Any:
    return _RUNNING[int(number)].arrays(position)


class _Source:
    """Examples as tensors of a pipeline, which wants to know their shapes before.

    Args:
        example: gives the one at a position.
        first: the position that is asked for first.
    """

    def __init__(self, example: Callable[[int], Arrays], first: int) -> None:
        self._example, self._place, self._first = example, first, example(first)
        self._names = tuple(self._first)
        #: What was raised in the pipeline, where it lost its type.
        self.error: Exception | None = None

    def tensors(self, number: int, position: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the tensors of an example; `number` is the pipeline's."""
        first = [np.asarray(self._first[name]) for name in self._names]
        dtypes = [tf.as_dtype(array.dtype) for array in first]
        # Without state, as far as the pipeline can tell: else calls would queue up.
        asked = [tf.constant(number, tf.int64), position]
        values = tf.numpy_function(_arrays_of, asked, dtypes, stateful=False)
        for value, array in zip(values, first, strict=True):
            value.set_shape(array.shape)
        return dict(zip(self._names, values, strict=True))

    def arrays(self, position: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Return the arrays of an example, in the order of their names."""
        try:
            place = int(position)
            found = self._first if place == self._place else self._example(place)
            self._check(place, found)
            return [np.asarray(found[name]) for name in self._names]
        except Exception as error:
            self.error = error
            raise

    def _check(self, place: int, found: Arrays) -> None:
        if set(found) != set(self._names):
            raise TrainingError(
                f"the example at {place} has {sorted(found)}, and the first"
                f" {sorted(self._names)}; all must be alike"
            )
        for name in self._names:
            one, first = np.asarray(found[name]), np.asarray(self._first[name])
            if (one.shape, one.dtype) != (first.shape, first.dtype):
                raise TrainingError(
                    f"{name} of the example at {place} is {one.shape} {one.dtype}, and"
                    f" the first {first.shape} {first.dtype}; all must be alike"
                )
