"""Whatever a recipe asks for, a killed training ends in the same bits."""

import signal

import pytest
from toy import log_of
from trainings import EPOCHS_ONLY, EVERY_STEP, assert_same_result, result_of

SWA = {"start": 0.5, "learning_rate": 0.01, "annealing_epochs": 2}
PLATEAU = {"name": "plateau", "factor": 0.5, "patience": 0, "threshold": 0.05}
#: Family of options → what is asked of it, beside the toy's own.
FAMILIES = {
    "adam": {"optimiser": "adam", "clip_norm": 0.05},
    "sgd": {"optimiser": "sgd", "momentum": 0.8, "schedule": {"name": "none"}},
    "sgd with one cycle": {"optimiser": "sgd"},
    "one cycle of the rate alone": {"schedule": {"cycle_momentum": False}},
    "cosine": {"schedule": {"name": "cosine", "warmup": 0.3}},
    "cosine-restarts": {"schedule": {"name": "cosine-restarts"}},
    "cyclic": {"schedule": {"name": "cyclic", "decay": 0.9}},
    "plateau": {"schedule": PLATEAU},
    "plateau of a higher loss": {
        "schedule": PLATEAU | {"monitor": "+loss", "minimum_rate": 0},
        "monitor": "+loss",
    },
    "cosine by the epoch": {
        "schedule": {"name": "cosine", "warmup": 0.3, "by_epoch": True}
    },
    "cosine by the epoch with swa": {
        "schedule": {"name": "cosine", "by_epoch": True},
        "swa": SWA,
    },
    "restarts by the epoch with a tail": {
        "schedule": {
            "name": "cosine-restarts",
            "by_epoch": True,
            "period_epochs": 2,
            "tail": [[1, 0.01], [1, 0.005]],
        }
    },
    "one cycle with a tail": {"schedule": {"tail": [[2, 0.003]]}},
    "plateau with a tail": {"schedule": PLATEAU | {"tail": [[1, 0.003]]}},
    "accumulate": {"accumulate": 3},
    "swa": {"swa": SWA, "weights": "swa", "ema": 0.0},
    "swa with a plateau, ended early": {
        "swa": SWA | {"start": 0.25},
        "schedule": PLATEAU,
        "patience": 1,
        "epochs": 6,
    },
    "bf16-mixed": {"precision": "bf16-mixed", "weights": "ema"},
    "16-mixed": {"precision": "16-mixed", "clip_norm": 1.0, "accumulate": 2},
    "bf16-true": {"precision": "bf16-true", "weights": "ema", "swa": SWA},
    "16-true": {"precision": "16-true"},
    "another figure": {"monitor": "-wobble", "validate_every": 2},
    "limits": {"limit_steps": 3, "limit_validation": 2, "accumulate": 1},
    "much at once": {
        "optimiser": "sgd",
        "accumulate": 2,
        "clip_norm": 0.1,
        "schedule": {"name": "cyclic"},
        "precision": "bf16-mixed",
        "swa": SWA,
        "weights": "swa",
        "monitor": "loss",
        "workers": 2,
    },
}
#: A process is killed at its n-th batch, validation batch or checkpoint.
KILLS = [("step", 3), ("outputs", 1), ("step", 6), ("saved", 2), ("step", 7)]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_killed_again_and_again(train, tmp_path, family):
    options = {"checkpoint_minutes": EPOCHS_ONLY} | FAMILIES[family]
    request = {"training": options}
    assert train(tmp_path / "whole", **request) == 0
    whole = result_of(tmp_path / "whole")
    folder, killed = tmp_path / "killed", 0
    for number, (at, n) in enumerate(KILLS):
        # The last that finds something to go on with does not save at each step.
        minutes = EPOCHS_ONLY if number == 3 else EVERY_STEP
        request["training"] = options | {"checkpoint_minutes": minutes}
        stop = {"at": at, "n": n, "signal": "SIGKILL"}
        code = train(folder, stops=[stop], **request)
        assert code in (0, -signal.SIGKILL)
        killed += code != 0
    assert killed >= 3
    if not (folder / "result.json").exists():
        assert train(folder, **request) == 0
    assert_same_result(result_of(folder), whole)
    resumed = [line for line in log_of(folder) if line["event"] == "resume"]
    assert len(resumed) >= 3


@pytest.mark.parametrize("at", [17, 18, 20])
def test_a_training_killed_while_averages_are_finished(train, tmp_path, at):
    """The sixteen batches of its steps are followed by four for statistics."""
    options = {"swa": SWA, "weights": "swa"}
    assert train(tmp_path / "whole", training=options) == 0
    stop = {"at": "step", "n": at, "signal": "SIGKILL"}
    folder = tmp_path / "killed"
    assert train(folder, training=options, stops=[stop]) == -signal.SIGKILL
    assert train(folder, training=options, resume="must") == 0
    assert_same_result(result_of(folder), result_of(tmp_path / "whole"))
    # No step is taken again, only the statistics are.
    assert result_of(folder)["steps"] == 4


def test_sigterm_while_averages_are_finished_is_heeded_at_once(train, tmp_path):
    options = {"swa": SWA, "weights": "swa"}
    assert train(tmp_path / "whole", training=options) == 0
    stop = {"at": "step", "n": 18, "signal": "SIGTERM"}
    folder = tmp_path / "ended"
    assert train(folder, training=options, stops=[stop]) == 143
    assert log_of(folder)[-1]["event"] == "terminated"
    assert train(folder, training=options, resume="must") == 0
    assert_same_result(result_of(folder), result_of(tmp_path / "whole"))
