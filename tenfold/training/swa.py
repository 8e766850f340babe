"""Stochastic weight averaging: the equal average of the last epochs' weights.

After Izmailov et al., "Averaging Weights Leads to Wider Optima and Better
Generalization", UAI 2018. The rate that goes with it is in `schedules`.
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from tenfold.recipe import Swa
from tenfold.training.ema import averageable, move_towards
from tenfold.training.task import Batch


def epochs_before(options: Swa, epochs: int) -> int:
    """Return the epochs before the first that is averaged; at least one is."""
    return min(int(options.start * epochs), epochs - 1)


class SwaAverage:
    """The average, and how far it is.

    Args:
        before: epochs before the first that is averaged.
    """

    def __init__(self, before: int) -> None:
        self._before = before
        self.state: dict[str, Tensor] = {}
        self.count = 0
        #: Whether the statistics of batch normalisation are its own.
        self.finished = False

    def end_epoch(self, model: nn.Module, number: int) -> None:
        """Take in the weights at the end of an epoch, numbered from 1."""
        if number > self._before:
            self.take(model)

    def take(self, model: nn.Module) -> None:
        """Take in weights."""
        self.count += 1
        if self.count == 1:
            self.state = averageable(model)
        else:
            move_towards(self.state, model, 1 / self.count)

    def finish(self, model: nn.Module) -> None:
        """Take over the buffers of a model that has the averaged weights."""
        for name, buffer in model.named_buffers():
            if name in self.state:
                self.state[name].copy_(buffer)
        self.finished = True

    def to_state(self) -> dict[str, Any]:
        """Return all that a checkpoint needs."""
        return {"state": self.state, "count": self.count, "finished": self.finished}

    def load(self, saved: dict[str, Any], model: nn.Module) -> None:
        """Go on from a saved average, on the device of a model."""
        devices = {name: t.device for name, t in model.state_dict().items()}
        self.state = {k: t.to(devices[k]) for k, t in saved["state"].items()}
        self.count, self.finished = saved["count"], saved["finished"]


def renew_statistics(step: nn.Module, batches: Iterable[Batch]) -> None:
    """Compute the statistics of batch normalisation anew, as means over batches.

    No weights ever had the statistics that an average of weights needs. A network
    without such layers is left alone, and no batch is asked for.

    Args:
        step: takes a batch through the network, as in training.
        batches: on the network's device.
    """
    update_bn(batches, step)
