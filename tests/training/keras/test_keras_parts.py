"""Averages, loss scales, heads, shares of a batch, and options, each by itself."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_toy import TRAINING, ToyTask, make_order, make_workspace
from pydantic import ValidationError

from tenfold.errors import RecipeError, TrainingError
from tenfold.training.keras import precision as precision_module
from tenfold.training.keras.checkpoints import KerasCheckpoints
from tenfold.training.keras.ema import Ema
from tenfold.training.keras.engine import examples_of
from tenfold.training.keras.job import job_of
from tenfold.training.keras.learner import Learner
from tenfold.training.keras.options import KerasTraining
from tenfold.training.keras.precision import LossScale, built_in
from tenfold.training.keras.strategy import on_devices
from tenfold.training.keras.weights import values_of
from tenfold.training.pace import pace_of


def training(**options):
    return KerasTraining.model_validate(TRAINING | options)


# Averages --------------------------------------------------------------------------


def test_the_average_is_the_weighted_sum_of_all_that_was():
    model = ToyTask(normalised=False).model(None)
    weight = model.weights[0]
    ema = Ema(model, 0.25)
    expected, values = weight.numpy().astype(np.float64), [1.0, -2.0, 5.0, 0.5]
    for number, value in enumerate(values, 1):
        weight.assign(np.full(weight.shape, value, np.float32))
        ema.move(tf.constant(ema.next_share()))
        # 2/11, 3/12, and then no more than the decay that is asked for.
        decay = min(0.25, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * value
        found = ema.values()[weight.path]
        np.testing.assert_allclose(found, expected, atol=1e-6)
    other = Ema(model, 0.25)
    other.load(ema.to_state())
    assert other.updates == 4
    assert np.array_equal(other.values()[weight.path], ema.values()[weight.path])


# Precision -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("precision", "computed"),
    [("32-true", "float32"), ("16-mixed", "float16"), ("bf16-mixed", "bfloat16")],
)
def test_weights_and_the_head_are_float32_in_every_precision(data, precision, computed):
    model = job_of(make_order(data, precision=precision)).model
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert [layer.compute_dtype for layer in model.layers[1:]] == [
        *[computed] * 4,
        "float32",
    ]
    assert model.outputs[0].dtype == "float32"


def test_a_head_of_16_bits_is_refused(data):
    order = make_order(data, ToyTask(head=None), precision="bf16-mixed")
    with pytest.raises(TrainingError, match="is bfloat16; build the last layers with"):
        job_of(order)


def test_a_precision_that_keras_has_not_is_refused():
    with pytest.raises(RecipeError, match=r"keras has 32-true, .* not 16-true"):
        built_in("16-true").__enter__()


def test_the_scale_is_halved_by_an_overflow_and_doubled_after_a_while(monkeypatch):
    monkeypatch.setattr(precision_module, "_GROWTH_STEPS", 3)
    scale, found = LossScale("16-mixed"), []
    for finite in (True, True, True, True, False, True, True, True):
        scale.after_step(tf.constant(finite))
        found.append(float(scale.value()) / 2**15)
    assert found == [1, 1, 2, 2, 1, 1, 1, 2]
    other = LossScale("16-mixed")
    other.load(scale.to_state())
    assert other.to_state() == scale.to_state() == {"scale": 2.0**16, "good": 0}


def test_only_float16_has_a_scale():
    scale = LossScale("bf16-mixed")
    scale.after_step(tf.constant(False))
    assert float(scale.value()) == 1.0
    assert not scale.moves


def test_a_step_that_overflows_is_left_out(data):
    job = job_of(make_order(data, precision="16-mixed"))
    pace = pace_of(job.training, len(job.train_ids))
    learner = Learner(job, pace)
    batch = next(examples_of(job, pace).batches(0, 0))
    before = values_of(job.model)
    learner._scale.load({"scale": 2.0**120, "good": 7})
    learner.learn(batch, 1, 1)
    learner.step(1)
    name = "conv2d/kernel"
    assert np.array_equal(values_of(job.model)[name], before[name])
    assert learner._scale.to_state() == {"scale": 2.0**119, "good": 0}
    assert int(learner._optimiser.keras.iterations.numpy()) == 0
    # What overflowed is gone, and the next step is taken.
    learner._scale.load({"scale": 2.0**10, "good": 0})
    learner.learn(batch, 1, 1)
    learner.step(2)
    after = values_of(job.model)[name]
    assert np.isfinite(after).all()
    assert not np.array_equal(after, before[name])
    assert int(learner._optimiser.keras.iterations.numpy()) == 1


# Devices ---------------------------------------------------------------------------


def test_a_whole_batch_is_shared_out_and_stays_what_it_is():
    asked = training(batch=12)
    assert on_devices(asked, 3) == asked
    with pytest.raises(TrainingError, match=r"training\.batch of 12 .* multiple of 5"):
        on_devices(asked, 5)


@pytest.mark.parametrize(
    ("scaling", "factor"), [("none", 1), ("linear", 4), ("sqrt", 2)]
)
def test_a_batch_of_each_device_grows_and_the_rate_as_it_is_asked(scaling, factor):
    asked = training(batch=3, batch_is="device", rate_scaling=scaling)
    found = on_devices(asked, 4)
    assert found.batch == 12
    assert found.learning_rate == pytest.approx(factor * asked.learning_rate)
    assert on_devices(asked, 1) == asked


def test_a_step_on_several_devices_is_not_compiled():
    with pytest.raises(TrainingError, match="a step on 2 devices cannot be compiled"):
        on_devices(training(compile=True), 2)


# Options ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schedule": {"name": "cyclic"}}, "keras has no cyclic"),
        ({"schedule": {"name": "onecycle"}}, "set cycle_momentum to false"),
        ({"swa": {}}, "swa: keras has none; use ema"),
        ({"precision": "16-true"}, "not 16-true"),
        ({"rate_scaling": "sqrt"}, "a whole batch does not grow"),
    ],
)
def test_what_the_engine_cannot_do_is_refused_in_words(options, words):
    with pytest.raises(ValidationError, match=words):
        training(**options)


# Checkpoints -----------------------------------------------------------------------

PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.text(max_size=5)
)
DTYPES = st.sampled_from(["float32", "float64", "uint8", "int64", "float16"])
SHAPES = st.lists(st.integers(0, 3), max_size=3)
ARRAYS = st.builds(
    lambda dtype, shape, fill: np.full(shape, fill).astype(dtype),
    DTYPES,
    SHAPES,
    st.integers(0, 100),
)
STATES = st.recursive(
    PLAIN | ARRAYS | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert np.array_equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_same(value, other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for value, other_value in zip(one, other, strict=True):
            assert_same(value, other_value)
    else:
        assert one == other


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return KerasCheckpoints(make_workspace(tmp_path_factory.mktemp("checkpoints")))


@settings(max_examples=40)
@given(content=STATES)
def test_a_state_comes_back_as_it_was(checkpoints, content):
    checkpoints.save("1", {"content": content, "infinite": float("-inf")})
    found = checkpoints.load("must")
    assert_same(found["content"], content)
    assert found["infinite"] == float("-inf")
