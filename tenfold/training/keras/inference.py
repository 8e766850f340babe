"""Whole samples through a network: out-of-fold, test and validation alike.

They are seen by the first device, in graphs that take a batch of any size, so that the
last one needs none of its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tenfold.data.arrays import Arrays
from tenfold.data.dataset import Samples
from tenfold.training.keras.examples import whole_samples
from tenfold.training.keras.task import KerasTask


class Inference:
    """A network that looks at whole samples, with the weights it has then.

    Args:
        task: prepares samples, and knows what outputs are.
        model: that looks.
    """

    def __init__(self, task: KerasTask, model: keras.Model) -> None:
        self._task = task
        self._outputs = _AnySize(lambda batch: task.outputs(model, batch))
        self._assess = _AnySize(lambda batch: task.assess(model, batch))

    def infer(
        self, samples: Samples, ids: Sequence[str], batch: int
    ) -> Iterator[tuple[str, Arrays]]:
        """Yield compact outputs of whole samples, in order; see `Runner`."""
        remaining = iter(ids)
        for examples in whole_samples(self._task.whole, samples, ids, batch):
            outputs = _arrays(self._outputs(examples))
            for row, id_ in zip(range(_size(examples)), remaining, strict=False):
                yield id_, {name: array[row] for name, array in outputs.items()}

    def assess(
        self, samples: Samples, ids: Sequence[str], batch: int
    ) -> Iterator[tuple[str, Arrays, float]]:
        """Yield (id, compact outputs, loss of its batch) of whole labelled samples."""
        remaining = iter(ids)
        for examples in whole_samples(self._task.labelled, samples, ids, batch):
            found, loss = self._assess(examples)
            outputs = _arrays(found)
            for row, id_ in zip(range(_size(examples)), remaining, strict=False):
                yield id_, {k: array[row] for k, array in outputs.items()}, float(loss)


class _AnySize:
    """A graph of a function of a batch, whatever the number of its samples.

    Args:
        function: from named tensors (N, ...).
    """

    def __init__(self, function: Callable[[Mapping[str, tf.Tensor]], Any]) -> None:
        self._function = tf.function(function, autograph=False)

    def __call__(self, batch: Arrays) -> Any:
        tensors = {name: tf.convert_to_tensor(array) for name, array in batch.items()}
        specs = {
            name: tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)
            for name, tensor in tensors.items()
        }
        # Made once for each set of shapes, and kept.
        return self._function.get_concrete_function(specs)(tensors)


def _size(batch: Arrays) -> int:
    return len(next(iter(batch.values())))


def _arrays(outputs: Mapping[str, tf.Tensor]) -> Arrays:
    return {name: tensor.numpy() for name, tensor in outputs.items()}
