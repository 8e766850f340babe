"""Pretrained weights into encoders of any channels and any naming."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from tenfold.errors import RecipeError
from tenfold.training.pretrained import load_encoder
from tenfold.training.smp_networks import build_smp


@pytest.fixture(autouse=True)
def _one_thread():
    """Keep the networks of this file to one core."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def pretrained():
    """The weights of a small network of timm's, classifier and all."""
    torch.manual_seed(3)
    network = timm.create_model("resnet10t", pretrained=False)
    return {name: t.clone() for name, t in network.state_dict().items()}


def saved(folder, state):
    path = folder / "resnet10t.safetensors"
    save_file({name: t.contiguous() for name, t in state.items()}, path)
    return path


def encoder_of(name="resnet10t", channels=3):
    """The encoder of a U-Net of random weights."""
    return build_smp("unet", f"tu-{name}", channels, 2).encoder


def test_an_rgb_encoder_is_tiled_over_24_channels(tmp_path, pretrained):
    encoder = encoder_of(channels=24)
    note = load_encoder(encoder, saved(tmp_path, pretrained))
    found = encoder.state_dict()
    stem = found.pop("model.conv1.0.weight").numpy()
    rgb = pretrained["conv1.0.weight"].numpy()
    assert stem.shape[1] == 24
    for channel in range(24):
        np.testing.assert_allclose(
            stem[:, channel], rgb[:, channel % 3] * (3 / 24), rtol=1e-6
        )
    # A grey picture gives the same activations through either first convolution.
    np.testing.assert_allclose(stem.sum(1), rgb.sum(1), atol=1e-5)
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, pretrained[name.removeprefix("model.")])
    assert "24" in note


def test_an_encoder_of_three_channels_is_loaded_as_it_is(tmp_path, pretrained):
    encoder = encoder_of()
    note = load_encoder(encoder, saved(tmp_path, pretrained))
    found = encoder.state_dict()
    assert torch.equal(found["model.conv1.0.weight"], pretrained["conv1.0.weight"])
    assert note == "as loaded"


def whole_network(name, folder):
    """A network of timm's with weights of its own, and the file of them."""
    torch.manual_seed(5)
    network = timm.create_model(name)
    path = folder / "whole.safetensors"
    state = {n: t.clone().contiguous() for n, t in network.state_dict().items()}
    save_file(state, path)
    return network, path


@pytest.mark.parametrize(
    "name",
    [
        *("test_convnext", "test_resnet", "test_efficientnet", "test_maxvit"),
        *("mobileone_s0", "dla34"),  # several convolutions see the image; hooks
    ],
)
def test_an_encoder_has_the_features_that_timms_own_loading_gives(name, tmp_path):
    """However its extractor names the parts of the network."""
    _, path = whole_network(name, tmp_path)
    side = 160 if name == "test_maxvit" else 64
    encoder = encoder_of(name).eval()
    assert load_encoder(encoder, path) == "as loaded"
    extractor = timm.create_model(
        name,
        features_only=True,
        out_indices=encoder.model.feature_info.out_indices,
        pretrained=True,
        pretrained_cfg_overlay={"file": str(path)},
    ).eval()
    image = torch.rand(1, 3, side, side)
    with torch.inference_mode():
        expected, found = extractor(image), encoder.model(image)
    assert len(expected) == len(found) > 3
    for theirs, ours in zip(expected, found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_transformer_under_dpt_is_loaded_whole(tmp_path):
    network, path = whole_network("test_vit", tmp_path)
    encoder = build_smp("dpt", "tu-test_vit", 3, 2, dynamic_img_size=True).encoder
    load_encoder(encoder, path)
    image = torch.rand(1, 3, 160, 160)
    with torch.inference_mode():
        found = encoder.model.eval()(image)
        torch.testing.assert_close(found, network.eval()(image))


def test_every_convolution_of_the_image_is_tiled(tmp_path):
    """MobileOne has several side by side; their sum keeps its size for a grey image."""
    _, path = whole_network("mobileone_s0", tmp_path)
    encoders = [encoder_of("mobileone_s0", channels).eval() for channels in (6, 3)]
    notes = [load_encoder(encoder, path) for encoder in encoders]
    assert notes == ["3 channels tiled, × 3/6", "as loaded"]
    with torch.inference_mode():
        grey = torch.rand(1, 1, 64, 64)
        six, three = (
            encoder.model(grey.expand(-1, channels, -1, -1))[0]
            for encoder, channels in zip(encoders, (6, 3), strict=True)
        )
    torch.testing.assert_close(six, three, rtol=1e-4, atol=1e-4)


def test_weights_that_lack_a_tensor_are_refused_by_its_name(tmp_path, pretrained):
    state = dict(pretrained)
    del state["layer3.0.conv2.weight"]
    with pytest.raises(RecipeError, match=r"layer3\.0\.conv2\.weight is missing"):
        load_encoder(encoder_of(), saved(tmp_path, state))


def test_weights_of_another_shape_are_refused_by_name(tmp_path, pretrained):
    state = dict(pretrained)
    state["layer2.0.conv1.weight"] = torch.zeros(7, 7, 3, 3)
    with pytest.raises(RecipeError, match=r"layer2\.0\.conv1\.weight"):
        load_encoder(encoder_of(), saved(tmp_path, state))


def test_a_file_that_holds_no_weights_is_refused_by_name(tmp_path):
    path = tmp_path / "resnet10t.safetensors"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(RecipeError, match=r"resnet10t\.safetensors"):
        load_encoder(encoder_of(), path)
