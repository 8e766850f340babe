"""Batches of a pipeline are a function of (seed, epoch, position) alone."""

import threading
import time

import numpy as np
import pytest
from keras_toy import SEED, TRAIN_IDS, ToyTask, make_order

from tenfold.data.dataset import Dataset
from tenfold.errors import StoreError, TrainingError
from tenfold.training.keras.examples import Examples, batched, whole_samples
from tenfold.training.order import epoch_order, example_rng
from tenfold.training.pace import pace_of


def examples(data, task=None, weights=None, **training):
    options = make_order(data, **training).member.training
    pace = pace_of(options, len(TRAIN_IDS))
    return Examples(
        task or ToyTask(), Dataset(data), TRAIN_IDS, weights, options, pace, SEED
    )


def by_hand(data, epoch, batch=4, draws=None, weights=None):
    """Prepare an epoch's examples one by one."""
    task, dataset = ToyTask(), Dataset(data)
    order = epoch_order(len(TRAIN_IDS), draws, weights, SEED, epoch)
    made = [
        task.example(dataset.sample(TRAIN_IDS[place]), example_rng(SEED, epoch, at))
        for at, place in enumerate(order)
    ]
    many = max(len(made) // batch, 1)
    cut = [made[first * batch :][:batch] for first in range(many)]
    return [{n: np.stack([one[n] for one in part]) for n in part[0]} for part in cut]


def assert_equal_batches(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, array in one.items():
            assert array.dtype == other[name].dtype
            assert np.array_equal(array, other[name]), name


@pytest.mark.parametrize("workers", [0, 3])
def test_batches_are_those_of_the_order(data, workers):
    source = examples(data, workers=workers)
    for epoch, first in ((0, 0), (2, 1)):
        found = list(source.batches(epoch, first))
        assert_equal_batches(found, by_hand(data, epoch)[first:])


class Slow(ToyTask):
    """Takes longer over the first sample that it gets, of several at a time."""

    def __init__(self):
        super().__init__()
        self.most, self._now, self._lock = 0, 0, threading.Lock()

    def example(self, arrays, rng):
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.02 if int(arrays["number"]) % 2 else 0.0)
        made = super().example(arrays, rng)
        with self._lock:
            self._now -= 1
        return made


def test_order_does_not_depend_on_who_is_first(data):
    task = Slow()
    found = list(examples(data, task, workers=4).batches(0, 0))
    assert task.most > 1
    assert_equal_batches(found, by_hand(data, 0))


def test_draws_and_weights_and_limits_count(data):
    weights = np.arange(len(TRAIN_IDS), dtype=float)
    source = examples(data, weights=weights, samples_per_epoch=10)
    expected = by_hand(data, 0, draws=10, weights=weights)
    assert_equal_batches(list(source.batches(0, 0)), expected)
    limited = examples(data, limit_steps=2)
    assert_equal_batches(list(limited.batches(0, 0)), by_hand(data, 0)[:2])


def test_a_small_epoch_is_one_batch(data):
    (batch,) = examples(data, batch=100).batches(0, 0)
    assert len(batch["image"]) == len(TRAIN_IDS)


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_whole_samples_come_in_order_and_none_is_left_out(data, batch):
    dataset = Dataset(data)
    prepared = whole_samples(lambda arrays: arrays, dataset, TRAIN_IDS, batch)
    numbers = [number for part in prepared for number in part["number"].tolist()]
    assert numbers == [int(dataset.sample(id_)["number"]) for id_ in TRAIN_IDS]


def test_nothing_is_asked_for_nothing(data):
    assert list(whole_samples(None, Dataset(data), [], 4)) == []


def test_what_goes_wrong_with_a_sample_is_said_in_its_own_words(data):
    ids = [*TRAIN_IDS[:5], "nobody"]
    with pytest.raises(StoreError, match="sample nobody is not in"):
        list(whole_samples(lambda arrays: arrays, Dataset(data), ids, 2))


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"a": np.zeros(3)}, r"a of the example at 5 is \(3,\) float64, and the first"),
        (
            {"a": np.zeros(2, np.uint8)},
            r"is \(2,\) uint8, and the first \(2,\) float64",
        ),
        ({"b": np.zeros(2)}, r"has \['b'\], and the first \['a'\]; all must be alike"),
    ],
)
def test_an_example_unlike_the_others_is_refused(odd, words):
    def example(position):
        return odd if position == 5 else {"a": np.zeros(2)}

    with pytest.raises(TrainingError, match=words):
        list(batched(example, range(8), 2, 0))
