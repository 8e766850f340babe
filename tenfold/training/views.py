"""Test-time augmentation: the mean of what a network says of right-angle views.

Means are of probabilities. A mean of logits is another decision, and the roots
that some merges take of negative logits are not numbers at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple

import torch
from torch import Tensor

from tenfold.training.dihedral import Turn, ViewsName, turns_of

#: A network as inference sees it: planes (N, C, H, W) to probabilities (N, ..., H, W).
See = Callable[[Tensor], Tensor]


class View(Turn):
    """A right-angle view of planes."""

    def apply(self, planes: Tensor) -> Tensor:
        """Show planes (..., H, W) this way; (..., W, H) where transposed."""
        turned = planes.transpose(-2, -1) if self.transposed else planes
        return self._mirror(turned)

    def undo(self, planes: Tensor) -> Tensor:
        """Turn planes that were shown this way back to how they lay."""
        upright = self._mirror(planes)
        return upright.transpose(-2, -1) if self.transposed else upright

    def _mirror(self, planes: Tensor) -> Tensor:
        wanted = ((-2, self.upside_down), (-1, self.left_right))
        axes = [axis for axis, flips in wanted if flips]
        return planes.flip(axes) if axes else planes


def views_of(name: ViewsName) -> tuple[View, ...]:
    """Return the views of a recipe's `tta`, the sample as it is first."""
    return tuple(View(*astuple(turn)) for turn in turns_of(name))


def mean_over_views(see: See, planes: Tensor, views: Sequence[View]) -> Tensor:
    """Return the mean probability over views, in float32.

    Views are seen one after the other and added up in place, on the device, so the
    memory is that of one view and one sum.

    Args:
        see: gives probabilities of planes of either orientation.
        planes: (N, C, H, W); sides may differ.
        views: at least one.
    """
    first, *others = views
    # A copy: a network may hand out a buffer that it uses again.
    total = first.undo(see(first.apply(planes))).to(torch.float32, copy=True)
    for view in others:
        total += view.undo(see(view.apply(planes)))
    return total.div_(len(views)) if others else total
