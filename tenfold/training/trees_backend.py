"""The backend of `tenfold.training.engines` for boosted trees (XGBoost)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import xgboost as xgb

from tenfold.data.arrays import Arrays
from tenfold.data.dataset import Samples
from tenfold.errors import StoreError
from tenfold.recipe import Json, Precision
from tenfold.store import Workspace
from tenfold.training.engines import Finished, Order, Resume, Runner
from tenfold.training.trees import Trainer
from tenfold.training.trees_figures import examine, parameters
from tenfold.training.trees_predict import predict
from tenfold.training.trees_task import TreesTask


def fit(order: Order, workspace: Workspace, resume: Resume) -> Finished:
    """Train a member; see `Engine.fit`."""
    task: TreesTask = order.task
    training = task.member.training
    fitted = Trainer(order, workspace, resume).fit()
    order.weights.mkdir(exist_ok=True)
    files = {}
    for kind, booster in fitted.boosters.items():
        files[kind] = order.weights / f"{kind}.ubj"
        files[kind].write_bytes(booster.save_raw("ubj"))
    used = fitted.boosters[training.weights]

    def on_sample(done: int) -> None:
        held_out = len(order.held_out_ids)
        workspace.progress.update(done, held_out, "held-out samples examined")

    examined = examine(
        used,
        task,
        order.dataset,
        order.held_out_ids,
        training.batch,
        order.seed,
        on_sample,
    )
    description = task.describe() | {
        "features": list(task.features),
        "trees": task.member.trees.model_dump(mode="json"),
        "rounds": used.num_boosted_rounds(),
        "parameters": parameters(used),
        "learnt_from": fitted.table,
        "threads": fitted.threads,
        **examined,
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

    Trees compare 32-bit numbers, whatever the precision.

    Raises:
        StoreError: the file holds no trees, or trees over other columns.
    """
    del precision
    restored: TreesTask = task.restore(description)
    try:
        booster = xgb.Booster({"nthread": threads or 0}, model_file=weights)
    except xgb.core.XGBoostError as error:
        reason = str(error).strip().splitlines()[0]
        raise StoreError(
            f"{weights} holds no trees ({reason}); train the member again"
        ) from None
    if booster.feature_names != list(restored.features):
        raise StoreError(
            f"{weights} has trees over {booster.feature_names}, not over"
            f" {list(restored.features)}; train the member again"
        )

    def run(
        samples: Samples, ids: Sequence[str], batch: int
    ) -> Iterator[tuple[str, Arrays]]:
        for one in predict(booster, restored, samples, ids, batch):
            yield one.id, restored.outputs(one.probability, one.arrays)

    return run


def has_gpu() -> bool:
    """Tell whether there is a GPU; its image is PyTorch's, which is asked."""
    import torch

    return torch.cuda.is_available()
