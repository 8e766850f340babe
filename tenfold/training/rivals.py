"""Ends a training that is behind others of its kind: the median rule.

It is that of Google Vizier (Golovin et al., "Google Vizier: A Service for Black-Box
Optimization", KDD 2017, on automated early stopping): a training ends at an epoch if
its best score by then is below the median of the others' running averages up to it.
There the others are completed trials, those that were ended among them; here also all
that came as far, since trials run side by side.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from tenfold.data.storage import Storage
from tenfold.errors import StoreError
from tenfold.progress import Progress

#: (epoch, score), in the order of epochs.
Scores = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Rival:
    """What another training has published.

    Attributes:
        scores: so far.
        ended: by the rule; its last average stays among the others'.
    """

    scores: Scores
    ended: bool = False


def is_behind(own: Scores, others: Iterable[Rival], least: int) -> bool:
    """Tell whether the median rule ends a training at its last scored epoch.

    A score that is no finite number is left out of averages, and is the worst that a
    training's own best can be.

    Args:
        own: scores so far.
        others: the other trainings, some of which may be further.
        least: others that must count; with fewer nobody is behind.
    """
    epoch = own[-1][0]
    seen = [
        _finite(at_score for at_score in other.scores if at_score[0] <= epoch)
        for other in others
        if other.ended or (other.scores and other.scores[-1][0] >= epoch)
    ]
    averages = [fmean(scores) for scores in seen if scores]
    enough = len(averages) >= max(least, 1)
    return enough and max(_finite(own), default=-math.inf) < median(averages)


def _finite(scores: Iterable[tuple[int, float]]) -> list[float]:
    return [score for _, score in scores if math.isfinite(score)]


class Rivals:
    """Trainings that publish their scores as they go, and end by the median rule.

    Args:
        storage: holds one file for each training.
        name: of this training's file.
        warmup: epochs that every training gets.
        least: others that must count.
        progress: whose log names a rival that cannot be read.
    """

    def __init__(
        self, storage: Storage, name: str, warmup: int, least: int, progress: Progress
    ) -> None:
        self._storage, self._file = storage, f"{name}.json"
        self._warmup, self._least, self._progress = warmup, least, progress

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
        return self._read(self._file).ended

    def _others(self) -> Iterator[Rival]:
        """Yield the rivals that can be read; one that cannot is left out this time."""
        for name in self._storage.names():
            if name != self._file:
                try:
                    yield self._read(name)
                except (StoreError, ValueError, KeyError, TypeError) as error:
                    self._progress.log("rival", name=name, message=str(error))

    def _read(self, name: str) -> Rival:
        content = json.loads(self._storage.read_bytes(name))
        scores = [(int(epoch), float(score)) for epoch, score in content["scores"]]
        return Rival(scores, bool(content["ended"]))
