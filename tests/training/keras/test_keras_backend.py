"""What a training leaves is what predictions are made with, checked as it is loaded."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras_toy import HELD_OUT_IDS, STEPS, ToyTask, make_order, make_workspace
from safetensors.numpy import load_file, save_file

from tenfold.data.dataset import Dataset
from tenfold.errors import StoreError, TrainingError
from tenfold.training.engines import find_engine
from tenfold.training.keras import backend
from tenfold.training.keras.measure import _pixels, measure
from tenfold.training.keras.weights import named, read_weights


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    order = replace(make_order(data, epochs=2, weights="ema"), weights=folder / "w")
    return backend.fit(order, make_workspace(folder), "auto")


def outputs_of(data, finished, kind="ema", batch=4, precision="32-true"):
    runner = backend.load(
        ToyTask(), finished.description, finished.files[kind], precision
    )
    return dict(runner(Dataset(data), HELD_OUT_IDS, batch))


def test_it_is_the_engine_of_its_name():
    assert find_engine("keras") is backend
    assert backend.has_gpu() in (True, False)


def test_what_is_left_says_what_it_is(finished):
    parameters = ToyTask().model(None).count_params()
    assert finished.description["parameters"] == parameters
    assert finished.description["devices"] == 1
    assert finished.description["threads"] >= 1
    assert set(finished.files) == {"last", "ema", "best"}
    names = {*load_file(finished.files["last"])}
    # However many networks were built before in this process.
    assert {"conv2d/kernel", "conv2d_1/bias"} < names
    assert not any("seed" in name for name in names)


def test_held_out_outputs_are_those_of_the_training(data, finished):
    """The figures of the last row are made with the weights in use."""
    outputs, dataset = outputs_of(data, finished), Dataset(data)
    assert list(outputs) == HELD_OUT_IDS
    total = sum(float(o["prob"].astype(np.float64).sum()) for o in outputs.values())
    assert finished.history[-1]["val/wobble"] == pytest.approx(total * 1e3 % 1.0)
    mask = dataset.sample(HELD_OUT_IDS[0])["mask"]
    assert outputs[HELD_OUT_IDS[0]]["prob"].shape == mask.shape


@pytest.mark.parametrize("batch", [1, 5, 100])
def test_the_size_of_a_batch_changes_nothing(data, finished, batch):
    expected = outputs_of(data, finished)
    for id_, outputs in outputs_of(data, finished, batch=batch).items():
        np.testing.assert_allclose(
            outputs["prob"], expected[id_]["prob"], atol=1e-6, err_msg=id_
        )


def test_another_precision_takes_the_same_weights(data, finished):
    expected = outputs_of(data, finished)
    for id_, outputs in outputs_of(data, finished, precision="bf16-mixed").items():
        apart = np.abs(outputs["prob"] - expected[id_]["prob"]).max()
        assert 0 < apart < 0.03, id_


def test_several_members_are_loaded_side_by_side(data, finished):
    arguments = (ToyTask(), finished.description)
    first = backend.load(*arguments, finished.files["ema"], "32-true")
    before = dict(first(Dataset(data), HELD_OUT_IDS, 4))
    backend.load(*arguments, finished.files["last"], "16-mixed")
    for id_, outputs in first(Dataset(data), HELD_OUT_IDS, 4):
        assert np.array_equal(outputs["prob"], before[id_]["prob"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("conv2d/bias"), "has no weight conv2d/bias, which functional"),
        (lambda w: w.update(more=np.zeros(1)), "has weight more, and functional"),
        (
            lambda w: w.update({"conv2d/bias": np.zeros(7)}),
            r"weight conv2d/bias is \(7,\), and functional needs \(6,\)",
        ),
    ],
)
def test_weights_of_another_network_are_refused(finished, tmp_path, change, words):
    weights = load_file(finished.files["last"])
    change(weights)
    file = tmp_path / "other.safetensors"
    save_file(weights, file)
    with pytest.raises(StoreError, match=words):
        backend.load(ToyTask(), finished.description, file, "32-true")


def test_a_file_that_is_none_of_weights_is_refused(tmp_path):
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"what is this")
    with pytest.raises(StoreError, match="is no file of weights"):
        read_weights(file)


class Twins(keras.Layer):
    """Has two weights of one name."""

    def build(self, _):
        self.first, self.second = (self.add_weight(name="w") for _ in range(2))

    def call(self, inputs):
        return inputs * self.first * self.second


def test_weights_of_one_name_are_refused():
    model = keras.Sequential([keras.Input((2,)), Twins(name="pair")])
    with pytest.raises(TrainingError, match=r"two weights called .*pair/w; give its"):
        named(model)


# Measuring -------------------------------------------------------------------------


def test_measuring_takes_the_steps_of_a_training(data):
    task = ToyTask()
    order = make_order(data, task, accumulate=2, epochs=1)
    found = measure(order, 3, 2)
    for timing in (found.training, found.repeated):
        assert (timing.samples, timing.steps) == (3 * 2 * 4, 3)
        assert timing.seconds > 0
        assert timing.peak_bytes > 1e6
    assert found.inference.samples == 6
    assert found.inference.waited is None
    assert 0 < found.training.waited < 1
    assert found.parameters == task.model(None).count_params()
    assert found.pixels == found.whole_pixels == 64
    assert not order.weights.exists()
    # No sample comes twice in an epoch, and batches are those of one after the other.
    assert len(set(task.seen[: STEPS * 4])) == STEPS * 4


def test_a_plane_is_height_by_width_whatever_comes_before_or_behind():
    assert _pixels({"row": np.zeros(5)}) == 1
    assert _pixels({"mask": np.zeros((3, 4))}) == 12
    assert _pixels({"mask": np.zeros((3, 4)), "image": np.zeros((5, 3, 4, 2))}) == 12
