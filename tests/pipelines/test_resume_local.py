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
    ((challenge, recipe, source, out, overrides, store, target, images),) = ran
    assert challenge == "kelp"
    assert json.loads(recipe)["split"]["k"] == 3
    assert (source, store) == ("/data/kelp", "/store")
    assert (out, target, images) == (path, "docker", "mine")
    assert not overrides


def test_data_that_the_run_made_are_made_again_with_their_truth(
    ran, folder, tenfold, tmp_path
):
    made = tmp_path / "runs" / "data" / "kelp-0123456789ab" / "data"
    assert tenfold("resume", folder(source=str(made)))[0] == 0
    assert ran[0][2] is None


def test_a_sweep_is_resumed_as_one(ran, folder, tenfold):
    from tenfold.sweep import load_sweep, plan_sweep

    _, plan = plan_sweep("kelp", load_sweep("kelp", "smoke"), ())
    assert tenfold("resume", folder(plan=plan.model_dump_json()))[0] == 0
    assert ran[0][0] == plan
    assert ran[0][1].split.k == 3


def test_another_folder_is_no_run(ran, refused, tmp_path):
    assert "is not the folder of a run" in refused("resume", tmp_path)
    assert not ran
