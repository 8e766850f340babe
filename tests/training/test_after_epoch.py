"""Who is told of each epoch may end the training, and changes nothing else."""

from dataclasses import replace

import pytest
import torch
from toy import ToyTask, make_job, make_workspace

from tenfold.training.engine import Trainer

PLAIN = {"schedule": {"name": "none"}}


def fit(data, folder, after_epoch, task=None, **options):
    job = replace(make_job(data, task, **PLAIN, **options), after_epoch=after_epoch)
    return Trainer(job, make_workspace(folder)).fit()


def epochs(history):
    return [int(row["epoch"]) for row in history]


def assert_equal_weights(one, other):
    assert one.keys() == other.keys()
    for kind, state in one.items():
        for name, tensor in state.items():
            assert torch.equal(tensor, other[kind][name]), (kind, name)


def test_it_is_told_all_epochs_so_far_and_changes_nothing(data, tmp_path):
    told = []
    heard = fit(data, tmp_path / "1", lambda history: told.append(epochs(history)))
    assert told == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]
    assert_equal_weights(heard.weights, fit(data, tmp_path / "2", None).weights)


def test_it_ends_the_training_where_it_says_so_and_for_good(data, tmp_path):
    ended = fit(data, tmp_path / "1", lambda history: len(history) == 2)
    assert epochs(ended.history) == [1, 2]
    # Without a schedule, two epochs are two epochs.
    two = fit(data, tmp_path / "2", None, epochs=2)
    assert_equal_weights(ended.weights, two.weights)
    task = ToyTask()
    again = fit(data, tmp_path / "1", lambda _: False, task)
    assert task.steps == 0
    assert epochs(again.history) == [1, 2]
    assert_equal_weights(again.weights, ended.weights)


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_training_killed_while_it_is_told_goes_on_to_the_same_bits(
    data, tmp_path, at
):
    told = []

    def dying(history):
        if len(history) == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(data, tmp_path / "1", dying)
    resumed = fit(data, tmp_path / "1", lambda h: told.append(len(h)))
    assert told == list(range(at, 5))
    whole = fit(data, tmp_path / "2", None)
    assert_equal_weights(resumed.weights, whole.weights)
