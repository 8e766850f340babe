"""A compiled network: same names, same results after a kill, a plain refusal."""

import signal

import pytest
import torch
from toy import ToyTask, after
from trainings import (
    EVERY_STEP,
    assert_equal_states,
    assert_same_result,
    fit,
    result_of,
    without_timings,
)

from tenfold.errors import TrainingError
from tenfold.training import compilation

SWA = {"start": 0.5, "learning_rate": 0.01, "annealing_epochs": 2}


@pytest.fixture(autouse=True)
def _forget_what_was_compiled():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def test_a_compiled_network_is_the_same_network(data, tmp_path, monkeypatch):
    """With a backend that only records the network, bits and names are the same."""
    graphs = []

    def recording(graph, _):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(compilation, "BACKEND", recording)
    options = {"swa": SWA, "weights": "swa"}
    compiled, job = fit(data, tmp_path / "1", compile=True, **options)
    plain, _ = fit(data, tmp_path / "2", **options)
    # One for the network in training, whole; none for validation and statistics.
    assert len(graphs) == 1
    assert compiled.weights.keys() == plain.weights.keys()
    for kind, state in plain.weights.items():
        assert_equal_states(compiled.weights[kind], state)
    assert without_timings(compiled.history) == without_timings(plain.history)
    assert list(job.model.state_dict()) == list(ToyTask().model(None).state_dict())


class InParts(ToyTask):
    """Whose step calls one part of the network after the other, as challenges do."""

    def step(self, model, batch):
        class Parts:
            def __call__(self, image):
                for part in model:
                    image = part(image)
                return image

        return super().step(Parts(), batch)


def test_a_network_that_is_called_by_its_parts(data, tmp_path, monkeypatch):
    graphs = []

    def recording(graph, _):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(compilation, "BACKEND", recording)
    compiled, _ = fit(data, tmp_path / "1", InParts(), compile=True, epochs=1)
    assert len(graphs) == 5
    plain, _ = fit(data, tmp_path / "2", epochs=1)
    assert_equal_states(compiled.weights["last"], plain.weights["last"])


def test_a_machine_that_cannot_compile_says_so(data, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("no compiler called c++ was found")

    monkeypatch.setattr(compilation, "BACKEND", broken)
    with pytest.raises(TrainingError) as error:
        fit(data, tmp_path, compile=True)
    assert "no compiler called c++ was found" in str(error.value)
    assert "set training.compile to false" in str(error.value)
    assert "\n" not in str(error.value)


class Restless(ToyTask):
    """Whose batches have another shape each time."""

    def step(self, model, batch):
        side = 4 + self.steps
        parts = {"image": batch["image"][..., :side, :side], "moves": batch["moves"]}
        return super().step(model, parts | {"mask": batch["mask"][..., :side, :side]})


def test_a_network_is_never_left_uncompiled_silently(data, tmp_path, monkeypatch):
    monkeypatch.setattr(compilation, "BACKEND", "eager")
    monkeypatch.setattr(compilation, "_MOST_VARIANTS", 2)
    with pytest.raises(TrainingError, match=r"set training\.compile to false"):
        fit(data, tmp_path, Restless(), compile=True)


class LostError(Exception):
    """What ends a training here, where a process of its own would take long."""


def test_a_compiled_training_goes_on_in_the_same_bits(data, tmp_path, monkeypatch):
    monkeypatch.setattr(compilation, "BACKEND", "eager")
    options = {"compile": True, "swa": SWA, "checkpoint_minutes": EVERY_STEP}
    whole, _ = fit(data, tmp_path / "whole", **options)

    def lose():
        raise LostError

    task = ToyTask()
    task.on_step = after(7, lose)
    with pytest.raises(LostError):
        fit(data, tmp_path / "lost", task, **options)
    torch.compiler.reset()
    again, _ = fit(data, tmp_path / "lost", resume="must", **options)
    for kind, state in whole.weights.items():
        assert_equal_states(again.weights[kind], state)
    assert without_timings(again.history) == without_timings(whole.history)


@pytest.mark.slow
def test_so_it_does_when_killed_and_with_the_real_compiler(train, tmp_path):
    request = {"training": {"compile": True, "swa": SWA}}
    assert train(tmp_path / "whole", **request) == 0
    request["training"]["checkpoint_minutes"] = EVERY_STEP
    stop = {"at": "step", "n": 7, "signal": "SIGKILL"}
    assert train(tmp_path / "killed", stops=[stop], **request) == -signal.SIGKILL
    assert train(tmp_path / "killed", resume="must", **request) == 0
    assert_same_result(result_of(tmp_path / "killed"), result_of(tmp_path / "whole"))
