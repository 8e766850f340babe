"""One training job, killed anywhere: it ends in the same bits."""

import signal

import numpy as np
import pytest
import torch
from toy import ToyScorer, ToyTask, log_of, make_workspace
from trainings import (
    EPOCHS,
    EPOCHS_ONLY,
    EVERY_STEP,
    STEPS,
    TOTAL,
    assert_equal_states,
    assert_same_result,
    fit,
    result_of,
)

from tenfold.errors import TrainingError
from tenfold.store import CHECKPOINTS
from tenfold.training.loop import TERMINATED
from tenfold.training.torch_checkpoints import TorchCheckpoints

#: Which weights are validated decides how `best` is kept.
WEIGHTS = ("last", "ema")


@pytest.fixture(scope="module")
def undisturbed(train, tmp_path_factory):
    """Give the results of runs that nobody killed, by the weights they use."""
    results = {}
    for weights in WEIGHTS:
        folder = tmp_path_factory.mktemp("undisturbed")
        assert train(folder, training={"weights": weights}) == 0
        results[weights] = result_of(folder)
    return results


def test_what_undisturbed_means(undisturbed):
    """The runs below are compared with it, so it must be able to tell them apart."""
    for weights, result in undisturbed.items():
        scores = [row["val/score"] for row in result["history"]]
        assert len(set(scores)) == EPOCHS
        assert scores.index(max(scores)) in (1, 2), weights
        assert result["steps"] == TOTAL
        kinds = result["weights"]
        for one, other in (("last", "ema"), ("last", "best"), ("ema", "best")):
            assert not torch.equal(kinds[one]["0.weight"], kinds[other]["0.weight"])


# Kills -----------------------------------------------------------------------------

#: Where the process dies, and the steps that were safe by then: saving at every
#: step, and only at the end of epochs. A validation takes two batches.
KILLS = {
    "in the first step": ({"at": "step", "n": 1}, 0, 0),
    "in the second step": ({"at": "step", "n": 2}, 1, 0),
    "in the last step of an epoch": ({"at": "step", "n": 4}, 3, 0),
    "in the first step of an epoch": ({"at": "step", "n": 5}, 4, 4),
    "in the middle of an epoch": ({"at": "step", "n": 11}, 10, 8),
    "in the last step": ({"at": "step", "n": 16}, 15, 12),
    "in the first validation": ({"at": "outputs", "n": 1}, 3, 0),
    "half way through a validation": ({"at": "outputs", "n": 6}, 11, 8),
    "in the last validation": ({"at": "outputs", "n": 8}, 15, 12),
}


def resumes(folder):
    return [line for line in log_of(folder) if line["event"] == "resume"]


@pytest.mark.parametrize("minutes", [EVERY_STEP, EPOCHS_ONLY])
@pytest.mark.parametrize("where", KILLS)
def test_a_killed_run_ends_in_the_same_bits(
    train, undisturbed, tmp_path, where, minutes
):
    stop, each_step, each_epoch = KILLS[where]
    safe = each_step if minutes == EVERY_STEP else each_epoch
    weights = WEIGHTS[list(KILLS).index(where) % 2]
    options = {"checkpoint_minutes": minutes, "weights": weights}
    kill = [stop | {"signal": "SIGKILL"}]
    assert train(tmp_path, training=options, stops=kill) == -signal.SIGKILL
    assert not (tmp_path / "result.json").exists()
    assert train(tmp_path, training=options) == 0
    result = result_of(tmp_path)
    assert_same_result(result, undisturbed[weights])
    # It went on from where it was, and did not begin again.
    assert result["steps"] == TOTAL - safe
    places = [(line["epoch"] - 1) * STEPS + line["step"] for line in resumes(tmp_path)]
    assert places == ([safe] if safe else [])


@pytest.mark.parametrize(
    ("epoch", "weights"), [(1, "last"), (2, "ema"), (3, "ema"), (4, "last")]
)
def test_a_run_killed_right_after_an_epoch(
    train, undisturbed, tmp_path, epoch, weights
):
    """With the checkpoint just written; after the last epoch, all that is left."""
    stop = {"at": "saved", "n": epoch, "signal": "SIGKILL"}
    options = {"weights": weights}
    assert train(tmp_path, training=options, stops=[stop]) == -signal.SIGKILL
    assert train(tmp_path, training=options, resume="must") == 0
    result = result_of(tmp_path)
    assert_same_result(result, undisturbed[weights])
    assert result["steps"] == TOTAL - epoch * STEPS


def test_a_run_killed_between_a_checkpoint_and_its_pointer(
    train, undisturbed, tmp_path
):
    options = {"checkpoint_minutes": EVERY_STEP, "weights": "last"}
    stop = {"at": "pointer", "n": 7, "signal": "SIGKILL"}
    assert train(tmp_path, training=options, stops=[stop]) == -signal.SIGKILL
    assert train(tmp_path, training=options) == 0
    assert_same_result(result_of(tmp_path), undisturbed["last"])


@pytest.mark.parametrize("weights", WEIGHTS)
def test_many_kills_in_a_row(train, undisturbed, tmp_path, weights):
    """Another place each time, with the saving by time switched on and off."""
    places = [("step", 3), ("outputs", 1), ("pointer", 2), ("saved", 1), ("step", 4)]
    places += [("step", 1), ("saved", 3), ("outputs", 2)]
    for number, (at, n) in enumerate(places):
        minutes = EPOCHS_ONLY if number % 3 == 2 else EVERY_STEP
        options = {"checkpoint_minutes": minutes, "weights": weights}
        stop = {"at": at, "n": n, "signal": "SIGKILL"}
        assert train(tmp_path, training=options, stops=[stop]) == -signal.SIGKILL
    assert train(tmp_path, training={"weights": weights}) == 0
    assert_same_result(result_of(tmp_path), undisturbed[weights])
    assert 0 < result_of(tmp_path)["steps"] < TOTAL


def test_a_killed_run_with_weighted_draws_and_loader_processes(train, tmp_path):
    """Where drawing, processes and a short epoch come together."""
    options = {"samples_per_epoch": 10, "workers": 2, "checkpoint_minutes": EVERY_STEP}
    assert train(tmp_path / "whole", training=options) == 0
    stop = {"at": "step", "n": 4, "signal": "SIGKILL"}
    folder = tmp_path / "killed"
    assert train(folder, training=options, stops=[stop]) == -signal.SIGKILL
    assert train(folder, training=options) == 0
    assert_same_result(result_of(folder), result_of(tmp_path / "whole"))
    assert result_of(folder)["steps"] == 2 * EPOCHS - 3


# SIGTERM ---------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "workers"), [(1, 0), (6, 2), (8, 0), (16, 0)])
def test_sigterm_saves_the_step_in_hand_and_says_so(
    train, undisturbed, tmp_path, step, workers
):
    """Step 8 is the last of an epoch, whose validation is still to come."""
    options = {"workers": workers, "weights": "ema"}
    stop = {"at": "step", "n": step, "signal": "SIGTERM"}
    assert train(tmp_path, training=options, stops=[stop]) == TERMINATED == 143
    assert log_of(tmp_path)[-1]["event"] == "terminated"
    assert log_of(tmp_path)[-1]["step"] == step
    state = TorchCheckpoints(make_workspace(tmp_path)).load("must")
    assert state["run"]["epoch"] * STEPS + state["run"]["step"] == step
    assert train(tmp_path, training=options, resume="must") == 0
    result = result_of(tmp_path)
    assert_same_result(result, undisturbed["ema"])
    assert result["steps"] == TOTAL - step


@pytest.mark.parametrize("step", [2, 7])
def test_sigterm_to_the_whole_process_group(train, undisturbed, tmp_path, step):
    """As from `timeout`, a batch system or a terminal: loader processes get it too."""
    options = {"workers": 2, "weights": "last"}
    stop = {"at": "step", "n": step, "signal": "SIGTERM", "group": True}
    assert train(tmp_path, training=options, stops=[stop]) == TERMINATED
    assert train(tmp_path, training=options, resume="must") == 0
    result = result_of(tmp_path)
    assert_same_result(result, undisturbed["last"])
    assert result["steps"] == TOTAL - step


def test_sigterm_in_a_validation_ends_the_run_soon_after(train, undisturbed, tmp_path):
    stop = {"at": "outputs", "n": 3, "signal": "SIGTERM"}
    assert train(tmp_path, training={"weights": "last"}, stops=[stop]) == TERMINATED
    assert train(tmp_path, training={"weights": "last"}, resume="must") == 0
    result = result_of(tmp_path)
    assert_same_result(result, undisturbed["last"])
    # The validation is not lost, and at most one step was taken after it.
    assert TOTAL - 2 * STEPS - 1 <= result["steps"] <= TOTAL - 2 * STEPS


def test_sigterm_in_the_last_validation_is_not_swallowed(train, undisturbed, tmp_path):
    """Predictions follow a training; the machine will not wait for them."""
    stop = {"at": "outputs", "n": 8, "signal": "SIGTERM"}
    assert train(tmp_path, training={"weights": "last"}, stops=[stop]) == TERMINATED
    assert train(tmp_path, training={"weights": "last"}, resume="must") == 0
    result = result_of(tmp_path)
    assert_same_result(result, undisturbed["last"])
    assert result["steps"] == 0


def test_the_handler_of_sigterm_is_given_back(data, tmp_path):
    seen = []
    previous = signal.signal(signal.SIGTERM, lambda *_: seen.append(True))
    try:
        fit(data, tmp_path, epochs=1)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert seen == [True]


# Starting over, or not -------------------------------------------------------------


def test_must_refuses_where_there_is_no_checkpoint(data, tmp_path):
    task = ToyTask()
    with pytest.raises(TrainingError, match="resume=must will not start over"):
        fit(data, tmp_path, task, resume="must")
    assert task.steps == 0


def test_never_starts_over(train, undisturbed, tmp_path):
    stop = {"at": "step", "n": 7, "signal": "SIGTERM"}
    options = {"weights": "last"}
    assert train(tmp_path, training=options, stops=[stop]) == TERMINATED
    assert train(tmp_path, training=options, resume="never") == 0
    assert result_of(tmp_path)["steps"] == TOTAL
    assert_same_result(result_of(tmp_path), undisturbed["last"])
    assert not resumes(tmp_path)


def test_a_spoilt_checkpoint_starts_over_under_auto_only(train, undisturbed, tmp_path):
    stop = {"at": "step", "n": 7, "signal": "SIGTERM"}
    options = {"weights": "last"}
    assert train(tmp_path, training=options, stops=[stop]) == TERMINATED
    (file,) = (tmp_path / CHECKPOINTS).glob("*.pt")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    assert train(tmp_path, training=options, resume="must") == 1
    assert "no usable checkpoint" in (tmp_path / "console.txt").read_text()
    assert train(tmp_path, training=options) == 0
    assert result_of(tmp_path)["steps"] == TOTAL
    assert_same_result(result_of(tmp_path), undisturbed["last"])


def test_a_checkpoint_of_another_version_is_refused(data, tmp_path):
    TorchCheckpoints(make_workspace(tmp_path)).save("1", {"schema": 0})
    with pytest.raises(TrainingError, match="resume=never"):
        fit(data, tmp_path)


class Numpy(ToyScorer):
    """Answers in NumPy's numbers, as a metric easily does."""

    def metrics(self, tally):
        figures = super().metrics(tally)
        return {name: np.float64(value) for name, value in figures.items()}


def test_a_scorer_that_answers_in_numpy_numbers_can_be_resumed(data, tmp_path):
    whole, _ = fit(data, tmp_path, scorer=Numpy())
    task = ToyTask()
    again, _ = fit(data, tmp_path, task, scorer=Numpy(), resume="must")
    assert task.steps == 0
    assert_equal_states(again.weights["best"], whole.weights["best"])


def test_another_seed_gives_another_network(data, tmp_path):
    one, _ = fit(data, tmp_path / "1", epochs=1)
    same, _ = fit(data, tmp_path / "2", epochs=1)
    other, _ = fit(data, tmp_path / "3", epochs=1, seed=(7, 2, 0))
    assert_equal_states(one.weights["last"], same.weights["last"])
    last = other.weights["last"]["0.weight"]
    assert not torch.equal(one.weights["last"]["0.weight"], last)
