"""Embedding with given weights; networks here are small and random, saved as files."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from tenfold.errors import RecipeError, TenfoldError
from tenfold.grouping.embedder import embed

NETWORK = "test_resnet.r160_in1k"


def weights_of(network, path):
    torch.manual_seed(0)
    state = timm.create_model(network, pretrained=False).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return weights_of(NETWORK, tmp_path_factory.mktemp("weights") / "net.safetensors")


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    sizes = [(70, 70), (64, 90), (40, 40), (96, 64), (70, 70)]
    made = [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    return [*made, made[0].copy()]


def embed_small(pictures, weights, **options):
    return embed(pictures, NETWORK, weights, size=64, device="cpu", **options)


def test_one_finite_row_per_picture_and_equal_pictures_embed_alike(weights, pictures):
    rows = embed_small(pictures, weights)
    assert rows.shape == (6, 96)
    assert rows.dtype == np.float32
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosine = unit @ unit.T
    assert cosine[0, 5] == pytest.approx(1, abs=1e-6)
    assert cosine[0, 1:5].max() < 1 - 1e-5


def test_rows_depend_neither_on_batch_nor_on_order(weights, pictures):
    rows = embed_small(pictures, weights, batch=32)
    np.testing.assert_allclose(
        embed_small(pictures, weights, batch=1), rows, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        embed_small(pictures[::-1], weights, batch=4)[::-1], rows, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(embed_small(pictures, weights), rows)


def test_rows_are_the_pooled_features_of_the_normalised_picture(weights):
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    torch.manual_seed(0)
    model = timm.create_model(NETWORK, pretrained=False).eval()
    with torch.inference_mode():
        inputs = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        # This network's pretrained_cfg records mean 0.5 and deviation 0.5.
        features = model.forward_features((inputs - 0.5) / 0.5).mean(dim=(2, 3))
    np.testing.assert_allclose(
        embed_small([picture], weights), features.numpy(), rtol=1e-4, atol=1e-5
    )


def test_weights_without_classifier_or_counters_are_enough(tmp_path, weights, pictures):
    state = load_file(weights)
    dropped = [key for key in state if key.startswith("fc.") or "tracked" in key]
    assert len(dropped) > 2
    bare = tmp_path / "bare.safetensors"
    save_file({key: state[key] for key in state if key not in dropped}, bare)
    np.testing.assert_array_equal(
        embed_small(pictures[:1], bare), embed_small(pictures[:1], weights)
    )


def test_a_generator_is_read_batch_by_batch(weights, pictures):
    seen = []
    rows = embed_small(
        (picture for picture in pictures),
        weights,
        batch=4,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert len(rows) == 6
    assert seen == [(4, 0), (6, 0)]


def test_no_pictures_give_no_rows(weights):
    assert embed_small([], weights).shape == (0, 96)


def test_no_weights_are_refused_with_the_cure(tmp_path, pictures):
    with pytest.raises(RecipeError, match=r"'resnet18'.*TENFOLD_WEIGHTS or --weights"):
        embed(pictures, "resnet18", None)
    with pytest.raises(RecipeError, match=r"nothing\.safetensors' does not exist"):
        embed(pictures, "resnet18", tmp_path / "nothing.safetensors")


def test_an_unknown_network_is_refused(weights, pictures):
    with pytest.raises(RecipeError, match="'resnet_nonsense'"):
        embed(pictures, "resnet_nonsense", weights)


def test_a_size_the_network_cannot_take_is_refused(weights, pictures):
    with pytest.raises(RecipeError, match="160 px only, got size 64"):
        embed(pictures, "test_vit", weights, size=64)


def test_weights_of_another_network_are_refused_by_name(weights, pictures):
    with pytest.raises(TenfoldError, match=r"net\.safetensors.*lacks conv1\.weight, "):
        embed(pictures, "resnet18", weights, size=64)


def test_weights_with_unknown_keys_or_other_shapes_are_refused(tmp_path, pictures):
    state = timm.create_model(NETWORK, pretrained=False).state_dict()
    state["stranger"] = torch.zeros(1)
    save_file(state, tmp_path / "extra.safetensors")
    with pytest.raises(TenfoldError, match="has unknown stranger"):
        embed_small(pictures, tmp_path / "extra.safetensors")
    del state["stranger"]
    key = next(iter(state))
    state[key] = state[key][..., :1].contiguous()
    save_file(state, tmp_path / "shape.safetensors")
    with pytest.raises(TenfoldError, match=f"other shapes for {key}"):
        embed_small(pictures, tmp_path / "shape.safetensors")


def test_a_broken_weights_file_is_refused(tmp_path, pictures):
    (tmp_path / "broken.safetensors").write_bytes(b"not weights")
    with pytest.raises(TenfoldError, match=r"cannot read .*broken\.safetensors"):
        embed_small(pictures, tmp_path / "broken.safetensors")


def test_weights_that_are_not_finite_are_refused(tmp_path, pictures):
    state = timm.create_model(NETWORK, pretrained=False).state_dict()
    key = next(key for key, value in state.items() if value.is_floating_point())
    state[key] = torch.full_like(state[key], torch.nan)
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(TenfoldError, match=r"not finite for pictures 0\.\.5"):
        embed_small(pictures, tmp_path / "nan.safetensors")


@pytest.mark.parametrize(
    "picture",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32)],
    ids=["grey", "float"],
)
def test_a_picture_of_another_kind_is_refused(weights, picture):
    with pytest.raises(TenfoldError, match="picture 0 is"):
        embed_small([picture], weights)


def test_a_batch_of_nothing_is_refused(weights, pictures):
    with pytest.raises(RecipeError, match="batch must be at least 1, got 0"):
        embed_small(pictures, weights, batch=0)
