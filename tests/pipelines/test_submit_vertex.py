"""Graphs sent to Vertex AI: the real client against a server that records."""

import json
import re
import subprocess
import sys
from pathlib import Path

import google.auth
import pytest
import yaml
from google.cloud.aiplatform_v1.types import PipelineJob
from google.protobuf import json_format

from pipelines import pinning, submit
from pipelines.images import pins
from tests.pipelines.conftest import ACCOUNT, TAG

DEFAULT = google.auth.default
PARENT = "projects/a-project/locations/europe-west4"
FAILED = {"state": "PIPELINE_STATE_FAILED"}

#: A service that answers, and nobody who waits.
pytestmark = pytest.mark.usefixtures("vertex", "pauses")


@pytest.fixture
def launch(tenfold, compiled, settings_file, vertex, pauses):
    """Launch the published system's graph."""
    del vertex, pauses

    def run(*more, run=tenfold, name="winning", **changes):
        path = compiled[name, "vertex"].path
        given = ["--target", "vertex", "--compiled", path, *settings_file(**changes)]
        return run("launch", *given, *more)

    return run


@pytest.fixture
def sent(launch):
    """A run that was launched, by its id."""
    code, out, err = launch()
    assert code == 0, err
    return out.splitlines()[0].partition(":")[0]


def created(vertex):
    """What was asked to be created: (id, body in the API's own words)."""
    found = []
    for _, path, query, body in vertex.asked("POST", "/pipelineJobs"):
        assert path == f"/v1/{PARENT}/pipelineJobs"
        job = PipelineJob()
        json_format.ParseDict(body, PipelineJob.pb(job))
        found.append((query["pipelineJobId"], plain(job)))
    return found


def plain(job):
    return json_format.MessageToDict(PipelineJob.pb(job))


def test_a_run_says_whose_it_is_and_where_it_keeps_things(sent, vertex):
    ((name, body),) = created(vertex)
    assert re.fullmatch(r"tenfold-kelp-winning-[0-9a-f]{12}-1", name)
    assert name == sent
    assert body["serviceAccount"] == ACCOUNT
    assert body["preflightValidations"] is True
    assert body["labels"] == {
        "team": "kelp",
        "tenfold-challenge": "kelp",
        "tenfold-recipe": "winning",
    }
    assert body["runtimeConfig"] == {
        "gcsOutputDirectory": "gs://a-project-pipelines/tenfold",
        "parameterValues": {
            "source": "gs://a-project-data/kelp",
            "store": "gs://a-project-store/tenfold",
        },
        "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_SLOW",
    }


@pytest.mark.usefixtures("sent")
def test_tasks_decide_on_caching_and_none_caches(vertex):
    def options(value):
        if isinstance(value, dict):
            if "cachingOptions" in value:
                yield value["cachingOptions"]
            for inner in value.values():
                yield from options(inner)

    found = list(options(created(vertex)[0][1]["pipelineSpec"]))
    assert found
    assert not any(option.get("enableCache") for option in found)


@pytest.mark.usefixtures("sent")
def test_every_image_goes_by_the_digest_its_registry_has(vertex, registry):
    images = pinning.images_of(created(vertex)[0][1])
    assert pinning.LAUNCHER in images
    pulled = images - {pinning.LAUNCHER}
    assert pulled == {
        f"{registry.prefix}/tenfold-python-{kind}@"
        + registry.digests[f"tenfold/tenfold-python-{kind}", TAG]
        for kind in ("cpu", "torch")
    }


def test_the_launcher_is_the_one_the_converter_names():
    from google_cloud_pipeline_components._image import GCPC_IMAGE_TAG

    assert GCPC_IMAGE_TAG == pinning.LAUNCHER
    assert pins()["LAUNCHER_IMAGE"].partition("@")[0] == pinning.LAUNCHER


def test_the_page_and_the_way_to_resume_are_printed(launch):
    _, out, _ = launch()
    run = out.splitlines()[0].partition(":")[0]
    assert f"/locations/europe-west4/pipelines/runs/{run}?project=a-project" in out
    assert f"tenfold resume {run}" in out


def test_options_of_a_private_network_are_passed_on(launch, vertex):
    key = "projects/a-project/locations/l/keyRings/r/cryptoKeys/k"
    network = "projects/1/global/networks/n"
    launch("--tags", "My run, #2", vertex__network=network, vertex__encryption_key=key)
    body = created(vertex)[0][1]
    assert body["network"] == network
    assert body["encryptionSpec"] == {"kmsKeyName": key}
    assert body["runtimeConfig"]["parameterValues"]["tags"] == "My run, #2"
    assert body["labels"]["tenfold-tags"] == "my-run---2"


def test_a_dry_run_prints_the_request_and_calls_nobody(
    launch, vertex, registry, monkeypatch
):
    monkeypatch.setattr("google.auth.default", None)
    before = len(registry.requests)
    code, out, err = launch("--dry-run")
    assert code == 0
    assert not vertex.requests
    assert len(registry.requests) == before
    job = PipelineJob()
    json_format.ParseDict(json.loads(out), PipelineJob.pb(job))
    assert job.display_name == "tenfold-kelp-winning"
    assert f"{vertex.address}/v1/{PARENT}/pipelineJobs?pipelineJobId=" in err


def test_a_dry_run_names_the_run_that_will_be(launch):
    _, _, err = launch("--dry-run")
    _, out, _ = launch()
    assert err.strip().endswith(out.splitlines()[0].partition(":")[0])


def test_the_request_is_what_the_high_level_sdk_would_send(launch, tmp_path):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    _, out, _ = launch("--dry-run")
    ours = PipelineJob()
    json_format.ParseDict(json.loads(out), PipelineJob.pb(ours))
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(json.loads(out)["pipelineSpec"]))
    theirs = aiplatform.PipelineJob(
        display_name="tenfold-kelp-winning",
        template_path=str(path),
        pipeline_root="gs://a-project-pipelines/tenfold",
        parameter_values=json.loads(out)["runtimeConfig"]["parameterValues"],
        labels=json.loads(out)["labels"],
        failure_policy="slow",
        project="a-project",
        location="europe-west4",
        credentials=AnonymousCredentials(),
    )._gca_resource
    # What its submit() sets.
    theirs.service_account, theirs.preflight_validations = ACCOUNT, True
    assert theirs == ours


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUCCEEDED"])
def test_equal_content_is_sent_once(launch, sent, vertex, state):
    vertex.job(sent)["state"] = f"PIPELINE_STATE_{state}"
    code, out, _ = launch()
    assert code == 0
    assert len(created(vertex)) == 1
    assert sent in out
    assert "console.cloud.google.com" in out


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "gs://a-project-data/other"},
        {"store": "gs://a-project-store/other"},
        {"vertex__pipeline_root": "gs://a-project-pipelines/other"},
        {"vertex__network": "projects/1/global/networks/n"},
        {"vertex__encryption_key": "projects/p/locations/l/keyRings/r/cryptoKeys/k"},
        {"name": "smoke"},
    ],
)
@pytest.mark.usefixtures("sent")
def test_other_content_is_another_run(launch, vertex, changes):
    assert launch(**changes)[0] == 0
    assert len({name for name, _ in created(vertex)}) == 2


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("sdkVersion: kfp-", "sdkVersion: kfp-9", True),
        ("defaultValue: 43200s", "defaultValue: 43201s", False),
        (f":{TAG}", ":fedcba9876543210", False),
    ],
)
def test_another_graph_is_another_run(
    tenfold, compiled, settings_file, tmp_path, old, new, same
):
    text = compiled["winning", "vertex"].path.read_text("utf-8")
    ids = set()
    for written in (text, text.replace(old, new)):
        path = tmp_path / "graph.yaml"
        path.write_text(written)
        given = ["--compiled", path, "--dry-run", *settings_file()]
        _, _, err = tenfold("launch", "--target", "vertex", *given)
        ids.add(err)
    assert (len(ids) == 1) == same


def test_a_service_in_trouble_is_asked_again(launch, vertex, pauses):
    vertex.fail(503)
    vertex.fail(503)
    code, _, _ = launch()
    assert code == 0
    assert len(created(vertex)) == 3
    assert len(vertex.jobs) == 1
    assert [pause <= most for pause, most in zip(pauses, (1, 2), strict=True)]


def test_an_answer_that_is_lost_makes_no_second_run(launch, vertex):
    vertex.fail(503, obey=True)
    code, out, err = launch()
    assert code == 0, err
    assert len(created(vertex)) == 2
    assert len(vertex.jobs) == 1
    assert next(iter(vertex.jobs)).rpartition("/")[2] in out


def test_a_run_that_somebody_else_has_just_sent_is_taken(launch, sent, vertex):
    vertex.lags = True
    code, out, _ = launch()
    assert code == 0
    assert len(created(vertex)) == 2
    assert len(vertex.jobs) == 1
    assert sent in out


@pytest.mark.parametrize(
    ("said", "cure"),
    [
        (
            "Permission 'aiplatform.pipelineJobs.create' denied on resource",
            "gcloud projects add-iam-policy-binding a-project --member=user:YOU"
            " --role=roles/aiplatform.user",
        ),
        (
            f"You do not have permission to act as service_account: {ACCOUNT}",
            f"gcloud iam service-accounts add-iam-policy-binding {ACCOUNT}",
        ),
        (
            "Vertex AI API has not been used in project 1 before or it is disabled",
            "gcloud services enable aiplatform.googleapis.com --project=a-project",
        ),
    ],
)
def test_a_refusal_comes_with_the_line_that_cures_it(
    launch, vertex, refused, pauses, said, cure
):
    vertex.fail(403, said)
    error = launch(run=refused)
    assert said in error
    assert cure in error
    assert "http" not in error
    assert len(created(vertex)) == 1
    assert not pauses


def test_what_preflight_finds_is_said(launch, vertex, refused):
    vertex.fail(400, "The bucket a-project-pipelines does not exist")
    assert "bucket a-project-pipelines does not exist" in launch(run=refused)


def test_a_failed_run_is_not_repeated_but_resumed(launch, sent, vertex, refused):
    vertex.job(sent).update(FAILED)
    error = launch(run=refused)
    assert f"tenfold resume {sent}" in error
    assert len(created(vertex)) == 1


def test_resuming_sends_the_same_inputs_under_the_next_number(
    sent, vertex, tenfold, settings_file
):
    vertex.job(sent).update(FAILED)
    code, out, err = tenfold("resume", sent, *settings_file(source="gs://b/other"))
    assert code == 0, err
    (_, first), (name, second) = created(vertex)
    assert name == f"{sent[:-1]}2"
    assert second == first
    assert f"tenfold resume {sent[:-1]}2" in out


@pytest.mark.parametrize("verb", [("resume",), ("launch", "--resume")])
def test_a_dry_run_of_resuming_sends_nothing(
    sent, vertex, tenfold, settings_file, verb
):
    vertex.job(sent).update(FAILED)
    given = (sent, "--target", "vertex", "--dry-run", *settings_file())
    code, out, err = tenfold(*verb, *given)
    assert code == 0, err
    ((_, first),) = created(vertex)
    job = PipelineJob()
    json_format.ParseDict(json.loads(out), PipelineJob.pb(job))
    assert plain(job) == first
    assert err.strip().endswith(f"pipelineJobId={sent[:-1]}2")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--set", "split.k=3"], "--set"),
        (["--source", "gs://b/other", "--store", "gs://b/s"], "--source, --store"),
        (["--tags", ""], "--tags"),
        (["--compiled", "graph.yaml"], "--compiled"),
        (["--service-account", "me@p.iam.gserviceaccount.com"], "--service-account"),
        (
            ["--pipeline-root", "gs://b/kfp", "-r", "smoke"],
            "--recipe, --pipeline-root",
        ),
    ],
)
def test_resuming_takes_nothing_that_it_cannot_honour(
    sent, vertex, refused, settings_file, given, named
):
    vertex.job(sent).update(FAILED)
    error = refused("launch", "--resume", sent, *given, *settings_file())
    assert f"leave out {named};" in error
    assert len(created(vertex)) == 1


def test_an_attempt_that_was_deleted_is_not_sent_beside_a_later_one(
    launch, sent, vertex, tenfold, settings_file
):
    for _ in range(3):
        vertex.job(f"{sent[:-1]}{len(vertex.jobs)}").update(FAILED)
        tenfold("resume", sent, *settings_file())
    del vertex.jobs[f"{PARENT}/pipelineJobs/{sent}"]
    other = json.loads(json.dumps(vertex.job(f"{sent[:-1]}2")))
    other["name"] = f"{PARENT}/pipelineJobs/{sent[:-1]}other-9"
    vertex.jobs[other["name"]] = other
    code, out, err = launch()
    assert code == 0, err
    assert f"{sent[:-1]}4 is pending already" in out
    assert len(created(vertex)) == 4


def test_another_identity_is_another_run(launch):
    """Who launched as the wrong one need not resume that run."""
    other = "other@a-project.iam.gserviceaccount.com"
    # A graph without a GPU says nothing of it.
    _, out, err = launch("--dry-run", name="smoke")
    _, other_out, other_err = launch(
        "--dry-run", name="smoke", vertex__service_account=other
    )
    one, two = json.loads(out), json.loads(other_out)
    assert (one.pop("serviceAccount"), two.pop("serviceAccount")) == (ACCOUNT, other)
    assert one == two
    assert err != other_err


@pytest.mark.parametrize(
    ("account", "who"),
    [
        ("other@a-project.iam.gserviceaccount.com", "other@a-project"),
        ("''", "no identity of yours"),
    ],
)
def test_jobs_that_would_run_as_somebody_else_are_refused(
    refused, compiled, settings_file, tmp_path, vertex, account, who
):
    text = compiled["winning", "vertex"].path.read_text("utf-8")
    path = tmp_path / "graph.yaml"
    path.write_text(
        text.replace(f"defaultValue: {ACCOUNT}", f"defaultValue: {account}")
    )
    given = ["--target", "vertex", "--compiled", path, *settings_file()]
    error = refused("launch", *given)
    assert f"was compiled to run as {who}" in error
    assert f"compile it again with --service-account {ACCOUNT}" in error
    assert not vertex.requests


def test_an_accelerator_that_the_region_lacks_is_refused(launch, refused, vertex):
    error = launch(run=refused, vertex__location="me-central2")
    assert "me-central2 has no NVIDIA_TESLA_T4 for training" in error
    assert not vertex.requests


def test_resume_is_an_option_of_the_script_too(sent, vertex, settings_file, tenfold):
    vertex.job(sent).update(FAILED)
    full = f"{PARENT}/pipelineJobs/{sent}"
    given = ("--resume", full, "--target", "vertex", *settings_file())
    assert tenfold("launch", *given)[0] == 0
    assert f"{PARENT}/pipelineJobs/{sent[:-1]}2" in vertex.jobs


def test_a_run_under_way_is_not_resumed(sent, vertex, refused, settings_file):
    vertex.job(sent)["state"] = "PIPELINE_STATE_RUNNING"
    assert "is still running" in refused("resume", sent, *settings_file())
    assert len(created(vertex)) == 1


def test_a_run_whose_later_attempt_is_under_way_is_not_resumed(
    sent, vertex, tenfold, refused, settings_file
):
    vertex.job(sent).update(FAILED)
    tenfold("resume", sent, *settings_file())
    assert "2 is still pending" in refused("resume", sent, *settings_file())


def test_a_run_that_is_not_there_is_named(refused, settings_file):
    error = refused("resume", "tenfold-kelp-smoke-000000000000-1", *settings_file())
    assert "there is no run tenfold-kelp-smoke-000000000000-1 in a-project" in error


def detail(number, name, state, minute=None, **more):
    times = {"createTime": "2026-11-21T10:00:00Z"}
    if minute is not None:
        times["startTime"] = "2026-11-21T10:00:35Z"
        times["endTime"] = f"2026-11-21T10:{minute:02d}:35Z"
    return {"taskId": str(number), "taskName": name, "state": state} | times | more


def job(state, *details):
    return {"state": f"PIPELINE_STATE_{state}", "jobDetail": {"taskDetails": details}}


def test_waiting_shows_each_change_once(launch, vertex, pauses):
    running = {"startTime": "2026-11-21T10:00:35Z"}
    vertex.course = [
        job("RUNNING", detail(1, "ingest", "PENDING")),
        job("RUNNING", detail(1, "ingest", "RUNNING", **running)),
        job("RUNNING", detail(1, "ingest", "RUNNING", **running)),
        job(
            "SUCCEEDED",
            detail(1, "ingest", "SUCCEEDED", 2),
            detail(2, "train", "SUCCEEDED", 3),
            detail(3, "train", "SUCCEEDED", 3),
            detail(4, "for-loop-2", "SUCCEEDED", 3),
        ),
    ]
    code, out, _ = launch("--wait")
    assert code == 0
    shown = [" ".join(line.split()) for line in out.splitlines()[3:]]
    assert shown[:5] == [
        "Ingest pending waits since 10:00:00 UTC",
        "Ingest running after 35 s of waiting",
        "Ingest succeeded 120 s",
        "Train unet-b5 succeeded 180 s",
        "Train unet-b5 #2 succeeded 180 s",
    ]
    assert shown[5].endswith(": succeeded")
    assert len(shown) == 6
    assert pauses == [submit.POLL_SECONDS] * 3
    assert submit.POLL_SECONDS >= 20


def test_waiting_for_a_run_that_fails_fails_and_says_why(launch, vertex, refused):
    why = {"error": {"code": 13, "message": "The replica ran out of memory"}}
    failed = detail(2, "train", "FAILED", 4, **why)
    vertex.course = [job("FAILED", detail(1, "ingest", "SUCCEEDED", 2), failed)]
    error = launch("--wait", run=refused)
    assert "failed: Train unet-b5: The replica ran out of memory" in error
    assert "tenfold resume tenfold-kelp-winning-" in error


def test_waiting_survives_a_service_in_trouble(launch, vertex):
    vertex.course = [job("RUNNING"), job("SUCCEEDED")]
    vertex.fail(503, method="GET")
    vertex.fail(503, method="GET")
    assert launch("--wait")[0] == 0


def begun(name):
    context = f"{PARENT}/metadataStores/default/contexts/{name}"
    return {"jobDetail": {"pipelineRunContext": {"name": context}}}


def test_a_run_joins_its_experiment_once_it_has_begun(launch, vertex):
    vertex.course = [{}, begun("run-1")]
    code, _, err = launch("--experiment", "folds")
    assert code == 0, err
    assert vertex.contexts == {"folds"}
    made = vertex.asked("POST", "/metadataStores/default/contexts")[0][3]
    assert made["schemaTitle"] == "system.Experiment"
    context = f"{PARENT}/metadataStores/default/contexts/run-1"
    assert vertex.children == [("folds", [context])]


def test_an_experiment_that_is_there_is_used(launch, vertex):
    vertex.contexts.add("folds")
    vertex.course = [begun("run-1")]
    assert launch("--experiment", "folds")[0] == 0
    assert [name for name, _ in vertex.children] == ["folds"]


def test_a_run_that_waits_too_long_joins_its_experiment_later(launch, vertex):
    code, _, err = launch("--experiment", "folds")
    assert code == 0
    assert "is not in experiment folds yet" in err
    vertex.course = [begun("run-1")]
    launch("--experiment", "folds")
    assert len(vertex.children) == 1
    assert len(vertex.jobs) == 1


def test_an_unknown_target_is_named(refused):
    assert "unknown target 'moon'" in refused("launch", "--target", "moon")


def test_a_target_must_be_given(refused):
    assert "--target kubeflow or --target vertex" in refused("launch")


@pytest.mark.parametrize("target", ["local", "docker"])
def test_targets_of_this_machine_have_their_own_verb(refused, target):
    assert "tenfold run" in refused("launch", "--target", target)


def test_all_missing_settings_are_named_with_their_flags(refused, compiled, tmp_path):
    (tmp_path / "empty.yaml").write_text("vertex: {project: p, location: l}")
    given = ["--compiled", compiled["smoke", "vertex"].path]
    given += ["--settings", tmp_path / "empty.yaml"]
    error = refused("launch", "--target", "vertex", *given)
    for flag in ("--pipeline-root", "--service-account", "--source", "--store"):
        assert flag in error


@pytest.mark.parametrize("changes", [{"source": "/data"}, {"store": "s3://bucket/a"}])
def test_data_out_of_reach_is_refused(launch, vertex, refused, changes):
    error = launch(run=refused, **changes)
    assert "out of reach of tasks on Vertex AI" in error
    assert not vertex.requests


def test_a_pipeline_root_outside_cloud_storage_is_refused(launch, refused):
    error = launch("--pipeline-root", "/tmp/kfp", run=refused)
    assert "/tmp/kfp is not a gs:// folder" in error


def with_image(compiled, tmp_path, change):
    text = compiled["smoke", "vertex"].path.read_text("utf-8")
    path = tmp_path / "graph.yaml"
    path.write_text(change(text))
    return ["--target", "vertex", "--compiled", path]


@pytest.mark.parametrize("tag", ["", ":latest", ":v1"])
def test_an_image_that_may_change_is_refused(
    compiled, tmp_path, vertex, refused, settings_file, tag
):
    given = with_image(compiled, tmp_path, lambda text: text.replace(f":{TAG}", tag))
    error = refused("launch", *given, *settings_file())
    assert "may be another one tomorrow" in error
    assert f"tenfold-python-cpu{tag} " in error
    assert not created(vertex)


def test_an_image_that_is_not_there_comes_with_the_push(
    compiled, tmp_path, vertex, refused, settings_file, registry
):
    other = "fedcba9876543210"
    given = with_image(compiled, tmp_path, lambda text: text.replace(TAG, other))
    error = refused("launch", *given, *settings_file())
    assert f"tenfold-python-cpu:{other} is not in its registry" in error
    assert f"tenfold images push --images {registry.prefix}" in error
    assert not created(vertex)


def test_an_image_without_a_registry_is_out_of_reach(
    compiled, tmp_path, vertex, refused, settings_file, registry
):
    prefix = registry.prefix
    given = with_image(compiled, tmp_path, lambda t: t.replace(prefix, "tenfold"))
    for dry in ([], ["--dry-run"]):
        assert "is in no registry" in refused("launch", *given, *dry, *settings_file())
    assert not created(vertex)


@pytest.mark.parametrize(
    "given", ["/nowhere.yaml", "data:application/gzip;base64,AAAA", "data:text,%%%"]
)
def test_what_is_no_graph_is_named(refused, settings_file, given):
    options = ["--target", "vertex", "--compiled", given, *settings_file()]
    assert given in refused("launch", *options)


@pytest.mark.parametrize(
    "text", ["", "- 1", "vertex: {}", "pipelineSpec: 3", "pipelineInfo: {name: theirs}"]
)
def test_another_file_is_no_graph(refused, settings_file, tmp_path, text):
    path = tmp_path / "other.yaml"
    path.write_text(text)
    given = ["--target", "vertex", "--compiled", path, *settings_file()]
    assert "is not a compiled graph" in refused("launch", *given)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("# Title\n\n```console\n$ a: b: c\n```\n", "line 3: "),
        ("a: [1\nb: 2", "line 2: "),
        ("a\x00b", "unacceptable character #x0000"),
    ],
)
def test_a_file_that_is_no_yaml_gets_one_line(
    tenfold, settings_file, tmp_path, text, fault
):
    path = tmp_path / "README.md"
    path.write_text(text)
    given = ["--target", "vertex", "--compiled", path, *settings_file()]
    code, _, err = tenfold("launch", *given)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert f"cannot read a compiled graph from {path}: {fault}" in err


def test_a_graph_in_a_bucket_is_read(tenfold, bucket, compiled, settings_file):
    from tenfold.data.storage import open_storage

    open_storage(bucket).upload(compiled["smoke", "vertex"].path, "graph.yaml")
    given = ["--compiled", f"{bucket}/graph.yaml", "--dry-run", *settings_file()]
    code, out, _ = tenfold("launch", "--target", "vertex", *given)
    assert code == 0
    assert json.loads(out)["displayName"] == "tenfold-kelp-smoke"


def test_flags_go_over_a_request_and_it_over_the_settings(
    launch, tenfold, settings_file, tmp_path
):
    given = ["--dry-run", "--tags", "mine"]
    _, out, _ = launch(*given, store="gs://a-project-store/requested")
    request = tmp_path / "request.json"
    request.write_text(out)
    given = ["--target", "vertex", "--compiled", request, "--dry-run", *settings_file()]
    _, out, _ = tenfold("launch", *given, "--source", "gs://a-project-data/flagged")
    assert json.loads(out)["runtimeConfig"]["parameterValues"] == {
        "source": "gs://a-project-data/flagged",
        "store": "gs://a-project-store/requested",
        "tags": "mine",
    }


def test_a_graph_of_another_target_is_refused(refused, compiled, settings_file):
    path = compiled["winning", "kubeflow"].path
    options = ["--target", "vertex", "--compiled", path, *settings_file()]
    assert "compile it with --target vertex" in refused("launch", *options)


def test_a_region_that_does_not_answer_is_named(launch, refused, pauses, monkeypatch):
    """At once, since a wrong region will not be there in five minutes either."""
    endpoint = "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM"
    monkeypatch.setenv(endpoint, "http://127.0.0.1:9/")
    error = launch(run=refused)
    assert "on Vertex AI: nothing answers at http://127.0.0.1:9" in error
    assert "vertex.location" in error
    assert not pauses


def test_without_credentials_the_way_to_log_in_is_said(launch, refused, monkeypatch):
    monkeypatch.setattr("google.auth.default", DEFAULT)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    assert "gcloud auth application-default login" in launch(run=refused)


def test_a_recipe_is_compiled_and_sent_in_one_command(
    tenfold, vertex, registry, settings_file, tmp_path
):
    from pipelines.images import tree_images

    for kind in ("cpu", "torch"):
        registry.push(tree_images(registry.prefix).reference(kind))
    given = ["--images", registry.prefix, "--directory", tmp_path, "--set", "split.k=3"]
    given += ["--recipe", "smoke", "--target", "vertex", *settings_file()]
    code, _, err = tenfold("launch", *given)
    assert code == 0, err
    body = created(vertex)[0][1]
    assert body["displayName"] == "tenfold-kelp-smoke"
    assert json.dumps(body).count(r"\"k\":3") > 0


def test_the_script_form_is_the_same_command():
    command = [sys.executable, "pipelines/submit.py", "--target", "moon"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown target 'moon'")


def test_sending_needs_no_kfp(launch, compiled, vertex, tmp_path, settings_file):
    """The submitter's image has neither kfp's dependencies nor the converter."""
    from pipelines.gcloud import write_requests
    from pipelines.settings import load_settings

    _, out, err = launch("--dry-run")
    flags = {"images": compiled["winning", "vertex"].images.prefix}
    own = load_settings(Path(settings_file()[1]), flags)
    files = write_requests(compiled["winning", "vertex"], own, tmp_path)
    spec = yaml.safe_load(files[1].read_text("utf-8"))
    command = spec["workerPoolSpecs"][0]["containerSpec"]["command"]
    assert command[:3] == ["python3", "-m", "pipelines.cli"]
    blocked = (
        "import sys, runpy, google.auth, google.oauth2.credentials as own;"
        "google.auth.default = lambda *_, **__: (own.Credentials('made-up'), 'p');"
        "blocked = ('kfp', 'google_cloud_pipeline_components', 'docker', 'torch');"
        "sys.modules.update({name: None for name in blocked});"
        "runpy.run_module('pipelines.cli', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocked, *command[3:]],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    ((name, body),) = created(vertex)
    assert err.strip().endswith(f"={name}")
    assert pinning.pinned(json.loads(out), False) == body
