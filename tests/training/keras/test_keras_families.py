"""Whatever a recipe asks of Keras, a killed training ends in the same bits."""

import pytest
from keras_toy import log_of
from keras_trainings import assert_same_result, fit, killed

PLATEAU = {"name": "plateau", "factor": 0.5, "patience": 0, "threshold": 0.05}
#: Family of options → what is asked of it, beside the toy's own.
FAMILIES = {
    "sgd by a plateau": {
        "optimiser": "sgd",
        "momentum": 0.8,
        "clip_norm": 0.05,
        "schedule": PLATEAU,
        "weights": "ema",
    },
    "restarts with a tail": {
        "schedule": {
            "name": "cosine-restarts",
            "by_epoch": True,
            "tail": [[1, 0.005]],
        },
        "accumulate": 3,
    },
    "exponential and limits": {
        "optimiser": "adam",
        "schedule": {"name": "exponential"},
        "precision": "bf16-mixed",
        "limit_steps": 2,
        "limit_validation": 2,
        "workers": 3,
    },
    "16-mixed, few of them drawn": {
        "precision": "16-mixed",
        "accumulate": 2,
        "ema": 0.0,
        "samples_per_epoch": 10,
        "monitor": "-wobble",
    },
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_killed_twice(data, tmp_path, family):
    options = FAMILIES[family]
    whole = fit(data, tmp_path / "whole", **options)
    folder, often = tmp_path / "killed", options | {"checkpoint_minutes": 0.0}
    assert killed(data, folder, "step", 2, **often)
    # Whether at a step or at an epoch, something is there to go on from.
    assert killed(data, folder, "tally", 3, **often)
    assert_same_result(fit(data, folder, resume="must", **options), whole)
    resumed = [line for line in log_of(folder) if line["event"] == "resume"]
    assert len(resumed) >= 1
