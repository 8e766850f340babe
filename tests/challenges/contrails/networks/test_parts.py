"""Parts of networks against closed forms: frames, normalisation, resizing, heads."""

import keras
import numpy as np
import pytest

from tenfold.challenges.contrails.networks.heads import fit_frame, shift_back
from tenfold.challenges.contrails.networks.layers import (
    bilinear,
    caffe,
    enlarge,
    reduce_time,
)
from tenfold.challenges.contrails.options import ContrailsNet

UNET = ContrailsNet(widths=(4, 8, 12))
DEEPLAB = ContrailsNet(architecture="deeplab", backbone="resnet50")
P3D = ContrailsNet(architecture="deeplab", backbone="p3d")


def alone(part, *shape):
    """A model of one part, over an input (N, *shape)."""
    image = keras.Input(shape)
    return keras.Model(image, part(image))


def logits(model, frames):
    return np.asarray(model(frames)["logit"])


# Frames.


def test_a_network_of_one_frame_sees_the_labelled_one(networks):
    model = networks.scatter(networks.built(UNET, 5, labelled=3))
    frames = networks.frames(2, 5, 32, 32, 3)
    found = logits(model, frames)
    single = networks.built(UNET, 1)
    single.set_weights(model.get_weights())
    np.testing.assert_allclose(found, logits(single, frames[:, 3:4]), atol=1e-6)
    others = frames.copy()
    others[:, [0, 1, 2, 4]] = 0.0
    np.testing.assert_array_equal(found, logits(model, others))
    assert np.any(found != logits(model, frames[:, ::-1]))


def test_p3d_sees_every_frame(networks):
    model = networks.scatter(networks.built(P3D, 3, labelled=1))
    frames = networks.frames(1, 3, 32, 32, 3)
    found = logits(model, frames)
    for place in range(3):
        other = frames.copy()
        other[:, place] = 1 - other[:, place]
        assert np.any(found != logits(model, other))


@pytest.mark.parametrize("shape", [(4, 5, 3), (2, 4, 5, 3)])
def test_caffe_is_what_resnet50_was_pretrained_with(networks, shape):
    image = networks.frames(2, *shape)
    expected = keras.applications.resnet50.preprocess_input(255 * image)
    found = np.asarray(alone(caffe, *shape)(image))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found.min() < -50
    assert found.max() > 80


def test_a_network_normalises_then_enlarges_then_pools(networks):
    """The same network without these, over what Keras and NumPy make of frames."""
    options = {"normalise": "caffe", "upsample": 2}
    whole = networks.scatter(networks.built(UNET, 1, (16, 16), **options))
    bare = networks.built(UNET, 1, (32, 32))
    bare.set_weights(whole.get_weights())
    frames = networks.frames(1, 1, 16, 16, 3)
    seen = keras.applications.resnet50.preprocess_input(255 * frames)
    large = logits(bare, seen.repeat(2, axis=2).repeat(2, axis=3))
    probability = 1 / (1 + np.exp(-large / 100.0))
    found = 1 / (1 + np.exp(-logits(whole, frames) / 100.0))
    expected = probability.reshape(1, 16, 2, 16, 2, 1).max(axis=(2, 4))
    assert found.std() > 1e-2
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 4, 2), (2, 3, 4, 2)])
def test_enlarging_repeats_rows_and_columns(networks, shape):
    frames = networks.frames(2, *shape)
    expected = frames.repeat(2, axis=-3).repeat(2, axis=-2)
    np.testing.assert_array_equal(alone(enlarge, *shape)(frames), expected)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_the_mean_of_frames_is_their_mean(networks, frames):
    maps = networks.frames(2, frames, 3, 4, 6)
    model = alone(lambda x: reduce_time(x, "mean", "time"), frames, 3, 4, 6)
    np.testing.assert_allclose(model(maps), maps.mean(axis=1), atol=1e-6)
    assert model.count_params() == 0


def test_a_learned_mixture_weighs_every_frame(networks):
    maps = networks.frames(2, 4, 3, 5, 6)
    model = alone(lambda x: reduce_time(x, "learned", "time"), 4, 3, 5, 6)
    kernel, bias = networks.scatter(model).get_weights()
    expected = np.einsum("nthwc,tcd->nhwd", maps, kernel[:, 0, 0]) + bias
    np.testing.assert_allclose(model(maps), expected, atol=1e-5)
    assert alone(lambda x: reduce_time(x, "learned", "a"), 1, 3, 5, 6).weights == []


# Sizes.


def interpolated(line, length):
    """Linear interpolation between centres of pixels, the ends repeated."""
    centres = (np.arange(length) + 0.5) * len(line) / length - 0.5
    return np.interp(centres, np.arange(len(line)), line)


def resized(maps, side):
    rows = np.apply_along_axis(interpolated, 1, maps.astype(np.float64), side[0])
    return np.apply_along_axis(interpolated, 2, rows, side[1])


def test_bilinear_interpolates_between_centres(networks):
    maps = networks.frames(1, 3, 5, 2)
    found = np.asarray(alone(lambda x: bilinear(x, (7, 15)), 3, 5, 2)(maps))
    np.testing.assert_allclose(found, resized(maps, (7, 15)), atol=1e-5)


def test_logits_twice_as_large_are_pooled_and_smaller_ones_interpolated(networks):
    large = networks.frames(1, 6, 8, 1)
    found = alone(lambda x: fit_frame(x, (3, 4)), 6, 8, 1)(large)
    expected = large.reshape(1, 3, 2, 4, 2, 1).max(axis=(2, 4))
    np.testing.assert_array_equal(found, expected)
    small = alone(lambda x: fit_frame(x, (11, 16)), 6, 8, 1)(large)
    np.testing.assert_allclose(small, resized(large, (11, 16)), atol=1e-5)
    same = keras.Input((6, 8, 1))
    assert fit_frame(same, (6, 8)) is same


def test_deeplab_gives_what_a_head_after_the_enlargement_would(networks):
    model = networks.scatter(networks.built(DEEPLAB, side=(64, 64)))
    frames = networks.frames(1, 1, 64, 64, 3)
    features = keras.Model(model.input, model.get_layer("decoder_2_relu").output)
    enlarged = keras.layers.UpSampling2D(4, interpolation="bilinear")(features(frames))
    kernel, bias = model.get_layer("head").get_weights()
    expected = np.asarray(enlarged) @ kernel[0, 0] + bias
    found = logits(model, frames)
    assert found.std() > 1e-2
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(found).max())


# The shift of labels.


@pytest.fixture(scope="module")
def shift(networks):
    return networks.scatter(alone(shift_back, 5, 6, 1))


def shifted(logit, weights):
    """The small last layer, one pixel at a time; borders repeated."""
    maps, bias, mix, last = weights
    bordered = np.pad(logit, 1, mode="edge")
    found = np.empty_like(logit)
    for row, column in np.ndindex(logit.shape):
        window = bordered[row : row + 3, column : column + 3]
        nine = np.tensordot(window, maps[:, :, 0], axes=2) + bias
        found[row, column] = np.maximum(nine, 0) @ mix[0, 0, :, 0] + last[0]
    return found


def test_the_shift_is_nine_maps_of_a_repeated_border(networks, shift):
    logit = networks.frames(1, 5, 6, 1) * 8 - 4
    expected = shifted(logit[0, :, :, 0].astype(np.float64), shift.get_weights())
    found = np.asarray(shift(logit))[0, :, :, 0]
    assert found.std() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_shift_of_a_constant_is_constant_up_to_the_border(shift):
    maps, bias, mix, last = shift.get_weights()
    nine = np.maximum(-2.5 * maps.sum(axis=(0, 1, 2)) + bias, 0)
    expected = nine @ mix[0, 0, :, 0] + last[0]
    found = shift(np.full((1, 5, 6, 1), -2.5, np.float32))
    np.testing.assert_allclose(found, np.full((1, 5, 6, 1), expected), atol=1e-6)


def test_a_symmetric_head_shifts_what_the_network_gives(networks):
    net = UNET.model_copy(update={"head": "symmetric"})
    model = networks.scatter(networks.built(net, upsample=2))
    outputs = model(networks.frames(1, 1, 32, 32, 3))
    symmetric = np.asarray(outputs["symmetric_logit"], np.float64)[0, :, :, 0]
    expected = shifted(symmetric, model.get_weights()[-4:])
    found = np.asarray(outputs["logit"])[0, :, :, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert symmetric.std() > 1e-4
