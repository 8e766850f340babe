"""What a network could learn without: scales, seeds, averages, and who keeps what."""

import gc
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
from keras_toy import ToyTask, make_order, make_workspace
from keras_trainings import assert_same_result, fit, killed

from tenfold.codeversion import _closure
from tenfold.errors import TrainingError
from tenfold.training.keras import precision
from tenfold.training.keras.engine import Trainer
from tenfold.training.keras.examples import batched
from tenfold.training.keras.job import job_of
from tenfold.training.keras.learner import Learner
from tenfold.training.keras.weights import values_of

PLAIN = {"schedule": {"name": "none"}, "ema": 0.0, "weight_decay": 0.0, "epochs": 1}


def plain_task():
    return ToyTask(dropout=0.0, normalised=False)


def test_a_step_in_half_precision_is_nearly_that_in_single(data, tmp_path):
    """A gradient that kept the loss's scale would be thousands of times too large."""
    options = PLAIN | {"optimiser": "sgd", "momentum": 0.0, "learning_rate": 0.5}
    options |= {"limit_steps": 1, "clip_norm": 100.0}
    start = values_of(job_of(make_order(data, plain_task())).model)
    moved = []
    for name in ("32-true", "16-mixed"):
        options |= {"precision": name}
        found = fit(data, tmp_path / name, plain_task(), **options).weights["last"]
        moved.append(np.concatenate([(found[n] - start[n]).ravel() for n in start]))
    single, half = moved
    assert np.linalg.norm(single) > 1e-2
    assert np.linalg.norm(half - single) < 0.1 * np.linalg.norm(single)


def test_the_scale_of_losses_goes_on_where_it_was(data, tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "_GROWTH_STEPS", 2)
    options = {"precision": "16-mixed", "epochs": 2}
    whole = fit(data, tmp_path / "whole", **options)
    often = options | {"checkpoint_minutes": 0.0}
    assert killed(data, tmp_path / "killed", "step", 6, **often)
    saved = Trainer(
        job_of(make_order(data, **often)), make_workspace(tmp_path / "killed"), "must"
    )
    kept = saved._loop._learner._scale.to_state()
    assert float(np.asarray(kept["scale"])) > precision._FIRST_SCALE
    assert_same_result(fit(data, tmp_path / "killed", resume="must", **options), whole)


def test_every_batch_has_a_seed_of_its_own(data, tmp_path, monkeypatch):
    seeds, learn = [], Learner.learn

    def recorded(self, batch, seed, size):
        seeds.append(seed)
        learn(self, batch, seed, size)

    monkeypatch.setattr(Learner, "learn", recorded)
    fit(data, tmp_path, epochs=2, accumulate=2)
    assert len(seeds) == len(set(seeds)) > 4


def test_an_average_moves_as_far_as_its_decay_says(data, tmp_path):
    options = PLAIN | {"ema": 0.5, "limit_steps": 1}
    start = values_of(job_of(make_order(data, plain_task())).model)
    found = fit(data, tmp_path, plain_task(), **options).weights
    # The first decay is 2 / 11, below the final one.
    for name, average in found["ema"].items():
        expected = start[name] * (2 / 11) + found["last"][name] * (9 / 11)
        np.testing.assert_allclose(average, expected, atol=1e-6, err_msg=name)


def test_a_checkpoint_of_other_epochs_is_refused(data, tmp_path):
    assert killed(data, tmp_path, "step", 2, checkpoint_minutes=0.0)
    with pytest.raises(TrainingError, match=r"epochs have 4 batches, and these 2"):
        fit(data, tmp_path, batch=8)


class Sample:
    """Something that is there as long as somebody holds it."""


def test_samples_go_when_their_pipeline_is_done():
    gone = []
    for _ in range(3):
        sample = Sample()
        gone.append(weakref.ref(sample))

        def example(position, held=sample):
            return {"x": np.full(2, position if held else 0)}

        assert len(list(batched(example, range(5), 2, 2))) == 3
        del sample, example
    gc.collect()
    assert [each() for each in gone] == [None] * 3


def test_what_a_user_set_for_keras_changes_nothing(tmp_path):
    """Neither another backend, nor other defaults, which no recipe would tell."""
    folder = tmp_path / ".keras"
    folder.mkdir()
    (folder / "keras.json").write_text(
        '{"backend": "torch", "floatx": "float64", "epsilon": 0.1,'
        ' "image_data_format": "channels_first"}'
    )
    code = (
        "import tenfold.training.keras.process as p, keras, sys; p.begin_network(1);"
        "print(keras.backend.backend(), keras.config.floatx(), keras.config.epsilon(),"
        " keras.config.image_data_format(), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_HOME": str(folder), "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = "tensorflow float32 1e-07 channels_last False"
    assert done.stdout.splitlines()[-1] == expected


def test_to_measure_in_another_way_changes_no_result():
    keras, torch = (
        _closure(["tenfold.stages.fit", f"tenfold.training.{engine}"])
        for engine in ("keras.backend", "torch_backend")
    )
    for found in (keras, torch):
        assert "tenfold.training.loop" in found
        assert "tenfold.training.measured" not in found
    assert not {name for name in torch if ".keras" in name}
    assert not {name for name in keras if "torch" in name}
