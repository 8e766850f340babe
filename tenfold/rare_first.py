"""Spread samples of several labels over folds, each sample by its rarest label.

The published 3rd-place system of "Understanding Clouds from Satellite Images" makes
its folds so. Here whole groups of near-duplicates are placed instead of samples.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from tenfold.data.arrays import IntArray

#: What samples without a label are balanced by; no label has a blank in it. The
#: published code counts them as the first class, which its data never has occasion
#: to do: where there are any, that class would come out uneven.
NO_LABEL = "no label"

_UNPLACED = -1


def spread(groups: IntArray, strata: Sequence[str], k: int, seed: int) -> IntArray:
    """Return the fold of each sample, 0 … k - 1; a fold may come out empty.

    Samples are visited in a random order. The first of a group places all of it, in a
    fold that has the fewest samples with the group's rarest label, drawn among equals.
    With every sample a group of its own, these are the published folds.

    Args:
        groups: (N,) samples of one group share a fold.
        strata: N sets of labels, each joined by blanks; "" for none. Of labels that
            are equally rare the first counts, over a group's samples in their order.
        k: number of folds.
        seed: of the order of visits, 0 to 2³² - 1; published 42. The draw among equals
            is seeded by the row that came up, as published.
    """
    labels = [_labels(stratum) for stratum in strata]
    samples_with = Counter(label for own in labels for label in own)
    members = defaultdict(list)
    for row, group in enumerate(groups.tolist()):
        members[group].append(row)
    in_fold = {label: [0] * k for label in samples_with}
    fold_of = np.full(len(groups), _UNPLACED)
    for row in np.random.RandomState(seed).permutation(len(groups)).tolist():
        if fold_of[row] != _UNPLACED:
            continue
        rows = members[int(groups[row])]
        carried = Counter(label for member in rows for label in labels[member])
        rarest = min(carried, key=samples_with.__getitem__)
        fold = _draw_least(in_fold[rarest], row)
        fold_of[rows] = fold
        for label, samples in carried.items():
            in_fold[label][fold] += samples
    return fold_of


def _labels(stratum: str) -> tuple[str, ...]:
    """Return the labels of a stratum in its order, each once."""
    return tuple(dict.fromkeys(stratum.split())) or (NO_LABEL,)


def _draw_least(counts: Sequence[int], seed: int) -> int:
    """Draw one of the folds that have the least count."""
    least = min(counts)
    emptiest = [fold for fold, count in enumerate(counts) if count == least]
    return random.Random(seed).choice(emptiest)
