"""The examples of the help work, typed one after the other on a few small tiles."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from typer.main import get_command

from pipelines.cli import app, main
from tenfold.challenges import load_recipe
from tenfold.data.dataset import Dataset
from tenfold.stages.context import Context, read_reference
from tenfold.store import Store
from tests.contract.driver import run_stages
from tests.contract.test_clouds_contract import TestClouds as Clouds

pytestmark = pytest.mark.slow

VERBS = get_command(app).commands
MODELS = ("unet-quantile", "unet-z-score")
SMALL = (
    *("synth.train=16", "synth.test=2", "synth.coasts=8", "synth.bad_files=false"),
    *(
        f"members.{model}.training.{setting}"
        for model in MODELS
        for setting in ("epochs=1", "samples_per_epoch=8", "batch=4")
    ),
    *(f"members.{model}.training.picture_epochs=[]" for model in MODELS),
)


class Reader:
    """Somebody in a folder, who types what the help shows."""

    def __init__(self, folder, settings):
        self.folder, self._settings = folder, settings

    def example(self, verb, number=0, words=()):
        """Type an example, with some of its words changed."""
        text = VERBS[verb].examples()[number]
        for old, new in dict(words).items():
            assert old in text, text
            text = text.replace(old, new)
        _, *typed = shlex.split(text)
        takes = {parameter.name for parameter in VERBS[verb].params}
        small = "overrides" in takes and "--model" not in typed
        self.type([*typed, *(_set(self._settings) if small else ())])

    def type(self, words):
        own = ("/data/", "/tmp/")
        placed = [f"{self.folder}{w}" if w.startswith(own) else w for w in words]
        with pytest.raises(SystemExit) as ended:
            main(placed)
        assert ended.value.code in (0, None), words

    def entry(self, name):
        return Path(read_reference(self.folder / name).uri)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TENFOLD_SETTINGS", raising=False)
    return tmp_path


def train(reader, model, names):
    """Train a model on every fold and evaluate it, as for the first one."""
    for fold, name in enumerate(names):
        swaps = {"--fold 0": f"--fold {fold}", "model-0.json": name, MODELS[0]: model}
        reader.example("train", words=swaps)


def test_the_examples_lead_from_raw_tiles_to_a_judged_submission(folder, capsys):
    reader = Reader(folder, SMALL)
    reader.example("synth")
    (folder / "data").mkdir()
    (folder / "data" / "kelp").symlink_to(folder / "tmp" / "kelp" / "data")
    for verb in ("ingest", "group", "split"):
        reader.example(verb)
    train(reader, MODELS[0], [f"model-{fold}.json" for fold in range(4)])
    reader.example("evaluate")
    train(reader, MODELS[1], [f"other-{fold}.json" for fold in range(4)])
    more = {"board.json": "board.json --earlier board.json", "model-": "other-"}
    reader.example("evaluate", words={MODELS[0]: MODELS[1], **more})
    for verb in ("tune", "predict", "submit", "preview", "judge", "prepare"):
        reader.example(verb)
    assert (folder / "prepared" / "folds.json").is_file()
    shutil.copy(reader.entry("submission.json") / "submission.tar", folder)
    reader.example("score")
    write_probabilities(reader, folder / "probabilities")
    reader.example("score", 1)
    assert (folder / "tiles.csv").is_file()
    assert (folder / "figures.json").is_file()
    tiles = sorted((folder / "data" / "kelp").rglob("test*/*_satellite.tif"))
    shutil.copy(tiles[0], folder / "AB123456_satellite.tif")
    reader.example("predict", 1)
    reader.example("predict", 2)
    assert (folder / "found" / "masks" / "AB123456_kelp.tif").is_file()
    assert (folder / "found" / "masks" / f"{tiles[0].stem[:-10]}_kelp.tif").is_file()
    assert "error" not in capsys.readouterr().err


def write_probabilities(reader, out):
    out.mkdir()
    predicted = Dataset(reader.entry("predictions-0.json"))
    for id_ in predicted.catalogue["id"].to_list():
        soft = predicted.sample(id_)["prob"].astype(np.float32) / 255
        profile = {"count": 1, "height": 350, "width": 350, "dtype": "float32"}
        with rasterio.open(out / f"{id_}_kelp.tif", "w", "GTiff", **profile) as file:
            file.write(soft, 1)


def test_the_example_of_select_makes_pseudo_labels(folder):
    reader = Reader(folder, Clouds.settings)
    recipe = load_recipe("clouds", "smoke", Clouds.settings)
    reader.type(["synth", "clouds", "raw", *_set(Clouds.settings)])
    context = Context(recipe, Store(folder / "runs" / "store"))
    tasks = run_stages(context, str(folder / "raw" / "data")).tasks
    tasks["ingest"].write(folder / "dataset.json")
    tasks["round 1 predict 0"].write(folder / "predictions-0.json")
    reader.example("select")
    found = read_reference(folder / "pseudo-labels.json")
    assert found.reused
    assert found.address == tasks["select"].address


def _set(settings):
    return [word for setting in settings for word in ("--set", setting)]


def test_the_example_of_launch_needs_no_file_of_settings(folder, capsys):
    Reader(folder, ()).example("launch")
    assert '"pipelineSpec"' in capsys.readouterr().out
