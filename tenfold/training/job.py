"""One model on one fold, as the PyTorch engine is told of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from tenfold.data.arrays import Float64Array
from tenfold.data.dataset import Dataset
from tenfold.recipe import Training
from tenfold.training.engines import AfterEpoch, Scorer
from tenfold.training.task import TorchTask


@dataclass(frozen=True)
class Job:
    """One model on one fold.

    Attributes:
        train_ids: samples to learn from; `held_out_ids` are never among them.
        draw_weights: (train_ids,) chance of each to be drawn, or None.
        pictured_ids: held-out samples whose outputs are kept at chosen epochs.
        seed: of order, augmentation, dropout and the network's start.
        after_epoch: may end the training early.
    """

    task: TorchTask
    model: nn.Module
    dataset: Dataset
    scorer: Scorer
    training: Training
    train_ids: Sequence[str]
    held_out_ids: Sequence[str]
    draw_weights: Float64Array | None
    pictured_ids: Sequence[str]
    seed: tuple[int, ...]
    after_epoch: AfterEpoch | None = None
