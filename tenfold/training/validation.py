"""Scores held-out samples while a network learns, and keeps pictures of some."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tenfold.data.arrays import Arrays
from tenfold.data.dataset import Samples
from tenfold.training.engines import Scorer
from tenfold.training.monitor import ALWAYS, Monitor, check_figure

#: Gives (id, compact outputs, loss of its batch) of whole labelled samples, in order,
#: by the weights that the network has then.
Assess = Callable[[Sequence[str]], Iterator[tuple[str, Arrays, float]]]


@dataclass(frozen=True)
class HeldOut:
    """What is validated, and by what.

    Attributes:
        ids: of held-out samples.
        pictured: of those whose outputs are kept at chosen epochs.
        limit: most samples of a validation; none: all.
        samples: with their truth.
        scorer: the challenge's.
    """

    ids: Sequence[str]
    pictured: Sequence[str]
    limit: int | None
    samples: Samples
    scorer: Scorer


class Validation:
    """The held-out samples of a job, or a part of them.

    Args:
        held_out: what is validated.
        assess: runs the network.
        folder: of pictures; it is made when there are some.
    """

    def __init__(self, held_out: HeldOut, assess: Assess, folder: Path) -> None:
        self._held_out, self._assess_ids, self._folder = held_out, assess, folder
        self._ids = _part(held_out.ids, held_out.limit, held_out.pictured)

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
        score = figures[self._held_out.scorer.MONITOR]
        row = {"val/score": score, "val/loss": loss}
        return row | {f"val/{name}": value for name, value in figures.items()}

    def _assess(
        self, ids: Sequence[str]
    ) -> tuple[dict[str, float], float, dict[str, Arrays]]:
        """Return the scorer's figures, the mean loss and the pictured outputs."""
        held_out = self._held_out
        tally, losses, pictures = None, [], {}
        for id_, outputs, loss in self._assess_ids(ids):
            counted = held_out.scorer.tally(outputs, held_out.samples.sample(id_))
            tally = counted if tally is None else tally + counted
            losses.append(loss)
            if id_ in held_out.pictured:
                pictures[id_] = outputs
        figures = {k: float(v) for k, v in held_out.scorer.metrics(tally).items()}
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
