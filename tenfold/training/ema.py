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
        self.state: dict[str, Tensor] = {
            name: tensor.detach().clone() for name, tensor in model.state_dict().items()
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        for name, tensor in model.state_dict().items():
            average = self.state[name]
            if average.is_floating_point():
                average.lerp_(tensor.detach(), 1 - decay)
            else:
                average.copy_(tensor)

    def load(self, state: dict[str, Tensor], updates: int) -> None:
        """Go on from a saved average."""
        for name, tensor in state.items():
            self.state[name].copy_(tensor)
        self.updates = updates
