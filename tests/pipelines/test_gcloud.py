"""The files for curl and gcloud: as the API has them, and as gcloud sends them."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from google.cloud.aiplatform_v1.types import CustomJobSpec, PipelineJob, Scheduling
from google.protobuf import json_format

from pipelines import gcloud, submit
from pipelines.compile import compile_recipe
from pipelines.gcloud import missing, write_requests
from pipelines.images import ImageError, Images
from pipelines.machines import MachineError
from pipelines.settings import Settings
from tenfold.cli import main
from tenfold.recipe import Resources
from tenfold.stages.context import read_reference
from tests.pipelines.conftest import ACCOUNT, SETTINGS, TAG
from tests.pipelines.platforms import Server

GCLOUD = shutil.which("gcloud")
OWN = Settings.model_validate({**SETTINGS, "images": "r.example/tenfold"})


@pytest.fixture(scope="module")
def files(compiled, tmp_path_factory):
    """Request, submitter and folder of jobs of the published system."""
    directory = tmp_path_factory.mktemp("files")
    return write_requests(compiled["winning", "vertex"], OWN, directory)


def strictly(kind, plain):
    """Read plain data as the API does: unknown keys are errors; and write it back."""
    message = kind()
    json_format.ParseDict(plain, kind.pb(message))
    return message, json_format.MessageToDict(kind.pb(message))


def read(path):
    return yaml.safe_load(path.read_text("utf-8"))


def container(path):
    return read(path)["workerPoolSpecs"][0]["containerSpec"]


def test_the_request_is_a_whole_run(files, compiled):
    plain = json.loads(files[0].read_text("utf-8"))
    job, back = strictly(PipelineJob, plain)
    assert back == plain
    assert job.service_account == ACCOUNT
    assert job.preflight_validations
    assert job.runtime_config.gcs_output_directory.startswith("gs://")
    spec = read(compiled["winning", "vertex"].path)
    assert plain["pipelineSpec"] == spec


def test_the_request_is_what_launching_would_send(files, tenfold, settings_file):
    given = ["--compiled", files[0], "--target", "vertex", "--dry-run"]
    _, out, _ = tenfold("launch", *given, *settings_file())
    assert json.loads(out) == json.loads(files[0].read_text("utf-8"))


def test_every_job_is_as_the_api_has_it(files):
    jobs = [files[1], *files[2].iterdir()]
    for path in jobs:
        spec, back = strictly(CustomJobSpec, read(path))
        assert spec.service_account == ACCOUNT
        assert spec.scheduling.timeout.total_seconds() > 0
        (pool,) = spec.worker_pool_specs
        assert pool.replica_count == 1
        assert pool.container_spec.image_uri.endswith(f":{TAG}")
        assert strictly(CustomJobSpec, back)[0] == spec


def test_there_is_a_job_for_every_fold_and_one_before(files):
    names = {path.stem for path in files[2].iterdir()}
    assert names == {"prepare"} | {f"unet-b5-fold-{fold}" for fold in range(10)}


def test_a_fold_asks_for_the_machine_of_its_profile(files):
    spec, _ = strictly(CustomJobSpec, read(files[2] / "unet-b5-fold-3.yaml"))
    (pool,) = spec.worker_pool_specs
    assert pool.machine_spec.machine_type == "n1-standard-8"
    assert pool.machine_spec.accelerator_type.name == "NVIDIA_TESLA_T4"
    assert pool.machine_spec.accelerator_count == 1
    assert pool.disk_spec.boot_disk_size_gb >= 100
    assert spec.scheduling.strategy == Scheduling.Strategy.SPOT
    assert spec.scheduling.timeout.total_seconds() == 12 * 3600
    assert spec.scheduling.restart_job_on_worker_restart
    assert "tenfold-python-torch" in pool.container_spec.image_uri


def test_what_comes_before_needs_no_gpu_and_is_not_a_spot_machine(files):
    spec, _ = strictly(CustomJobSpec, read(files[2] / "prepare.yaml"))
    (pool,) = spec.worker_pool_specs
    # ResNet-50 embeds pictures there: 8 CPUs and 30 GB, and torch.
    assert pool.machine_spec.machine_type == "e2-standard-8"
    assert not pool.machine_spec.accelerator_count
    assert spec.scheduling.strategy == Scheduling.Strategy.STANDARD
    assert "tenfold-python-torch" in pool.container_spec.image_uri


@pytest.mark.parametrize(
    ("cpu", "memory_gb", "machine"),
    [
        (1, 1, "e2-standard-4"),
        (4, 16, "e2-standard-4"),
        (4, 17, "e2-highmem-4"),
        (5, 8, "e2-standard-8"),
        (32, 128, "e2-standard-32"),
    ],
)
def test_a_profile_without_gpu_gets_the_smallest_machine(cpu, memory_gb, machine):
    profile = Resources(cpu=cpu, memory_gb=memory_gb)
    assert gcloud._machine(profile) == {"machineType": machine}


def test_no_machine_is_large_enough_for_everything():
    with pytest.raises(MachineError, match="no E2 machine has 64 CPUs"):
        gcloud._machine(Resources(cpu=64, memory_gb=8))


def test_options_of_the_settings_reach_the_jobs(compiled, tmp_path):
    own = {
        **SETTINGS,
        "images": "r.example/tenfold",
        "weights": "gs://weights",
        "vertex": {
            **SETTINGS["vertex"],
            "network": "projects/1/global/networks/n",
            "tensorboard": "projects/1/locations/europe-west4/tensorboards/2",
            "experiment": "folds",
        },
    }
    settings = Settings.model_validate(own)
    _, submitter, jobs = write_requests(
        compiled["winning", "vertex"], settings, tmp_path
    )
    fold, _ = strictly(CustomJobSpec, read(jobs / "unet-b5-fold-0.yaml"))
    assert fold.network == "projects/1/global/networks/n"
    assert fold.tensorboard.endswith("/2")
    assert fold.base_output_directory.output_uri_prefix.startswith("gs://")
    env = fold.worker_pool_specs[0].container_spec.env
    assert [(item.name, item.value) for item in env] == [
        ("TENFOLD_WEIGHTS", "gs://weights")
    ]
    prepare, _ = strictly(CustomJobSpec, read(jobs / "prepare.yaml"))
    assert not prepare.tensorboard
    command = container(submitter)["command"]
    assert command[command.index("--experiment") + 1] == "folds"


def test_each_file_begins_with_the_command_that_sends_it(files):
    for path in (files[1], files[2] / "unet-b5-fold-0.yaml"):
        first = path.read_text("utf-8").splitlines()[0]
        assert first == (
            f"# gcloud ai custom-jobs create --region=europe-west4"
            f" --display-name={path.stem} --config={path} --labels=team=kelp"
        )


@pytest.mark.skipif(GCLOUD is None, reason="gcloud is not here")
def test_the_command_that_a_file_begins_with_sends_key_and_labels(
    compiled, tmp_path, endpoint
):
    key = "projects/a-project/locations/europe-west4/keyRings/r/cryptoKeys/k"
    own = {**SETTINGS["vertex"], "encryption_key": key, "labels": {"a": "b", "c": ""}}
    settings = Settings.model_validate({**OWN.model_dump(), "vertex": own})
    directory = tmp_path / "a folder; with $more"
    files = write_requests(compiled["winning", "vertex"], settings, directory)
    command = files[1].read_text("utf-8").splitlines()[0].removeprefix("# ")
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (body,) = (request[3] for request in endpoint.requests)
    assert body["encryptionSpec"] == {"kmsKeyName": key}
    assert body["labels"] == {"a": "b", "c": ""}


def test_a_graph_too_long_for_a_command_line_is_fetched(
    compiled, tmp_path, monkeypatch
):
    monkeypatch.setattr(gcloud, "LONGEST_ARGUMENT", 100)
    _, submitter, _ = write_requests(compiled["winning", "vertex"], OWN, tmp_path)
    command = container(submitter)["command"]
    address = "gs://a-project-pipelines/tenfold/kelp-winning-vertex-request.json"
    assert command[command.index("--compiled") + 1] == address
    text = submitter.read_text("utf-8")
    request = tmp_path / "kelp-winning-vertex-request.json"
    assert f"# gcloud storage cp {request} {address}" in text


def test_no_argument_is_longer_than_linux_takes(files):
    for path in (files[1], *files[2].iterdir()):
        for word in container(path)["command"]:
            assert len(word.encode()) < 128 * 1024


def test_folds_that_are_no_more_leave_no_file(compiled, tmp_path):
    write_requests(compiled["winning", "vertex"], OWN, tmp_path)
    images = compiled["winning", "vertex"].images
    fewer = compile_recipe(
        "kelp", "winning", ["vertex"], ["split.k=3"], OWN, images, tmp_path
    )
    _, _, jobs = write_requests(fewer[0], OWN, tmp_path)
    assert len(list(jobs.iterdir())) == 4


def test_without_all_settings_there_is_no_file(compiled, tmp_path):
    lacking = Settings.model_validate({**SETTINGS, "store": None})
    # What an earlier compile wrote would send an old graph.
    write_requests(compiled["winning", "vertex"], OWN, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    assert write_requests(compiled["winning", "vertex"], lacking, tmp_path) == []
    assert not list(tmp_path.iterdir())
    assert "missing store: give --store" in missing(lacking)
    assert missing(OWN) is None


@pytest.mark.parametrize("prefix", ["tenfold", "team/tenfold"])
def test_images_in_no_registry_get_no_file(compiled, tmp_path, prefix):
    """Their names would mean somebody else's, at Docker Hub."""
    own = Settings.model_validate({**SETTINGS, "images": prefix})
    assert f"images {prefix} are in no registry" in missing(own)
    assert write_requests(compiled["winning", "vertex"], own, tmp_path) == []


def test_an_image_that_may_change_leaves_no_file(tmp_path):
    images = Images("r.example/tenfold", "latest")
    (written,) = compile_recipe(
        "kelp", "smoke", ["vertex"], [], OWN, images, tmp_path / "graph"
    )
    with pytest.raises(ImageError, match="may be another one tomorrow"):
        write_requests(written, OWN, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["graph"]


def test_a_graph_for_kubeflow_has_no_such_files(compiled, tmp_path):
    assert write_requests(compiled["winning", "kubeflow"], OWN, tmp_path) == []


def test_no_file_holds_a_credential(files):
    secrets = re.compile(
        r"ya29\.|AKIA[0-9A-Z]{16}|AIza[\w-]{35}|gh[pousr]_\w{30}|eyJ[\w-]{20,}\.eyJ"
        r"|PRIVATE KEY|(?i:password|client_secret|access_token|authorization)"
    )
    for path in (files[0], files[1], *files[2].iterdir()):
        text = path.read_text("utf-8")
        found = container(path)["command"] if path.suffix == ".yaml" else []
        inside = [json.dumps(submit.read_graph(w)) for w in found if "data:" in w]
        for part in (text, *inside):
            assert not secrets.search(part), path


@pytest.fixture
def endpoint(monkeypatch, tmp_path):
    """What gcloud speaks to; it takes every job."""
    server = Server()
    made = {"name": "projects/1/locations/europe-west4/customJobs/2"}
    kind = {"Content-Type": "application/json"}
    server.obey = lambda *_: (200, {**made, "state": "JOB_STATE_PENDING"}, kind)
    for name, value in {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": f"{server.address}/",
        "CLOUDSDK_AUTH_ACCESS_TOKEN": "made-up",
        "CLOUDSDK_CORE_PROJECT": "a-project",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
    }.items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()


def create(path):
    words = (
        f"ai custom-jobs create --region=europe-west4 --display-name=a --config={path}"
    )
    return subprocess.run(
        [GCLOUD, *words.split()], capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(GCLOUD is None, reason="gcloud is not here")
@pytest.mark.parametrize("name", ["submitter", "prepare", "unet-b5-fold-9"])
def test_gcloud_sends_a_job_as_it_is_written(files, endpoint, name):
    path = files[1] if name == "submitter" else files[2] / f"{name}.yaml"
    done = create(path)
    assert done.returncode == 0, done.stderr
    (_, where, _, body) = endpoint.requests[0]
    assert where == "/v1/projects/a-project/locations/europe-west4/customJobs"
    assert body["displayName"] == "a"
    sent, _ = strictly(CustomJobSpec, body["jobSpec"])
    assert sent == strictly(CustomJobSpec, read(path))[0]


@pytest.mark.skipif(GCLOUD is None, reason="gcloud is not here")
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("replicaCount: 1", "replicaCount: many"),
        ("workerPoolSpecs:", "workerPoolSpecs: ["),
    ],
)
def test_gcloud_does_not_send_what_it_cannot_parse(
    files, endpoint, tmp_path, right, wrong
):
    text = files[1].read_text("utf-8")
    assert right in text
    bad = tmp_path / "bad.yaml"
    bad.write_text(text.replace(right, wrong))
    done = create(bad)
    assert done.returncode != 0
    assert "parse YAML" in done.stderr
    assert not endpoint.requests


@pytest.mark.parametrize("key", ["worker_pools", "workerPool_Specs", "schedule"])
def test_the_apis_types_refuse_keys_that_gcloud_passes_on(files, key):
    with pytest.raises(json_format.ParseError, match=key):
        strictly(CustomJobSpec, {**read(files[1]), key: []})


SMALL = [
    *("synth.train=10", "synth.test=2", "synth.coasts=4", "split.k=2"),
    *("members.0.training.epochs=1", "members.0.training.samples_per_epoch=4"),
    *("members.0.training.picture_epochs=[]", "members.0.training.batch=2"),
]


def test_the_jobs_of_one_fold_do_what_the_graph_would(
    bucket, compiled, tmp_path, monkeypatch
):
    """Their very commands, against a bucket."""
    made = tmp_path / "made"
    options = [word for value in SMALL for word in ("--set", value)]
    with pytest.raises(SystemExit):
        main(["synth", "kelp", str(made), *options])
    from tenfold.data.storage import open_storage

    for path in (made / "data").rglob("*"):
        if path.is_file():
            name = str(path.relative_to(made / "data"))
            open_storage(f"{bucket}/data").upload(path, name)
    places = {"source": f"{bucket}/data", "store": f"{bucket}/store"}
    prefix = compiled["smoke", "vertex"].images.prefix
    settings = Settings.model_validate({**SETTINGS, **places, "images": prefix})
    images = compiled["smoke", "vertex"].images
    (small,) = compile_recipe(
        "kelp", "smoke", ["vertex"], SMALL, settings, images, tmp_path
    )
    _, _, jobs = write_requests(small, settings, tmp_path)
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    for job in ("prepare", "unet-quantile-fold-1", "unet-quantile-fold-1"):
        command = container(jobs / f"{job}.yaml")["command"]
        assert command[:3] == ["python3", "-m", "tenfold"]
        with pytest.raises(SystemExit) as ended:
            main([*command[3:-1], str(tmp_path / "out" / job)])
        assert ended.value.code in (0, None)
    assert read_reference(tmp_path / "out/prepare/folds.json").stage == "split"
    trained = read_reference(tmp_path / "out/unet-quantile-fold-1")
    assert trained.reused
    assert trained.label == "train unet-quantile, fold 1"


def test_a_fold_of_an_unknown_model_is_refused_before_any_work(tmp_path, capsys):
    given = ["--source", "/nowhere", "--store", str(tmp_path), "--fold", "0"]
    given += ["--member", "resnet", "--out", str(tmp_path / "fold.json")]
    with pytest.raises(SystemExit):
        main(["fold", "kelp", *given])
    assert "has no member 'resnet'" in capsys.readouterr().err
