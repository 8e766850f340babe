"""Whole samples through a network: out-of-fold, test and validation alike."""

import itertools
from collections.abc import Iterator, Sequence

import torch
from lightning_fabric import Fabric
from torch import nn

from tenfold.data.arrays import Arrays
from tenfold.data.dataset import Samples
from tenfold.training.examples import WholeSamples, inference_batches
from tenfold.training.task import Batch, TorchTask


def infer(
    task: TorchTask,
    model: nn.Module,
    dataset: Samples,
    ids: Sequence[str],
    fabric: Fabric,
    batch: int,
    workers: int = 0,
) -> Iterator[tuple[str, Arrays]]:
    """Yield compact outputs of whole samples, out-of-fold and test alike."""
    model.eval()
    samples = WholeSamples(task.whole, dataset, ids)
    for place, examples in _placed(samples, batch, workers):
        with torch.inference_mode(), fabric.autocast():
            outputs = task.outputs(model, fabric.to_device(examples))
        for row, id_ in enumerate(ids[place : place + batch]):
            yield id_, {name: array[row] for name, array in outputs.items()}


def assess(
    task: TorchTask,
    model: nn.Module,
    dataset: Samples,
    ids: Sequence[str],
    fabric: Fabric,
    batch: int,
) -> Iterator[tuple[str, Arrays, float]]:
    """Yield (id, compact outputs, loss of its batch) of whole labelled samples."""
    model.eval()
    samples = WholeSamples(task.labelled, dataset, ids)
    for place, examples in _placed(samples, batch, 0):
        with torch.inference_mode(), fabric.autocast():
            outputs, loss = task.assess(model, fabric.to_device(examples))
        for row, id_ in enumerate(ids[place : place + batch]):
            yield id_, {k: a[row] for k, a in outputs.items()}, float(loss)


def _placed(
    samples: WholeSamples, batch: int, workers: int
) -> Iterator[tuple[int, Batch]]:
    """Yield batches with the place of their first sample."""
    batches = inference_batches(samples, batch, workers)
    yield from zip(itertools.count(0, batch), batches, strict=False)
