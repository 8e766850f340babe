"""Pretrained weights into encoders of any channels and any naming."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from tenfold.challenges import load_recipe
from tenfold.challenges.kelp.indices import WINNING
from tenfold.challenges.kelp.model import task
from tenfold.challenges.kelp.network import KelpModel
from tenfold.challenges.kelp.network_options import KelpNet
from tenfold.challenges.kelp.options import KelpInput, KelpMember
from tenfold.challenges.kelp.pretrained import load_encoder
from tenfold.data.weights import find_weights
from tenfold.errors import RecipeError

SMALL = KelpNet(encoder="tu-resnet10t", decoder_channels=(16, 8, 8, 8, 8))


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Keep the networks of this file to one core."""


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


def test_an_rgb_encoder_is_tiled_over_24_channels(tmp_path, pretrained):
    model = KelpModel(KelpInput(indices=WINNING), SMALL, None)
    note = load_encoder(model.net.encoder, saved(tmp_path, pretrained))
    found = model.net.encoder.state_dict()
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
    model = KelpModel(KelpInput(bands=("R", "G", "B")), SMALL, None)
    note = load_encoder(model.net.encoder, saved(tmp_path, pretrained))
    found = model.net.encoder.state_dict()
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
    net = KelpNet(encoder=f"tu-{name}")
    side = 160 if name == "test_maxvit" else 64
    size = {"size": side, "fit": "resize"} if name == "test_maxvit" else {}
    model = KelpModel(KelpInput(bands=("R", "G", "B"), **size), net, None).eval()
    assert load_encoder(model.net.encoder, path) == "as loaded"
    extractor = timm.create_model(
        name,
        features_only=True,
        out_indices=model.net.encoder.model.feature_info.out_indices,
        pretrained=True,
        pretrained_cfg_overlay={"file": str(path)},
    ).eval()
    image = torch.rand(1, 3, side, side)
    with torch.inference_mode():
        expected, found = extractor(image), model.net.encoder.model(image)
    assert len(expected) == len(found) > 3
    for theirs, ours in zip(expected, found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_transformer_under_dpt_is_loaded_whole(tmp_path):
    network, path = whole_network("test_vit", tmp_path)
    net = KelpNet(architecture="dpt", encoder="tu-test_vit")
    model = KelpModel(KelpInput(bands=("R", "G", "B")), net, None)
    load_encoder(model.net.encoder, path)
    image = torch.rand(1, 3, 160, 160)
    with torch.inference_mode():
        found = model.net.encoder.model.eval()(image)
        torch.testing.assert_close(found, network.eval()(image))


def test_every_convolution_of_the_image_is_tiled(tmp_path):
    """MobileOne has several side by side; their sum keeps its size for a grey image."""
    _, path = whole_network("mobileone_s0", tmp_path)
    options = KelpInput(bands=("R", "G", "B", "SWIR", "NIR", "DEM"))
    models = [
        KelpModel(some, KelpNet(encoder="tu-mobileone_s0"), None).eval()
        for some in (options, KelpInput(bands=("R", "G", "B")))
    ]
    notes = [load_encoder(model.net.encoder, path) for model in models]
    assert notes == ["3 channels tiled, × 3/6", "as loaded"]
    with torch.inference_mode():
        grey = torch.rand(1, 1, 64, 64)
        six, three = (
            model.net.encoder.model(grey.expand(-1, channels, -1, -1))[0]
            for model, channels in zip(models, (6, 3), strict=True)
        )
    torch.testing.assert_close(six, three, rtol=1e-4, atol=1e-4)


def test_weights_that_lack_a_tensor_are_refused_by_its_name(tmp_path, pretrained):
    state = dict(pretrained)
    del state["layer3.0.conv2.weight"]
    model = KelpModel(KelpInput(), SMALL, None)
    with pytest.raises(RecipeError, match=r"layer3\.0\.conv2\.weight is missing"):
        load_encoder(model.net.encoder, saved(tmp_path, state))


def test_weights_of_another_shape_are_refused_by_name(tmp_path, pretrained):
    state = dict(pretrained)
    state["layer2.0.conv1.weight"] = torch.zeros(7, 7, 3, 3)
    model = KelpModel(KelpInput(), SMALL, None)
    with pytest.raises(RecipeError, match=r"layer2\.0\.conv1\.weight"):
        load_encoder(model.net.encoder, saved(tmp_path, state))


def test_a_file_that_holds_no_weights_is_refused_by_name(tmp_path):
    path = tmp_path / "resnet10t.safetensors"
    path.write_bytes(b"<html>not found</html>")
    model = KelpModel(KelpInput(), SMALL, None)
    with pytest.raises(RecipeError, match=r"resnet10t\.safetensors"):
        load_encoder(model.net.encoder, path)


def test_missing_weights_say_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TENFOLD_WEIGHTS", str(tmp_path / "shelf"))
    recipe = load_recipe("kelp", "winning")
    with pytest.raises(RecipeError) as caught:
        task(recipe, recipe.members[0]).model(None)
    message = str(caught.value)
    assert "efficientnet_b5.sw_in12k_ft_in1k.safetensors" in message
    assert str(tmp_path / "shelf") in message
    assert "TENFOLD_WEIGHTS" in message


def test_a_member_takes_its_weights_from_the_shelf(tmp_path, monkeypatch, pretrained):
    path = saved(tmp_path, pretrained)
    monkeypatch.setenv("TENFOLD_WEIGHTS", str(tmp_path))
    assert find_weights(path.name, "resnet10t") == path
    net = SMALL.model_copy(update={"weights": path.name})
    member = KelpMember(
        name="small",
        training={"epochs": 1, "batch": 1},
        input=KelpInput(bands=("R", "G", "B")),
        net=net,
    )
    learner = task(None, member)
    model = learner.model(None)
    found = model.net.encoder.state_dict()["model.layer4.0.conv1.weight"]
    assert torch.equal(found, pretrained["layer4.0.conv1.weight"])
    assert learner.describe(model)["stem"] == "as loaded"
    # What was saved can be restored where the shelf is not.
    path.unlink()
    learner.restore(learner.describe(model)).load_state_dict(model.state_dict())
