"""Scores of every threshold at once, from histograms that add up over folds."""

import numpy as np

from tenfold.data.arrays import Float64Array, IntArray


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
    tp, fp, fn = counts_at(histograms)
    return _dice(tp, fp, fn)


def _dice(tp: IntArray, fp: IntArray, fn: IntArray) -> Float64Array:
    bottom = np.asarray(2 * tp + fp + fn, np.float64)
    return np.divide(2 * tp, bottom, out=np.ones_like(bottom), where=bottom > 0)


def leave_one_out(histograms: IntArray, allowed: IntArray) -> float:
    """Score the way of choosing, not the choice.

    For each fold, candidate and threshold are chosen on the other folds and
    counted on this one; the counts of all folds make one Dice.

    Args:
        histograms: (candidates, folds, 2, S).
        allowed: thresholds to choose from, as steps.
    """
    total = histograms.sum(axis=1)
    tp_all, fp_all, fn_all = counts_at(histograms)
    sums = np.zeros(3, np.int64)
    for fold in range(histograms.shape[1]):
        rest = total - histograms[:, fold] if histograms.shape[1] > 1 else total
        scores = dice_at(rest)[:, allowed]
        best, at = np.unravel_index(int(np.argmax(scores)), scores.shape)
        step = allowed[at]
        sums += [c[best, fold, step] for c in (tp_all, fp_all, fn_all)]
    tp, fp, fn = (int(v) for v in sums)
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0
