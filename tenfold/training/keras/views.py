"""Test-time augmentation of frames: the mean of what a network says of their views.

The views, and why probabilities are averaged and not logits, are as in
`tenfold.training.views`; here channels come last.
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple

import tensorflow as tf

from tenfold.training.dihedral import Turn, ViewsName, turns_of

#: A network as inference sees it: frames (N, ..., H, W, C) to probabilities
#: (N, ..., H, W, 1).
See = Callable[[tf.Tensor], tf.Tensor]
_ROWS, _COLUMNS = -3, -2


class View(Turn):
    """A right-angle view of frames, whatever stands before rows and columns."""

    def apply(self, frames: tf.Tensor) -> tf.Tensor:
        """Show frames (..., H, W, C) this way; (..., W, H, C) where transposed."""
        turned = _transposed(frames) if self.transposed else frames
        return self._mirror(turned)

    def undo(self, frames: tf.Tensor) -> tf.Tensor:
        """Turn frames that were shown this way back to how they lay."""
        upright = self._mirror(frames)
        return _transposed(upright) if self.transposed else upright

    def _mirror(self, frames: tf.Tensor) -> tf.Tensor:
        wanted = ((_ROWS, self.upside_down), (_COLUMNS, self.left_right))
        axes = [axis for axis, flips in wanted if flips]
        return tf.reverse(frames, axes) if axes else frames


def views_of(name: ViewsName) -> tuple[View, ...]:
    """Return the views of a recipe's `tta`, the sample as it is first."""
    return tuple(View(*astuple(turn)) for turn in turns_of(name))


def mean_over_views(see: See, frames: tf.Tensor, views: Sequence[View]) -> tf.Tensor:
    """Return the mean probability over views, in float32.

    Views are seen one after the other, so the memory is that of one view and one sum.

    Args:
        see: gives probabilities of frames of either orientation.
        frames: (N, ..., H, W, C), of known rank; sides may differ.
        views: at least one.
    """
    first, *others = views
    total = _seen(see, frames, first)
    for view in others:
        # Nothing else keeps a graph from showing all of them at once.
        with tf.control_dependencies([total]):
            shown = tf.identity(frames)
        total += _seen(see, shown, view)
    return total / len(views) if others else total


def _seen(see: See, frames: tf.Tensor, view: View) -> tf.Tensor:
    return tf.cast(view.undo(see(view.apply(frames))), tf.float32)


def _transposed(frames: tf.Tensor) -> tf.Tensor:
    axes = list(range(frames.shape.rank))
    axes[_ROWS], axes[_COLUMNS] = axes[_COLUMNS], axes[_ROWS]
    return tf.transpose(frames, axes)
