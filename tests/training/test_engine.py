"""One training job: killed anywhere it ends in the same bits, and does what it says."""

import copy
import json
import math
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.optim.optimizer import register_optimizer_step_pre_hook
from toy import (
    HELD_OUT_IDS,
    IDS,
    TRAIN_IDS,
    ToyScorer,
    ToyTask,
    log_of,
    make_job,
    make_workspace,
)

from tenfold.data.dataset import Dataset
from tenfold.errors import TrainingError
from tenfold.store import CHECKPOINTS, Key, Store
from tenfold.training.checkpoints import Checkpoints
from tenfold.training.engine import TERMINATED, Trainer

#: 16 samples in batches of 4, over 4 epochs.
STEPS, EPOCHS = 4, 4
TOTAL = STEPS * EPOCHS
#: Figures that a clock decides.
TIMINGS = {"samples_per_second", "loader_wait"}
EVERY_STEP, EPOCHS_ONLY = 0.0, 1000.0


def numbers(ids):
    return {IDS.index(id_) for id_ in ids}


def fit(data, folder, task=None, scorer=None, resume="auto", **options):
    """Train in this process."""
    job = make_job(data, task, scorer, **options)
    trainer = Trainer(job, make_workspace(folder), resume)
    return trainer.fit(), job


def assert_equal_states(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        assert torch.equal(tensor, other[name]), name


def without_timings(history):
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in history]


@pytest.fixture(scope="module")
def train(data, launch):
    """Give a function that trains in a process of its own; returns its exit code."""

    def run(folder, **request):
        return launch(work="train", data=str(data), folder=str(folder), **request)

    return run


def result_of(folder):
    """Read what a finished run left."""
    result = json.loads((folder / "result.json").read_text())
    result["weights"] = {k: load_file(folder / k) for k in ("last", "ema", "best")}
    return result


def assert_same_result(one, other):
    assert without_timings(one["history"]) == without_timings(other["history"])
    for kind in ("last", "ema", "best"):
        assert_equal_states(one["weights"][kind], other["weights"][kind])


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
    state = Checkpoints(make_workspace(tmp_path)).load("must")
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
    Checkpoints(make_workspace(tmp_path)).save("1", {"schema": 0})
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


# In the store ----------------------------------------------------------------------


def build(store, data, task, resume="auto", **options):
    """Train as a stage does: the weights are the entry."""

    def work(workspace):
        trainer = Trainer(make_job(data, task, **options), workspace, resume)
        state = trainer.fit().weights["last"]
        arrays = {name: tensor.numpy() for name, tensor in state.items()}
        np.savez(workspace.path / "weights.npz", allow_pickle=False, **arrays)

    return store.build(Key("train", {}, {}, "code"), "toy", {}, work)


@pytest.mark.parametrize(
    ("at", "epoch", "step"), [(1, 1, STEPS), (6, 2, STEPS), (16, 4, STEPS)]
)
def test_a_loss_that_is_not_a_number_stops_the_run(data, tmp_path, at, epoch, step):
    store, task = Store(tmp_path), ToyTask()
    task.nan_at = at
    with pytest.raises(
        TrainingError, match=f"not finite in epoch {epoch}, step {step}"
    ):
        build(store, data, task)
    assert not list(tmp_path.rglob("manifest.json"))
    assert not list(tmp_path.rglob("weights.npz"))
    (log,) = tmp_path.rglob("log.jsonl")
    failed = log_of(log.parent)[-1]
    assert failed["event"] == "failed"
    assert failed["kind"] == "TrainingError"


def test_a_long_epoch_is_not_trained_to_its_end_for_nothing(data, tmp_path):
    """A loss that is not a number is noticed within 25 steps."""
    task = ToyTask()
    task.nan_at = 3
    with pytest.raises(TrainingError, match="not finite in epoch 1, step"):
        fit(data, tmp_path, task, samples_per_epoch=400)
    assert task.steps <= 28


def test_weights_that_are_not_numbers_are_never_saved(data, tmp_path):
    """Else a fault that would pass (a GPU's, say) comes back with every rerun."""
    options = {"samples_per_epoch": 80, "checkpoint_minutes": EVERY_STEP, "epochs": 1}
    task = ToyTask()
    task.nan_at = 5
    with pytest.raises(TrainingError, match="not finite"):
        fit(data, tmp_path / "faulty", task, **options)
    again, _ = fit(data, tmp_path / "faulty", **options)
    whole, _ = fit(data, tmp_path / "whole", **options)
    assert_equal_states(again.weights["last"], whole.weights["last"])


def test_a_finished_training_goes_without_its_checkpoints(data, tmp_path):
    entry = build(Store(tmp_path), data, ToyTask())
    assert not (entry.path / CHECKPOINTS).exists()
    names = {file["name"] for file in entry.manifest["files"]}
    assert names == {"weights.npz"}


def test_a_run_lost_while_its_entry_is_completed_does_not_train_again(
    data, tmp_path, monkeypatch
):
    """Files are hashed, and to an object store uploaded, before the manifest."""
    store = Store(tmp_path)

    def lost(*_):
        raise OSError("the machine went away")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_complete", lost)
        with pytest.raises(OSError, match="went away"):
            build(store, data, ToyTask())
    task = ToyTask()
    entry = build(store, data, task, resume="must")
    assert task.steps == 0
    assert (entry.path / "weights.npz").is_file()


# Early stopping and the best epoch -------------------------------------------------


@pytest.mark.parametrize("weights", ["last", "ema", "best"])
def test_patience_ends_the_run_and_best_is_the_best_epoch(data, tmp_path, weights):
    plain = {"schedule": {"name": "none"}, "weights": weights}
    scripted = [0.2, 0.9, 0.5, 0.9, 0.3, 0.95, 0.99]
    scorer = ToyScorer(scripted=scripted)
    stopped, _ = fit(data, tmp_path / "1", None, scorer, epochs=7, patience=3, **plain)
    # The second epoch's score is not gained upon in the third, fourth and fifth.
    assert [row["val/score"] for row in stopped.history] == scripted[:5]
    assert [row["epoch"] for row in stopped.history] == [1, 2, 3, 4, 5]
    # Without a schedule, the weights of an epoch do not depend on how many follow.
    two, _ = fit(data, tmp_path / "2", None, epochs=2, **plain)
    five, _ = fit(data, tmp_path / "5", None, epochs=5, **plain)
    validated = "ema" if weights == "ema" else "last"
    assert_equal_states(stopped.weights["best"], two.weights[validated])
    for kind in ("last", "ema"):
        assert_equal_states(stopped.weights[kind], five.weights[kind])
    assert not torch.equal(
        stopped.weights["best"]["0.weight"], stopped.weights[validated]["0.weight"]
    )


def test_a_gain_starts_the_patience_anew(data, tmp_path):
    scores = [0.5, 0.4, 0.6, 0.1, 0.2, 0.9]
    fitted, _ = fit(
        data, tmp_path, None, ToyScorer(scripted=scores), epochs=6, patience=2
    )
    assert [row["val/score"] for row in fitted.history] == scores[:5]


def test_without_patience_all_epochs_are_trained(data, tmp_path):
    scores = [0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    fitted, _ = fit(data, tmp_path, None, ToyScorer(scripted=scores), epochs=6)
    assert [row["val/score"] for row in fitted.history] == scores


def test_patience_counts_epochs_however_seldom_they_are_validated(data, tmp_path):
    """`patience: epochs without gain`, says the recipe."""
    scores = [0.5, 0.4, 0.3, 0.2, 0.1]
    fitted, _ = fit(
        data,
        tmp_path,
        None,
        ToyScorer(scripted=scores),
        epochs=10,
        patience=4,
        validate_every=2,
    )
    # Best after epoch 2; four epochs without gain are over after epoch 6.
    assert len(fitted.history) == 6


# The learning rate -----------------------------------------------------------------


def one_cycle(peak, total, warmup, start_divisor, final_divisor):
    """Cosine from peak / start to peak, then to peak / start / final."""
    low = peak / start_divisor
    top = warmup * total - 1
    rates = []
    for step in range(total):
        if step <= top:
            start, end, share = low, peak, step / top
        else:
            start, end = peak, low / final_divisor
            share = (step - top) / (total - 1 - top)
        rates.append(end + (start - end) * (1 + math.cos(math.pi * share)) / 2)
    return rates


@pytest.fixture
def rates():
    """Collect the rate of every step that an optimiser takes."""
    taken = []
    handle = register_optimizer_step_pre_hook(
        lambda optimiser, *_: taken.append(optimiser.param_groups[0]["lr"])
    )
    yield taken
    handle.remove()


@pytest.mark.parametrize(
    ("epochs", "warmup", "start", "final"),
    [(5, 0.25, 2.0, 100.0), (4, 0.5, 25.0, 1e4), (3, 0.3, 1.0, 10.0)],
)
def test_the_rate_is_one_cycle(data, tmp_path, rates, epochs, warmup, start, final):
    schedule = {"warmup": warmup, "start_divisor": start, "final_divisor": final}
    fit(data, tmp_path, epochs=epochs, learning_rate=0.01, schedule=schedule)
    expected = one_cycle(0.01, epochs * STEPS, warmup, start, final)
    assert rates == pytest.approx(expected, rel=1e-9)
    assert rates[0] == pytest.approx(0.01 / start)
    assert rates[-1] == pytest.approx(0.01 / start / final)


def test_the_history_has_the_rate_that_was_used(data, tmp_path, rates):
    """The last row ends at the final rate, not beyond the schedule."""
    fitted, _ = fit(data, tmp_path, epochs=3)
    for row in fitted.history:
        # Of the epoch's last step, or of the step that comes next.
        place = int(row["epoch"]) * STEPS
        used = rates[place - 1 : place + 1]
        assert min(abs(row["lr"] - rate) for rate in used) < 1e-12


def test_without_a_schedule_the_rate_stays(data, tmp_path, rates):
    fit(data, tmp_path, epochs=2, learning_rate=0.003, schedule={"name": "none"})
    assert rates == [0.003] * (2 * STEPS)


@pytest.mark.parametrize(
    ("epochs", "batch", "warmup"),
    [(1, 4, 0.25), (5, 4, 0.05), (3, 4, 1.0), (3, 4, 0.0), (1, 16, 0.1)],
)
def test_every_warmup_that_a_recipe_may_ask_for_works(
    data, tmp_path, rates, epochs, batch, warmup
):
    """The default 0.1 of 10 steps, e.g., is a warm-up of one step."""
    schedule = {"warmup": warmup}
    fitted, _ = fit(data, tmp_path, epochs=epochs, batch=batch, schedule=schedule)
    assert len(fitted.history) == epochs
    assert len(rates) == epochs * (16 // batch)
    assert all(0 < rate <= 0.02 * (1 + 1e-9) for rate in rates)


# What is trained on, what is validated ---------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_held_out_samples_are_never_trained_on(data, tmp_path, weighted):
    task = ToyTask()
    if weighted:
        task.weights = np.linspace(0.1, 1.0, len(TRAIN_IDS))
    fit(data, tmp_path, task, epochs=6)
    assert len(task.seen) == 6 * 16
    assert set(task.seen) == numbers(TRAIN_IDS)
    assert set(task.whole_seen) == numbers(HELD_OUT_IDS)
    assert not set(task.seen) & numbers(HELD_OUT_IDS)


def test_each_sample_comes_once_an_epoch_in_changing_order(data, tmp_path):
    task = ToyTask()
    fit(data, tmp_path, task, epochs=3)
    epochs = [task.seen[at : at + 16] for at in (0, 16, 32)]
    for epoch in epochs:
        assert set(epoch) == numbers(TRAIN_IDS)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_samples_of_weight_0_are_never_drawn(data, tmp_path):
    task = ToyTask()
    task.weights = np.tile([0.0, 1.0, 3.0, 0.0], 4)
    fit(data, tmp_path, task, epochs=4, samples_per_epoch=80)
    drawn = np.bincount(task.seen, minlength=len(IDS))
    by_weight = {
        weight: sum(
            drawn[IDS.index(id_)]
            for id_, w in zip(TRAIN_IDS, task.weights, strict=True)
            if w == weight
        )
        for weight in (0.0, 1.0, 3.0)
    }
    assert by_weight[0.0] == 0
    assert sum(by_weight.values()) == len(task.seen) == 320
    # 240 are expected of weight 3, with a deviation of 8.
    assert by_weight[3.0] == pytest.approx(240, abs=40)


def test_an_epoch_smaller_than_a_batch_is_one_step(data, tmp_path):
    task = ToyTask()
    fit(data, tmp_path, task, epochs=2, batch=64)
    assert task.steps == 2
    assert sorted(task.seen) == sorted([*numbers(TRAIN_IDS)] * 2)


def accuracy_by_hand(data, state):
    """Score the held-out samples one by one, in NumPy but for the network."""
    model = ToyTask().model(None)
    model.load_state_dict(state)
    model.eval()
    dataset, hits, outputs = Dataset(data), 0, {}
    for id_ in HELD_OUT_IDS:
        arrays = dataset.sample(id_)
        image = torch.from_numpy(np.array(arrays["image"])).float()[None] / 255
        with torch.no_grad():
            logits = model(image)[0, 0].numpy()
        outputs[id_] = 1 / (1 + np.exp(-logits))
        hits += int(((logits > 0) == (arrays["mask"] == 1)).sum())
    return hits / (256 * len(HELD_OUT_IDS)), outputs


@pytest.mark.parametrize("weights", ["last", "ema", "best"])
def test_validation_scores_the_weights_that_will_be_used(data, tmp_path, weights):
    fitted, _ = fit(data, tmp_path, weights=weights, ema=0.98)
    row = fitted.history[-1]
    of_last, _ = accuracy_by_hand(data, fitted.weights["last"])
    of_ema, _ = accuracy_by_hand(data, fitted.weights["ema"])
    assert of_last != pytest.approx(of_ema, abs=1e-4)
    expected = of_ema if weights == "ema" else of_last
    assert row["val/score"] == pytest.approx(expected, abs=1e-9)
    assert row["val/accuracy"] == row["val/score"]
    of_best, _ = accuracy_by_hand(data, fitted.weights["best"])
    best = max(row["val/score"] for row in fitted.history)
    assert of_best == pytest.approx(best, abs=1e-9)


def test_validating_does_not_change_the_training(data, tmp_path):
    often, _ = fit(data, tmp_path / "1", weights="ema", validate_every=1)
    seldom, _ = fit(data, tmp_path / "2", weights="ema", validate_every=3)
    for kind in ("last", "ema"):
        assert_equal_states(often.weights[kind], seldom.weights[kind])
    scored = ["val/score" in row for row in seldom.history]
    assert scored == [False, False, True, True]
    assert seldom.history[3]["val/score"] == often.history[3]["val/score"]


def test_the_training_figures_are_those_of_the_steps(data, tmp_path):
    losses, task = [], ToyTask()
    inner = task.step

    def step(model, batch):
        loss, counts = inner(model, batch)
        losses.append((float(loss.detach()), float(counts["hits"])))
        return loss, counts

    task.step = step
    fitted, _ = fit(data, tmp_path, task)
    for number, row in enumerate(fitted.history):
        part = losses[number * STEPS : (number + 1) * STEPS]
        assert row["train/loss"] == pytest.approx(np.mean([p[0] for p in part]))
        assert row["train/accuracy"] == sum(p[1] for p in part) / (16 * 256)


def test_training_learns(data, tmp_path):
    """The mask is brighter or not than average in two bands: an easy task."""
    fitted, _ = fit(data, tmp_path, epochs=30, ema=0.8, weights="ema")
    losses = [row["train/loss"] for row in fitted.history]
    assert losses[-1] < 0.75 * losses[0]
    assert fitted.history[-1]["val/score"] > 0.8


def test_loader_processes_do_not_change_the_result(train, tmp_path):
    for workers in (0, 2):
        code = train(tmp_path / str(workers), training={"workers": workers})
        assert code == 0
    assert_same_result(result_of(tmp_path / "0"), result_of(tmp_path / "2"))


# Pictures and outputs --------------------------------------------------------------


def test_pictures_are_kept_at_the_chosen_epochs_and_the_last(data, tmp_path):
    pictured = HELD_OUT_IDS[1:4:2]
    fitted, _ = fit(
        data,
        tmp_path,
        epochs=5,
        weights="ema",
        validate_every=4,
        picture_epochs=[1, 3],
        pictured=pictured,
    )
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == [
        f"{epoch:04d}_{id_}.npz" for epoch in (1, 3, 5) for id_ in pictured
    ]
    _, by_hand = accuracy_by_hand(data, fitted.weights["ema"])
    for id_ in pictured:
        with np.load(tmp_path / "pictures" / f"0005_{id_}.npz") as picture:
            assert picture.files == ["prob"]
            np.testing.assert_allclose(picture["prob"], by_hand[id_], atol=1e-6)
        with np.load(tmp_path / "pictures" / f"0001_{id_}.npz") as picture:
            assert not np.allclose(picture["prob"], by_hand[id_], atol=1e-3)
    # A picture needs a validation, so its epoch has a score.
    scored = [int(row["epoch"]) for row in fitted.history if "val/score" in row]
    assert scored == [1, 3, 4, 5]


def test_outputs_are_of_the_asked_samples_in_order(data, tmp_path):
    job = make_job(data, batch=4)
    trainer = Trainer(job, make_workspace(tmp_path))
    ids = [IDS[place] for place in (20, 3, 11, 3, 0, 7)]
    state = {name: t.clone() for name, t in job.model.state_dict().items()}
    together = [(i, o) for i, o, _ in trainer.assessed(ids)]
    assert [id_ for id_, _ in together] == ids
    reference = copy.deepcopy(job.model).eval()
    for id_, outputs in together:
        image = np.array(job.dataset.sample(id_)["image"])[None]
        with torch.no_grad():
            expected = torch.sigmoid(reference(torch.from_numpy(image).float() / 255))
        np.testing.assert_allclose(outputs["prob"], expected[0, 0], atol=1e-6)
    # No statistics of batch normalisation are taken in while predicting.
    assert_equal_states(job.model.state_dict(), state)


def test_progress_names_the_steps_done(data, tmp_path):
    fit(data, tmp_path)
    progress = json.loads((tmp_path / "progress.json").read_text())
    assert (progress["done"], progress["total"]) == (TOTAL, TOTAL)
    assert progress["unit"] == "steps"
    epochs = [line for line in log_of(tmp_path) if line["event"] == "epoch"]
    assert [line["epoch"] for line in epochs] == [1, 2, 3, 4]


def test_a_resumed_run_has_the_pictures_of_the_undisturbed_one(train, tmp_path):
    request = {"training": {"picture_epochs": [1, 2]}, "pictured": HELD_OUT_IDS[:2]}
    assert train(tmp_path / "whole", **request) == 0
    folder = tmp_path / "killed"
    for n in (10, 1):
        stop = {"at": "step", "n": n, "signal": "SIGKILL"}
        assert train(folder, stops=[stop], **request) == -signal.SIGKILL
    assert train(folder, **request) == 0
    pictures = sorted(path.name for path in (tmp_path / "whole/pictures").iterdir())
    assert len(pictures) == 6
    assert sorted(path.name for path in (folder / "pictures").iterdir()) == pictures
    for name in pictures:
        with (
            np.load(tmp_path / "whole/pictures" / name) as one,
            np.load(folder / "pictures" / name) as other,
        ):
            np.testing.assert_array_equal(one["prob"], other["prob"])
