"""Images, entries and words that the verb predict refuses, each with its reason."""

import shutil

import pytest
import torch

from pipelines.cli import main
from tenfold.challenges import find_challenge
from tenfold.errors import SourceError
from tests.stages.image_world import QUANTILE, SCORE, TILE, World, write_tile


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield World(tmp_path_factory.mktemp("world"))
    torch.set_num_threads(threads)


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


def test_files_that_are_no_tiles_are_named_with_the_reason(world, fails, tmp_path):
    entry = world.trained[QUANTILE, 0].path
    good = world.folder / TILE
    (tmp_path / "notes.tif").write_text("not a picture")
    write_tile(tmp_path / "three.tif", bands=3)
    write_tile(tmp_path / "small.tif", size=64)
    (tmp_path / "folder.tif").mkdir()
    cases = {
        "notes.tif": "cannot be read",
        "three.tif": "3 bands instead of 7",
        "small.tif": "64×64 pixels instead of 350×350",
        "gone.tif": "no such file",
        "folder.tif": "a folder without files",
    }
    for name, reason in cases.items():
        error = fails("--model", entry, good, tmp_path / name)
        assert name in error
        assert reason in error


def test_what_is_no_image_in_a_folder_is_not_left_out(world, fails, tmp_path):
    write_tile(tmp_path / "tiles" / TILE)
    (tmp_path / "tiles" / "metadata.csv").write_text("tile_id")
    error = fails("--model", world.trained[QUANTILE, 0].path, tmp_path / "tiles")
    assert "metadata.csv: cannot be read" in error


@pytest.mark.parametrize("name", ["kelp", "clouds"])
def test_a_reader_says_that_a_folder_is_one(name, tmp_path):
    with pytest.raises(SourceError, match="a folder; name the files in it"):
        find_challenge(name).reader.single(tmp_path)


def test_two_images_of_one_name_are_refused(world, fails, tmp_path):
    write_tile(tmp_path / TILE)
    entry = world.trained[QUANTILE, 0].path
    error = fails("--model", entry, world.folder / TILE, tmp_path / TILE)
    assert "2 images are called AB123456" in error


def test_entries_that_are_not_there_are_refused(world, fails, tmp_path):
    tile = world.folder / TILE
    assert "add --store" in fails("--model", "train/0123456789ab", tile)
    store = ("--store", world.store.root)
    error = fails("--model", "train/0123456789ab", *store, tile)
    assert "train/0123456789ab is missing or incomplete" in error
    (tmp_path / "empty").mkdir()
    assert "manifest.json" in fails("--model", tmp_path / "empty", tile)
    (tmp_path / "list.json").write_text("[1, 2]")
    assert "not a reference" in fails("--model", tmp_path / "list.json", tile)


def test_a_damaged_entry_is_refused(world, fails, tmp_path):
    source = world.trained[QUANTILE, 0].path
    shutil.copytree(source, tmp_path / "train" / source.name)
    file = tmp_path / "train" / source.name / "weights" / "ema.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    error = fails("--model", tmp_path / "train" / source.name, world.folder / TILE)
    assert "missing or incomplete" in error


def test_entries_of_other_stages_and_challenges_are_refused(world, fails):
    tile = world.folder / TILE
    other = world.entry("split", "split", lambda path: (path / "a").write_text("b"))
    assert "an entry of split; name one of train" in fails("--model", other.path, tile)
    foreign = world.recipe.model_dump(mode="json") | {"challenge": "galaxies"}
    entry = world.entry(
        "train", "far", lambda p: (p / "a").write_text("b"), {}, foreign
    )
    error = fails("--model", entry.path, tile)
    assert "unknown challenge 'galaxies'; there is" in error
    assert "kelp" in error


def test_a_member_that_is_gone_stops_the_ensemble_by_name(world, fails):
    choice = world.decision | {"fold_weights": {QUANTILE: {"0": 1.0, "1": 2.0}}}
    choice["fold_weights"][SCORE] = {"0": 1.0, "7": 1.0}
    broken = world.tune(choice, "broken", lost={"7": "train/gone"})
    error = fails("--model", broken.path, world.folder / TILE)
    assert f"member {SCORE}, fold 7, is not intact" in error


def test_weights_that_there_are_not_and_ensembles_are_refused(world, fails):
    tile, entry = world.folder / TILE, world.trained[QUANTILE, 0].path
    error = fails("--model", entry, tile, "--weights", "best")
    assert "--weights best: there is ema, last" in error
    assert "only a single fold" in fails(
        "--model", world.tuned.path, tile, "--weights", "last"
    )


def test_the_two_ways_of_the_verb_are_told_apart(world, fails):
    tile, entry = world.folder / TILE, world.trained[QUANTILE, 0].path
    assert "the challenge is the model's" in fails("kelp", tile, "--model", entry)
    error = fails(tile, "--model", entry, "--dataset", "x.json", "--recipe", "smoke")
    assert "--dataset, --recipe: not with --model" in error
    for words in (
        ["kelp"],
        ["kelp", "--dataset", "a", "--decision", "b"],
        ["kelp", tile, "--dataset", "a", "--decision", "b", "--store", "c"],
        ["kelp", "--dataset", "a", "--decision", "b", "--store", "c", "--weights", "d"],
    ):
        error = fails(*words)
        assert "--dataset, --decision and --store" in error
        assert "--model" in error


def test_settings_of_its_recipe_are_checked(world, fails):
    entry, tile = world.trained[QUANTILE, 0].path, world.folder / TILE
    setting = f"members.{QUANTILE}.inference.tta=all"
    assert "inference.tta" in fails("--model", entry, tile, "--set", setting)
