"""Batches of an epoch, from any position on."""

import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from tenfold.data.arrays import Arrays, IntArray
from tenfold.data.dataset import Dataset, Samples
from tenfold.training.order import example_rng
from tenfold.training.pace import steps_in
from tenfold.training.task import Batch, TorchTask


class EpochExamples(TorchDataset[Arrays]):
    """The examples of one epoch by position.

    Args:
        task: prepares each example.
        dataset: where samples are read.
        ids: the samples that may be drawn.
        order: index into `ids` at each position.
        seed: of the run.
        epoch: counted from 0.
    """

    def __init__(
        self,
        task: TorchTask,
        dataset: Dataset,
        ids: Sequence[str],
        order: IntArray,
        seed: tuple[int, ...],
        epoch: int,
    ) -> None:
        self._task, self._dataset, self._ids = task, dataset, ids
        self._order, self._seed, self._epoch = order, seed, epoch

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, position: int) -> Arrays:
        arrays = self._dataset.sample(self._ids[self._order[position]])
        rng = example_rng(self._seed, self._epoch, position)
        return self._task.example(arrays, rng)


class WholeSamples(TorchDataset[Arrays]):
    """Whole samples in a given order, for inference.

    Args:
        prepare: `task.whole`, or `task.labelled` where the truth is wanted too.
        dataset: where samples are read.
        ids: in order.
    """

    def __init__(
        self, prepare: Callable[[Arrays], Arrays], dataset: Samples, ids: Sequence[str]
    ) -> None:
        self._prepare, self._dataset, self._ids = prepare, dataset, ids

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, position: int) -> Arrays:
        return self._prepare(self._dataset.sample(self._ids[position]))


def training_batches(
    examples: EpochExamples, batch: int, first_step: int, workers: int
) -> Iterator[Batch]:
    """Yield the full batches of an epoch from `first_step` on."""
    positions = range(first_step * batch, steps_in(len(examples), batch) * batch)
    yield from _loader(examples, positions, batch, workers)


def inference_batches(
    samples: WholeSamples, batch: int, workers: int
) -> Iterator[Batch]:
    """Yield all samples in order."""
    yield from _loader(samples, range(len(samples)), batch, workers)


def _loader(
    data: TorchDataset[Any], positions: Sequence[int], batch: int, workers: int
) -> DataLoader[Any]:
    inside = range(len(data))  # type: ignore[arg-type]
    return DataLoader(
        data,
        batch_size=batch,
        sampler=[position for position in positions if position in inside],
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_quiet_worker if workers else None,
    )


def collate(examples: Sequence[Arrays]) -> dict[str, Tensor]:
    """Stack named arrays into tensors."""
    return {
        name: torch.from_numpy(np.stack([example[name] for example in examples]))
        for name in examples[0]
    }


def _quiet_worker(_: int) -> None:
    # A forked worker inherits the parent's handler, which would save a checkpoint.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
