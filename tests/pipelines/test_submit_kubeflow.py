"""Graphs sent to Kubeflow Pipelines: the real client against a server that records."""

import json
import re

import pytest

from pipelines import pinning, submit
from tests.pipelines.conftest import TAG


@pytest.fixture
def launch(tenfold, compiled, settings_file, kubeflow, pauses):
    """Launch the published system's graph."""
    del pauses

    def run(*more, run=tenfold, name="winning", **changes):
        changes.setdefault("kubeflow__host", kubeflow.address)
        path = compiled[name, "kubeflow"].path
        given = ["--target", "kubeflow", "--compiled", path, *settings_file(**changes)]
        return run("launch", *given, *more)

    return run


@pytest.fixture
def sent(launch, kubeflow):
    """A run that was launched, as the server has it."""
    code, _, err = launch()
    assert code == 0, err
    (run,) = kubeflow.runs.values()
    return run


@pytest.fixture
def resume(tenfold, settings_file, kubeflow):
    def run(id_, run=tenfold):
        return run("resume", id_, *settings_file(kubeflow__host=kubeflow.address))

    return run


def test_a_run_is_made_in_its_experiment(sent, kubeflow):
    (experiment,) = kubeflow.experiments.values()
    assert experiment["display_name"] == "tenfold"
    assert sent["experiment_id"] == experiment["experiment_id"]
    assert re.fullmatch(r"tenfold-kelp-winning-[0-9a-f]{12}-1", sent["display_name"])
    assert sent["runtime_config"]["parameters"] == {
        "source": "gs://a-project-data/kelp",
        "store": "gs://a-project-store/tenfold",
    }


def test_nodes_and_shared_memory_travel_with_the_graph(sent):
    executors = sent["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
    train = executors["deploymentSpec"]["executors"]["exec-train"]
    assert train["emptyDirMounts"][0]["mountPath"] == "/dev/shm"
    assert "ingest" in sent["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]


def test_every_image_goes_by_the_digest_its_registry_has(sent, registry):
    assert pinning.images_of(sent["pipeline_spec"]) == {
        f"{registry.prefix}/tenfold-python-{kind}@"
        + registry.digests[f"tenfold/tenfold-python-{kind}", TAG]
        for kind in ("cpu", "torch")
    }


def test_the_link_and_the_way_to_resume_are_printed(launch, kubeflow, monkeypatch):
    monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "http://pages.example/")
    _, out, _ = launch()
    (id_,) = kubeflow.runs
    assert f"http://pages.example/#/runs/details/{id_}" in out
    assert f"tenfold resume {id_}" in out
    assert "Experiment details" not in out


def test_an_experiment_that_is_there_is_used(launch, kubeflow):
    there = {"experiment_id": "mine", "display_name": "folds"}
    kubeflow.experiments["mine"] = there
    assert launch("--experiment", "folds")[0] == 0
    assert len(kubeflow.experiments) == 1
    (run,) = kubeflow.runs.values()
    assert run["experiment_id"] == "mine"


def test_an_experiment_that_somebody_else_has_just_made_is_used(launch, kubeflow):
    kubeflow.fail(409, "Already exist", path="/experiments", obey=True)
    code, _, err = launch()
    assert code == 0, err
    assert len(kubeflow.experiments) == len(kubeflow.runs) == 1


def test_a_dry_run_prints_the_request_and_calls_nobody(launch, kubeflow):
    code, out, err = launch("--dry-run")
    assert code == 0
    assert not kubeflow.requests
    assert f"POST {kubeflow.address}/apis/v2beta1/runs" in err
    assert "pipeline_spec" in json.loads(out)


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUCCEEDED"])
def test_equal_content_is_sent_once(launch, sent, kubeflow, state):
    sent["state"] = state
    code, out, _ = launch()
    assert code == 0
    assert len(kubeflow.runs) == 1
    assert sent["display_name"] in out


@pytest.mark.usefixtures("sent")
def test_other_content_is_another_run(launch, kubeflow):
    launch(source="gs://a-project-data/other")
    assert len({run["display_name"] for run in kubeflow.runs.values()}) == 2


def test_a_service_in_trouble_is_asked_again(launch, kubeflow):
    for path in ("/healthz", "/runs", "/experiments"):
        kubeflow.fail(503, method="GET", path=path)
    kubeflow.fail(503, path="/runs")
    kubeflow.fail(504, path="/runs")
    code, _, err = launch()
    assert code == 0, err
    assert len(kubeflow.runs) == 1


def test_an_answer_that_is_lost_makes_no_second_run(launch, kubeflow):
    kubeflow.fail(503, path="/runs", obey=True)
    code, out, err = launch()
    assert code == 0, err
    assert len(kubeflow.asked("POST", "/runs")) == 1
    (id_,) = kubeflow.runs
    assert id_ in out


def test_a_refusal_names_the_role(launch, kubeflow, refused):
    kubeflow.fail(403, "User 'me' is not authorized", path="/runs")
    error = launch(run=refused)
    assert "User 'me' is not authorized" in error
    assert "kubeflow-pipelines-edit" in error
    assert len(kubeflow.asked("POST", "/runs")) == 1


def test_what_the_api_finds_wrong_is_said(launch, kubeflow, refused):
    kubeflow.fail(400, "Invalid pipeline spec: no root", path="/runs")
    assert "status 400: Invalid pipeline spec: no root" in launch(run=refused)


def test_a_failed_run_is_not_repeated_but_resumed(launch, sent, kubeflow, refused):
    sent["state"] = "FAILED"
    assert f"tenfold resume {sent['run_id']}" in launch(run=refused)
    assert len(kubeflow.runs) == 1


def test_resuming_sends_the_same_inputs_under_the_next_number(sent, kubeflow, resume):
    sent["state"] = "FAILED"
    code, out, err = resume(sent["run_id"])
    assert code == 0, err
    first, second = kubeflow.runs.values()
    assert second["display_name"] == f"{first['display_name'][:-1]}2"
    for part in ("pipeline_spec", "runtime_config", "experiment_id"):
        assert second[part] == first[part]
    assert second["run_id"] in out


def test_the_last_attempt_is_found_among_ten(sent, kubeflow, resume):
    name = sent["display_name"][:-1]
    for number in (2, 9, 10):
        id_ = f"00000000-0000-4000-8000-9{number:011d}"
        row = {"run_id": id_, "display_name": f"{name}{number}", "state": "FAILED"}
        kubeflow.runs[id_] = {**sent, **row}
    sent["state"] = "FAILED"
    assert resume(sent["run_id"])[0] == 0
    assert list(kubeflow.runs.values())[-1]["display_name"] == f"{name}11"


def test_a_run_under_way_is_not_resumed(sent, kubeflow, resume, refused):
    sent["state"] = "RUNNING"
    assert "is still running" in resume(sent["run_id"], run=refused)
    assert len(kubeflow.runs) == 1


def test_a_run_that_is_not_there_is_named(resume, refused):
    id_ = "11111111-2222-4333-8444-555555555555"
    assert f"Run {id_} not found" in resume(id_, run=refused)


def detail(number, name, state, **more):
    times = {"create_time": "2026-11-21T10:00:00Z"}
    if state != "PENDING":
        times["start_time"] = "2026-11-21T10:00:35Z"
    if state in ("SUCCEEDED", "FAILED"):
        times["end_time"] = "2026-11-21T10:02:35Z"
    row = {"task_id": str(number), "display_name": name, "state": state}
    return row | times | more


def course(state, *details):
    return {"state": state, "run_details": {"task_details": details}}


def test_waiting_shows_each_change_once(launch, kubeflow, pauses):
    kubeflow.course = [
        course("RUNNING", detail(1, "ingest", "PENDING")),
        course("RUNNING", detail(1, "ingest", "RUNNING")),
        course(
            "SUCCEEDED",
            detail(0, "root-driver", "SUCCEEDED"),
            detail(1, "ingest", "SUCCEEDED"),
            detail(2, "train", "SUCCEEDED"),
            detail(3, "train", "SUCCEEDED"),
        ),
    ]
    code, out, err = launch("--wait")
    assert code == 0, err
    shown = [" ".join(line.split()) for line in out.splitlines()[3:]]
    assert shown[:5] == [
        "Ingest pending waits since 10:00:00 UTC",
        "Ingest running after 35 s of waiting",
        "Ingest succeeded 120 s",
        "Train unet-b5 succeeded 120 s",
        "Train unet-b5 #2 succeeded 120 s",
    ]
    assert len(shown) == 6
    assert pauses == [submit.POLL_SECONDS] * 2


def test_waiting_for_a_run_that_fails_fails_and_says_why(launch, kubeflow, refused):
    why = {"error": {"code": 2, "message": "OOMKilled"}}
    kubeflow.course = [course("FAILED", detail(2, "train", "FAILED", **why))]
    error = launch("--wait", run=refused)
    assert "failed: Train unet-b5: OOMKilled" in error
    assert "tenfold resume 00000000-" in error


def test_nothing_at_an_address_is_said_at_once(launch, refused, pauses):
    error = launch(run=refused, kubeflow__host="http://127.0.0.1:9")
    assert "nothing answers at http://127.0.0.1:9" in error
    assert "kubeflow.host" in error
    assert not pauses


@pytest.mark.parametrize("health", [b"<html>welcome</html>", [], {"status": "ok"}])
def test_an_address_of_something_else_is_refused(launch, kubeflow, refused, health):
    kubeflow.health = health
    error = launch(run=refused)
    assert "is not the API of Kubeflow Pipelines 2" in error
    assert not kubeflow.runs


def test_a_page_that_is_not_found_is_refused(launch, kubeflow, refused):
    kubeflow.fail(404, "page not found", method="GET")
    assert "gives status 404" in launch(run=refused)


def test_an_address_that_asks_who_one_is_is_refused(launch, kubeflow, refused):
    kubeflow.fail(401, "log in", method="GET")
    assert "denies access (status 401)" in launch(run=refused)


@pytest.mark.parametrize("tag", ["2.16.1", "v2.5.0", "1.8.22"])
def test_too_old_a_version_is_refused(launch, kubeflow, refused, tag):
    kubeflow.health["tag_name"] = tag
    error = launch(run=refused)
    assert f"is Kubeflow Pipelines {tag}; graphs need 2.17 or later" in error
    assert not kubeflow.runs


@pytest.mark.parametrize("tag", ["2.17.3", "2.20.0", "3.0.0", "unknown"])
def test_a_newer_version_or_none_told_will_do(launch, kubeflow, tag):
    kubeflow.health["tag_name"] = tag
    assert launch()[0] == 0


def test_the_address_of_the_pages_will_do(launch, kubeflow):
    kubeflow.health = {"apiServerReady": True, "apiServerTagName": "2.17.0"}
    assert launch()[0] == 0


def test_a_host_without_a_scheme_is_refused(launch, refused):
    error = launch(run=refused, kubeflow__host="localhost:8888")
    assert "write http://localhost:8888 or https://localhost:8888" in error


def test_a_missing_host_names_its_flag(launch, refused):
    assert "--host" in launch(run=refused, kubeflow__host=None)


def test_a_store_in_the_cluster_will_do(launch):
    assert launch(store="s3://mlpipeline/store", source="s3://mlpipeline/data")[0] == 0


def test_data_out_of_reach_is_refused(launch, kubeflow, refused):
    assert "out of reach of tasks on a cluster" in launch(run=refused, source="/data")
    assert not kubeflow.requests


def test_images_that_nodes_hold_are_noted(
    tenfold, compiled, kubeflow, registry, settings_file, tmp_path
):
    text = compiled["smoke", "kubeflow"].path.read_text("utf-8")
    path = tmp_path / "graph.yaml"
    path.write_text(text.replace(registry.prefix, "tenfold"))
    given = ["--compiled", path, *settings_file(kubeflow__host=kubeflow.address)]
    code, _, err = tenfold("launch", "--target", "kubeflow", *given)
    assert code == 0
    assert f"in no registry: tenfold/tenfold-python-torch:{TAG}" in err
    assert len(kubeflow.runs) == 1


def test_a_dry_run_of_resuming_sends_nothing(sent, kubeflow, tenfold, settings_file):
    sent["state"] = "FAILED"
    own = settings_file(kubeflow__host=kubeflow.address)
    code, out, err = tenfold("launch", "--resume", sent["run_id"], "--dry-run", *own)
    assert code == 0, err
    assert json.loads(out)["runtime_config"] == sent["runtime_config"]
    assert len(kubeflow.asked("POST", "/runs")) == 1


@pytest.mark.parametrize("name", ["smoke", "winning"])
def test_a_graph_of_another_target_is_refused(
    refused, compiled, kubeflow, settings_file, name
):
    """One without a GPU, too, in which nothing else is Vertex AI's."""
    path = compiled[name, "vertex"].path
    given = ["--compiled", path, *settings_file(kubeflow__host=kubeflow.address)]
    error = refused("launch", "--target", "kubeflow", *given)
    assert "compile it with --target kubeflow" in error
