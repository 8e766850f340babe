"""What containers of a run get, and what keeps a run from starting."""

import os

import pytest

from pipelines import containers
from pipelines.containers import Containers, container_arguments, container_user
from pipelines.plan import task_counts
from pipelines.run import RunError, _complete, run
from pipelines.targets import TargetError
from tenfold.challenges import load_recipe
from tenfold.recipe import digest_of
from tenfold.stages.context import Reference
from tenfold.stages.report import RunRecord

ORDER = {"source": "/data", "store": "/store", "root": "/root-of-run"}


def test_a_container_reads_the_source_and_writes_the_store_and_no_more():
    arguments = container_arguments(load_recipe("kelp", "smoke"), ORDER)
    assert arguments["network_mode"] == "none"
    assert arguments["cap_drop"] == ["ALL"]
    source, store = arguments["mounts"]
    assert (source["Source"], source["Target"], source["ReadOnly"]) == (
        "/data",
        "/data",
        True,
    )
    assert (store["Source"], store["ReadOnly"]) == ("/store", False)
    assert "device_requests" not in arguments


def test_resources_are_those_of_the_largest_profile():
    arguments = container_arguments(load_recipe("kelp", "winning"), ORDER)
    assert arguments["shm_size"] == "8g"
    assert arguments["mem_limit"] == "30g"
    (request,) = arguments["device_requests"]
    assert request["Capabilities"] == [["gpu"]]


def test_kfp_takes_the_arguments():
    from kfp import local

    local.DockerRunner(**container_arguments(load_recipe("kelp", "winning"), ORDER))


def test_nobody_runs_as_root(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert container_user() == (10001, 10001)
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    assert container_user() == (1234, os.getgid())


@pytest.mark.parametrize("option", ["--source", "--store"])
def test_an_address_needs_the_network_that_containers_lack(option):
    places = {"--source": "/data", "--store": "/store"} | {option: "gs://b/x"}
    with pytest.raises(TargetError, match=f"{option} gs://b/x"):
        Containers("x").prepare(
            load_recipe("kelp", "smoke"), places["--source"], places["--store"]
        )


def test_without_an_engine_a_run_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(TargetError, match="no Docker engine answers"):
        containers.engine()


@pytest.mark.parametrize("target", ["moon", "vertex"])
def test_only_local_targets_run(target):
    with pytest.raises(TargetError, match=target):
        run("kelp", target=target)


def record_of(tmp_path, stages):
    recipe = load_recipe("kelp", "smoke")
    tasks = tuple(
        Reference(stage, f"{stage}/{digest_of(n)}", "", recipe.digest(), label=stage)
        for n, stage in enumerate(stages)
    )
    return RunRecord(recipe.to_json(), "", "", str(tmp_path), "", tasks)


def test_a_task_that_left_nothing_is_missed_whatever_the_engine_said(tmp_path):
    record = record_of(tmp_path, ["ingest", "group", "split", "train"])
    counts = task_counts(record.context.recipe)
    with pytest.raises(RunError, match="train: 1 of 8 tasks left a result"):
        _complete(record.tasks, counts, record.context, tmp_path)
