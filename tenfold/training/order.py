"""Which sample stands where in an epoch, as a pure function.

Nothing is kept from one step to the next, so a run that starts again in the
middle of an epoch sees what the undisturbed one would have seen.
"""

import numpy as np

from tenfold.data.arrays import Float64Array, IntArray


def epoch_order(
    samples: int,
    draws: int | None,
    weights: Float64Array | None,
    seed: tuple[int, ...],
    epoch: int,
) -> IntArray:
    """Return the index of the sample at each position of an epoch.

    Args:
        samples: how many there are.
        draws: how many are drawn, with replacement; none: each sample once, in
            random order, unless there are weights.
        weights: (samples,) ≥ 0, chance of each to be drawn; none: equal.
        seed: of the run.
        epoch: counted from 0.
    """
    rng = np.random.default_rng([*seed, epoch, 0])
    if draws is None and weights is None:
        return rng.permutation(samples)
    chance = None if weights is None else weights / weights.sum()
    return rng.choice(samples, size=draws or samples, replace=True, p=chance)


def example_rng(
    seed: tuple[int, ...], epoch: int, position: int
) -> np.random.Generator:
    """Return the generator of one example's augmentation."""
    return np.random.default_rng([*seed, epoch, 1, position])


def step_seed(seed: tuple[int, ...], step: int) -> int:
    """Return the seed of what a network draws in one step, e.g. dropout."""
    return int(np.random.SeedSequence([*seed, 2, step]).generate_state(1)[0])
