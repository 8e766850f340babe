"""Images of a person's own become masks, pictures and a page, by what was trained."""

import json

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from safetensors.torch import load_file

from pipelines.cli import main
from tenfold.stages.image import open_model
from tests.stages.image_world import QUANTILE, SCORE, TILE, World, write_tile


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield World(tmp_path_factory.mktemp("world"))
    torch.set_num_threads(threads)


@pytest.fixture
def predict(tmp_path, capsys):
    """Give a function that runs the verb, and returns what it said."""

    def run(*words, out=None):
        with pytest.raises(SystemExit) as ending:
            main(["predict", *map(str, words), "--out", str(out or tmp_path / "out")])
        captured = capsys.readouterr()
        assert ending.value.code in (0, None), captured.err
        return captured.out

    return run


@pytest.fixture
def fails(tmp_path, capsys):
    """Give a function that runs a verb which must end with one sentence."""

    def run(*words):
        with pytest.raises(SystemExit) as ending:
            main(["predict", *map(str, words), "--out", str(tmp_path / "out")])
        error = capsys.readouterr().err.strip().splitlines()
        assert ending.value.code == 2, error
        assert len(error) == 1, error
        assert error[0].startswith("error: ")
        assert not (tmp_path / "out" / "masks").exists()
        return error[0]

    return run


def mask_of(out, id_="AB123456"):
    with rasterio.open(out / "masks" / f"{id_}_kelp.tif") as file:
        assert file.dtypes == ("int8",)
        return file.read(1)


def test_a_trained_fold_cuts_at_one_half(world, predict, tmp_path):
    said = predict("--model", world.trained[QUANTILE, 0].path, world.folder / TILE)
    expected = world.prob(QUANTILE, 0) >= 0.5
    assert 0.05 < expected.mean() < 0.95
    np.testing.assert_array_equal(mask_of(tmp_path / "out"), expected)
    share = f"AB123456: kelp_share {expected.mean():.4f}"
    assert share in said
    assert str(tmp_path / "out" / "masks" / "AB123456_kelp.tif") in said
    assert str(tmp_path / "out" / "predictions.html") in said
    picture = np.asarray(Image.open(tmp_path / "out" / "pictures" / "AB123456.png"))
    assert picture.shape == (350, 350, 3)
    assert (picture == (255, 221, 0)).all(axis=2).any()


def test_every_way_to_name_an_entry_leads_to_it(world, tmp_path, monkeypatch):
    entry, store = world.trained[QUANTILE, 1], str(world.store.root)
    named = tmp_path / "fold 1.json"
    world.context.reference(entry, "train", False, 1.0).write(named)
    monkeypatch.chdir(entry.path.parent)
    ways = [
        (str(entry.path), None),
        (f"{entry.path}/", None),
        (entry.path.name, None),
        (entry.address, store),
        (str(named), None),
        (str(named), store),
        (f"file://{entry.path}", None),
    ]
    for name, where in ways:
        (member,) = open_model(name, where).members
        assert member.entry.path.resolve() == entry.path.resolve(), name
        assert (member.model, member.weight) == (QUANTILE, 1.0)


def test_a_store_that_moved_is_named_beside_the_file(world, predict, tmp_path, fails):
    entry, named = world.trained[QUANTILE, 1], tmp_path / "fold.json"
    reference = world.context.reference(entry, "train", False, 1.0)
    reference.write(named)
    content = json.loads(named.read_text())
    content["uri"] = f"/not/here/{entry.address}"
    named.write_text(json.dumps(content))
    assert "/not/here" in fails("--model", named, world.folder / TILE)
    predict("--model", named, "--store", world.store.root, world.folder / TILE)
    assert mask_of(tmp_path / "out").any()


@pytest.mark.parametrize("threshold", [0.3, 0.9])
def test_the_threshold_can_be_named(world, predict, tmp_path, threshold):
    entry = world.trained[QUANTILE, 0].path
    predict("--model", entry, world.folder / TILE, "--threshold", threshold)
    expected = world.prob(QUANTILE, 0) >= threshold
    np.testing.assert_array_equal(mask_of(tmp_path / "out"), expected)


def test_a_decision_brings_all_its_members_and_what_it_decides(
    world, predict, tmp_path
):
    from tenfold.challenges.kelp.cleaning import without_small

    predict("--model", world.tuned.path, world.folder / TILE)
    mean = 0.75 * (
        world.prob(QUANTILE, 0) / 3 + world.prob(QUANTILE, 1) * 2 / 3
    ) + 0.25 * world.prob(SCORE, 0)
    kelp = np.rint(mean * 255) >= np.ceil(0.55 * 255)
    expected = without_small(kelp, 3)
    found = mask_of(tmp_path / "out")
    # A mean that falls between two steps may round either way.
    assert (found != expected).mean() < 0.002
    assert (found != kelp).any()
    assert "3 models together" in (tmp_path / "out" / "predictions.html").read_text()


def test_members_of_no_weight_are_not_even_opened(world, predict, tmp_path):
    choice = json.loads(json.dumps(world.decision)) | {"min_size": 0}
    choice["fold_weights"][SCORE] = {"0": 0.0, "7": 1.0}
    choice["model_weights"] = {QUANTILE: 1.0, SCORE: 0.0}
    lost = {"7": "train/gone"}
    skipping = world.tune(choice, "skips", lost=lost)
    predict("--model", skipping.path, world.folder / TILE)
    mean = world.prob(QUANTILE, 0) / 3 + world.prob(QUANTILE, 1) * 2 / 3
    expected = np.rint(mean * 255) >= np.ceil(0.55 * 255)
    assert (mask_of(tmp_path / "out") != expected).mean() < 0.002


def test_views_are_another_setting_of_the_models_own_recipe(world, predict, tmp_path):
    setting = f"members.{QUANTILE}.inference.tta=flips"
    entry = world.trained[QUANTILE, 0].path
    predict("--model", entry, world.folder / TILE, "--set", setting)
    views = [
        np.flip(world.prob(QUANTILE, 0, np.flip(world.raw, axes).copy()), flat)
        for axes, flat in (((), ()), ((1,), (0,)), ((2,), (1,)), ((1, 2), (0, 1)))
    ]
    found = mask_of(tmp_path / "out")
    assert (found != (np.mean(views, axis=0) >= 0.5)).mean() < 0.01
    assert (found != (views[0] >= 0.5)).mean() > 0.02


@pytest.mark.parametrize("stage", ["train", "fit"])
def test_other_weights_of_a_fold_can_be_asked_for(world, predict, tmp_path, stage):
    entry = world.trained[QUANTILE, 0]
    if stage == "fit":
        entry = world.store.open(entry.inputs["fit"])
    predict("--model", entry.path, world.folder / TILE, "--weights", "last")
    brighter = mask_of(tmp_path / "out")
    used = world.prob(QUANTILE, 0) >= 0.5
    assert brighter.mean() > used.mean() + 0.1
    assert (brighter >= used).all()


def test_several_images_and_names_that_are_not_plain(world, predict, tmp_path):
    names = ["größe 海藻.tif", "<b>fett</b> & 'so'_satellite.tif".replace("/", "_")]
    raws = [
        write_tile(tmp_path / "in put" / n, seed=5 + i) for i, n in enumerate(names)
    ]
    out = tmp_path / "aus gabe é"
    files = [tmp_path / "in put" / name for name in names]
    said = predict("--model", world.trained[QUANTILE, 0].path, *files, out=out)
    ids = ["größe 海藻", "<b>fett<_b> & 'so'"]
    for id_, raw in zip(ids, raws, strict=True):
        expected = world.prob(QUANTILE, 0, raw) >= 0.5
        np.testing.assert_array_equal(mask_of(out, id_), expected)
        assert f"{id_}: kelp_share" in said
    page = (out / "predictions.html").read_text("utf-8")
    assert "größe 海藻.tif" in page
    assert "&lt;b&gt;fett" in page
    assert "<b>fett" not in page
    assert "<script" not in page.lower()
    # Masks can be scored as they lie there.
    with pytest.raises(SystemExit) as ended:
        main(["score", "kelp", str(out / "masks"), str(out / "masks")])
    assert ended.value.code in (0, None)


def test_a_folder_stands_for_the_images_in_it(world, predict, tmp_path):
    folder, last = tmp_path / "tiles", tmp_path / "a_satellite.tif"
    for seed, name in enumerate(["c_satellite.tif", "b_satellite.tif"]):
        write_tile(folder / name, seed=30 + seed)
    write_tile(last)
    (folder / ".DS_Store").write_bytes(b"no picture")
    (folder / "older").mkdir()
    said = predict("--model", world.trained[QUANTILE, 0].path, folder, last)
    masks = [
        line.split(":")[0].strip() for line in said.splitlines() if "_kelp" in line
    ]
    assert masks == ["b", "c", "a"]


def test_more_images_than_fit_in_memory_are_read_in_turns(
    world, predict, tmp_path, monkeypatch
):
    from tenfold.stages import image

    monkeypatch.setattr(image, "_TOGETHER", 2)
    monkeypatch.setattr(image, "_MOST_SHOWN", 1)
    held = []
    monkeypatch.setattr(
        image._Images,
        "sample",
        lambda self, id_: held.append(len(self.found)) or self.found[id_],
    )
    files = [tmp_path / f"tile{i}.tif" for i in range(3)]
    raws = [write_tile(file, seed=20 + i) for i, file in enumerate(files)]
    predict("--model", world.trained[QUANTILE, 0].path, *files)
    for file, raw in zip(files, raws, strict=True):
        expected = world.prob(QUANTILE, 0, raw) >= 0.5
        np.testing.assert_array_equal(mask_of(tmp_path / "out", file.stem), expected)
    assert max(held) == 2
    page = (tmp_path / "out" / "predictions.html").read_text("utf-8")
    assert all(file.name in page for file in files)


def test_the_masks_of_an_earlier_time_are_replaced(world, predict, tmp_path):
    entry = world.trained[QUANTILE, 0].path
    for threshold in (0.1, 0.9):
        predict("--model", entry, world.folder / TILE, "--threshold", threshold)
    expected = world.prob(QUANTILE, 0) >= 0.9
    np.testing.assert_array_equal(mask_of(tmp_path / "out"), expected)
    assert {p.name for p in (tmp_path / "out" / "masks").iterdir()} == {
        "AB123456_kelp.tif"
    }


def test_weights_in_use_are_those_of_the_description(world):
    """A check of this file: the two kinds are different."""
    entry = world.store.open(world.trained[QUANTILE, 0].inputs["fit"])
    last, ema = (
        load_file(entry.path / "weights" / f"{kind}.safetensors")
        for kind in ("last", "ema")
    )
    name = "net.segmentation_head.0.bias"
    assert (last[name] - ema[name]).tolist() == [0.0, 1.5]
