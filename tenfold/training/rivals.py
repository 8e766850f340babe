"""Ends a training that is behind others of its kind: the median rule.

It is that of Google Vizier (Golovin et al., "Google Vizier: A Service for Black-Box
Optimization", KDD 2017, on automated early stopping): a training ends at an epoch if
its best score by then is below the median of the others' running averages up to it.
There the others are completed trials; here they are all that came as far, since trials
run side by side.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median

from tenfold.data.storage import Storage

#: (epoch, score), in the order of epochs.
Scores = Sequence[tuple[int, float]]


def is_behind(own: Scores, others: Iterable[Scores], least: int) -> bool:
    """Tell whether the median rule ends a training at its last scored epoch.

    Args:
        own: scores so far.
        others: scores of each of the others, of some epochs later than these.
        least: others that must have come as far; with fewer nobody is behind.
    """
    epoch = own[-1][0]
    averages = [
        fmean(score for at, score in other if at <= epoch)
        for other in others
        if other and other[0][0] <= epoch <= other[-1][0]
    ]
    enough = len(averages) >= max(least, 1)
    return enough and max(score for _, score in own) < median(averages)


class Rivals:
    """Trainings that publish their scores as they go, and end by the median rule.

    Args:
        storage: holds one file for each training.
        name: of this training's file.
        warmup: epochs that every training gets.
        least: others that must have come as far.
    """

    def __init__(self, storage: Storage, name: str, warmup: int, least: int) -> None:
        self._storage, self._file = storage, f"{name}.json"
        self._warmup, self._least = warmup, least

    def end(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Publish the scores so far and tell whether to end here; an `AfterEpoch`."""
        if "val/score" not in history[-1]:
            return False
        own = [
            (int(row["epoch"]), float(row["val/score"]))
            for row in history
            if "val/score" in row
        ]
        ended = own[-1][0] >= self._warmup and is_behind(
            own, self._others(), self._least
        )
        content = json.dumps({"scores": own, "ended": ended})
        self._storage.write_bytes(self._file, content.encode())
        return ended

    def ended(self) -> bool:
        """Tell whether the rule ended this training, maybe in an earlier attempt."""
        return bool(self._read(self._file)["ended"])

    def _others(self) -> list[Scores]:
        names = [name for name in self._storage.names() if name != self._file]
        return [self._read(name)["scores"] for name in names]

    def _read(self, name: str) -> dict[str, Scores]:
        content: dict[str, Scores] = json.loads(self._storage.read_bytes(name))
        return content
