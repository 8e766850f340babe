"""In which precision a network computes, on whatever device there is.

Mixed precisions keep weights in float32 and let `torch.autocast` choose where 16 bits
are safe; float16 scales its losses, so that small gradients do not vanish. True ones
keep the weights in 16 bits as well, which halves their memory and loses what a small
step would change. Either way raw samples stay as they are up to the network's first
layer, and losses are computed in float32. A CPU computes all of them, most of them
float16 slowly.
"""

import itertools
from contextlib import AbstractContextManager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from lightning_fabric.plugins.precision import Precision as Plugin
from torch import nn

from tenfold.recipe import Precision

_TRUE = {"16-true": torch.float16, "bf16-true": torch.bfloat16}


def fabric_of(precision: Precision) -> Fabric:
    """Return what runs a network on this machine's first device."""
    fabric = Fabric(accelerator="auto", devices=1)
    if precision == "32-true":
        return fabric
    device = fabric.device.type
    plugin: Plugin
    if precision == "16-mixed" or precision == "bf16-mixed":
        plugin = _Mixed(precision, device)
    else:
        plugin = _True(precision, device)
    return Fabric(accelerator=device, devices=1, plugins=[plugin])


class _Mixed(MixedPrecision):
    """Automatic mixed precision that leaves a batch as it is.

    Fabric's own makes float inputs half: angles of moves, which decide where pixels
    are taken from. Nor does this one turn float16 into bfloat16 on a CPU.
    """

    def convert_input(self, data: Any) -> Any:
        return data


class _True(Plugin):
    """Weights in 16 bits, computed with under autocast.

    Fabric's own makes every buffer and input half, constants of preprocessing among
    them. Here that happens to modules with parameters only, their buffers included,
    since layers want both alike; autocast meets the rest where it comes in.

    Args:
        precision: 16-true or bf16-true.
        device: type of it.
    """

    def __init__(self, precision: Precision, device: str) -> None:
        self.precision = precision
        self._device, self._dtype = device, _TRUE[precision]

    def convert_module(self, module: nn.Module) -> nn.Module:
        for part in module.modules():
            own = list(part.parameters(recurse=False))
            for tensor in itertools.chain(own, part.buffers(recurse=False)):
                if own and tensor.is_floating_point():
                    tensor.data = tensor.data.to(self._dtype)
        return module

    def forward_context(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device, dtype=self._dtype)
