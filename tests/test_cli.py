"""The command line as a person uses it."""

import json
import subprocess
import sys
import zipfile

import pytest

from pipelines.cli import main
from tenfold.challenges import find_challenge, load_recipe
from tenfold.stages.context import read_reference

SMALL = [
    *("--set", "synth.train=10", "--set", "synth.test=2", "--set", "synth.coasts=4"),
    *("--set", "split.k=2"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("made")
    main_ok("synth", "kelp", str(directory / "kelp"), *SMALL)
    return directory / "kelp"


def main_ok(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code in (0, None)


def fails(capsys, *arguments):
    """Run a command that must fail, and return its one sentence."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1, error
    assert error[0].startswith("error: ")
    return error[0]


def ingest(source, tmp_path, *more):
    store, out = tmp_path / "store", tmp_path / "dataset.json"
    given = ("--source", str(source), "--store", str(store), "--out", str(out))
    return ("ingest", "kelp", *given, *SMALL, *more)


def complete(tmp_path):
    """Entries that a later stage would read."""
    return list((tmp_path / "store").glob("*/*/manifest.json"))


def test_help_loads_no_library_that_takes_time():
    code = (
        "import sys\n"
        "from pipelines.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "slow = {'torch', 'kfp', 'polars', 'numpy', 'pydantic', 'rasterio', 'yaml'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    for verb in ("run", "compile", "synth", "train", "score", "report", "recipes"):
        assert verb in done.stdout


def test_stages_follow_one_another_by_the_files_they_name(made, tmp_path, capsys):
    main_ok(*ingest(made / "data", tmp_path))
    store = ("--store", str(tmp_path / "store"), *SMALL)
    data = ("--dataset", str(tmp_path / "dataset.json"))
    groups = tmp_path / "groups.json"
    main_ok("group", "kelp", *data, *store, "--out", str(groups))
    split = (*data, "--groups", str(groups), *store)
    main_ok("split", "kelp", *split, "--out", str(tmp_path / "folds.json"))
    assert read_reference(tmp_path / "folds.json").stage == "split"
    capsys.readouterr()
    main_ok("split", "kelp", *split, "--out", str(tmp_path / "folds.json"))
    assert "was there already" in capsys.readouterr().out


def test_a_zip_is_the_same_data_as_its_folder(made, tmp_path):
    archive = tmp_path / "kelp.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in (made / "data").rglob("*"):
            zipped.write(path, path.relative_to(made))
    main_ok(*ingest(archive, tmp_path / "a"))
    main_ok(*ingest(made / "data", tmp_path / "b"))
    prints = [
        json.loads(next(tmp_path.glob(f"{x}/store/ingest/*/summary.json")).read_text())
        for x in "ab"
    ]
    assert prints[0] == prints[1]


def test_a_zip_that_climbs_out_is_refused(tmp_path, capsys):
    archive = tmp_path / "bad.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("../outside.txt", "x")
    error = fails(capsys, *ingest(archive, tmp_path))
    assert "bad.zip" in error
    assert "outside.txt" in error
    assert not (tmp_path.parent / "outside.txt").exists()
    assert not complete(tmp_path)


def test_an_empty_folder_is_no_data(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "no files in" in fails(capsys, *ingest(tmp_path / "empty", tmp_path))


def test_a_folder_of_something_else_is_not_kelp(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"meow")
    error = fails(capsys, *ingest(tmp_path / "photos", tmp_path))
    assert "train_satellite" in error
    assert not complete(tmp_path)


def test_strict_refuses_what_would_be_set_aside(made, tmp_path, capsys):
    error = fails(capsys, *ingest(made / "data", tmp_path, "--strict"))
    assert "unusable files" in error
    assert not complete(tmp_path)


def test_a_broken_test_tile_stops_ingest(made, tmp_path, capsys):
    import shutil

    shutil.copytree(made / "data", tmp_path / "data")
    tile = sorted((tmp_path / "data" / "test_satellite").iterdir())[0]
    tile.write_bytes(tile.read_bytes()[:1000])
    error = fails(capsys, *ingest(tmp_path / "data", tmp_path))
    assert tile.name in error
    assert "every test sample" in error
    assert not complete(tmp_path)


def test_an_unknown_key_is_named_with_what_was_meant(tmp_path, capsys):
    given = ingest(tmp_path, tmp_path, "--set", "split.kk=3")
    assert "unknown key 'split.kk'" in fails(capsys, *given)


def test_an_unknown_recipe_and_challenge_name_the_known(capsys):
    assert "smoke" in fails(capsys, "recipes", "check", "kelp", "smoky")
    assert "kelp" in fails(capsys, "recipes", "check", "kelb", "smoke")


def test_more_folds_than_groups_is_refused(made, tmp_path, capsys):
    many = ("--set", "split.k=90")
    main_ok(*ingest(made / "data", tmp_path, *many))
    store = ("--store", str(tmp_path / "store"), *SMALL, *many)
    data = ("--dataset", str(tmp_path / "dataset.json"))
    groups = str(tmp_path / "groups.json")
    main_ok("group", "kelp", *data, *store, "--out", groups)
    split = (*data, "--groups", groups, *store, "--out", str(tmp_path / "folds.json"))
    error = fails(capsys, "split", "kelp", *split)
    assert "split.k is 90" in error
    assert not list((tmp_path / "store").glob("split/*/manifest.json"))


def test_folds_of_another_data_set_are_refused(made, tmp_path, capsys):
    other = tmp_path / "other"
    main_ok("synth", "kelp", str(other), *SMALL, "--set", "synth.seed=9")
    named = {}
    for name, source in (("a", made / "data"), ("b", other / "data")):
        main_ok(*ingest(source, tmp_path))
        named[name] = tmp_path / f"{name}.json"
        (tmp_path / "dataset.json").rename(named[name])
    store = ("--store", str(tmp_path / "store"), *SMALL)
    groups, folds = str(tmp_path / "groups.json"), str(tmp_path / "folds.json")
    a = ("--dataset", str(named["a"]))
    main_ok("group", "kelp", *a, *store, "--out", groups)
    main_ok("split", "kelp", *a, "--groups", groups, *store, "--out", folds)
    member = ("--member", "unet-quantile", "--fold", "0")
    given = ("--dataset", str(named["b"]), "--folds", folds, *member, *store)
    error = fails(capsys, "train", "kelp", *given, "--out", str(tmp_path / "m.json"))
    assert "the folds are of data set" in error
    assert not list((tmp_path / "store").glob("train/*/manifest.json"))


def test_a_gpu_recipe_refuses_a_machine_without_one(
    made, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    gpu = (
        *("--set", "profiles.train.gpu=NVIDIA_L4"),
        *("--set", "profiles.train.gpus=1"),
    )
    main_ok(*ingest(made / "data", tmp_path, *gpu))
    store = ("--store", str(tmp_path / "store"), *SMALL, *gpu)
    data = ("--dataset", str(tmp_path / "dataset.json"))
    groups, folds = str(tmp_path / "groups.json"), str(tmp_path / "folds.json")
    main_ok("group", "kelp", *data, *store, "--out", groups)
    main_ok("split", "kelp", *data, "--groups", groups, *store, "--out", folds)
    member = ("--member", "unet-quantile", "--fold", "0", *store)
    given = (*data, "--folds", folds, *member, "--out", str(tmp_path / "m.json"))
    assert "asks for NVIDIA_L4" in fails(capsys, "train", "kelp", *given)


def test_embedding_without_weights_says_where_they_go(made, tmp_path, capsys):
    embed = ("--set", "groups.embedding.enabled=true")
    main_ok(*ingest(made / "data", tmp_path, *embed))
    store = ("--store", str(tmp_path / "store"), *SMALL, *embed)
    data = ("--dataset", str(tmp_path / "dataset.json"))
    groups = ("--out", str(tmp_path / "groups.json"))
    error = fails(capsys, "group", "kelp", *data, *store, *groups)
    assert "TENFOLD_WEIGHTS" in error


def test_truth_scores_one(made, capsys):
    truth = made / "truth"
    main_ok("score", "kelp", str(truth / "test_kelp"), str(truth))
    assert "dice_kelp        1.0000" in capsys.readouterr().out


def test_recipes_are_listed_and_shown(capsys):
    import yaml

    main_ok("recipes", "list")
    listed = capsys.readouterr().out
    for name in find_challenge("kelp").recipes():
        assert name in listed
    main_ok("recipes", "show", "kelp", "smoke")
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown == load_recipe("kelp", "smoke").model_dump(mode="json")


def test_a_folder_without_a_run_has_no_report(tmp_path, capsys):
    assert "holds no finished run" in fails(capsys, "report", str(tmp_path))


def test_other_labels_are_another_data_set(made, tmp_path):
    import shutil

    import numpy as np
    import rasterio

    shutil.copytree(made / "data", tmp_path / "data")
    next((tmp_path / "data").glob("metadata*.csv")).unlink()
    main_ok(*ingest(tmp_path / "data", tmp_path / "a"))
    for mask in (tmp_path / "data" / "train_kelp").iterdir():
        with rasterio.open(mask, "r+") as file:
            file.write(1 - np.asarray(file.read()))
    main_ok(*ingest(tmp_path / "data", tmp_path / "b"))
    prints = {
        json.loads(path.read_text())["fingerprint"]
        for path in tmp_path.glob("?/store/ingest/*/summary.json")
    }
    assert len(prints) == 2
