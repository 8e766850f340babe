"""Networks against the published sizes, and what every option makes of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tenfold.challenges.contrails.networks.p3d import p3d_resnet
from tenfold.challenges.contrails.options import ContrailsNet
from tenfold.errors import RecipeError

UNET = ContrailsNet(widths=(4, 8, 12))
PUBLISHED = ContrailsNet(dropout=0.1)
DEEPLAB_R50 = ContrailsNet(architecture="deeplab", backbone="resnet50")
DEEPLAB_P3D = ContrailsNet(architecture="deeplab", backbone="p3d")
UNET_R50 = ContrailsNet(backbone="resnet50")
UNET_P3D = ContrailsNet(backbone="p3d", full_resolution=True)
LEARNED = DEEPLAB_P3D.model_copy(update={"time": "learned"})
#: keras.applications.ResNet50(include_top=False), and what of it is not trained.
RESNET50, RESNET50_FIXED = 23_587_712, 53_120


def trained(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def changed(net, **options):
    return net.model_copy(update=options)


# Sizes.


def map_side(model, layer):
    return tuple(model.get_layer(layer).output.shape[-3:-1])


@pytest.mark.parametrize(
    ("net", "frames", "parameters", "trainable"),
    [
        (PUBLISHED, 1, 9_491_868, 9_478_172),
        (UNET_P3D, 5, 51_138_305, None),
        (DEEPLAB_R50, 1, 11_852_353, 11_819_617),
        (DEEPLAB_P3D, 5, 13_285_825, 13_248_609),
        (LEARNED, 5, 13_613_761, None),
    ],
)
def test_networks_are_as_large_as_published(
    networks, net, frames, parameters, trainable
):
    model = networks.built(net, frames, (256, 256))
    assert model.count_params() == parameters
    assert trainable is None or trained(model) == trainable
    assert model.output["logit"].shape == (None, 256, 256, 1)


def norms_in(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from norms_in(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            yield layer


@pytest.mark.parametrize("net", [UNET, DEEPLAB_R50])
def test_every_normalisation_forgets_as_the_recipe_says(networks, net):
    for momentum in (0.99, 0.8):
        model = networks.built(changed(net, norm_momentum=momentum), 1, (64, 64))
        assert {norm.momentum for norm in norms_in(model)} == {momentum}


def test_p3d_alone_is_as_large_as_published():
    model = p3d_resnet((5, 256, 256, 3), ("conv5_block3_out",))
    assert model.count_params() == 27_378_944


def test_blocks_of_p3d_are_equally_large():
    taps = ("conv2_block3_out",)
    models = [p3d_resnet((5, 32, 32, 3), taps, blocks=b, stacks=1) for b in "ABC"]
    assert len({model.count_params() for model in models}) == 1


def test_the_unet_over_resnet50_is_its_parts(networks):
    """The decoder is that of the published network over P3DResNet.

    51,138,305 less P3DResNet's 27,378,944 and less three mixtures of frames, of 5, 5
    and 2.
    """
    mixtures = sum(c * c * t + c for c, t in ((64, 5), (256, 5), (512, 2)))
    decoder = 51_138_305 - 27_378_944 - mixtures
    model = networks.built(UNET_R50, side=(256, 256), upsample=2)
    assert model.count_params() == RESNET50 + decoder
    # As intended: the first layer halves what was doubled, and nothing is pooled.
    assert map_side(model, "enlarge") == (512, 512)
    assert map_side(model, "head") == (256, 256)
    assert "logit_pool" not in {layer.name for layer in model.layers}
    widths = (1024, 1024, 512, 256, 64)
    # Moving means and variances: two in a block, one after an enlargement.
    norms = 2 * sum(2 * width for width in widths) + 2 * sum(widths[1:])
    assert trained(model) == RESNET50 - RESNET50_FIXED + decoder - norms


# Shapes.


@pytest.mark.parametrize(
    ("frames", "side"),
    [(1, (96, 96)), (2, (64, 64)), (4, (96, 64)), (8, (45, 50))],
)
def test_logits_are_of_the_frame_whatever_the_frames(networks, frames, side):
    model = networks.built(DEEPLAB_P3D, frames, side)
    assert model.input.shape == (None, frames, *side, 3)
    assert {name: map.shape for name, map in model.output.items()} == {
        "logit": (None, *side, 1)
    }


@pytest.mark.parametrize(
    ("net", "frames", "upsample"),
    [
        (UNET, 3, 2),
        (changed(UNET, head="symmetric"), 1, 1),
        (UNET_R50, 1, 1),
        (UNET_P3D, 8, 1),
        (changed(DEEPLAB_R50, full_resolution=True), 2, 1),
        (changed(DEEPLAB_P3D, full_resolution=True, blocks="B"), 4, 2),
        (changed(LEARNED, full_resolution=True, head="symmetric"), 8, 1),
    ],
)
def test_logits_are_of_the_frame_whatever_the_options(networks, net, frames, upsample):
    side = (96, 64) if net.backbone == "own" else (44, 45)
    model = networks.built(net, frames, side, upsample=upsample, channels=4)
    names = {"logit"} | ({"symmetric_logit"} if net.head == "symmetric" else set())
    assert model.input.shape == (None, frames, *side, 4)
    assert set(model.output) == names
    assert all(map.shape == (None, *side, 1) for map in model.output.values())


def test_a_full_resolution_decoder_goes_up_to_the_frame(networks):
    full = networks.built(changed(DEEPLAB_R50, full_resolution=True), side=(64, 64))
    assert map_side(full, "aspp_relu") == (8, 8)
    assert map_side(full, "decoder_2_relu") == (32, 32)
    assert map_side(full, "full_2_relu") == map_side(full, "head") == (64, 64)


# What is in it.


def test_names_are_unique_and_the_same_in_every_build(networks):
    net = changed(LEARNED, dropout=0.1, full_resolution=True, head="symmetric")
    paths = [[w.path for w in networks.built(net, 5).weights] for _ in range(2)]
    assert paths[0] == paths[1]
    assert len(set(paths[0])) == len(paths[0])


def dropouts(model):
    inner = [part for part in model.layers if part.name == "backbone"]
    found = [layer for part in (model, *inner) for layer in part.layers]
    return {d.name: d.rate for d in found if isinstance(d, keras.layers.Dropout)}


@pytest.mark.parametrize(
    ("net", "names"),
    [
        (UNET, ["down1", "down2", "up1", "up2"]),
        (DEEPLAB_R50, ["aspp", "head"]),
        (DEEPLAB_P3D, ["aspp", "head", "pool1", "pool2", "pool3"]),
    ],
)
def test_dropout_is_after_pools_and_in_the_decoder(networks, net, names):
    found = dropouts(networks.built(changed(net, dropout=0.2), 2))
    assert found == {f"{name}_dropout": 0.2 for name in names}


def test_no_dropout_is_no_layer(networks):
    assert dropouts(networks.built(DEEPLAB_P3D, 2)) == {}


def test_a_saved_network_is_loaded_in_safe_mode(networks, tmp_path):
    net = changed(UNET, head="symmetric", dropout=0.1)
    model = networks.scatter(
        networks.built(net, 3, upsample=2, normalise="caffe", labelled=1)
    )
    model.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras", safe_mode=True)
    frames = networks.frames(2, 3, 32, 32, 3)
    for name, logit in model(frames).items():
        np.testing.assert_array_equal(again(frames)[name], logit)


# Learning.


def gradients(model, frames):
    with tf.GradientTape() as tape:
        outputs = model(frames, training=True)
        loss = sum(tf.reduce_mean(tf.square(logit - 1.0)) for logit in outputs.values())
    return outputs, tape.gradient(loss, model.trainable_variables)


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize(
    ("net", "frames"),
    [
        (changed(UNET, head="symmetric", dropout=0.1), 2),
        (changed(UNET_P3D, blocks="C"), 3),
        (changed(DEEPLAB_R50, full_resolution=True), 1),
        (changed(LEARNED, blocks="B", full_resolution=True, head="symmetric"), 5),
    ],
)
def test_every_weight_learns_and_logits_are_float32_in_mixed_precision(
    networks, net, frames
):
    model = networks.built(net, frames, (16, 16), upsample=2, normalise="caffe")
    outputs, found = gradients(model, networks.frames(2, frames, 16, 16, 3))
    assert {logit.dtype.name for logit in outputs.values()} == {"float32"}
    inner = {layer.name: layer.compute_dtype for layer in model.layers}
    features = {dtype for name, dtype in inner.items() if name.endswith("_relu")}
    assert features == {"bfloat16"}
    assert {inner[name] for name in ("caffe", "enlarge", "head")} == {"float32"}
    paths = [weight.path for weight in model.trainable_variables]
    assert [path for path, g in zip(paths, found, strict=True) if g is None] == []
    assert {g.dtype.name for g in found} == {"float32"}
    # What is added before a mean is taken off has no effect: biases may be idle.
    idle = [p for p, g in zip(paths, found, strict=True) if not np.any(g)]
    assert [path for path in idle if not path.endswith("bias")] == []


# Refusals.


def test_a_side_that_cannot_be_halved_is_refused(networks):
    with pytest.raises(RecipeError, match="multiple of 16, and frames are 64 × 72 px"):
        networks.built(ContrailsNet(), side=(64, 72))
    doubled = networks.built(ContrailsNet(), side=(64, 72), upsample=2)
    assert doubled.output["logit"].shape == (None, 64, 72, 1)


def test_a_labelled_frame_that_is_not_packed_is_refused(networks):
    with pytest.raises(RecipeError, match="no frame 3 among 3"):
        networks.built(UNET, 3, labelled=3)


def test_caffe_of_other_channels_than_three_is_refused(networks):
    with pytest.raises(RecipeError, match="3 channels, and frames have 4"):
        networks.built(UNET, channels=4, normalise="caffe")
