"""Scores held-out samples while trees are added, and keeps pictures of some."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import xgboost as xgb

from tenfold.data.arrays import Arrays
from tenfold.training.engines import Order
from tenfold.training.monitor import ALWAYS, Monitor, check_figure
from tenfold.training.trees_predict import log_losses, predict
from tenfold.training.trees_task import TreesTask


class Validation:
    """The held-out samples of an order, each whole.

    Args:
        order: whose samples they are.
        folder: of pictures; it is made when there are some.
    """

    def __init__(self, order: Order, folder: Path) -> None:
        self._order, self._folder = order, folder
        self._task: TreesTask = order.task

    def check(self, monitor: Monitor) -> None:
        """Refuse a figure that no validation will have, before anything is read.

        The figures of a challenge are only known from some: one sample is scored as
        if nothing were on it.

        Raises:
            TrainingError: naming those there are.
        """
        if monitor.figure in ALWAYS:
            return
        arrays = self._order.dataset.sample(self._order.held_out_ids[0])
        nothing = np.zeros(len(self._task.truth(arrays)[0]), np.float32)
        outputs = self._task.outputs(nothing, arrays)
        scorer = self._order.scorer
        check_figure(monitor, scorer.metrics(scorer.tally(outputs, arrays)))

    def run(
        self,
        booster: xgb.Booster,
        picture_epoch: int | None,
        after_sample: Callable[[], None],
    ) -> dict[str, float]:
        """Return the figures of a round's row.

        Args:
            booster: the trees so far.
            picture_epoch: number of the round to keep pictures of; none: keep none.
            after_sample: may raise to break off.
        """
        order, task = self._order, self._task
        batch = task.member.training.batch
        tally, pictures, loss, counted = None, {}, 0.0, 0
        for one in predict(booster, task, order.dataset, order.held_out_ids, batch):
            outputs = task.outputs(one.probability, one.arrays)
            count = order.scorer.tally(outputs, one.arrays)
            tally = count if tally is None else tally + count
            truth, counts = task.truth(one.arrays)
            loss += float(log_losses(one.probability[counts], truth[counts]).sum())
            counted += int(counts.sum())
            if one.id in order.pictured_ids:
                pictures[one.id] = outputs
            after_sample()
        if picture_epoch is not None:
            self._keep(picture_epoch, pictures)
        figures = {k: float(v) for k, v in order.scorer.metrics(tally).items()}
        row = {"val/score": figures[order.scorer.MONITOR]}
        row["val/loss"] = loss / max(counted, 1)
        return row | {f"val/{name}": value for name, value in figures.items()}

    def _keep(self, epoch: int, pictures: Mapping[str, Arrays]) -> None:
        self._folder.mkdir(exist_ok=True)
        for id_, outputs in pictures.items():
            with (self._folder / f"{epoch:04d}_{id_}.npz").open("wb") as stream:
                np.savez_compressed(stream, allow_pickle=False, **dict(outputs))
