"""Every architecture that a recipe can name is built, fits its tile, and learns."""

import typing

import pytest
import segmentation_models_pytorch as smp
import torch

from tenfold.challenges.kelp.architectures import build_net
from tenfold.challenges.kelp.choices import (
    ARCHITECTURES,
    LOSSES,
    Architecture,
    LossName,
)
from tenfold.challenges.kelp.network import KelpModel
from tenfold.challenges.kelp.network_options import KelpNet
from tenfold.challenges.kelp.options import KelpInput
from tenfold.errors import RecipeError

ENCODERS = {"dpt": "tu-test_vit", "resunet": None, "fcn": None}


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Keep the networks of this file to one core."""


def net_of(architecture, **options):
    encoder = ENCODERS.get(architecture, "tu-test_resnet")
    return KelpNet(architecture=architecture, **{"encoder": encoder, **options})


def test_choices_are_what_the_libraries_have():
    assert typing.get_args(Architecture) == tuple(ARCHITECTURES)
    assert typing.get_args(LossName) == tuple(LOSSES)
    known = set(smp.MODEL_ARCHITECTURES_MAPPING)
    assert known == set(ARCHITECTURES) - {"resunet", "fcn"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_network_gives_a_logit_a_pixel_and_learns_all_of_itself(architecture):
    torch.manual_seed(0)
    net = build_net(net_of(architecture, classes=1, probability="sigmoid"), 5)
    side = ARCHITECTURES[architecture].least_crop * 2
    logits = net.train()(torch.rand(2, 5, side, side))
    assert logits.shape == (2, 1, side, side)
    logits.square().sum().backward()
    reached = [p.grad is not None for p in net.parameters()]
    # DPT keeps its encoder's classifier, and others the last norm of an encoder.
    assert sum(reached) > 0.9 * len(reached)


DEEP = [name for name, takes in ARCHITECTURES.items() if takes.depth]


@pytest.mark.parametrize("depth", [3, 4, 5])
@pytest.mark.parametrize("architecture", DEEP)
def test_any_depth_gives_a_logit_a_pixel(architecture, depth):
    net = build_net(net_of(architecture, depth=depth), 3).eval()
    with torch.inference_mode():
        assert net(torch.rand(1, 3, 128, 128)).shape == (1, 2, 128, 128)


@pytest.mark.parametrize(
    "architecture", [name for name, takes in ARCHITECTURES.items() if takes.widths]
)
def test_widths_are_of_the_decoder(architecture):
    a_level = ARCHITECTURES[architecture].widths == "a level"

    def size(widths):
        net = build_net(net_of(architecture, decoder_channels=widths), 3)
        return sum(p.numel() for p in net.parameters())

    few, many = ((32, 16, 8, 8), (64, 32, 16, 8)) if a_level else ((32,), (64,))
    assert size(few) < size(many)


@pytest.mark.parametrize(
    ("architecture", "option", "value", "kind"),
    [
        *(
            (name, "attention", "scse", "SCSEModule")
            for name in ("unet", "unetplusplus")
        ),
        *(
            (name, "dropout", 0.37, "Dropout")
            for name, takes in ARCHITECTURES.items()
            if takes.dropout
        ),
    ],
)
def test_a_decoders_extras_are_built_in(architecture, option, value, kind):
    net = build_net(net_of(architecture, **{option: value}), 3)
    found = [m for m in net.modules() if type(m).__name__.startswith(kind)]
    assert found
    if option == "dropout":
        assert any(module.p == value for module in found)


def test_the_fcn_is_five_convolutions_and_a_classifier():
    net = build_net(net_of("fcn"), 24)
    sizes = [24 * 256 * 9 + 256, *[256 * 256 * 9 + 256] * 4, 256 * 2 + 2]
    assert sum(p.numel() for p in net.parameters()) == sum(sizes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoder": "tu-no_such_network"}, "no_such_network"),
        ({"encoder": "resnet51"}, "did you mean 'resnet50'"),
        ({"encoder": "convnext_tiny"}, "did you mean 'tu-convnext_tiny'"),
        ({"architecture": "linknet", "encoder": "mit_b0"}, "linknet cannot have"),
        ({"architecture": "dpt", "encoder": "resnet18"}, "dpt cannot have"),
        (
            {"architecture": "dpt", "encoder": "tu-vit_tiny_patch14_reg4_dinov2"},
            "dpt",
        ),
    ],
)
def test_an_encoder_that_does_not_suit_is_refused_in_words(options, words):
    with pytest.raises(RecipeError, match=words):
        KelpModel(KelpInput(), KelpNet(**options), None)


# Encoders of one size.


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({}, "set input.size: 160 and input.fit: resize"),
        ({"size": 384}, "set input.size: 160 and input.fit: resize"),
        ({"size": 128, "fit": "resize"}, "takes images of 160 px only"),
    ],
)
def test_an_encoder_of_one_size_names_it(options, cure):
    net = KelpNet(encoder="tu-test_maxvit")
    with pytest.raises(RecipeError, match=cure):
        KelpModel(KelpInput(**options), net, None)


def test_an_encoder_of_one_size_takes_tiles_and_crops_at_it():
    options = KelpInput(bands=("R",), size=160, fit="resize")
    model = KelpModel(options, KelpNet(encoder="tu-test_maxvit"), None).eval()
    with torch.inference_mode():
        for side in (350, 128):
            raw = torch.full((1, 7, side, side), 9000, dtype=torch.int32)
            assert model(raw).shape == (1, 2, side, side)
