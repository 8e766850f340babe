"""Exponential moving average of a model's weights and buffers."""

import torch
from torch import Tensor, nn


class Ema:
    """Averages every floating-point tensor of a model's state.

    The decay rises as (1 + n) / (10 + n) up to its final value, so that a short
    run is not an average with its own random start.

    Args:
        model: whose state is averaged.
        decay: final share of the old average, 0 … 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self.updates = 0
        self.state = averageable(model)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        move_towards(self.state, model, 1 - decay)

    def load(self, state: dict[str, Tensor], updates: int) -> None:
        """Go on from a saved average."""
        for name, tensor in state.items():
            self.state[name].copy_(tensor)
        self.updates = updates


def averageable(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a model's state that can be averaged, 16 bits made float32.

    A small change of a number of 16 bits is often no change at all.
    """
    return {
        name: tensor.detach().to(_wide(tensor), copy=True)
        for name, tensor in model.state_dict().items()
    }


def _wide(tensor: Tensor) -> torch.dtype:
    half = tensor.is_floating_point() and tensor.itemsize < 4
    return torch.float32 if half else tensor.dtype


@torch.no_grad()
def move_towards(state: dict[str, Tensor], model: nn.Module, share: float) -> None:
    """Move averages a share of the way to a model's weights; copy what is counted."""
    for name, tensor in model.state_dict().items():
        average = state[name]
        if average.is_floating_point():
            average.lerp_(tensor.detach().to(average.dtype), share)
        else:
            average.copy_(tensor)
