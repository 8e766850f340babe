"""The content of a weights file is part of what a result depends on."""

import pytest

from tenfold.challenges import find_challenge, load_recipe
from tenfold.challenges.kelp.synth import synthesise
from tenfold.errors import RecipeError
from tenfold.stages import group, ingest
from tenfold.stages.context import Context
from tenfold.store import Store

EMBED = (
    "groups.embedding.enabled=true",
    "groups.embedding.network=test_resnet.r160_in1k",
    "groups.embedding.weights=small.safetensors",
)
SYNTH = ("synth.train=8", "synth.test=2", "synth.coasts=3", "synth.bad_files=false")


def save(path, seed):
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    save_file(timm.create_model("test_resnet").state_dict(), path)


def test_other_weights_under_one_name_group_again(tmp_path, monkeypatch):
    monkeypatch.setenv("TENFOLD_WEIGHTS", str(tmp_path))
    recipe = load_recipe("kelp", "smoke", (*SYNTH, *EMBED))
    synthesise(tmp_path / "kelp", recipe.synth)
    context = Context(recipe, Store(tmp_path / "store"))
    data = ingest.run(context, str(tmp_path / "kelp" / "data"))
    with pytest.raises(RecipeError, match=r"put small\.safetensors in"):
        group.run(context, data)
    save(tmp_path / "small.safetensors", 0)
    first = group.run(context, data)
    assert group.run(context, data).reused
    save(tmp_path / "small.safetensors", 1)
    again = group.run(context, data)
    assert not again.reused
    assert again.address != first.address


def test_a_members_weights_are_named_as_a_file_it_reads(tmp_path, monkeypatch):
    monkeypatch.setenv("TENFOLD_WEIGHTS", str(tmp_path))
    named = "members.unet-quantile.net.weights=e.safetensors"
    recipe = load_recipe("kelp", "smoke", (named,))
    task = find_challenge("kelp").model.task(recipe, recipe.member("unet-quantile"))
    with pytest.raises(RecipeError, match=r"e\.safetensors"):
        task.files()
    (tmp_path / "e.safetensors").write_bytes(b"x")
    assert task.files() == {"encoder": tmp_path / "e.safetensors"}
