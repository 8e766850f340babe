"""ResNet50 against Keras's own, its weights, and P3DResNet against its formulas."""

import h5py
import keras
import numpy as np
import pytest

from tenfold.challenges.contrails.networks.p3d import p3d_resnet
from tenfold.challenges.contrails.networks.resnet50 import load_resnet50, resnet50
from tenfold.challenges.contrails.networks.unet import P3D_TAPS, RESNET50_TAPS
from tenfold.challenges.contrails.options import ContrailsNet
from tenfold.errors import RecipeError

DEEPLAB = ContrailsNet(architecture="deeplab", backbone="resnet50")


def write_weights(path, layers):
    """Write weights in the format of the files that Keras publishes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                group.create_dataset(name, data=value)
    return path


@pytest.fixture(scope="module")
def reference(networks):
    """Keras's ResNet50 with weights of which none is idle."""
    whole = keras.applications.ResNet50(include_top=False, weights=None)
    return networks.scatter(whole)


@pytest.fixture(scope="module")
def weights(reference, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return write_weights(folder / "resnet50_notop.h5", reference.layers)


# ResNet50.


def test_resnet50_is_keras_own(networks, reference, weights):
    image = keras.Input((64, 96, 3))
    backbone = resnet50((64, 96, 3), RESNET50_TAPS, stem_stride=2, stacks=4)
    model = keras.Model(image, backbone(image))
    load_resnet50(model, weights)
    frames = networks.frames(1, 64, 96, 3)
    taps = [reference.get_layer(name).output for name in RESNET50_TAPS]
    expected = keras.Model(reference.input, taps)(frames)
    for found, wanted in zip(model(frames), expected, strict=True):
        assert np.std(wanted) > 1e-2
        np.testing.assert_allclose(found, wanted, atol=1e-4 * np.max(wanted))


def test_part_of_resnet50_takes_its_part_of_the_weights(networks, reference, weights):
    options = {"full_resolution": True, "trainable": False}
    model = networks.built(DEEPLAB.model_copy(update=options))
    load_resnet50(model, weights)
    layers = [part for part in model.get_layer("backbone").layers if part.weights]
    assert "conv4_block6_2_bn" in {layer.name for layer in layers}
    for layer in layers:
        expected = reference.get_layer(layer.name).get_weights()
        for value, wanted in zip(layer.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(value, wanted)


def test_a_frozen_backbone_stays_as_it_is(networks):
    frozen = DEEPLAB.model_copy(update={"trainable": False})
    model = networks.built(frozen)
    backbone = model.get_layer("backbone")
    assert backbone.trainable_weights == []
    assert len(model.trainable_weights) > 0
    image = networks.frames(2, 32, 32, 3)
    before = backbone.get_weights()
    trained, tested = (backbone(image, training=mode) for mode in (True, False))
    for one, other in zip(trained, tested, strict=True):
        np.testing.assert_array_equal(one, other)
    for was, value in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(was, value)


def test_a_damaged_file_is_refused_by_name(networks, weights, tmp_path):
    broken = tmp_path / "broken_notop.h5"
    broken.write_bytes(weights.read_bytes()[:100_000])
    model = networks.built(DEEPLAB)
    before = model.get_weights()
    with pytest.raises(RecipeError, match=r"broken_notop\.h5 is not Keras's file of"):
        load_resnet50(model, broken)
    for was, value in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, value)


def test_a_file_of_another_network_is_refused_by_name(networks, reference, tmp_path):
    write_weights(tmp_path / "other.h5", reference.layers[:-8])
    (tmp_path / "weights.pth").write_bytes(b"PK")
    model = networks.built(DEEPLAB)
    for name in ("other.h5", "weights.pth"):
        with pytest.raises(RecipeError, match=f"{name} is not Keras's file of ResNet"):
            load_resnet50(model, tmp_path / name)


# P3DResNet.


@pytest.mark.parametrize(
    ("frames", "left"),
    [
        (1, [1, 1, 1, 1, 1]),
        (2, [2, 2, 1, 1, 1]),
        (4, [4, 4, 1, 1, 1]),
        (5, [5, 5, 2, 1, 1]),
        (8, [8, 8, 2, 1, 1]),
    ],
)
def test_p3d_halves_time_beside_space(frames, left):
    model = p3d_resnet((frames, 64, 45, 3), P3D_TAPS, stem_stride=1)
    assert [tuple(tap.shape) for tap in model.outputs] == [
        (None, left[0], 64, 45, 64),
        (None, left[1], 32, 23, 256),
        (None, left[2], 16, 12, 512),
        (None, left[3], 8, 6, 1024),
        (None, left[4], 4, 3, 2048),
    ]


def block(blocks, networks):
    """The first block of a P3DResNet: its input, its filters, and what comes after."""
    joined = "conv2_block1_2_t_relu" if blocks == "A" else "conv2_block1_2_sum"
    taps = ("conv2_block1_1_relu", "conv2_block1_2_s_relu", joined)
    taps = (*taps, "conv2_block1_3_conv")
    model = p3d_resnet((4, 12, 12, 3), taps, blocks=blocks, stacks=1)
    return networks.scatter(model)


def set_filter(model, name, kernel):
    """Make a filter relu(kernel * x), of each channel on its own."""
    layer = model.get_layer(f"conv2_block1_2_{name}_conv")
    weights, bias = layer.get_weights()
    eye = np.eye(weights.shape[-1], dtype=np.float32)
    taps = np.asarray(kernel, np.float32).reshape(*weights.shape[:3], 1, 1)
    layer.set_weights([taps * eye, np.zeros_like(bias)])
    norm = model.get_layer(f"conv2_block1_2_{name}_bn")
    one, zero = np.ones_like(bias), np.zeros_like(bias)
    norm.set_weights([one, zero, zero, one - np.float32(norm.epsilon)])


def outputs(model, networks):
    return [np.asarray(tap) for tap in model(networks.frames(2, 4, 12, 12, 3))]


@pytest.mark.parametrize(("blocks", "factor"), [("A", 1.0), ("B", 2.5), ("C", 1.5)])
def test_blocks_filter_in_space_and_time_as_their_formulas_say(
    networks, blocks, factor
):
    """S halves and T doubles: T(S(x)), S(x) + T(x), and S(x) + T(S(x))."""
    model = block(blocks, networks)
    set_filter(model, "s", [[0, 0, 0], [0, 0.5, 0], [0, 0, 0]])
    set_filter(model, "t", [0, 2, 0])
    x, space, joined, after = outputs(model, networks)
    assert x.std() > 1e-3
    np.testing.assert_allclose(space, 0.5 * x, rtol=1e-5)
    np.testing.assert_allclose(joined, factor * x, rtol=1e-5)
    kernel, bias = model.get_layer("conv2_block1_3_conv").get_weights()
    np.testing.assert_allclose(after, joined @ kernel[0, 0, 0] + bias, atol=1e-5)


@pytest.mark.parametrize(("blocks", "share"), [("A", 0.0), ("B", 1.0), ("C", 1.0)])
def test_blocks_b_and_c_keep_space_where_time_is_silent(networks, blocks, share):
    """A last normalisation of gamma 0 and beta 0.25 makes T constant."""
    model = block(blocks, networks)
    norm = model.get_layer("conv2_block1_2_t_bn")
    gamma, beta, mean, variance = norm.get_weights()
    norm.set_weights([0 * gamma, 0 * beta + 0.25, mean, variance])
    _, space, joined, _ = outputs(model, networks)
    assert space.std() > 1e-4
    np.testing.assert_allclose(joined, share * space + 0.25, atol=1e-6)


def test_time_is_filtered_over_three_frames(networks):
    """A kernel of one tap moves the frames on by one; before the first is nothing."""
    model = block("A", networks)
    set_filter(model, "s", [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    set_filter(model, "t", [1, 0, 0])
    x, _, joined, _ = outputs(model, networks)
    np.testing.assert_allclose(joined[:, 1:], x[:, :-1], rtol=1e-5)
    assert not joined[:, 0].any()
