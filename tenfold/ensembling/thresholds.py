"""Scores of every threshold at once, from histograms that add up over folds."""

from typing import NamedTuple

import numpy as np

from tenfold.data.arrays import Float64Array, IntArray


class Cut(NamedTuple):
    """A candidate, and the step from which on it is foreground."""

    candidate: int
    step: int


def counts_at(histograms: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return (tp, fp, fn) at each threshold.

    Args:
        histograms: (..., 2, S), pixels by truth and step.

    Returns:
        (..., S) each; at index s, what is at or above step s is foreground.
    """
    at_least = np.cumsum(histograms[..., ::-1], axis=-1)[..., ::-1]
    fp, tp = at_least[..., 0, :], at_least[..., 1, :]
    return tp, fp, tp[..., :1] - tp


def dice_at(histograms: IntArray) -> Float64Array:
    """Return the global Dice at each threshold, (..., S); 1 where all is empty."""
    return dice_of(np.stack(counts_at(histograms), axis=-1))


def dice_of(counts: IntArray) -> Float64Array:
    """Return the Dice of counts (..., 3) of tp, fp and fn; 1 where all is empty."""
    tp, fp, fn = counts[..., 0], counts[..., 1], counts[..., 2]
    bottom = np.asarray(2 * tp + fp + fn, np.float64)
    return np.divide(2 * tp, bottom, out=np.ones_like(bottom), where=bottom > 0)


def best_cut(histograms: IntArray, allowed: IntArray) -> Cut:
    """Return the candidate and threshold of the highest Dice, the first of equals.

    Args:
        histograms: (candidates, 2, S).
        allowed: thresholds to choose from, as steps.
    """
    scores = dice_at(histograms)[:, allowed]
    best, at = np.unravel_index(int(np.argmax(scores)), scores.shape)
    return Cut(int(best), int(allowed[at]))


def cuts_without(histograms: IntArray, allowed: IntArray) -> tuple[Cut, ...]:
    """Return for each fold what the other folds choose; a single fold has its own.

    Args:
        histograms: (candidates, folds, 2, S).
        allowed: thresholds to choose from, as steps.
    """
    total, folds = histograms.sum(axis=1), histograms.shape[1]
    alone = folds == 1
    return tuple(
        best_cut(total if alone else total - histograms[:, fold], allowed)
        for fold in range(folds)
    )


def counts_of(histograms: IntArray, cut: Cut) -> IntArray:
    """Return (tp, fp, fn) of a cut in every fold, (folds, 3).

    Args:
        histograms: (candidates, folds, 2, S).
        cut: one of them.
    """
    at = counts_at(histograms[cut.candidate])
    return np.stack([counts[:, cut.step] for counts in at], axis=-1)
