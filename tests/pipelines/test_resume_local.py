"""Resuming a run of this machine: what its folder has recorded is run again."""

import json

import pytest

from tenfold.challenges import load_recipe


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """What would be run; runs take minutes."""
    monkeypatch.chdir(tmp_path)
    calls = []
    monkeypatch.setattr("pipelines.run.run", lambda *given: calls.append(given))
    monkeypatch.setattr("pipelines.sweep.run_sweep", lambda *given: calls.append(given))
    return calls


@pytest.fixture
def folder(tmp_path):
    """Write the order of a run, as it is there while the run is at work."""

    def write(**more):
        order = {
            "recipe": load_recipe("kelp", "smoke", ["split.k=3"]).to_json(),
            "source": "/data/kelp",
            "store": "/store",
            "tags": "",
            "target": "local",
            "images": "",
            "root": "/unused",
        }
        path = tmp_path / "a-run"
        path.mkdir()
        (path / "order.json").write_text(json.dumps(order | more))
        return path

    return write


def test_recipe_source_store_and_target_are_as_they_were(ran, folder, tenfold):
    path = folder(target="docker", images="mine")
    assert tenfold("resume", path)[0] == 0
    ((challenge, recipe, source, out, overrides, store, target, images, truth),) = ran
    assert challenge == "kelp"
    assert json.loads(recipe)["split"]["k"] == 3
    assert (source, store, truth) == ("/data/kelp", "/store", None)
    assert (out, target, images) == (path, "docker", "mine")
    assert not overrides


def test_data_that_the_run_made_are_judged_again_by_their_truth(ran, folder, tenfold):
    places = {"source": "/runs/data/kelp-01/data", "truth": "/runs/data/kelp-01/truth"}
    assert tenfold("resume", folder(**places))[0] == 0
    assert (ran[0][2], ran[0][-1]) == (places["source"], places["truth"])


def test_a_sweep_is_resumed_as_one(ran, folder, tenfold):
    from tenfold.sweep import load_sweep, plan_sweep

    _, plan = plan_sweep("kelp", load_sweep("kelp", "smoke"), ())
    assert tenfold("resume", folder(plan=plan.model_dump_json()))[0] == 0
    assert ran[0][0] == plan
    assert ran[0][1].split.k == 3


def test_an_order_without_target_and_images_has_the_defaults(ran, folder, tenfold):
    path = folder()
    order = json.loads((path / "order.json").read_text())
    del order["target"], order["images"]
    (path / "order.json").write_text(json.dumps(order))
    assert tenfold("resume", path)[0] == 0
    assert ran[0][-3:-1] == ("local", "tenfold")


@pytest.mark.parametrize("target", ["docker", "vertex"])
def test_a_run_does_not_change_its_target(ran, folder, refused, target):
    error = refused("resume", folder(), "--target", target)
    assert f"a-run ran with --target local, not {target}" in error
    assert not ran


def test_a_folder_that_is_misspelt_comes_with_those_there_are(
    ran, folder, refused, tmp_path
):
    (tmp_path / "runs" / "store").mkdir(parents=True)
    assert "runs here: none" in refused("resume", "runs/kelp-smok")
    folder().rename(tmp_path / "runs" / "kelp-smoke")
    error = refused("resume", "runs/kelp-smok")
    assert "runs/kelp-smok is neither a folder nor the id of a run" in error
    assert error.endswith("runs here: runs/kelp-smoke")
    assert not ran


def test_a_dry_run_is_of_no_run_here(ran, folder, refused):
    assert "is of this machine" in refused("launch", "--resume", folder(), "--dry-run")
    assert not ran


def test_another_folder_is_no_run(ran, refused, tmp_path):
    assert "is not the folder of a run" in refused("resume", tmp_path)
    assert not ran
