"""A member's pretrained weights: from the shelf, or told where to put them."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from tenfold.challenges import load_recipe
from tenfold.challenges.kelp.model import task
from tenfold.challenges.kelp.network_options import KelpNet
from tenfold.challenges.kelp.options import KelpInput, KelpMember
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
