"""A second choice made after the first, and what both are honestly worth together.

First a cut is chosen, then one of several options at that cut. The honest score
repeats exactly this on the other folds for every fold, and counts on this one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tenfold.data.arrays import IntArray
from tenfold.ensembling.thresholds import Cut, dice_of


@dataclass(frozen=True)
class Refined:
    """What was chosen at the cut of all folds.

    Attributes:
        option: its place among the options.
        naive: Dice of both choices on what they were made on.
        honest: Dice of the way of choosing, each fold left out of both choices.
    """

    option: int
    naive: float
    honest: float


def refine(
    chosen: Cut, without: Sequence[Cut], counts: Mapping[Cut, IntArray]
) -> Refined:
    """Choose an option, and score the whole way of choosing.

    Args:
        chosen: the cut that all folds choose.
        without: for each fold, the cut that the others choose.
        counts: of each of these cuts, (folds, options, 3) of tp, fp and fn.
    """
    total = counts[chosen].sum(axis=0)
    option = _best(total)
    sums = np.zeros(3, np.int64)
    for fold, cut in enumerate(without):
        of_cut = counts[cut]
        others = np.arange(len(of_cut)) != fold
        rest = of_cut[others] if others.any() else of_cut
        sums += of_cut[fold, _best(rest.sum(axis=0))]
    return Refined(option, float(dice_of(total[option])), float(dice_of(sums)))


def _best(counts: IntArray) -> int:
    """Return the first option (options, 3) of the highest Dice."""
    return int(np.argmax(dice_of(counts)))
