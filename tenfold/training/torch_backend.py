"""The PyTorch backend of `tenfold.training.engines`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from tenfold.data.arrays import Arrays
from tenfold.data.dataset import Samples
from tenfold.recipe import Json, Precision
from tenfold.store import Workspace
from tenfold.training.engine import Trainer
from tenfold.training.engines import Finished, Order, Resume, Runner
from tenfold.training.inference import infer
from tenfold.training.job import Job
from tenfold.training.order import step_seed
from tenfold.training.precision import fabric_of
from tenfold.training.run import Fitted
from tenfold.training.task import TorchTask


def fit(order: Order, workspace: Workspace, resume: Resume) -> Finished:
    """Train a member; see `Engine.fit`."""
    task: TorchTask = order.task
    train_ids = order.catalogue["id"].to_list()
    channels = task.channels()
    statistics = order.dataset.statistics(channels, train_ids) if channels else None
    # The network's random start is a function of the seed, too.
    torch.manual_seed(step_seed(order.seed, 0))
    model = task.model(statistics)
    job = Job(
        task=task,
        model=model,
        dataset=order.dataset,
        scorer=order.scorer,
        training=order.member.training,
        train_ids=train_ids,
        held_out_ids=order.held_out_ids,
        draw_weights=task.draw_weights(order.catalogue),
        pictured_ids=order.pictured_ids,
        seed=order.seed,
        after_epoch=order.after_epoch,
    )
    trainer = Trainer(job, workspace, resume)
    fitted = trainer.fit()
    files = _save(fitted, order.weights)
    description = task.describe(model) | {"threads": fitted.threads}
    return Finished(description, files, fitted.history)


def load(
    task: Any,
    description: Json,
    weights: Path,
    precision: Precision,
    threads: int | None = None,
) -> Runner:
    """Build a fitted member; see `Engine.load`."""
    if threads:
        torch.set_num_threads(threads)
    model = task.restore(description)
    model.load_state_dict(load_file(weights))
    model.requires_grad_(False)
    return _runner(task, model, precision)


def has_gpu() -> bool:
    """Tell whether PyTorch sees a GPU."""
    return torch.cuda.is_available()


def _runner(task: TorchTask, model: torch.nn.Module, precision: Precision) -> Runner:
    fabric = fabric_of(precision)
    # Moved to the device, and in a true precision made that of its weights.
    fabric.setup_module(model)

    def run(
        samples: Samples, ids: Sequence[str], batch: int
    ) -> Iterator[tuple[str, Arrays]]:
        yield from infer(task, model, samples, ids, fabric, batch)

    return run


def _save(fitted: Fitted, folder: Path) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    files = {}
    for kind, state in fitted.weights.items():
        files[kind] = folder / f"{kind}.safetensors"
        tensors = {name: tensor.contiguous() for name, tensor in state.items()}
        # Not save_file, whose files only their owner may read.
        files[kind].write_bytes(save(tensors))
    return files
