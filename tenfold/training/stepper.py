"""A training step's forward pass, as one module."""

from collections.abc import Mapping

from torch import Tensor, nn

from tenfold.training.task import Batch, TorchTask


class Stepper(nn.Module):
    """A forward pass that ends in the loss, so that wrappers see all of it."""

    def __init__(self, task: TorchTask, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._task = task

    def forward(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss of a batch, and counts that add up over batches."""
        return self._task.step(self.model, batch)
