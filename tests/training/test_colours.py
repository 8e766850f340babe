"""What networks were pretrained on, by timm's settings and what is published."""

import pytest
import timm

from tenfold.errors import RecipeError
from tenfold.training.colours import IMAGENET, colours_of

HALF = ((0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("name", ["resnet34", "convnext_atto", "test_resnet"])
def test_a_network_of_timms_has_the_settings_that_timm_builds_it_with(name):
    settings = timm.create_model(name).pretrained_cfg
    expected = (settings["mean"], settings["std"])
    assert colours_of(name, None) == expected
    assert colours_of(f"tu-{name}", "mine.safetensors") == expected


def test_the_weights_file_says_which_of_several_settings():
    """The usual weights of this network are of [-1, 1], its first of ImageNet."""
    assert colours_of("efficientnet_b1", None) == HALF
    assert colours_of("efficientnet_b1.ft_in1k", None) == IMAGENET
    file = "/weights/efficientnet_b1.ft_in1k.safetensors"
    assert colours_of("efficientnet_b1", file) == IMAGENET


@pytest.mark.parametrize(
    ("encoder", "weights", "expected"),
    [
        ("resnet34", None, IMAGENET),
        ("efficientnet-b7", "efficientnet-b7.imagenet.safetensors", IMAGENET),
        ("efficientnet-b7", "efficientnet-b7.advprop.safetensors", HALF),
        ("inceptionresnetv2", None, HALF),
        ("inceptionv4", None, HALF),
        ("xception", None, HALF),
        ("timm-tf_efficientnet_lite0", None, HALF),
    ],
)
def test_encoders_of_the_other_library_go_by_their_family(encoder, weights, expected):
    assert colours_of(encoder, weights) == expected


def test_dual_path_networks_have_mxnets_colours_as_timm_has():
    settings = timm.create_model("dpn92").pretrained_cfg
    found = colours_of("dpn92", "dpn92.imagenet+5k.safetensors")
    assert found.mean == pytest.approx(settings["mean"])
    assert found.std == pytest.approx(settings["std"])


def test_a_network_that_nobody_pretrained_is_refused():
    with pytest.raises(RecipeError, match=r"tu-resnet34\.nosuch.*set it to imagenet"):
        colours_of("tu-resnet34.nosuch", None)
