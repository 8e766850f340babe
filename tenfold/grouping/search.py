"""Own the choice of a search for similar embeddings, and what it may have missed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tenfold.grouping import neighbours
from tenfold.grouping.similarity import (
    Proposals,
    Report,
    blocked,
    pairs_above,
    reaching,
)
from tenfold.grouping.vectors import Float64Array, IntArray, Vectors

Index = Literal["auto", "blocked", "exact", "approximate"]

#: Up to so many samples `auto` searches in blocks, which needs no FAISS.
MOST_BLOCKED = 100_000
#: Samples whose pairs are searched exactly, to measure an approximate index.
QUERIES, SEED = 1000, 0
_NORMAL_95 = 1.959963984540054  # the 97.5 % point of the normal distribution
_BLOCK = 2048


@dataclass(frozen=True)
class Recall:
    """How much of what is there an approximate search found, on a random sample.

    A trial is a drawn sample that has similar ones, and succeeds if all of its pairs
    were found. Single pairs would be no trials: those of one sample are missed
    together, and counting each would make the interval too narrow.

    Attributes:
        drawn: samples drawn at random, without replacement.
        seed: of the draw.
        trials: drawn samples with at least one pair by the exact search.
        complete: of these, samples whose every pair was found.
        pairs: pairs of the drawn samples by the exact search.
        found: of these, pairs that were found.
    """

    drawn: int
    seed: int
    trials: int
    complete: int
    pairs: int
    found: int

    @property
    def value(self) -> float | None:
        """Share of trials that succeeded; None without a trial."""
        return self.complete / self.trials if self.trials else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the value for all samples, by Wilson's score."""
        return wilson(self.complete, self.trials)


@dataclass(frozen=True)
class Similar:
    """What a search found.

    Attributes:
        pairs: (E, 2) rows i < j, sorted.
        cosine: (E,) in threshold..1.
        index: the search that was made, never `auto`.
        recall: of an approximate index; None where every pair was compared.
    """

    pairs: IntArray
    cosine: Float64Array
    index: Index
    recall: Recall | None


def search(
    embeddings: npt.NDArray[np.floating],
    threshold: float,
    index: Index = "auto",
    probes: int = 8,
    report: Report | None = None,
) -> Similar:
    """Find pairs of rows whose cosine similarity is at least a threshold.

    `blocked` and `exact` (FAISS) find the same pairs, which is all of them;
    `approximate` may miss some, adds none, and is measured against the exact search.

    Args:
        embeddings: (N, D) finite values; a row of zeros matches nothing.
        threshold: smallest cosine to report, above 0 and at most 1.
        index: `auto` is blocked up to MOST_BLOCKED rows, and exact above.
        probes: cells an approximate index compares a row with.
        report: called with (rows done, rows in all).

    Raises:
        RecipeError: an option is out of range, or FAISS is not installed.
        TenfoldError: an embedding holds a value that is not finite, or there are
            too many pairs.
    """
    vectors = Vectors(embeddings)
    if index == "auto":
        index = "blocked" if len(vectors) <= MOST_BLOCKED else "exact"
    pairs, cosine = pairs_above(vectors, threshold, _proposals(index, probes, report))
    recall = None
    if index == "approximate":
        recall = measure_recall(vectors, threshold, pairs)
    return Similar(pairs, cosine, index, recall)


def measure_recall(
    vectors: Vectors,
    threshold: float,
    found: IntArray,
    queries: int = QUERIES,
    seed: int = SEED,
) -> Recall:
    """Search the pairs of a random sample of rows exactly, and compare.

    Args:
        vectors: that were searched.
        threshold: smallest cosine of a pair.
        found: (E, 2) pairs i < j that the search in question found.
        queries: rows to draw; all, if there are no more.
        seed: of the draw.
    """
    n = len(vectors)
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.choice(n, min(queries, n), replace=False))
    wanted, _ = pairs_above(vectors, threshold, _touching(drawn))
    hit = np.isin(wanted[:, 0] * n + wanted[:, 1], found[:, 0] * n + found[:, 1])
    ends = np.isin(wanted, drawn)
    trials = np.unique(wanted[ends])
    missed = np.unique(wanted[~hit][ends[~hit]])
    return Recall(
        drawn=len(drawn),
        seed=seed,
        trials=len(trials),
        complete=len(trials) - len(missed),
        pairs=len(wanted),
        found=int(np.count_nonzero(hit)),
    )


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a share.

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), from E. B. Wilson, "Probable
    inference, the law of succession, and statistical inference", 1927. Without a
    trial it is 0..1: nothing is known.
    """
    if trials == 0:
        return 0.0, 1.0
    share, z2 = successes / trials, _NORMAL_95**2
    centre = share + z2 / (2 * trials)
    spread = share * (1 - share) / trials + z2 / (4 * trials**2)
    half = _NORMAL_95 * float(np.sqrt(spread))
    scale = 1 + z2 / trials
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _proposals(index: Index, probes: int, report: Report | None) -> Proposals:
    if index == "approximate":
        return neighbours.cells(probes, report)
    if index == "exact":
        return neighbours.flat(report=report)
    return blocked(report=report)


def _touching(drawn: IntArray) -> Proposals:
    """Propose every pair with a drawn row."""

    def proposals(vectors: Vectors, floor: float) -> Iterator[IntArray]:
        drawn_units = vectors.unit(drawn)
        for start in range(0, len(vectors), _BLOCK):
            others = vectors.unit(slice(start, start + _BLOCK))
            i, j = reaching(drawn_units @ others.T, floor)
            i, j = drawn[i], j + start
            kept = (i != j) & vectors.nonzero[i] & vectors.nonzero[j]
            yield np.stack([i[kept], j[kept]], axis=1)

    return proposals
