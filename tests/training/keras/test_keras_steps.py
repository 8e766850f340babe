"""A step is the mean's over all samples, however they are cut up into batches."""

import json

import numpy as np
import pytest
import tensorflow as tf
from keras_toy import ToyTask, make_order
from keras_trainings import fit, result_of

from tenfold.errors import TrainingError
from tenfold.training.keras.engine import examples_of
from tenfold.training.keras.job import job_of
from tenfold.training.keras.weights import values_of
from tenfold.training.pace import pace_of

PLAIN = {"schedule": {"name": "none"}, "ema": 0.0, "weight_decay": 0.0}
SGD = PLAIN | {"optimiser": "sgd", "momentum": 0.0, "learning_rate": 0.5}
RATE, DECAY = 0.5, 0.1


def plain_task():
    return ToyTask(dropout=0.0, normalised=False)


def gradients_by_hand(data, steps, update, **options):
    """Take steps one weight at a time, on plain tensors, with all samples at once.

    Args:
        data: folder.
        steps: batches of each.
        update: from (weight, gradient) to the new weight.
        options: of the training.
    """
    job = job_of(make_order(data, plain_task(), **options))
    pace = pace_of(job.training, len(job.train_ids))
    batches = list(examples_of(job, pace).batches(0, 0))
    for many in steps:
        taken, batches = batches[:many], batches[many:]
        whole = {n: np.concatenate([batch[n] for batch in taken]) for n in taken[0]}
        with tf.GradientTape() as tape:
            loss, _ = job.task.step(
                job.model, {name: tf.constant(array) for name, array in whole.items()}
            )
        weights = job.model.trainable_variables
        gradients = [g.numpy() for g in tape.gradient(loss, weights)]
        for weight, new in zip(
            weights, update([w.numpy() for w in weights], gradients), strict=True
        ):
            weight.assign(new)
    return values_of(job.model)


def assert_close(one, other, tolerance=2e-6):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_allclose(array, other[name], atol=tolerance, err_msg=name)


def descend(weights, gradients):
    return [w - RATE * g for w, g in zip(weights, gradients, strict=True)]


@pytest.mark.parametrize(
    ("accumulate", "steps"), [(1, (1,) * 4), (3, (3, 1)), (4, (4,))]
)
def test_batches_of_a_step_are_one_large_batch(data, tmp_path, accumulate, steps):
    options = SGD | {"epochs": 1, "accumulate": accumulate}
    found = fit(data, tmp_path, plain_task(), **options).weights["last"]
    assert_close(found, gradients_by_hand(data, steps, descend, **options))


def penalised(weights, gradients):
    """Clip by the norm of all, and add the L2 penalty to what is left."""
    norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients))
    assert norm > 0.05
    share = 0.05 / (norm + 1e-6)
    pairs = zip(weights, gradients, strict=True)
    return [w - RATE * (g * share + DECAY * w) for w, g in pairs]


def test_sgd_clips_and_then_adds_a_penalty(data, tmp_path):
    options = SGD | {"epochs": 1, "limit_steps": 2}
    options |= {"clip_norm": 0.05, "weight_decay": DECAY}
    found = fit(data, tmp_path, plain_task(), **options).weights["last"]
    assert_close(found, gradients_by_hand(data, (1, 1), penalised, **options))


def adam(weight, gradient):
    """Take Adam's first step: moments corrected for their start are g and g²."""
    eps = 1e-8 / np.sqrt(1 - 0.999)
    return weight - RATE * gradient / (np.abs(gradient) + eps)


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_adds_a_penalty_and_adamw_takes_decay_off_the_weights(
    data, tmp_path, decoupled
):
    def update(weights, gradients):
        pairs = list(zip(weights, gradients, strict=True))
        if decoupled:
            return [adam(w * (1 - RATE * DECAY), g) for w, g in pairs]
        return [adam(w, g + DECAY * w) for w, g in pairs]

    options = PLAIN | {"epochs": 1, "limit_steps": 1, "learning_rate": RATE}
    options |= {"optimiser": "adamw" if decoupled else "adam", "weight_decay": DECAY}
    found = fit(data, tmp_path, plain_task(), **options).weights["last"]
    by_hand = gradients_by_hand(data, (1,), update, **options)
    # Where a gradient is all but 0, its sign is anybody's.
    assert_close(found, by_hand, tolerance=2e-4)


def test_a_compiled_step_is_the_same_step(data, tmp_path):
    options = SGD | {"epochs": 1, "limit_steps": 2}
    one = fit(data, tmp_path / "1", plain_task(), **options)
    other = fit(data, tmp_path / "2", plain_task(), compile=True, **options)
    assert_close(one.weights["last"], other.weights["last"], tolerance=1e-5)


def test_a_step_that_cannot_be_compiled_says_so(data, tmp_path):
    class Python(ToyTask):
        def step(self, model, batch):
            loss, counts = super().step(model, batch)
            return tf.py_function(lambda value: value, [loss], tf.float32), counts

    with pytest.raises(
        TrainingError, match=r"cannot be compiled here .*compile to fal"
    ):
        fit(data, tmp_path, Python(), compile=True)


# Several devices -------------------------------------------------------------------


@pytest.fixture(scope="module")
def step_of(launch, tmp_path_factory):
    """Give a function that takes one step on so many parts of a CPU."""

    def run(cpus, normalised=False, **training):
        folder = tmp_path_factory.mktemp("devices")
        request = {"training": SGD | training, "normalised": normalised}
        assert launch("learn", folder, cpus=cpus, **request) == 0, (
            folder / "console.txt"
        ).read_text()
        result = result_of(folder)
        assert result["devices"] == cpus
        assert result["apart"] == 0.0
        return result

    return run


@pytest.fixture(scope="module")
def on_one(step_of):
    return step_of(1, batch=16)


@pytest.mark.parametrize(
    "cut",
    [
        {"batch": 4, "accumulate": 4},
        {"batch": 4, "batch_is": "device", "accumulate": 2},
    ],
    ids=lambda cut: " ".join(f"{k} {v}" for k, v in cut.items()),
)
def test_a_step_on_two_devices_is_that_of_one(on_one, step_of, cut):
    found = step_of(2, **cut)
    assert_close(found["weights"]["last"], on_one["weights"]["last"])
    (row,), (expected,) = found["history"], on_one["history"]
    assert row["train/loss"] == pytest.approx(expected["train/loss"], rel=1e-6)
    assert row["train/accuracy"] == expected["train/accuracy"]
    assert row["lr"] == RATE


def test_moving_statistics_are_the_mean_of_the_devices(step_of):
    """Halves of a batch have its mean between them."""
    one, two = (step_of(cpus, True, batch=16) for cpus in (1, 2))
    name = "batch_normalization/moving_mean"
    whole, halves = one["weights"]["last"][name], two["weights"]["last"][name]
    assert np.abs(whole).max() > 0.01
    np.testing.assert_allclose(whole, halves, atol=1e-6)


def test_devices_draw_apart_and_the_same_for_the_same_seed(launch, tmp_path):
    assert launch("draws", tmp_path, cpus=2, seeds=[5, 6, 5]) == 0
    five, six, again = json.loads((tmp_path / "draws.json").read_text())["seeds"]
    assert five == again
    given = [str(seed) for device in (*five, *six) for seed in device]
    # One layer draws: on two devices, for two seeds.
    assert len(given) == len(set(given)) == 4


def test_two_devices_get_all_of_a_run_right(launch, tmp_path):
    """Killed and resumed on both, with dropout, which each draws for itself."""
    request = {"cpus": 2, "resume": "auto"}
    options = {"accumulate": 2, "precision": "16-mixed", "checkpoint_minutes": 0.0}
    options["epochs"] = 2
    assert launch("train", tmp_path / "1", training=options, **request) == 0
    whole = result_of(tmp_path / "1")
    stop = {"at": "step", "n": 3, "signal": 9}
    again = {"training": options, **request}
    assert launch("train", tmp_path / "2", stop=stop, **again) == -9
    assert launch("train", tmp_path / "2", **again) == 0
    resumed = result_of(tmp_path / "2")
    for name, array in whole["weights"]["last"].items():
        assert np.array_equal(array, resumed["weights"]["last"][name]), name
    wobbles = [[row["val/wobble"] for row in r["history"]] for r in (whole, resumed)]
    assert wobbles[0] == wobbles[1]
    assert len(set(wobbles[0])) == 2
