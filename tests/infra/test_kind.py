"""The scripts of the local cluster, as far as they go without one.

Stand-ins for kubectl, kind, minikube and docker lie first on PATH; they write down how
they are called. No test reaches a cluster.
"""

import base64
import importlib.util
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pipelines.compile import compile_recipe
from pipelines.images import content_tag
from pipelines.settings import load_settings
from tenfold.challenges import find_challenge, load_recipe
from tenfold.data.storage import open_storage
from tenfold.stages.context import Context
from tenfold.store import Store
from tests.contract.driver import run_stages

ROOT = Path(__file__).parents[2]
KIND = ROOT / "infra" / "kind"
SCRIPTS = ("up", "down", "forward", "smoke")
BIN = Path(sys.executable).parent
CLUSTERS = {"kind": "kind-tenfold", "minikube": "tenfold"}
#: What a machine says that has all that is needed; part of a call → shell command.
ANSWERS = {
    "kubectl version": "echo Client Version: v1.36.1",
    "kind version": "echo kind v0.32.0 go1.26.0 linux/amd64",
    "minikube version": "echo v1.38.0",
    "docker info": f"echo 4 8200000000 {ROOT}",
    "sysctl -n": "echo 1048576",
    "df -Pk": "printf 'Filesystem 1K Used Free\\n/dev/a 9 9 40000000\\n'",
}


class Machine:
    """Programs that only say what they are told to, and how they were called."""

    def __init__(self, directory):
        self.programs, self._log = directory / "bin", directory / "calls"
        self._answers = directory / "answers"
        self.programs.mkdir()
        for name in ("kubectl", "kind", "minikube", "docker", "git", "sysctl", "df"):
            script = self.programs / name
            script.write_text(
                f'#!/bin/bash\ncall="{name} $*"\necho "$call" >>{self._log}\n'
                f". {self._answers}\n"
            )
            script.chmod(0o755)
        self.answer({})

    def answer(self, answers):
        """Say something else to calls with these parts."""
        cases = [
            f"*{shlex.quote(part)}*) {say} ;;"
            for part, say in [*answers.items(), *ANSWERS.items()]
        ]
        self._answers.write_text("\n".join(['case "$call" in', *cases, "esac", ""]))

    @property
    def calls(self):
        return self._log.read_text().splitlines() if self._log.exists() else []

    def run(self, *command, **variables):
        path = f"{self.programs}:{BIN}:{os.environ['PATH']}"
        return subprocess.run(
            [str(part) for part in command],
            env={"PATH": path, "HOME": os.environ.get("HOME", "/"), **variables},
            cwd=self.programs.parent,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def printed(machine, script, *options, **variables):
    """Commands that a script shows, as lists of words; it must not run any."""
    done = machine.run(KIND / script, *options, "--print", **variables)
    assert done.returncode == 0, done.stderr
    assert machine.calls == []
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    return [shlex.split(line) for line in lines], done.stdout


def has(line, *words):
    return " ".join(words) in " ".join(line)


#: Words of the calls that change something.
MAKING = ("create", "start", "apply", "load")


def in_order(lines, *parts):
    """Tell whether lines that contain the parts come in this order."""
    rest = iter(lines)
    return all(any(part in " ".join(line) for line in rest) for part in parts)


def test_scripts_are_clean():
    shellcheck = BIN / "shellcheck"
    files = [KIND / "lib.sh", *(KIND / name for name in SCRIPTS)]
    done = subprocess.run([shellcheck, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_explains_and_runs_nothing(machine, script):
    done = machine.run(KIND / script, "--help")
    assert done.returncode == 0
    assert f"Usage: infra/kind/{script}" in done.stdout
    assert "--print" in done.stdout
    assert machine.calls == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_wrong_options_are_named(machine, script):
    done = machine.run(KIND / script, "--cluster", "k3s")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "kind or minikube, not 'k3s'" in done.stderr
    done = machine.run(KIND / script, "--quickly")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--quickly" in done.stderr
    assert machine.calls == []


def test_kind_is_not_asked_for_a_gpu(machine):
    done = machine.run(KIND / "up", GPU="1")
    assert done.returncode == 2
    assert "minikube" in done.stderr
    assert machine.calls == []
    lines, _ = printed(machine, "up", CLUSTER="minikube", GPU="1")
    assert has(lines[0], "--container-runtime docker --gpus all")
    assert "--gpus" not in str(printed(machine, "up", CLUSTER="minikube"))


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_up_installs_the_pinned_release_and_loads_this_tree(machine, cluster):
    lines, text = printed(machine, "up", "--cluster", cluster)
    start = {"kind": "kind create cluster --name tenfold", "minikube": "minikube start"}
    assert in_order(
        lines,
        start[cluster],
        "cluster-scoped-resources?ref=2.17.0",
        "wait crd/applications.app.k8s.io",
        "env/platform-agnostic?ref=2.17.0",
        "wait deployment --all",
        "get svc/seaweedfs secret/mlpipeline-minio-artifact --output name",
        f"tenfold-python-cpu:{content_tag()}",
        f"tenfold-python-torch:{content_tag()}",
    )
    refs = re.findall(r"ref=([^&'\s]+)", text)
    assert refs == ["2.17.0", "2.17.0"]
    loads = [line for line in lines if "load" in line]
    assert len(loads) == 2
    name = {"kind": "--name tenfold", "minikube": "--profile tenfold"}[cluster]
    assert all(has(line, name) for line in loads)
    kubectl = [line for line in lines if line[0] == "kubectl"]
    assert all(line[1:3] == ["--context", CLUSTERS[cluster]] for line in kubectl)


def test_more_images_are_loaded_when_asked_for(machine):
    lines, _ = printed(machine, "up", KINDS="cpu torch tensorflow")
    assert has(lines[-1], f"tenfold-python-tensorflow:{content_tag()}")


def test_both_clusters_have_one_version_of_kubernetes(machine):
    (node,) = yaml.safe_load((KIND / "cluster.yaml").read_text())["nodes"]
    version = node["image"].partition("@")[0].rpartition(":")[2]
    lines, _ = printed(machine, "up", "--cluster", "minikube")
    assert has(lines[0], f"--kubernetes-version {version}")
    level = yaml.safe_load((KIND / "manifests" / "namespace.yaml").read_text())
    labels = level["metadata"]["labels"]
    assert version.startswith(labels["pod-security.kubernetes.io/enforce-version"])


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_up_does_what_it_prints(machine, cluster):
    lines, _ = printed(machine, "up", "--cluster", cluster)
    done = machine.run(KIND / "up", "--cluster", cluster)
    assert done.returncode == 0, done.stderr
    looks = ("git", "sysctl", "df", "docker", "kind get", "kind version")
    looks += ("minikube version", "kubectl version")
    did = [call for call in machine.calls if not call.startswith(looks)]
    assert did == [" ".join(line) for line in lines]


def test_up_goes_on_with_a_cluster_that_is_there(machine):
    machine.answer({"kind get": "printf 'other\\ntenfold\\n'"})
    assert machine.run(KIND / "up").returncode == 0
    assert not any("create cluster" in call for call in machine.calls)
    assert any("platform-agnostic" in call for call in machine.calls)


def test_up_shows_the_pods_when_kfp_does_not_come_up(machine):
    machine.answer({"wait deployment": "exit 1", "get pods": "echo mysql Pending"})
    done = machine.run(KIND / "up")
    assert done.returncode == 2
    assert "mysql Pending" in done.stderr
    assert "KFP is not up" in done.stderr
    assert not any("load" in call for call in machine.calls)


FAULTS = {
    "old kubectl": ({"kubectl version": "echo v1.30.0"}, "kubectl is version 1.30.0"),
    "old kind": ({"kind version": "echo kind v0.31.0"}, "kind is version 0.31.0"),
    "no engine": ({"docker info": "exit 1"}, "sudo systemctl start docker"),
    "CPUs": ({"docker info": "echo 2 8200000000 /none"}, "2 CPUs and KFP needs 4"),
    "memory": ({"docker info": "echo 4 4200000000 /none"}, "4 GB of memory and KFP"),
    "disk": ({"df -Pk": "printf 'F\\n/dev/a 9 9 20000000\\n'"}, "20 GB free and 30"),
    "watches": (
        {"sysctl -n fs.inotify.max_user_watches": "echo 8192"},
        "run: sudo sysctl fs.inotify.max_user_watches=524288",
    ),
    "instances": (
        {"sysctl -n fs.inotify.max_user_instances": "echo 128"},
        "run: sudo sysctl fs.inotify.max_user_instances=512",
    ),
    "images": (
        {"docker image inspect": "exit 1"},
        "is not built; run: .venv/bin/tenfold images build --images tenfold",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_will_not_do_is_one_sentence_before_anything_is_made(machine, fault):
    answers, sentence = FAULTS[fault]
    machine.answer(answers)
    done = machine.run(KIND / "up")
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not any(word in call for call in machine.calls for word in MAKING)


def test_all_faults_of_a_machine_are_told_at_once(machine):
    (machine.programs / "kind").unlink()
    machine.answer({"docker info": "echo 2 4200000000 /none"})
    # Nothing but the stand-ins, and what the script itself is made of.
    tools = machine.programs.parent / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "grep", "head", "sort", "awk", "cat", "env"):
        (tools / name).symlink_to(shutil.which(name))
    done = machine.run(KIND / "up", PATH=f"{machine.programs}:{tools}")
    assert done.returncode == 2
    assert "kind is missing; install it: https://" in done.stderr
    assert "2 CPUs" in done.stderr
    assert "4 GB of memory" in done.stderr


def test_without_an_environment_it_says_how_to_make_one(machine, tmp_path):
    shutil.copytree(KIND, tmp_path / "checkout" / "infra" / "kind")
    path = f"{machine.programs}:/usr/bin:/bin"
    for script in ("up", "smoke"):
        up = tmp_path / "checkout" / "infra" / "kind" / script
        done = machine.run(up, "--print", PATH=path)
        assert done.returncode == 2
        assert "run: make .venv/.run" in done.stderr
    assert re.search(r"^\$\(VENV\)/\.run:", (ROOT / "Makefile").read_text(), re.M)


def test_the_checkouts_own_settings_are_not_the_clusters(machine, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("images: r.example/mine\n")
    lines, text = printed(machine, "up", TENFOLD_SETTINGS=str(mine))
    assert "r.example" not in text
    assert has(lines[-1], f"tenfold/tenfold-python-torch:{content_tag()}")


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_down_removes_this_cluster_only(machine, cluster):
    command = {
        "kind": "kind delete cluster --name tenfold",
        "minikube": "minikube delete --profile tenfold",
    }[cluster]
    lines, _ = printed(machine, "down", "--cluster", cluster)
    assert lines == [command.split()]
    assert machine.run(KIND / "down", CLUSTER=cluster).returncode == 0
    assert machine.calls == [command]


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_smoke_runs_and_checks_the_kelp_recipe(machine, cluster):
    lines, _ = printed(machine, "smoke", "--cluster", cluster)
    settings = load_settings(KIND / "tenfold.yaml")
    assert lines[0] == ["export", "TENFOLD_SETTINGS=infra/kind/tenfold.yaml"]
    assert in_order(
        lines,
        f"tenfold-python-cpu:{content_tag()}",
        "apply --kustomize build/kind/restricted",
        "wait pod/restricted",
        "tenfold recipes show kelp smoke",
        "tenfold synth kelp build/kind/kelp",
        "port-forward",
        f"upload.py build/kind/kelp/data {settings.source}",
        "pipelines/compile.py --challenge kelp --recipe build/kind/smoke.yaml",
        "pipelines/submit.py --target kubeflow --challenge kelp",
        f"check_outputs.py --source {settings.source} --store {settings.store}",
    )


def recipe_of(machine, tmp_path, **variables):
    """The recipe that smoke would run."""
    lines, _ = printed(machine, "smoke", **variables)
    line = next(line for line in lines if has(line, "recipes show"))
    done = machine.run(*line[: line.index(">")])
    (tmp_path / "smoke.yaml").write_text(done.stdout)
    return load_recipe("kelp", str(tmp_path / "smoke.yaml"))


def test_the_smoke_recipe_fits_the_smallest_machine(machine, tmp_path):
    recipe = recipe_of(machine, tmp_path)
    profiles = [recipe.profile(name) for name in ("cpu", "train", "predict")]
    assert all((p.cpu, p.memory_gb <= 2, p.gpus) == (1, True, 0) for p in profiles)
    assert recipe.members == load_recipe("kelp", "smoke").members
    # A name of its own would compile into another file than the one submitted.
    assert recipe.name == "smoke"


def test_smoke_trains_on_a_gpu_when_told_to(machine, tmp_path):
    recipe = recipe_of(machine, tmp_path, CLUSTER="minikube", GPU="1")
    (compiled,) = compile_recipe(
        "kelp", str(tmp_path / "smoke.yaml"), ["kubeflow"], directory=tmp_path
    )
    assert "nvidia.com/gpu" in compiled.path.read_text()
    assert recipe.profile("predict").gpus == 0


def test_smoke_without_a_cluster_says_how_to_make_one(machine):
    machine.answer({"/readyz": "exit 1"})
    for script in ("smoke", "forward"):
        done = machine.run(KIND / script, CLUSTER="minikube")
        assert done.returncode == 2
        assert "make kind-up CLUSTER=minikube" in done.stderr
    assert not any("load" in call or "port-forward" in call for call in machine.calls)


def test_a_pod_that_may_not_run_is_shown(machine, tmp_path):
    machine.answer({"wait pod/restricted": "exit 1", "logs pod": "echo no such user"})
    # It writes below the folder it lies in.
    shutil.copytree(KIND, tmp_path / "infra" / "kind")
    done = machine.run(tmp_path / "infra" / "kind" / "smoke")
    assert (tmp_path / "build" / "kind" / "restricted").is_dir(), done.stderr
    assert done.returncode == 2
    assert "no such user" in done.stderr
    assert "did not run as a restricted pod" in done.stderr
    assert not any("port-forward" in call for call in machine.calls)


@pytest.mark.parametrize("options", [[], ["--retry-probe"]])
def test_every_port_is_bound_to_this_machine_only(machine, options):
    settings = load_settings(KIND / "tenfold.yaml").kubeflow
    lines = printed(machine, "smoke", *options)[0] + printed(machine, "forward")[0]
    forwards = [line for line in lines if "port-forward" in line]
    assert len(forwards) == 6
    assert all(has(line, "port-forward --address 127.0.0.1") for line in forwards)
    ports = {line[-2].partition(":")[0] for line in forwards}
    assert ports == {"8080", "8888", "9000"}
    assert settings.host == "http://127.0.0.1:8888"
    config = yaml.safe_load((KIND / "cluster.yaml").read_text())
    assert config["networking"] == {"apiServerAddress": "127.0.0.1"}
    assert all(set(node) == {"role", "image"} for node in config["nodes"])
    minikube, _ = printed(machine, "up", "--cluster", "minikube")
    assert has(minikube[0], "--listen-address 127.0.0.1")


def test_nothing_is_pinned_to_a_name_that_moves():
    for file in [path for path in KIND.rglob("*") if path.suffix != ".pyc"]:
        text = file.read_text() if file.is_file() else ""
        assert not re.search(r":latest|:master|ref=(master|main)\b", text), file
    (node,) = yaml.safe_load((KIND / "cluster.yaml").read_text())["nodes"]
    assert re.fullmatch(r"kindest/node:v[\d.]+@sha256:[0-9a-f]{64}", node["image"])


def test_settings_name_the_secret_and_the_store_that_the_scripts_use(machine):
    settings = load_settings(KIND / "tenfold.yaml")
    lines, _ = printed(machine, "up")
    looked_up = next(line for line in lines if "get" in line)
    assert f"secret/{settings.kubeflow.store_secret}" in looked_up
    service = looked_up[looked_up.index("get") + 1].removeprefix("svc/")
    endpoint = settings.kubeflow.s3_endpoint
    assert endpoint == f"http://{service}.{settings.kubeflow.namespace}.svc:9000"


def source_lib(machine, script, **variables):
    text = f"set -euo pipefail; source {KIND}/lib.sh; options; {script}"
    return machine.run("bash", "-c", text, **variables)


def test_keys_of_the_store_reach_one_process_and_no_command_line(machine):
    keys = {"accesskey": b"someone", "secretkey": b"s3cr3t"}
    coded = {name: base64.b64encode(key).decode() for name, key in keys.items()}
    machine.answer({f".data.{name}": f"printf {key}" for name, key in coded.items()})
    theirs = {"AWS_SESSION_TOKEN": "other"}
    done = source_lib(machine, "with_store env; env", **theirs)
    once = "AWS_SECRET_ACCESS_KEY=s3cr3t"
    assert done.stdout.count(once) == 1, done.stderr
    assert "AWS_ACCESS_KEY_ID=someone" in done.stdout
    assert "AWS_ENDPOINT_URL_S3=http://127.0.0.1:9000" in done.stdout
    assert "AWS_SESSION_TOKEN=other" not in done.stdout.partition(once)[0]
    assert not any("s3cr3t" in call for call in machine.calls)


def test_a_forward_is_held_until_the_script_ends(machine, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # The first one dies after one connection, as kubectl does when a pod goes.
    serve = tmp_path / "serve.py"
    serve.write_text(
        "import os, socket, sys, pathlib\n"
        f"pids = pathlib.Path({str(tmp_path)!r}, 'pids')\n"
        "with pids.open('a') as file: file.write(f'{os.getpid()}\\n')\n"
        f"server = socket.create_server(('127.0.0.1', {port}))\n"
        "server.accept()\n"
        "while len(pids.read_text().split()) > 1: server.accept()\n"
        "sys.exit(1)\n"
    )
    machine.answer({"port-forward": f"exec {sys.executable} {serve}"})
    script = f"""
        tries() {{ for _ in {{1..50}}; do "$@" && return; sleep 0.1; done; }}
        again() {{ [[ $(wc -l <{tmp_path}/pids) == 2 ]]; }}
        trap let_go EXIT
        forward svc/x 80 {port}
        tries again; tries is_open {port}; echo held
    """
    done = source_lib(machine, script)
    assert done.stdout == "held\n", done.stderr
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    for _ in range(50):
        if not Path(f"/proc/{pids[-1]}").exists():
            break
        time.sleep(0.1)
    assert not Path(f"/proc/{pids[-1]}").exists()


def test_a_taken_port_is_named(machine):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = source_lib(machine, f"forward svc/x 80 {port}")
    assert done.returncode == 2
    assert f"port {port} is taken" in done.stderr


def kustomize(directory):
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    done = subprocess.run(
        ["kubectl", "kustomize", directory], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_manifests_are_what_kubernetes_knows():
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for document in yaml.safe_load_all(kustomize(KIND / "manifests")):
        kubernetes_validate.validate(document, "1.36", strict=True)


def test_the_restricted_pod_gets_the_image_of_this_tree(machine, tmp_path):
    _, text = printed(machine, "smoke")
    lines = iter(text.splitlines())
    assert any(line.endswith("restricted/kustomization.yaml gets:") for line in lines)
    overlay = []
    for line in lines:
        if not line.startswith("#   "):
            break
        overlay.append(line.removeprefix("#   "))
    shutil.copytree(KIND / "manifests", tmp_path / "infra" / "kind" / "manifests")
    folder = tmp_path / "build" / "kind" / "restricted"
    folder.mkdir(parents=True)
    (folder / "kustomization.yaml").write_text("\n".join(overlay))
    namespace, pod = yaml.safe_load_all(kustomize(folder))
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["metadata"]["namespace"] == namespace["metadata"]["name"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == f"tenfold/tenfold-python-cpu:{content_tag()}"


def helper(name):
    return [sys.executable, KIND / name]


def test_upload_makes_the_store_hold_the_folder_and_nothing_else(
    machine, tmp_path, s3_bucket
):
    folder, empty = tmp_path / "data", tmp_path / "empty"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "a.tif").write_bytes(b"a")
    empty.mkdir()
    place = open_storage(f"{s3_bucket}/tenfold/data")
    place.write_bytes("old.tif", b"old")
    store = {name: v for name, v in os.environ.items() if name.startswith("AWS_")}
    done = machine.run(*helper("upload.py"), folder, place.uri, **store)
    assert done.returncode == 0, done.stderr
    assert place.names() == ["train/a.tif"]
    done = machine.run(*helper("upload.py"), empty, place.uri, **store)
    assert (done.returncode, done.stderr) == (2, f"error: no files in {empty}\n")
    assert place.names() == ["train/a.tif"]


def test_the_probe_asks_for_one_retry_in_an_image_of_this_tree(machine, tmp_path):
    file = tmp_path / "probe.yaml"
    variables = {"TENFOLD_SETTINGS": str(KIND / "tenfold.yaml")}
    command = (*helper("retry_probe.py"), "--file", file, "--compile-only")
    done = machine.run(*command, **variables)
    assert done.returncode == 0, done.stderr
    graph, platform = yaml.safe_load_all(file.read_text())
    (task,) = graph["root"]["dag"]["tasks"].values()
    assert task["retryPolicy"]["maxRetryCount"] == 1
    (executor,) = graph["deploymentSpec"]["executors"].values()
    image = executor["container"]["image"]
    assert image == f"tenfold/tenfold-python-cpu:{content_tag()}"
    assert "mlpipeline-minio-artifact" in yaml.safe_dump(platform)


def load_probe():
    spec = importlib.util.spec_from_file_location("probe", KIND / "retry_probe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_probes_task_fails_once(tmp_path):
    probe = load_probe()
    with pytest.raises(SystemExit) as ended:
        probe.fail_once(str(tmp_path), "run-1")
    assert ended.value.code == 1
    probe.fail_once(str(tmp_path), "run-1")


def check(machine, tmp_path, *more):
    data, store = tmp_path / "kelp" / "data", tmp_path / "store"
    given = ("--source", data, "--store", store, "--truth", data.parent / "truth")
    return machine.run(*helper("check_outputs.py"), *given, *more)


TINY = (
    *("synth.train=12", "synth.test=4", "synth.coasts=5", "split.k=2"),
    'split.strata=["has_kelp"]',
)


def synthesise(tmp_path):
    recipe = load_recipe("kelp", "smoke", TINY)
    find_challenge("kelp").synth.synthesise(tmp_path / "kelp", recipe.synth)
    return recipe


def test_an_empty_store_is_told_by_its_first_missing_entry(machine, tmp_path):
    synthesise(tmp_path)
    done = check(machine, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: ingest: {tmp_path}/store/ingest/")
    assert "missing or incomplete" in done.stderr
    assert not list((tmp_path / "store").rglob("manifest.json"))


@pytest.mark.slow
def test_a_finished_store_is_found_whole_and_scored(machine, tmp_path):
    raw = synthesise(tmp_path).model_dump(mode="json")
    raw["members"] = raw["members"][:1]
    raw["members"][0]["training"] |= {"epochs": 1, "samples_per_epoch": 16}
    raw["members"][0]["training"] |= {"picture_epochs": [], "validate_every": 1}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(raw))
    context = Context(load_recipe("kelp", str(path)), Store(tmp_path / "store"))
    finished = run_stages(context, str(tmp_path / "kelp" / "data"))
    done = check(machine, tmp_path, "--recipe", path, "--least", "0")
    assert done.returncode == 0, done.stderr
    assert "1 ingest, 1 group, 1 split, 2 train, 1 evaluate, 1 tune" in done.stdout
    assert "dice_kelp" in done.stdout
    done = check(machine, tmp_path, "--recipe", path, "--least", "1.1")
    assert done.returncode == 2
    assert "at least 1.1 was expected" in done.stderr
    (tmp_path / "store" / finished.addresses["tune"] / "decision.json").write_text("{}")
    done = check(machine, tmp_path, "--recipe", path, "--least", "0")
    assert done.returncode == 2
    assert "error: tune: " in done.stderr
