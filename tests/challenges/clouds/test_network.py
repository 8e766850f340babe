"""Networks against the published sizes, and what they give for a picture."""

import numpy as np
import pytest
import torch
from torch import nn

from tenfold.challenges.clouds.network import (
    ClassifierModel,
    Normalise,
    PresenceHead,
    SegmenterModel,
    build_model,
    colour_planes,
)
from tenfold.challenges.clouds.options import CloudsBackbone, CloudsInput, CloudsNet
from tenfold.errors import RecipeError
from tenfold.training.colours import IMAGENET

TINY = "mobilenetv3_small_050"
AS_PUBLISHED = CloudsInput()


@pytest.fixture(autouse=True)
def _one_thread():
    """Two threads that share a busy core wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def pictures(count=2, height=64, width=96, seed=0):
    rng = np.random.default_rng(seed)
    shape = (count, height, width, 3)
    return torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))


# Sizes.


@pytest.mark.parametrize(
    ("architecture", "encoder", "millions"),
    [
        ("fpn", "densenet121", 9.3),
        ("unet", "efficientnet-b5", 31.2),
        ("fpn", "inceptionresnetv2", 56.7),
        ("unet", "efficientnet-b7", 67.1),
        ("fpn", "efficientnet-b7", 65.7),
        ("fpn", "resnet34", 23.2),
    ],
)
def test_networks_are_as_large_as_published(architecture, encoder, millions):
    net = CloudsNet(architecture=architecture, encoder=encoder)
    with torch.device("meta"):
        model = SegmenterModel(AS_PUBLISHED, net)
    assert round(parameters(model) / 1e6, 1) == millions


def test_the_classifier_is_as_large_as_published():
    """The published count is the backbone's; the head adds its two layers."""
    with torch.device("meta"):
        model = ClassifierModel(
            AS_PUBLISHED, CloudsBackbone(backbone="efficientnet_b1")
        )
    assert round(parameters(model.net.backbone) / 1e6, 1) == 6.5
    assert parameters(model.net.head) == (1280 + 1) * 64 + (64 + 1) * 4
    assert parameters(model) == parameters(model.net.backbone) + 82_244


def test_a_presence_head_adds_two_layers_on_the_deepest_level():
    net = CloudsNet(encoder="resnet34")
    with torch.device("meta"):
        plain = SegmenterModel(AS_PUBLISHED, net)
        headed = SegmenterModel(AS_PUBLISHED, net.model_copy(update={"head": True}))
    added = parameters(headed) - parameters(plain)
    assert added == (512 + 1) * 64 + (64 + 1) * 4


# What goes in and comes out.


@pytest.mark.parametrize("architecture", ["fpn", "unet"])
@pytest.mark.parametrize("head", [False, True])
def test_a_segmenter_gives_four_logits_a_pixel(architecture, head):
    net = CloudsNet(architecture=architecture, encoder=f"tu-{TINY}", head=head)
    model = build_model(AS_PUBLISHED, net).eval()
    with torch.inference_mode():
        pixels, presence = model(pictures())
    assert pixels.shape == (2, 4, 64, 96)
    if head:
        assert presence.shape == (2, 4)
    else:
        assert presence is None


@pytest.mark.parametrize("hidden", [None, 8])
def test_a_classifier_gives_four_logits(hidden):
    model = build_model(AS_PUBLISHED, CloudsBackbone(backbone=TINY, hidden=hidden))
    with torch.inference_mode():
        assert model.eval()(pictures()).shape == (2, 4)
        assert model(pictures(height=96, width=64)).shape == (2, 4)


def test_the_head_of_the_network_reads_the_deepest_level():
    net = CloudsNet(encoder=f"tu-{TINY}", head=True)
    model = build_model(AS_PUBLISHED, net).eval()
    with torch.inference_mode():
        image = model.normalise(colour_planes(pictures()))
        deepest = model.net.encoder(image)[-1]
        first, last = (m for m in model.net.classification_head if hasattr(m, "bias"))
        mean = deepest.mean(dim=(2, 3))
        expected = (mean @ first.weight.T + first.bias) @ last.weight.T + last.bias
        torch.testing.assert_close(model.scores(image).presence, expected)


def test_a_head_is_linear_in_the_mean_over_positions():
    """No nonlinearity between the layers; dropout only while training."""
    torch.manual_seed(0)
    head = PresenceHead(6, 0.5, 3).eval()
    features, other = torch.randn(2, 2, 6, 4, 5)
    mean = features.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(head(features), head(mean))
    middle = head((features + other) / 2)
    torch.testing.assert_close(middle, (head(features) + head(other)) / 2)
    assert not torch.equal(head.train()(features), head(features))


def test_the_dropout_is_the_recipes():
    net = CloudsBackbone(backbone=TINY, dropout=0.2)
    model = build_model(AS_PUBLISHED, net)
    (dropout,) = (m for m in model.net.head if isinstance(m, nn.Dropout))
    assert dropout.p == 0.2


# Colours.


def test_white_black_and_grey_are_normalised_as_imagenet_is():
    picture = torch.tensor([[[[255, 0, 124]]]], dtype=torch.uint8)
    found = Normalise(IMAGENET)(colour_planes(picture))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = [
        (share - m) / s
        for share, m, s in zip((1, 0, 124 / 255), mean, std, strict=True)
    ]
    assert found.shape == (1, 3, 1, 1)
    assert found.dtype == torch.float32
    assert found.flatten().tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "net",
    [
        CloudsNet(encoder="tu-test_resnet", weights="mine.safetensors"),
        CloudsBackbone(backbone="test_resnet"),
    ],
)
def test_an_encoders_own_colours_are_taken_where_asked(net):
    own = build_model(CloudsInput(normalise="encoder"), net)
    # Of that network timm says mean and deviation 0.5.
    assert own.normalise.mean.flatten().tolist() == [127.5] * 3
    assert own.normalise.std.flatten().tolist() == [127.5] * 3
    other = build_model(AS_PUBLISHED, net)
    assert other.normalise.mean.flatten().tolist() == pytest.approx(
        [0.485 * 255, 0.456 * 255, 0.406 * 255]
    )


def test_colours_live_in_the_weights():
    net = CloudsBackbone(backbone="test_resnet")
    saved = build_model(CloudsInput(normalise="encoder"), net).state_dict()
    restored = build_model(AS_PUBLISHED, net)
    restored.load_state_dict(saved)
    assert restored.normalise.mean.flatten().tolist() == [127.5] * 3


# Memory order and widths.


@pytest.mark.parametrize(
    "net",
    [
        CloudsNet(encoder=f"tu-{TINY}", channels_last=True),
        CloudsBackbone(backbone=TINY, channels_last=True),
    ],
)
def test_channels_last_changes_the_order_and_not_the_logits(net):
    torch.manual_seed(1)
    last = build_model(AS_PUBLISHED, net).eval()
    plain = build_model(
        AS_PUBLISHED, net.model_copy(update={"channels_last": False})
    ).eval()
    plain.load_state_dict(last.state_dict())
    weights = [p for p in last.parameters() if p.ndim == 4 and min(p.shape[1:3]) > 1]
    assert weights
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    with torch.inference_mode():
        found, expected = (
            logits if isinstance(logits, torch.Tensor) else logits.pixels
            for logits in (last(pictures()), plain(pictures()))
        )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_decoders_are_as_wide_as_asked():
    widths = (32, 16, 8, 8)
    encoder = f"tu-{TINY}"
    unet = SegmenterModel(
        AS_PUBLISHED,
        CloudsNet(architecture="unet", encoder=encoder, decoder_channels=widths),
    )
    assert [block.conv2[0].out_channels for block in unet.net.decoder.blocks] == [
        *widths
    ]
    fpn = SegmenterModel(
        AS_PUBLISHED, CloudsNet(encoder=encoder, decoder_channels=(24,))
    )
    assert fpn.net.decoder.p5.out_channels == 24


# What is refused.


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (CloudsNet(encoder="inceptionresnet_v2"), "mean 'inceptionresnetv2'"),
        (CloudsNet(encoder=TINY), f"did you mean 'tu-{TINY}'"),
        (
            CloudsNet(architecture="unet", decoder_channels=(8,) * 6),
            "unet cannot have encoder resnet34",
        ),
        (
            CloudsNet(encoder="tu-swin_tiny_patch4_window7_224"),
            "tu-swin_tiny_patch4_window7_224 cannot be used .*convolutional",
        ),
        (CloudsBackbone(backbone="nosuch"), "nosuch cannot be used"),
        (
            CloudsBackbone(backbone="vit_tiny_patch16_224"),
            "vit_tiny_patch16_224 cannot be used .*convolutional",
        ),
        (
            CloudsBackbone(backbone="swin_tiny_patch4_window7_224"),
            "swin_tiny_patch4_window7_224 cannot be used .*convolutional",
        ),
        (
            CloudsBackbone(backbone="mambaout_femto"),
            "mambaout_femto gives .*no map of 288 features",
        ),
    ],
)
def test_networks_that_do_not_exist_or_fit_are_refused_by_name(net, words):
    with pytest.raises(RecipeError, match=words):
        build_model(AS_PUBLISHED, net)


def test_the_recipes_reference_says_which_networks_there_are():
    for kind, option in ((CloudsNet, "encoder"), (CloudsBackbone, "backbone")):
        said = kind.model_fields[option].description
        assert "a convolutional network of timm's" in said
