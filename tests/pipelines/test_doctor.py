"""What the doctor finds, and that each failure comes with the line that mends it."""

import json
import os
import re
import shlex
from collections import namedtuple
from pathlib import Path

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.oauth2 import service_account

from pipelines.doctor import Patient, examine
from pipelines.doctor.here import CUDA
from pipelines.images import Images
from pipelines.settings import Settings
from tenfold.challenges import load_recipe
from tenfold.data.storage import open_storage
from tenfold.errors import StoreError
from tests.pipelines.conftest import SETTINGS, TAG, serve
from tests.pipelines.platforms import Server

CALLER = "submitter@a-project.iam.gserviceaccount.com"
RUNNER = SETTINGS["vertex"]["service_account"]
PIPELINES, STORE = "a-project-pipelines", "a-project-store"
DATA = "a-project-data"
JSON = {"Content-Type": "application/json"}
T4 = "Tesla T4, 580.65.06, 7.5"


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """There is no network, until a test says there is."""
    monkeypatch.setattr("pipelines.doctor.findings.PROBE", "http://127.0.0.1:9")


@pytest.fixture
def settings():
    """Write settings, changed by dotted names."""

    def make(**changes):
        value = json.loads(json.dumps(SETTINGS))
        for dotted, new in changes.items():
            *above, last = dotted.split("__")
            node = value
            for key in above:
                node = node.setdefault(key, {})
            node[last] = new
        return Settings.model_validate(value)

    return make


@pytest.fixture
def look(settings):
    """Examine a recipe; give what was found under a check's name, or all."""

    def run(target, name=None, recipe="winning", overrides=(), images=None, **changes):
        engine = changes.pop("engine", "torch")
        loaded = load_recipe("kelp", recipe, overrides)
        members = [m.model_copy(update={"engine": engine}) for m in loaded.members]
        loaded = loaded.model_copy(update={"members": tuple(members)})
        own = settings(**changes)
        pinned = images or Images(own.images, TAG)
        found = list(examine(Patient(target, loaded, own, pinned)))
        return [finding for under, finding in found if name in (None, under)]

    return run


@pytest.fixture
def path(monkeypatch, tmp_path):
    """An empty PATH, and a way to put scripts on it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def add(name, script):
        file = folder / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    return add


def only(findings):
    (finding,) = findings
    return finding


def failures(findings):
    return [finding for finding in findings if finding.status == "FAIL"]


# This machine


def test_a_recipe_for_laptops_asks_for_nothing_special(look):
    for name in ("python", "shared memory", "weights", "GPU"):
        assert only(look("local", name, "smoke")).status == "ok"


def test_too_little_memory_and_too_few_cores_are_a_warning(look):
    asked = ["profiles.cpu.memory_gb=999999", "profiles.cpu.cpu=9999"]
    memory, cores, _ = look("local", "machine", "smoke", asked)
    assert memory.status == cores.status == "warn"
    assert "asks for 999999" in memory.what
    assert "asks for 9999" in cores.what


def full(monkeypatch, free):
    usage = namedtuple("usage", "total used free")(10**12, 10**12 - free, free)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)


def test_a_full_disk_is_a_warning(look, monkeypatch):
    full(monkeypatch, 10**9)
    disk = look("local", "machine", "smoke")[2]
    assert (disk.status, disk.what) == ("warn", "1 GB of disk are free for runs/")


def test_shared_memory_that_loaders_would_fill_is_a_failure(look, monkeypatch):
    full(monkeypatch, 64 * 10**6)
    finding = only(look("local", "shared memory"))
    assert finding.status == "FAIL"
    assert "0.1 GB are free in /dev/shm, loader workers need 8" in finding.what
    assert finding.fix == "sudo mount -o remount,size=8G /dev/shm"
    full(monkeypatch, 9 * 10**9)
    assert only(look("local", "shared memory")).status == "ok"


def test_weights_are_looked_for_where_training_will(look, monkeypatch, tmp_path):
    monkeypatch.setenv("TENFOLD_WEIGHTS", str(tmp_path))
    encoder = "efficientnet_b5.sw_in12k_ft_in1k.safetensors"
    (tmp_path / encoder).write_text("")
    found = {Path(f.what.split()[-1]).name: f for f in look("local", "weights")}
    assert found[encoder].status == "ok"
    missing = look("local", "weights")[1]
    assert missing.status == "FAIL"
    assert missing.what == f"no resnet50.tv2_in1k.safetensors in {tmp_path}"
    assert "docs/weights.md" in missing.fix


def test_weights_that_are_switched_off_are_not_asked_for(look):
    off = ["groups.embedding.enabled=false", "members.unet-b5.net.weights=null"]
    finding = only(look("local", "weights", overrides=off))
    assert "names no weights file" in finding.what


@pytest.mark.usefixtures("path")
def test_without_a_driver_the_oldest_that_does_is_named(look):
    finding = only(look("local", "GPU"))
    assert finding.status == "FAIL"
    assert "asks for 1, and nvidia-smi does not answer" in finding.what
    assert "580.65.06 or later" in finding.fix


@pytest.mark.parametrize(
    ("gpu", "engine", "status", "words"),
    [
        (T4, "torch", "ok", "Tesla T4, driver 580.65.06"),
        ("NVIDIA L4, 580.105.08, 8.9", "torch", "ok", "driver 580.105.08"),
        ("Tesla T4, 580.65.05, 7.5", "torch", "FAIL", "CUDA 13 needs 580.65.06"),
        ("Tesla T4, 575.57.08, 7.5", "torch", "FAIL", "driver 575.57.08"),
        ("Tesla V100, 580.65.06, 7.0", "torch", "FAIL", "compute capability 7.0"),
        ("Tesla T4, 525.60.13, 7.5", "keras", "ok", "525.60.13"),
        ("Tesla T4, 470.82.01, 7.5", "keras", "FAIL", "CUDA 12 needs 525.60.13"),
    ],
)
def test_a_gpu_and_its_driver_must_suit_the_images_cuda(
    look, path, gpu, engine, status, words
):
    path("nvidia-smi", f"echo '{gpu}'")
    finding = only(look("local", "GPU", engine=engine))
    assert finding.status == status
    assert words in finding.what
    assert bool(finding.fix) == (status == "FAIL")


def test_too_few_gpus_are_a_failure(look, path):
    path("nvidia-smi", f"echo '{T4}'")
    short, good = look("local", "GPU", overrides=["profiles.train.gpus=2"])
    assert (short.status, good.status) == ("FAIL", "ok")
    assert "1 here, the recipe asks for 2" in short.what


def test_a_driver_that_is_broken_is_a_failure(look, path):
    path("nvidia-smi", "exit 9")
    assert only(look("local", "GPU")).status == "FAIL"


@pytest.mark.parametrize(
    ("kind", "package"),
    [("torch", "cuda-toolkit"), ("tensorflow", "nvidia-cuda-runtime-cu12")],
)
def test_the_table_of_drivers_is_of_the_cuda_in_the_images(kind, package):
    lock = Path("containers", kind, "requirements.txt").read_text("utf-8")
    major = re.search(rf"^{package}==(\d+)\.", lock, re.MULTILINE)[1]
    assert CUDA[kind].major == int(major)


# Docker


class Engine(Server):
    """A Docker engine, as far as the client asks it."""

    def __init__(self):
        super().__init__()
        self.images, self.runtimes, self.memory = set(), {}, 64 * 10**9

    def obey(self, method, path, query, body, headers):
        del method, query, body, headers
        what = re.sub(r"^/v[\d.]+", "", path)
        if what == "/_ping":
            return 200, b"OK", {"Api-Version": "1.41"}
        if what == "/version":
            return 200, {"ApiVersion": "1.41", "MinAPIVersion": "1.24"}, JSON
        if what == "/info":
            told = {"MemTotal": self.memory, "ServerVersion": "20.10"}
            return 200, {**told, "Runtimes": self.runtimes}, JSON
        name = what.removeprefix("/images/").removesuffix("/json")
        if name in self.images:
            return 200, {"Id": "sha256:0"}, JSON
        return 404, {"message": f"No such image: {name}"}, JSON


@pytest.fixture
def docker(monkeypatch):
    for engine in serve(Engine):
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{engine.host}")
        yield engine


def test_without_an_engine_one_failure_says_so(look, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    finding = only(look("docker", "engine", "smoke"))
    assert finding.status == "FAIL"
    assert "no Docker engine answers" in finding.what
    images = only(look("docker", "images", "smoke"))
    assert images.what == "needs what failed under engine"


def test_the_engine_must_have_the_images_of_this_tree(look, docker):
    images = Images("tenfold", TAG)
    finding = only(look("docker", "images", "smoke", images=images))
    assert finding.status == "FAIL"
    assert "tenfold/tenfold-python-torch:0123456789abcdef" in finding.what
    assert finding.fix == "make images"
    docker.images = {images.reference("cpu"), images.reference("torch")}
    assert only(look("docker", "images", "smoke", images=images)).status == "ok"


def test_an_engine_with_less_memory_than_containers_take_is_a_warning(look, docker):
    assert only(look("docker", "engine")).status == "ok"
    docker.memory = 8 * 10**9
    finding = only(look("docker", "engine"))
    assert finding.status == "warn"
    assert "has 8 GB of memory, containers may take 30" in finding.what


@pytest.mark.usefixtures("path")
def test_the_engine_must_know_how_to_give_gpus_away(look, docker):
    finding = only(look("docker", "GPU in containers"))
    assert finding.status == "FAIL"
    assert "nvidia-ctk runtime configure" in finding.fix
    docker.runtimes = {"runc": {}, "nvidia": {}}
    assert only(look("docker", "GPU in containers")).status == "ok"
    assert look("docker", "GPU in containers", "smoke") == []


def test_containers_of_another_user_must_be_able_to_write(look, monkeypatch):
    assert only(look("docker", "runs", "smoke")).status == "ok"
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    monkeypatch.setattr(os, "access", lambda *_: False)
    finding = only(look("docker", "runs", "smoke"))
    assert finding.status == "FAIL"
    assert finding.fix.startswith("sudo chown -R 1234 ")


def test_weights_of_containers_are_in_the_images(look, monkeypatch, tmp_path):
    monkeypatch.setattr("pipelines.doctor.images.ROOT", tmp_path)
    sums = tmp_path / "containers" / "weights" / "SHA256SUMS"
    sums.parent.mkdir(parents=True)
    sums.write_text("0" * 64 + "  resnet50.tv2_in1k.safetensors\n")
    encoder, embedding = look("docker", "weights")
    assert (encoder.status, embedding.status) == ("FAIL", "ok")
    assert "make images" in encoder.fix


# Kubeflow


@pytest.fixture
def cluster(path, tmp_path):
    """A kubectl that knows nodes and secrets."""

    def make(*nodes, secret=0):
        file = tmp_path / "nodes.json"
        file.write_text(json.dumps({"items": list(nodes)}))
        path(
            "kubectl",
            f"""case "$*" in
            "config current-context"*) echo a-cluster ;;
            "get nodes"*) while read -r line; do echo "$line"; done < {file}
              echo "$line" ;;
            "get secret"*) echo 'secrets "x" not found' >&2; exit {secret} ;;
            esac""",
        )

    return make


def node(cpu="16", memory="64Gi", gpus=0, taints=(), **labels):
    has = {"cpu": cpu, "memory": memory, "nvidia.com/gpu": str(gpus)}
    return {
        "metadata": {"name": "a-node", "labels": labels},
        "spec": {"taints": [{"key": k, "effect": "NoSchedule"} for k in taints]},
        "status": {"allocatable": has},
    }


def test_the_api_is_asked_whether_it_is_one(look, kubeflow):
    finding = only(look("kubeflow", "API", kubeflow__host=kubeflow.address))
    assert finding.status == "ok"


def test_an_old_api_is_a_failure(look, kubeflow):
    kubeflow.health["tag_name"] = "2.14.3"
    finding = only(look("kubeflow", "API", kubeflow__host=kubeflow.address))
    assert finding.status == "FAIL"
    assert "2.14.3; graphs need 2.17 or later" in finding.what


def test_another_server_is_a_failure(look, docker):
    finding = only(look("kubeflow", "API", kubeflow__host=docker.address))
    assert finding.status == "FAIL"
    assert "is not the API of Kubeflow Pipelines" in finding.what


def test_a_missing_host_is_a_failure_with_its_flag(look):
    finding = only(look("kubeflow", "API"))
    assert finding.status == "FAIL"
    assert "give --host" in finding.what


def test_a_port_forward_that_ended_is_a_failure_even_without_a_network(look):
    finding = only(look("kubeflow", "API", kubeflow__host="http://127.0.0.1:9"))
    assert finding.status == "FAIL"
    assert "nothing answers at http://127.0.0.1:9" in finding.what


def test_a_host_elsewhere_is_wrong_only_if_there_is_a_network(
    look, monkeypatch, docker
):
    host = "http://kfp.invalid"
    assert only(look("kubeflow", "API", kubeflow__host=host)).what == "no network"
    monkeypatch.setattr("pipelines.doctor.findings.PROBE", docker.address)
    finding = only(look("kubeflow", "API", kubeflow__host=host))
    assert finding.status == "FAIL"
    assert "nothing answers at http://kfp.invalid" in finding.what


def test_a_folder_is_out_of_a_clusters_reach(look):
    finding = only(look("kubeflow", "store", store="/data/store"))
    assert finding.status == "FAIL"
    assert "store /data/store is out of reach" in finding.what


@pytest.mark.usefixtures("path")
def test_an_s3_store_needs_a_secret(look):
    found = look("kubeflow", "store", store="s3://bucket/store")
    assert found[-1].status == "warn"
    assert "without kubeflow.store_secret" in found[-1].what
    assert "kubectl create secret generic" in found[-1].fix


def test_a_secret_that_is_not_there_is_a_failure(look, cluster):
    cluster(secret=1)
    known = {"store": "s3://bucket/store", "kubeflow__store_secret": "keys"}
    finding = look("kubeflow", "store", **known)[-1]
    assert finding.status == "FAIL"
    assert 'secret keys: secrets "x" not found' in finding.what
    assert "create secret generic keys -n kubeflow" in finding.fix
    cluster(secret=0)
    assert look("kubeflow", "store", **known)[-1].status == "ok"


@pytest.mark.parametrize(
    ("gpu_node", "words"),
    [
        (node(gpus=1), None),
        (node(cpu="8", memory="30G", gpus=1), None),
        (node(gpus=0), "the nearest has 0 of nvidia.com/gpu"),
        (node(cpu="7910m", gpus=1), "the nearest has 7910m of cpu"),
        (node(memory="28000000Ki", gpus=1), "the nearest has 28000000Ki of memory"),
        (node(gpus=1, taints=["team"]), "the nearest keeps tasks off by taint team"),
    ],
)
def test_a_node_must_hold_what_a_task_asks_for(look, cluster, gpu_node, words):
    cluster(gpu_node)
    training = look("kubeflow", "nodes")[-1]
    assert "Train unet-b5 (8 CPUs, 30 GB, 1 × NVIDIA_TESLA_T4)" in training.what
    assert training.status == ("ok" if words is None else "warn")
    assert words is None or words in training.what


def test_any_node_will_do(look, cluster):
    cluster(node(cpu="1"), node(gpus=1, taints=["nvidia.com/gpu"]), node())
    assert {finding.status for finding in look("kubeflow", "nodes")} == {"ok"}


def test_the_label_of_a_gpu_must_be_the_profiles(look, cluster):
    label = "cloud.google.com/gke-accelerator"
    own = {"kubeflow__gpu_label": label}
    cluster(node(gpus=1, **{label: "nvidia-l4"}))
    training = look("kubeflow", "nodes", **own)[-1]
    assert f"has {label}=nvidia-l4, not nvidia-tesla-t4" in training.what
    cluster(node(gpus=1, **{label: "nvidia-tesla-t4"}))
    assert look("kubeflow", "nodes", **own)[-1].status == "ok"


def test_a_taint_for_gpus_keeps_other_tasks_off(look, cluster):
    cluster(node(gpus=1, taints=["nvidia.com/gpu"]))
    first = look("kubeflow", "nodes")[0]
    assert first.status == "warn"
    assert "keeps tasks off by taint nvidia.com/gpu" in first.what


GFD = "nvidia.com/cuda.driver"


@pytest.mark.parametrize(
    ("has", "status"),
    [
        ({f"{GFD}.major": "580", f"{GFD}.minor": "65", f"{GFD}.rev": "06"}, "ok"),
        ({f"{GFD}.major": "580", f"{GFD}.minor": "65", f"{GFD}.rev": "05"}, "FAIL"),
        ({f"{GFD}.major": "590", f"{GFD}.minor": "1", f"{GFD}.rev": ""}, "ok"),
        ({f"{GFD}-version.major": "535", f"{GFD}-version.minor": "274"}, "FAIL"),
    ],
)
def test_the_driver_of_a_node_must_suit_the_images_cuda(look, cluster, has, status):
    cluster(node(), node(gpus=1, **has))
    finding = only(look("kubeflow", "driver"))
    assert finding.status == status
    assert "a-node has driver " + ".".join(filter(None, has.values())) in finding.what
    assert ("580.65.06 or later" in finding.fix) == (status == "FAIL")


def test_the_driver_of_other_gpus_does_not_matter(look, cluster):
    label = "cloud.google.com/gke-accelerator"
    cluster(node(gpus=1, **{label: "nvidia-l4", f"{GFD}.major": "470"}))
    finding = only(look("kubeflow", "driver", kubeflow__gpu_label=label))
    assert (finding.status, "no node" in finding.what) == ("warn", True)


def test_without_labels_a_pod_shows_the_driver(look, cluster):
    cluster(node(gpus=1))
    own = {"kubeflow__gpu_label": "cloud.google.com/gke-accelerator"}
    finding = only(look("kubeflow", "driver", **own))
    assert finding.status == "warn"
    assert "CUDA 13 needs driver 580.65.06" in finding.what
    command = shlex.split(finding.fix)
    assert command[:3] == ["kubectl", "run", "driver"]
    spec = json.loads(command[-1].partition("=")[2])["spec"]
    (container,) = spec["containers"]
    assert container["image"].endswith(f"tenfold-python-torch:{TAG}")
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert spec["nodeSelector"].popitem()[1] == "nvidia-tesla-t4"
    assert look("kubeflow", "driver", "smoke") == []


@pytest.mark.usefixtures("path")
def test_without_kubectl_nodes_are_left_out(look):
    assert only(look("kubeflow", "nodes")).status == "skipped"


def test_buckets_of_a_cluster_are_looked_at(look, cloud):
    nobody = {"vertex__service_account": None, "vertex__location": None}
    found = look("kubeflow", "buckets", **nobody)
    said = [finding.what for finding in found]
    assert failures(found) == []
    assert f"gs://{STORE} is there, in europe-west4" in said
    assert f"{CALLER} may write to gs://{STORE}; pods must be able to, too" in said
    assert f"{CALLER} may read gs://{DATA}; pods must be able to, too" in said
    assert not any(PIPELINES in what for what in said)
    cloud.granted.remove("storage.objects.create")
    found = [f for f in look("kubeflow", "buckets", **nobody) if f.status != "ok"]
    assert f"{CALLER} may not write to gs://{STORE}" in only(found).what
    del cloud.buckets[STORE]
    finding = only(failures(look("kubeflow", "buckets")))
    assert finding.what == f"no bucket gs://{STORE}"


def test_a_cluster_without_googles_buckets_needs_no_login(look, no_login):
    s3 = {"source": "s3://x/data", "store": "s3://x/store"}
    assert look("kubeflow", "buckets", **s3) == []
    finding = only(look("kubeflow", "buckets"))
    assert finding.status == "skipped"
    assert "no application default credentials" in finding.what
    assert no_login.asked("GET") == []


def test_pods_with_loaders_need_more_than_a_containers_shared_memory(look):
    assert only(look("kubeflow", "shared memory")).status == "ok"
    finding = only(
        look("kubeflow", "shared memory", overrides=["profiles.train.shm_gb=0"])
    )
    assert finding.status == "FAIL"
    assert finding.fix == "--set profiles.train.shm_gb=8"


def test_images_that_only_nodes_hold_cannot_be_checked(look):
    for finding in look("kubeflow", "images", images=Images("tenfold", TAG)):
        assert finding.status == "skipped"
        assert "the nodes must hold it" in finding.what


# Vertex AI


class Cloud(Server):
    """Tokens, permissions and buckets of Google Cloud."""

    def __init__(self):
        super().__init__()
        self.reset()

    def reset(self):
        self.requests, self.failures = [], []
        self.granted = {
            "aiplatform.pipelineJobs.create",
            "aiplatform.pipelineJobs.get",
            "iam.serviceAccounts.actAs",
            "storage.objects.get",
            "storage.objects.create",
        }
        self.buckets = dict.fromkeys((PIPELINES, STORE, DATA), "EUROPE-WEST4")
        self.unseen, self.hidden = set(), set()
        self.writers = {f"serviceAccount:{RUNNER}"}

    def obey(self, method, path, query, body, headers):
        if path == "/token":
            return 200, {"access_token": "t", "expires_in": 3600}, JSON
        assert headers["Authorization"] == "Bearer t"
        if path.endswith(":testIamPermissions"):
            had = [name for name in body["permissions"] if name in self.granted]
            return 200, ({"permissions": had} if had else {}), JSON
        assert method == "GET"
        name, _, rest = path.removeprefix("/storage/v1/b/").partition("/")
        if name not in self.buckets:
            return self.problem(404, "The specified bucket does not exist.")
        if rest == "iam/testPermissions":
            asked = query["permissions"]
            seen = {"storage.buckets.get"} if name not in self.unseen else set()
            had = [asked] if asked in self.granted | seen else []
            return 200, ({"permissions": had} if had else {}), JSON
        assert name not in self.unseen or rest
        if rest == "iam":
            if name in self.hidden:
                return self.problem(403, "denied")
            role = {"role": "roles/storage.objectUser", "members": list(self.writers)}
            return 200, {"version": 1, "etag": "e", "bindings": [role]}, JSON
        return 200, {"name": name, "location": self.buckets[name]}, JSON


@pytest.fixture(scope="module")
def running():
    yield from serve(Cloud)


@pytest.fixture(scope="module")
def private_key():
    """A key of a service account that was made up just now."""
    return (
        rsa.generate_private_key(65537, 2048)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


@pytest.fixture
def cloud(running, monkeypatch, private_key, tmp_path):
    """Google Cloud in reach, and a login there."""
    running.reset()
    for name in ("google.RESOURCES", "google.IAM"):
        monkeypatch.setattr(f"pipelines.doctor.{name}", running.address)
    monkeypatch.setattr("pipelines.doctor.findings.PROBE", f"{running.address}/probe")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.address)
    key = {
        "type": "service_account",
        "project_id": "a-project",
        "private_key": private_key,
        "client_email": CALLER,
        "token_uri": f"{running.address}/token",
    }
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    # The library would ask Google itself where the made-up account may be used.
    boundary = "_maybe_start_regional_access_boundary_refresh"
    monkeypatch.setattr(service_account.Credentials, boundary, lambda *_: None)
    return running


@pytest.fixture
def no_login(cloud, monkeypatch, tmp_path):
    """Google Cloud in reach, and no login there."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    return cloud


def test_where_all_is_well_nothing_fails(look, cloud, registry):
    images = Images(registry.prefix, TAG)
    for kind in ("cpu", "torch"):
        registry.push(images.reference(kind))
    off = ["groups.embedding.enabled=false", "members.unet-b5.net.weights=null"]
    found = look("vertex", images=images, overrides=off)
    assert failures(found) == []
    said = "\n".join(finding.what for finding in found if finding.status == "ok")
    assert f"application default credentials of {CALLER}" in said
    assert f"{CALLER} may create runs in a-project" in said
    assert f"{CALLER} may act as {RUNNER}" in said
    assert f"gs://{PIPELINES} is there, in europe-west4" in said
    assert f"{RUNNER} may write to gs://{STORE}" in said
    assert f"{RUNNER} may read gs://{DATA}" in said
    assert "n1-standard-8 + 1 × NVIDIA_TESLA_T4, spot" in said
    assert images.reference("torch") in said
    # Looking changes nothing.
    written = {path for method, path, *_ in cloud.requests if method == "POST"}
    assert all(re.search(r"/token$|:testIamPermissions$", path) for path in written)


def test_what_is_missing_is_named_with_its_flags(look):
    gone = {"vertex": {"project": "a-project", "location": "europe-west4"}}
    finding = look("vertex", "settings", **gone)[0]
    assert finding.status == "FAIL"
    assert "vertex.pipeline_root, vertex.service_account" in finding.what
    assert "--pipeline-root --service-account" in finding.what


def test_a_store_that_vertex_cannot_reach_is_a_failure(look):
    found = look("vertex", "settings", store="s3://bucket/store")
    assert "s3://bucket/store is out of reach" in only(failures(found)).what


def test_a_missing_permission_comes_with_the_grant(look, cloud):
    cloud.granted.remove("aiplatform.pipelineJobs.create")
    finding = only(look("vertex", "permissions"))
    assert finding.status == "FAIL"
    missing = f"{CALLER} has no aiplatform.pipelineJobs.create in a-project"
    assert missing in finding.what
    assert finding.fix == (
        "gcloud projects add-iam-policy-binding a-project"
        f" --member=serviceAccount:{CALLER} --role=roles/aiplatform.user"
    )


def test_whoever_may_not_act_as_the_runner_gets_the_grant(look, cloud):
    cloud.granted.remove("iam.serviceAccounts.actAs")
    finding = only(look("vertex", "service account"))
    assert finding.status == "FAIL"
    assert finding.fix == (
        f"gcloud iam service-accounts add-iam-policy-binding {RUNNER}"
        f" --member=serviceAccount:{CALLER} --role=roles/iam.serviceAccountUser"
    )


def test_an_api_that_is_switched_off_is_a_failure_in_its_own_words(look, cloud):
    cloud.fail(403, "Cloud Resource Manager API has not been used", path=":test")
    finding = only(look("vertex", "permissions"))
    assert finding.status == "FAIL"
    assert "answers 403: Cloud Resource Manager API has not been used" in finding.what


def test_a_bucket_that_is_not_there_comes_with_the_command(look, cloud):
    del cloud.buckets[PIPELINES]
    finding = only(failures(look("vertex", "buckets")))
    assert finding.what == f"no bucket gs://{PIPELINES}"
    assert finding.fix == (
        f"gcloud storage buckets create gs://{PIPELINES} --location=europe-west4"
        " --project=a-project --uniform-bucket-level-access"
    )


def test_trainings_are_not_the_callers_to_start(look, cloud):
    look("vertex", "permissions")
    ((*_, asked),) = cloud.asked("POST", "/projects/a-project:test")
    assert not any("customJobs" in name for name in asked["permissions"])


def test_the_pipelines_bucket_must_be_seen_by_the_caller_and_no_other(look, cloud):
    cloud.unseen = {STORE, DATA}
    found = look("vertex", "buckets")
    assert failures(found) == []
    for name in (STORE, DATA):
        what = f"gs://{name} is there; its region is not for you to see"
        assert any(finding.what == what for finding in found)
    cloud.unseen = {PIPELINES}
    finding = only(failures(look("vertex", "buckets")))
    assert f"{CALLER} may not see gs://{PIPELINES}" in finding.what
    assert "roles/storage.legacyBucketReader" in finding.fix


def test_a_service_that_does_not_tell_of_a_bucket_is_a_warning(look, cloud):
    cloud.fail(403, "billing is off", "GET", f"/b/{STORE}/iam/test")
    found = [f for f in look("vertex", "buckets") if f.status == "warn"]
    assert only(found).what == f"gs://{STORE} cannot be looked at (Forbidden)"


def test_data_that_are_not_there_are_a_failure(look, cloud):
    del cloud.buckets[DATA]
    assert only(failures(look("vertex", "buckets"))).what == f"no bucket gs://{DATA}"


def test_a_bucket_elsewhere_is_a_warning(look, cloud):
    cloud.buckets[STORE] = "US"
    found = [f for f in look("vertex", "buckets") if f.status == "warn"]
    assert f"gs://{STORE} is in us, the run in europe-west4" in only(found).what


def test_a_runner_that_may_not_write_comes_with_the_grant(look, cloud):
    cloud.writers = {"serviceAccount:other@x.iam.gserviceaccount.com"}
    found = [f for f in look("vertex", "buckets") if f.status == "warn"]
    grants = {finding.what.split()[-6].strip(","): finding.fix for finding in found}
    assert grants.keys() == {f"gs://{name}" for name in (PIPELINES, STORE, DATA)}
    assert f"--member=serviceAccount:{RUNNER}" in grants[f"gs://{STORE}"]
    assert grants[f"gs://{STORE}"].endswith("roles/storage.objectUser")
    assert grants[f"gs://{DATA}"].endswith("roles/storage.objectViewer")


def test_who_may_not_read_a_policy_is_told_so(look, cloud):
    cloud.hidden = {PIPELINES}
    found = [f for f in look("vertex", "buckets") if f.status == "skipped"]
    assert f"who may write to gs://{PIPELINES}" in only(found).what


def test_without_credentials_one_failure_says_so(look, no_login):
    found = look("vertex", overrides=["profiles.train.gpu=NVIDIA_L4"])
    finding = failures(found)[0]
    assert "no application default credentials" in finding.what
    assert "gcloud auth application-default login" in finding.what
    needing = [f for f in found if "needs what failed under credentials" in f.what]
    assert len(needing) == 3
    assert any("is in no registry" in finding.what for finding in failures(found))
    pushed = look("vertex", "images", images=Images("r.example/x", TAG))
    assert {finding.status for finding in pushed} == {"skipped"}
    assert "needs what failed under credentials" in pushed[0].what
    assert no_login.asked("POST") == []


def test_credentials_that_are_refused_are_a_failure(look, cloud):
    cloud.fail(400, "invalid_grant", path="/token")
    finding = only(look("vertex", "credentials"))
    assert finding.status == "FAIL"
    assert "are refused" in finding.what


def test_without_a_network_what_needs_it_is_left_out(look, cloud, monkeypatch):
    monkeypatch.setattr("pipelines.doctor.findings.PROBE", "http://127.0.0.1:9")
    found = look("vertex", weights="gs://mirror", images=Images("r.example/x", TAG))
    assert failures(found) == []
    assert sum("no network" in finding.what for finding in found) == 7
    assert any("not tried without a network" in finding.what for finding in found)
    assert any("n1-standard-8" in finding.what for finding in found)
    assert cloud.requests == []


def test_whether_there_is_a_network_is_found_out_once(look, monkeypatch):
    asked = []

    def head(address, timeout):
        asked.append((address, timeout))
        raise requests.ConnectionError

    monkeypatch.setattr("requests.head", head)
    look("vertex", images=Images("r.example/x", TAG))
    assert asked == [("http://127.0.0.1:9", 5)]


def test_a_region_without_the_accelerator_is_a_failure(look):
    found = look("vertex", "machines", vertex__location="us-south1")
    finding = only(failures(found))
    assert "us-south1 has no NVIDIA_TESLA_T4 for training; " in finding.what
    assert "europe-west4" in finding.what


def test_a_region_nobody_looked_up_is_a_warning(look):
    found = look("vertex", "machines", vertex__location="mars-west1")
    assert failures(found) == []
    assert any("mars-west1 is not in the table" in f.what for f in found)


def test_an_accelerator_that_ends_is_a_warning(look):
    found = look("vertex", "machines")
    assert any(f.status == "warn" and "1 August 2027" in f.what for f in found)
    other = look("vertex", "machines", overrides=["profiles.train.gpu=NVIDIA_L4"])
    assert not any("Train" in f.what and f.status == "warn" for f in other)


def test_the_driver_of_vertex_is_for_a_job_to_see(look):
    finding = only(look("vertex", "driver"))
    assert finding.status == "skipped"
    assert "CUDA 13 needs driver 580.65.06" in finding.what
    assert "machine-type=n1-standard-8,accelerator-type=NVIDIA_TESLA_T4" in finding.fix
    assert look("vertex", "driver", "smoke") == []


@pytest.mark.usefixtures("cloud")
def test_an_image_that_was_not_pushed_is_a_failure(look, registry):
    images = Images(registry.prefix, "f" * 16)
    finding = only(look("vertex", "images", images=images))
    assert finding.status == "FAIL"
    assert "is not in its registry: tenfold images push" in finding.what


@pytest.mark.usefixtures("cloud")
def test_an_image_without_a_registry_or_a_digest_is_refused_without_a_network(
    look, monkeypatch
):
    monkeypatch.setattr("pipelines.doctor.findings.PROBE", "http://127.0.0.1:9")
    bare = only(look("vertex", "images", images=Images("tenfold", TAG)))
    assert bare.status == "FAIL"
    assert "is in no registry" in bare.what
    loose = only(look("vertex", "images", images=Images("r.example/x", "latest")))
    assert loose.status == "FAIL"
    assert "may be another one tomorrow" in loose.what


def test_weights_of_a_bucket_are_looked_for_there(look, bucket, monkeypatch):
    address = os.environ["STORAGE_EMULATOR_HOST"]
    monkeypatch.setattr("pipelines.doctor.findings.PROBE", address)
    name = "resnet50.tv2_in1k.safetensors"
    open_storage(bucket).write_bytes(name, b"x")
    encoder, embedding = look("vertex", "weights", weights=bucket)
    assert (encoder.status, embedding.status) == ("FAIL", "ok")
    assert embedding.what == f"{bucket}/{name}"


@pytest.mark.usefixtures("cloud")
def test_weights_that_only_the_runner_may_read_are_no_failure(look, monkeypatch):
    def denied(*_):
        raise StoreError("cannot read gs://mirror: access denied")

    monkeypatch.setattr("tenfold.data.gcs.CloudStorage.exists", denied)
    encoder, _ = look("vertex", "weights", weights="gs://mirror")
    assert encoder.status == "skipped"
    assert "access denied; the run's tasks must be able to read it" in encoder.what


# The command


def test_a_system_that_does_not_tell_ends_no_examination(look, monkeypatch):
    read = Path.read_text

    def without_proc(path, *arguments, **more):
        if path.parts[:2] == ("/", "proc"):
            raise FileNotFoundError(2, "No such file", str(path))
        return read(path, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", without_proc)
    found = look("local", recipe="smoke")
    warned = [finding for finding in found if finding.status == "warn"]
    assert "/proc/meminfo" in only(warned).what
    assert "names no weights file" in "".join(finding.what for finding in found)


@pytest.mark.usefixtures("path")
def test_the_command_fails_if_something_does(tenfold):
    code, out, _ = tenfold("doctor", "--recipe", "winning")
    assert code == 1
    lines = out.splitlines()
    where = next(i for i, row in enumerate(lines) if row.startswith("FAIL     GPU:"))
    assert lines[where + 1].strip().startswith("→ install NVIDIA's driver")


def test_the_command_succeeds_if_nothing_fails(tenfold):
    code, out, _ = tenfold("doctor", "--target", "local", "--recipe", "smoke")
    assert code == 0
    assert "FAIL" not in out
    assert out.startswith("ok       python: ")


def test_an_unknown_target_is_one_sentence(tenfold):
    code, _, error = tenfold("doctor", "--target", "moon")
    assert code == 2
    assert "unknown target 'moon'; there is local, docker, kubeflow, vertex" in error
