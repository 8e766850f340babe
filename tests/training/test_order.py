"""The order of an epoch: a pure function, and its frequencies those asked for."""

import numpy as np
import pytest

from tenfold.training.order import epoch_order, example_rng, step_seed

SEED = (42, 1, 0)


def test_the_same_seed_and_epoch_give_the_same_order_whatever_was_drawn_before():
    weights = np.arange(1.0, 31.0)
    before = [
        epoch_order(30, None, None, SEED, 3),
        epoch_order(30, 50, weights, SEED, 3),
    ]
    np.random.default_rng(0).random(1000)
    np.random.seed(5)
    epoch_order(30, None, None, SEED, 2)
    again = [
        epoch_order(30, None, None, SEED, 3),
        epoch_order(30, 50, weights, SEED, 3),
    ]
    np.testing.assert_array_equal(before[0], again[0])
    np.testing.assert_array_equal(before[1], again[1])


def test_epochs_and_every_part_of_the_seed_give_other_orders():
    orders = [epoch_order(50, None, None, SEED, epoch) for epoch in range(20)]
    orders += [
        epoch_order(50, None, None, seed, 0)
        for seed in [(43, 1, 0), (42, 2, 0), (42, 1, 1), (1, 42, 0)]
    ]
    assert len({tuple(order) for order in orders}) == len(orders)


@pytest.mark.parametrize("epoch", range(5))
def test_without_weights_each_sample_comes_once(epoch):
    order = epoch_order(37, None, None, SEED, epoch)
    assert sorted(order) == list(range(37))
    assert list(order) != list(range(37))


def test_every_sample_comes_first_equally_often():
    firsts = [epoch_order(4, None, None, SEED, epoch)[0] for epoch in range(2000)]
    counts = np.bincount(firsts, minlength=4)
    # Chi-square with 3 degrees of freedom; 30 has a chance of 1e-6.
    assert ((counts - 500) ** 2 / 500).sum() < 30


def test_a_number_of_draws_is_kept_above_and_below_the_number_of_samples():
    for draws in (3, 100):
        order = epoch_order(10, draws, None, SEED, 0)
        assert len(order) == draws
        assert set(order) <= set(range(10))
    assert len(epoch_order(10, None, np.ones(10), SEED, 0)) == 10


def test_draws_are_with_replacement():
    # 100 of 100 without a repeat has a chance of 1e-42.
    order = epoch_order(100, 100, None, SEED, 0)
    assert len(set(order)) < 100


def test_frequencies_follow_the_weights():
    weights = np.array([5.0, 0.0, 1.0, 2.0, 0.0, 0.5, 1.5])
    order = epoch_order(7, 20_000, weights, SEED, 1)
    counts = np.bincount(order, minlength=7)
    assert counts[1] == counts[4] == 0
    drawn = weights > 0
    expected = 20_000 * weights[drawn] / 10.0
    # Chi-square with 4 degrees of freedom; 35 has a chance below 1e-6.
    assert ((counts[drawn] - expected) ** 2 / expected).sum() < 35


def test_only_the_proportion_of_weights_matters():
    weights = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(
        epoch_order(3, 50, weights, SEED, 0), epoch_order(3, 50, weights * 8, SEED, 0)
    )


@pytest.mark.parametrize("weights", [[0.0, 0.0, 0.0], [1.0, -1.0, 1.0]])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_weights_that_are_no_chances_are_refused(weights):
    with pytest.raises(ValueError, match="robabilities"):
        epoch_order(3, 5, np.array(weights), SEED, 0)


def test_an_example_draws_the_same_whatever_other_positions_drew():
    alone = example_rng(SEED, 2, 5).random(8)
    for position in range(5):
        example_rng(SEED, 2, position).random(position * 3)
    np.testing.assert_array_equal(example_rng(SEED, 2, 5).random(8), alone)


def test_positions_epochs_and_seeds_draw_different_numbers():
    keys = [(SEED, epoch, position) for epoch in range(4) for position in range(25)]
    keys += [((42, 1, 1), 0, 0), ((42, 2, 0), 0, 0)]
    assert len({float(example_rng(*key).random()) for key in keys}) == len(keys)


def test_augmentation_does_not_repeat_what_shuffled_the_epoch():
    shuffled = np.random.default_rng([*SEED, 1, 0]).random(4)
    for position in range(3):
        assert not np.isin(example_rng(SEED, 1, position).random(4), shuffled).any()


def test_steps_have_seeds_of_their_own_that_torch_accepts():
    seeds = [step_seed(SEED, step) for step in range(500)]
    assert seeds == [step_seed(SEED, step) for step in range(500)]
    assert len(set(seeds)) == 500
    assert all(isinstance(seed, int) and 0 <= seed < 2**63 for seed in seeds)
    assert step_seed((42, 1, 1), 0) != seeds[0]
