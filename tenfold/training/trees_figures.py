"""What trained trees rest on, and how they rank the held-out rows."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import xgboost as xgb

from tenfold.data.arrays import BoolArray, Float32Array, Float64Array, IntArray
from tenfold.data.dataset import Samples
from tenfold.recipe import Json
from tenfold.training.trees_predict import log_losses, predict
from tenfold.training.trees_table import sample_rng
from tenfold.training.trees_task import TreesTask

#: Probabilities are counted in steps of 1/255, as they are stored.
_STEPS = 255
#: Held-out rows whose columns are shuffled, over all samples.
_SHUFFLED = 50_000


def examine(
    booster: xgb.Booster,
    task: TreesTask,
    samples: Samples,
    ids: Sequence[str],
    batch: int,
    seed: tuple[int, ...],
    on_sample: Callable[[int], None],
) -> Json:
    """Return the importance of each column, and curves over all thresholds.

    Args:
        booster: trained trees.
        task: of the member.
        samples: where they are read.
        ids: of held-out samples.
        batch: samples predicted at a time.
        seed: of the rows whose columns are shuffled.
        on_sample: told how many samples are done.

    Returns:
        `importance` and `curves`, plain data for `model.json`.
    """
    counts = np.zeros((2, _STEPS + 1), np.int64)
    drawn_rows, drawn_truth = [], []
    most = -(-_SHUFFLED // max(len(ids), 1))
    for done, one in enumerate(predict(booster, task, samples, ids, batch), 1):
        truth, counted = task.truth(one.arrays)
        steps = np.rint(one.probability[counted] * _STEPS).astype(np.int64)
        places = truth[counted] * (_STEPS + 1) + steps
        counts += np.bincount(places, minlength=counts.size).reshape(counts.shape)
        rng = sample_rng(seed, one.id, purpose=1)
        rows = rng.permutation(np.flatnonzero(counted))[:most]
        drawn_rows.append(one.rows[rows])
        drawn_truth.append(truth[rows])
        on_sample(done)
    rng = np.random.default_rng([*seed, 4])
    shuffled = permutation_losses(
        booster, np.concatenate(drawn_rows), np.concatenate(drawn_truth), rng
    )
    return {
        "importance": importance(booster, task.features, shuffled),
        "curves": curves(counts),
    }


def importance(
    booster: xgb.Booster, features: Sequence[str], shuffled: Float64Array
) -> list[Json]:
    """Return a row a column, the most telling first.

    `gain` is the mean gain of its splits, `splits` their number, `loss_if_shuffled`
    what `permutation_losses` says.
    """
    gain = booster.get_score(importance_type="gain")
    splits = booster.get_score(importance_type="weight")
    rows = [
        {
            "channel": name,
            "gain": _number(gain.get(name, 0.0)),
            "splits": int(_number(splits.get(name, 0))),
            "loss_if_shuffled": float(loss),
        }
        for name, loss in zip(features, shuffled, strict=True)
    ]
    return sorted(rows, key=lambda row: (-row["gain"], row["channel"]))


def parameters(booster: xgb.Booster) -> int:
    """Count the numbers that were learnt: a threshold a split, a value a leaf."""
    weights = booster.get_score(importance_type="weight").values()
    splits = int(sum(_number(weight) for weight in weights))
    return 2 * splits + booster.num_boosted_rounds()


def _number(value: float | list[float]) -> float:
    """Return a score; lists are for linear boosters of several classes."""
    return float(cast(float, value))


def permutation_losses(
    booster: xgb.Booster,
    rows: Float32Array,
    truth: BoolArray,
    rng: np.random.Generator,
) -> Float64Array:
    """Return by how much the loss grows when one column is shuffled (Breiman 2001).

    Args:
        booster: trained trees.
        rows: (R, features) that were not learnt from.
        truth: (R,) their labels.
        rng: shuffles.

    Returns:
        (features,); 0 for a column that no tree asks for.
    """
    growth = np.zeros(rows.shape[1])
    if not len(rows):
        return growth
    before = log_losses(booster.inplace_predict(rows), truth).mean()
    changed = rows.copy()
    for column in range(rows.shape[1]):
        changed[:, column] = rng.permutation(rows[:, column])
        after = log_losses(booster.inplace_predict(changed), truth).mean()
        growth[column] = after - before
        changed[:, column] = rows[:, column]
    return growth


def curves(counts: IntArray) -> Json:
    """Return precision, recall and false alarms at each threshold, and their areas.

    Args:
        counts: (2, steps) rows of each label by the step of their probability.

    Returns:
        Lists from the highest threshold to the lowest; `average_precision` is the sum
        of precision over steps of recall, `roc_area` by trapezoids. Empty without
        rows of both labels.
    """
    negative, positive = np.cumsum(counts[:, ::-1], axis=1)
    if not negative[-1] or not positive[-1]:
        return {}
    # Steps in which nothing lies would repeat a point.
    kept = counts[:, ::-1].sum(0) > 0
    recall = positive[kept] / positive[-1]
    false_alarms = negative[kept] / negative[-1]
    precision = positive[kept] / (positive[kept] + negative[kept])
    gained = np.diff(recall, prepend=0.0)
    return {
        "recall": _rounded(recall),
        "precision": _rounded(precision),
        "false_positive_rate": _rounded(false_alarms),
        "average_precision": float((precision * gained).sum()),
        "roc_area": float(
            np.trapezoid(np.append(0.0, recall), np.append(0.0, false_alarms))
        ),
    }


def _rounded(values: Float64Array) -> list[float]:
    """Shorten numbers that are only drawn."""
    return [round(float(value), 5) for value in values]
