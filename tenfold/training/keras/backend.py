"""The Keras backend of `tenfold.training.engines`."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from tenfold.recipe import Json, Precision
from tenfold.store import Workspace
from tenfold.training.engines import Finished, Order, Resume, Runner
from tenfold.training.keras.engine import Trainer
from tenfold.training.keras.inference import Inference
from tenfold.training.keras.job import built, job_of
from tenfold.training.keras.process import begin_network, prepare_process
from tenfold.training.keras.task import KerasTask
from tenfold.training.keras.weights import assign, read_weights, write_weights
from tenfold.training.run import Fitted


def fit(order: Order, workspace: Workspace, resume: Resume) -> Finished:
    """Train a member; see `Engine.fit`."""
    job = job_of(order)
    fitted = Trainer(job, workspace, resume).fit()
    files = _save(fitted, order.weights)
    description = job.task.describe(job.model) | {
        "threads": fitted.threads,
        "devices": job.strategy.num_replicas_in_sync,
    }
    return Finished(description, files, fitted.history)


def load(
    task: Any,
    description: Json,
    weights: Path,
    precision: Precision,
    threads: int | None = None,
) -> Runner:
    """Build a fitted member; see `Engine.load`.

    Raises:
        StoreError: the weights are not those of the network that is described.
    """
    member: KerasTask = task
    prepare_process(threads)
    begin_network()
    model = built(lambda: member.restore(description), precision)
    assign(model, read_weights(weights), str(weights))
    return Inference(member, model).infer


def has_gpu() -> bool:
    """Tell whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def _save(fitted: Fitted, folder: Path) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    files = {}
    for kind, weights in fitted.weights.items():
        files[kind] = folder / f"{kind}.safetensors"
        write_weights(files[kind], weights)
    return files
