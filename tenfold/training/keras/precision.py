"""In which precision a network computes: Keras's policies, and the scale of losses.

Mixed precisions keep weights in float32 and compute layers in 16 bits, but for those
that ask for another dtype; the head must, since losses and decisions are float32.
float16 scales its losses, so that small gradients do not vanish.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from tenfold.errors import RecipeError, TrainingError
from tenfold.recipe import Precision

_POLICIES: dict[Precision, str] = {
    "32-true": "float32",
    "16-mixed": "mixed_float16",
    "bf16-mixed": "mixed_bfloat16",
}
#: As Keras's own LossScaleOptimizer has it: where the scale begins, and after how many
#: good steps it is doubled. It is halved by a step that overflows.
_FIRST_SCALE, _GROWTH_STEPS = 2.0**15, 2000


@contextmanager
def built_in(precision: Precision) -> Iterator[None]:
    """Build layers under a precision.

    Raises:
        RecipeError: Keras has no such policy.
    """
    if precision not in _POLICIES:
        known = ", ".join(_POLICIES)
        raise RecipeError(f"precision: keras has {known}, not {precision}")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def check_head(model: keras.Model) -> None:
    """Refuse a network whose outputs are not float32.

    Raises:
        TrainingError: naming the output.
    """
    for output in keras.tree.flatten(model.outputs):
        if output.dtype != "float32":
            raise TrainingError(
                f"{model.name}: output {output.name} is {output.dtype}; build the last"
                " layers with dtype float32"
            )


class LossScale:
    """The dynamic scale of float16's losses; elsewhere it is 1 and stays so.

    Args:
        precision: of the training.
    """

    def __init__(self, precision: Precision) -> None:
        self.moves = precision == "16-mixed"
        first = _FIRST_SCALE if self.moves else 1.0
        self._scale = tf.Variable(first, trainable=False, dtype=tf.float32)
        self._good = tf.Variable(0, trainable=False, dtype=tf.int64)

    def value(self) -> tf.Tensor:
        """Return the factor of losses."""
        return tf.convert_to_tensor(self._scale)

    def after_step(self, finite: tf.Tensor) -> None:
        """Move on after a step; `finite`: its gradient was, and the step was taken."""
        if not self.moves:
            return
        good = tf.where(finite, self._good + 1, 0)
        grows = good == _GROWTH_STEPS
        factor = tf.where(finite, tf.where(grows, 2.0, 1.0), 0.5)
        self._scale.assign(self._scale * factor)
        self._good.assign(tf.where(grows, tf.zeros_like(good), good))

    def to_state(self) -> dict[str, Any]:
        """Return all that a checkpoint needs."""
        return {"scale": float(self._scale.numpy()), "good": int(self._good.numpy())}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self._scale.assign(state["scale"])
        self._good.assign(state["good"])
