"""The optimiser that a recipe names, and how a gradient is taken in.

Keras's own optimisers give the steps; decay and clipping are done here, so that they
mean what they mean with PyTorch: a gradient is clipped by the norm of all of it, adam
and sgd then add `weight_decay` as an L2 penalty, and adamw takes it off the weights
(Loshchilov and Hutter, ICLR 2019). Two details are Keras's: Adam's epsilon, 1e-8, is
added before the correction of its start; and momentum is that of steps, rate included,
so that a new rate comes in smoothly.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tenfold.recipe import Training

_EPS = 1e-8
#: Added to a norm that is divided by (torch.nn.utils.clip_grad_norm_).
_LEAST_NORM = 1e-6


class Optimiser:
    """Takes steps; to be called in a replica's context with gradients of all.

    Args:
        training: of the recipe.
        variables: that learn; slots are made for them where they are.
    """

    def __init__(self, training: Training, variables: Sequence[keras.Variable]) -> None:
        self._variables = list(variables)
        self._clip_norm, self._decay = training.clip_norm, training.weight_decay
        self._decoupled = training.optimiser == "adamw"
        self.keras = _keras_optimiser(training)
        self.keras.build(self._variables)

    def take(self, gradients: Sequence[tf.Tensor], rate: tf.Tensor) -> None:
        """Move the variables; `count` follows outside of the replica's context.

        Args:
            gradients: float32, one a variable, the same on all replicas.
            rate: float32 scalar.
        """
        if self._clip_norm is not None:
            norm = tf.linalg.global_norm(gradients)
            share = tf.minimum(self._clip_norm / (norm + _LEAST_NORM), 1.0)
            gradients = [gradient * share for gradient in gradients]
        for gradient, variable in zip(gradients, self._variables, strict=True):
            decay = self._decay * tf.convert_to_tensor(variable)
            if self._decoupled:
                variable.assign_sub(rate * decay)
            else:
                gradient = gradient + decay
            self.keras.update_step(gradient, variable, rate)

    def count(self, steps: tf.Tensor) -> None:
        """Count steps taken: 0 or 1, outside of a replica's context."""
        iterations = self.keras.iterations
        iterations.assign_add(tf.cast(steps, iterations.dtype))


def _keras_optimiser(training: Training) -> keras.optimizers.Optimizer:
    rate = training.learning_rate
    if training.optimiser == "sgd":
        return keras.optimizers.SGD(rate, momentum=training.momentum)
    return keras.optimizers.Adam(rate, epsilon=_EPS)
