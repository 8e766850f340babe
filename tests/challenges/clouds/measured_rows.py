"""Rows as tuning measures them, and their mean Dice a row at a time, for tests."""

import numpy as np

from tenfold.challenges.clouds.measuring import Measured
from tenfold.challenges.clouds.row_dice import UNIT


def measured(seed, images=30, cuts=2, ties=True):
    """Rows as an image might give them, of few values so that many are equal."""
    rng = np.random.default_rng(seed)
    shape = (images, 4)
    truth = rng.random(shape) < 0.5
    area = rng.integers(0, 4, (cuts, *shape)) * 500
    dice = np.where(truth, rng.integers(0, 9, (cuts, *shape)) / 8, 0)
    dice = np.where(area > 0, dice, ~truth)
    steps = 8 if ties else 10**6
    return Measured(
        ids=tuple(f"image {i}" for i in range(images)),
        fold=np.arange(images) % 3,
        truth=truth,
        labelled=np.where(truth, 3000, 0),
        pixels=10_000,
        first=np.zeros(shape, np.int64),
        dice=(dice * UNIT).astype(np.int64),
        area=area,
        core=area // 2,
        presence=(rng.integers(0, steps, shape) / steps).astype(np.float32),
        probability=(rng.integers(0, steps, shape) / steps).astype(np.float32),
    )


def mean(rows, c, place, presence, area, cut, keep=None):
    """Return the mean Dice of a class, a row at a time."""
    total = 0
    chosen = range(len(rows.fold)) if keep is None else keep
    for i in chosen:
        best = int(np.argmax(rows.probability[i])) if cut is not None else -1
        stands = rows.presence[i, c] > np.float32(presence)
        stands = stands and rows.core[place, i, c] >= area
        stands = stands and rows.probability[i, c] > np.float32(cut)
        blank = 0 if rows.truth[i, c] else UNIT
        forced = rows.forced and best == c
        total += int(rows.dice[place, i, c]) if stands or forced else blank
    return total / (len(chosen) * UNIT)


class Forced:
    """Measured rows that know whether the likeliest class is forced."""

    def __init__(self, rows, forced):
        self._rows, self.forced = rows, forced

    def __getattr__(self, name):
        return getattr(self._rows, name)


def part(rows, chosen):
    """Return some images' rows."""
    fields = {"fold", "truth", "labelled", "first", "presence", "probability"}
    taken = {name: getattr(rows, name)[chosen] for name in fields}
    taken |= {n: getattr(rows, n)[:, chosen] for n in ("dice", "area", "core")}
    ids = tuple(np.array(rows.ids)[chosen])
    return Measured(ids=ids, pixels=rows.pixels, **taken)
