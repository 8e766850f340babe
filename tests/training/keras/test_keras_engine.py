"""One training job of the Keras engine, killed anywhere: it ends in the same bits."""

import math
import signal

import numpy as np
import pytest
from keras_toy import (
    EPOCHS,
    HELD_OUT_IDS,
    IDS,
    STEPS,
    ToyScorer,
    ToyTask,
    log_of,
    make_order,
    make_workspace,
)
from keras_trainings import (
    assert_equal_weights,
    assert_same_result,
    fit,
    killed,
    result_of,
)

from tenfold.errors import TrainingError
from tenfold.store import CHECKPOINTS
from tenfold.training.keras.engine import Trainer
from tenfold.training.keras.job import job_of
from tenfold.training.loop import TERMINATED

TOTAL = EPOCHS * STEPS
EVERY_STEP, EPOCHS_ONLY = 0.0, 1000.0


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    return fit(data, tmp_path_factory.mktemp("undisturbed"))


def test_what_undisturbed_means(undisturbed):
    """The runs below are compared with it, so it must be able to tell them apart."""
    assert len({row["val/score"] for row in undisturbed.history}) == EPOCHS
    kinds = undisturbed.weights
    assert set(kinds) == {"last", "ema", "best"}
    last, ema = kinds["last"]["conv2d/kernel"], kinds["ema"]["conv2d/kernel"]
    assert not np.array_equal(last, ema)
    moving = "batch_normalization/moving_mean"
    assert np.abs(kinds["last"][moving]).max() > 1e-3


#: Where it dies, and the steps that were safe by then: saving at every step, and only
#: at the end of epochs. A validation has six samples.
KILLS = {
    "in the first step": ("step", 1, 0, 0),
    "in the middle of an epoch": ("learn", 7, 6, 4),
    "half way through a validation": ("tally", 9, 7, 4),
    "between a checkpoint and its pointer": ("pointer", 3, 2, 8),
}


@pytest.mark.parametrize("where", KILLS)
def test_a_killed_run_ends_in_the_same_bits(data, undisturbed, tmp_path, where):
    at, n, each_step, each_epoch = KILLS[where]
    minutes = EVERY_STEP if list(KILLS).index(where) % 2 else EPOCHS_ONLY
    safe = each_step if minutes == EVERY_STEP else each_epoch
    options = {"checkpoint_minutes": minutes}
    assert killed(data, tmp_path, at, n, **options)
    result = fit(data, tmp_path, **options)
    assert_same_result(result, undisturbed)
    resumed = [line for line in log_of(tmp_path) if line["event"] == "resume"]
    places = [(line["epoch"] - 1) * STEPS + line["step"] for line in resumed]
    assert places == ([safe] if safe else [])


@pytest.fixture(scope="module")
def alone(launch, tmp_path_factory):
    """Give the folder of a run that had a process of its own, and was left alone."""
    folder = tmp_path_factory.mktemp("alone")
    assert launch("train", folder, resume="auto") == 0
    return folder


def test_torch_is_never_imported(alone):
    assert result_of(alone)["loaded"] == []


def test_a_process_that_is_killed_or_told_to_end_goes_on_in_another(
    launch, alone, tmp_path
):
    kill = {"at": "step", "n": 3, "signal": signal.SIGKILL}
    often = {"checkpoint_minutes": EVERY_STEP}
    request = {"resume": "auto", "training": often}
    assert launch("train", tmp_path, stop=kill, **request) == -signal.SIGKILL
    # Step 6 of the run, which is the second of its second epoch.
    end = {"at": "step", "n": 4, "signal": signal.SIGTERM}
    assert launch("train", tmp_path, stop=end, resume="must") == TERMINATED
    assert log_of(tmp_path)[-1]["event"] == "terminated"
    assert log_of(tmp_path)[-1]["step"] == 6
    assert launch("train", tmp_path, resume="must") == 0
    assert_same_result(result_of(tmp_path), result_of(alone))


def test_must_refuses_where_there_is_no_checkpoint(data, tmp_path):
    task = ToyTask()
    with pytest.raises(TrainingError, match="resume=must will not start over"):
        fit(data, tmp_path, task, resume="must")
    assert not task.seen


def test_never_starts_over_and_a_spoilt_checkpoint_does_under_auto(data, tmp_path):
    options = {"epochs": 1}
    whole = fit(data, tmp_path, **options)
    task = ToyTask()
    assert_same_result(fit(data, tmp_path, task, **options), whole)
    assert not task.seen
    assert_equal_weights(
        fit(data, tmp_path, task, resume="never", **options).weights["last"],
        whole.weights["last"],
    )
    assert len(task.seen) == STEPS * 4
    (file,) = (tmp_path / CHECKPOINTS).glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(TrainingError, match="no usable checkpoint"):
        fit(data, tmp_path, resume="must", **options)


def test_another_seed_gives_another_network(data, tmp_path):
    one = fit(data, tmp_path / "1", epochs=1, limit_steps=1)
    other = fit(data, tmp_path / "2", epochs=1, limit_steps=1, seed=(7, 2, 0))
    name = "conv2d/kernel"
    assert not np.array_equal(one.weights["last"][name], other.weights["last"][name])


def test_the_best_epoch_is_kept_and_patience_ends_the_run(data, tmp_path):
    scores, plain = [0.5, 0.9, 0.7, 0.6, 0.95], {"schedule": {"name": "none"}}
    scorer = ToyScorer("accuracy", scores)
    fitted = fit(data, tmp_path / "1", None, scorer, epochs=5, patience=2, **plain)
    assert [row["val/score"] for row in fitted.history] == scores[:4]
    # Without a schedule, two epochs are two epochs.
    two = fit(data, tmp_path / "2", epochs=2, **plain)
    assert_equal_weights(fitted.weights["best"], two.weights["last"])


def test_whatever_is_not_a_number_ends_the_run_in_words(data, tmp_path):
    task = ToyTask()
    task.nan_at = IDS.index(next(i for i in IDS if i not in HELD_OUT_IDS))
    with pytest.raises(TrainingError, match="loss is not finite in epoch 1, step 4"):
        fit(data, tmp_path, task)
    assert not list((tmp_path / CHECKPOINTS).iterdir())


def test_the_history_is_of_all_samples(data, tmp_path):
    """Losses are the mean over batches, and counts the sum over all of them."""
    history = fit(data, tmp_path, epochs=1, accumulate=3).history
    (row,) = history
    assert row["epoch"] == 1.0
    assert 0.3 < row["train/loss"] < 3
    hits = row["train/accuracy"] * 16 * 64
    assert hits == pytest.approx(round(hits), abs=1e-9)
    assert {"val/score", "val/loss", "val/accuracy", "val/wobble"} < set(row)
    assert all(math.isfinite(value) for value in row.values())


def test_validation_is_by_the_weights_in_use_and_leaves_the_others(
    data, undisturbed, tmp_path
):
    other = fit(data, tmp_path, weights="ema")
    assert_equal_weights(undisturbed.weights["last"], other.weights["last"])
    wobbles = [f.history[-1]["val/wobble"] for f in (undisturbed, other)]
    assert wobbles[0] != wobbles[1]


def test_pictures_are_kept_of_the_epochs_that_are_asked_for(data, tmp_path):
    fit(data, tmp_path, epochs=2, picture_epochs=[1], pictured=[HELD_OUT_IDS[2]])
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    id_ = HELD_OUT_IDS[2]
    assert names == [f"0001_{id_}.npz", f"0002_{id_}.npz"]


def test_threads_that_came_too_late_are_refused(data, tmp_path):
    order = make_order(data, threads=63)
    with pytest.raises(TrainingError, match="threads is 63, but TensorFlow is at work"):
        Trainer(job_of(order), make_workspace(tmp_path))
