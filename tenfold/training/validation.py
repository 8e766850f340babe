"""Scores held-out samples while a network learns, and keeps pictures of some."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

from tenfold.data.arrays import Arrays
from tenfold.training.inference import assess
from tenfold.training.job import Job
from tenfold.training.monitor import ALWAYS, Monitor, check_figure


class Validation:
    """The held-out samples of a job, or a part of them.

    Args:
        job: whose model is validated, with the weights it has then.
        fabric: that runs the model.
        folder: of pictures; it is made when there are some.
    """

    def __init__(self, job: Job, fabric: Fabric, folder: Path) -> None:
        self._job, self._fabric, self._folder = job, fabric, folder
        limit = job.training.limit_validation
        self._ids = _part(job.held_out_ids, limit, job.pictured_ids)

    def check(self, monitors: Sequence[Monitor]) -> None:
        """Refuse figures that no validation will have, before hours are spent.

        The figures of a challenge are only known from some: one sample is scored,
        unless only those are asked for that every validation has.

        Raises:
            TrainingError: naming those there are.
        """
        if all(monitor.figure in ALWAYS for monitor in monitors):
            return
        figures, _, _ = self._assess(self._ids[:1])
        for monitor in monitors:
            check_figure(monitor, figures)

    def run(self, picture_epoch: int | None) -> dict[str, float]:
        """Return the figures of an epoch's row, by the weights the model has.

        Args:
            picture_epoch: number of the epoch to keep pictures of; none: keep none.
        """
        figures, loss, pictures = self._assess(self._ids)
        if picture_epoch is not None:
            self._keep(picture_epoch, pictures)
        score = figures[self._job.scorer.MONITOR]
        row = {"val/score": score, "val/loss": loss}
        return row | {f"val/{name}": value for name, value in figures.items()}

    def _assess(
        self, ids: Sequence[str]
    ) -> tuple[dict[str, float], float, dict[str, Arrays]]:
        """Return the scorer's figures, the mean loss and the pictured outputs."""
        job = self._job
        tally, losses, pictures = None, [], {}
        assessed = assess(
            job.task, job.model, job.dataset, ids, self._fabric, job.training.batch
        )
        for id_, outputs, loss in assessed:
            counted = job.scorer.tally(outputs, job.dataset.sample(id_))
            tally = counted if tally is None else tally + counted
            losses.append(loss)
            if id_ in job.pictured_ids:
                pictures[id_] = outputs
        figures = {k: float(v) for k, v in job.scorer.metrics(tally).items()}
        return figures, sum(losses) / len(losses), pictures

    def _keep(self, epoch: int, pictures: Mapping[str, Arrays]) -> None:
        self._folder.mkdir(exist_ok=True)
        for id_, outputs in pictures.items():
            with (self._folder / f"{epoch:04d}_{id_}.npz").open("wb") as stream:
                np.savez_compressed(stream, allow_pickle=False, **dict(outputs))


def _part(
    ids: Sequence[str], limit: int | None, pictured: Sequence[str]
) -> Sequence[str]:
    """Choose up to `limit` samples, spread evenly over all, and add the pictured."""
    if limit is None or limit >= len(ids):
        return ids
    places = np.linspace(0, len(ids) - 1, limit).round().astype(int)
    chosen = {ids[place] for place in places} | set(pictured)
    return [id_ for id_ in ids if id_ in chosen]
