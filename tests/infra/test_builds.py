"""What builds, scans and releases the images, run as far as it runs without a cloud."""

import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from threading import Thread

import pytest
import typer
import yaml

from containers import pin
from pipelines.cli import app
from pipelines.images import KINDS, tree_images

ROOT = Path(__file__).parents[2]
BUILD = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
STEPS = {step["id"]: step for step in BUILD["steps"]}
WORKFLOWS = {
    path.name: path.read_text() for path in (ROOT / ".github/workflows").iterdir()
}
JOBS = [
    pytest.param(job, id=f"{name}:{key}")
    for name, text in WORKFLOWS.items()
    for key, job in yaml.safe_load(text)["jobs"].items()
]
SCANS = {f"scan-{kind}" for kind in KINDS}
DIGESTS = {kind: f"sha256:{number:064x}" for number, kind in enumerate(KINDS, 1)}

# What Cloud Build's API (v1, as gcloud 528 and the page "Build configuration file
# schema" know it in November 2026) takes in a configuration.
BUILD_KEYS = {
    *("steps", "timeout", "queueTtl", "logsBucket", "options", "substitutions"),
    *("tags", "serviceAccount", "secrets", "availableSecrets", "artifacts", "images"),
}
STEP_KEYS = {
    *("name", "args", "env", "allowFailure", "allowExitCodes", "dir", "id"),
    *("waitFor", "entrypoint", "secretEnv", "volumes", "timeout", "script"),
    "automapSubstitutions",
}
OPTION_KEYS = {
    *("env", "secretEnv", "volumes", "sourceProvenanceHash", "machineType"),
    *("diskSizeGb", "substitutionOption", "dynamicSubstitutions", "pool"),
    *("automapSubstitutions", "logStreamingOption", "logging", "pubsubTopic"),
    *("defaultLogsBucketBehavior", "requestedVerifyOption"),
}
MACHINES = {"N1_HIGHCPU_8", "N1_HIGHCPU_32", "E2_HIGHCPU_8", "E2_HIGHCPU_32"}


def pinned():
    return pin.read_pins(ROOT)


# Pins


def test_every_file_names_the_pinned_images():
    assert pin.faults(ROOT, pinned()) == []


def test_every_image_that_is_pulled_is_pinned_by_digest():
    # The launcher's is Google's compiler's to name, by tag.
    moving = {name for name, image in pinned().items() if "@sha256:" not in image}
    assert moving <= {"LAUNCHER_IMAGE"}


def test_pins_are_those_of_the_locked_packages():
    text = (ROOT / pin.PINS).read_text()
    assert f"KFP_VERSION={version('kfp')}\n" in text
    launcher = pinned()["LAUNCHER_IMAGE"].partition("@")[0]
    assert launcher.endswith(f":{version('google-cloud-pipeline-components')}")


@pytest.mark.parametrize(
    "command",
    [
        ["bash", "-euc", f'. {pin.PINS}; echo "$BASE_IMAGE"'],
        ["make", "-sf", pin.PINS, "--eval=told:; echo $(BASE_IMAGE)", "told"],
    ],
    ids=["bash", "make"],
)
def test_bash_and_make_read_the_pins(command):
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == pinned()["BASE_IMAGE"]


class Registry(BaseHTTPRequestHandler):
    """One public image, for whoever asked for a token first."""

    digest = "sha256:" + "a" * 64
    challenge = 'Bearer realm="http://{host}/token",service="s",scope="pull"'

    def do_HEAD(self):
        if self.headers.get("Authorization") != "Bearer open":
            host = self.headers["Host"]
            self.send_response(401)
            self.send_header("WWW-Authenticate", self.challenge.format(host=host))
        elif self.path == "/v2/library/python/manifests/3.11":
            assert "application/vnd.oci.image.index.v1+json" in self.headers["Accept"]
            self.send_response(200)
            if self.digest:
                self.send_header("Docker-Content-Digest", self.digest)
        else:
            self.send_response(404)
        self.end_headers()

    def do_GET(self):
        asked = self.path == "/token?service=s&scope=pull"
        self.send_response(200 if asked else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"token": "open"}).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def registry(monkeypatch):
    handler = type("Ours", (Registry,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler.host = f"127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def tree(tmp_path, registry):
    image = f"{registry.host}/library/python:3.11"
    files = {
        pin.PINS: f"# The base\nBASE_IMAGE={image}\nKFP_VERSION=2.17.0\n",
        "containers/Dockerfile": f"ARG BASE_IMAGE={image}\nFROM ${{BASE_IMAGE}}\n",
        "cloudbuild.yaml": "steps:\n  - name: old.example/python:3.10  # BASE_IMAGE\n",
        ".github/workflows/a.yaml": f"container: {image}  # BASE_IMAGE\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def contents(tree):
    return {path: path.read_text() for path in tree.rglob("*") if path.is_file()}


def test_make_pin_writes_the_registrys_digest_everywhere(tree, registry, capsys):
    assert pin.main([], tree) == 0
    image = f"{registry.host}/library/python:3.11@{registry.digest}"
    pins = (tree / pin.PINS).read_text()
    assert pins == f"# The base\nBASE_IMAGE={image}\nKFP_VERSION=2.17.0\n"
    assert (tree / "cloudbuild.yaml").read_text() == (
        f"steps:\n  - name: {image}  # BASE_IMAGE\n"
    )
    dockerfile = (tree / "containers/Dockerfile").read_text()
    assert dockerfile == f"ARG BASE_IMAGE={image}\nFROM ${{BASE_IMAGE}}\n"
    assert pin.main(["--check"], tree) == 0
    assert len(contents(tree)) == 4, "no draft is left behind"

    capsys.readouterr()
    assert pin.main([], tree) == 0
    assert capsys.readouterr().out == "changed: nothing\n"

    registry.digest = "sha256:" + "b" * 64
    assert pin.main([], tree) == 0
    assert all("b" * 64 in text for text in contents(tree).values())
    assert not any("a" * 64 in text for text in contents(tree).values())


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("digest", "", "tells no digest"),
        ("challenge", 'Basic realm="x"', "401"),
        ("challenge", 'Bearer realm="http://127.0.0.1:1/token"', "cannot reach"),
    ],
)
def test_a_registry_that_will_not_tell_changes_nothing(
    tree, registry, capsys, attribute, value, said
):
    setattr(registry, attribute, value)
    before = contents(tree)
    assert pin.main([], tree) == 2
    error = capsys.readouterr().err
    assert said in error
    assert registry.host in error
    assert "Nothing was changed" in error
    assert contents(tree) == before


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("{host}/library/python:3.99", "404"),
        ("127.0.0.1:1/library/python:3.11", "cannot reach 127.0.0.1:1"),
    ],
)
def test_one_image_that_cannot_be_resolved_changes_no_other(
    tree, registry, capsys, image, said
):
    with (tree / pin.PINS).open("a") as file:
        file.write(f"SECOND_IMAGE={image.format(host=registry.host)}\n")
    before = contents(tree)
    assert pin.main([], tree) == 2
    assert said in capsys.readouterr().err
    assert contents(tree) == before


def test_check_names_each_disagreement_and_offline_mends_it(tree, capsys):
    assert pin.main(["--check"], tree) == 1
    told = capsys.readouterr().out
    assert "cloudbuild.yaml:2: old.example/python:3.10 is not the BASE_IMAGE" in told
    assert "Dockerfile" not in told
    assert "not by digest yet: BASE_IMAGE" in told

    assert pin.main(["--offline"], tree) == 0
    assert pin.main(["--check"], tree) == 0


def test_check_finds_an_image_that_nobody_pinned(tree, capsys):
    pin.main(["--offline"], tree)
    (tree / "cloudbuild.yaml").write_text("steps:\n  - name: gcr.io/any/builder:1\n")
    assert pin.main(["--check"], tree) == 1
    assert "gcr.io/any/builder:1 names no pin" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["BASE_IMAGE=python:3.11", "BASE IMAGE", "A_IMAGE="])
def test_a_line_that_is_no_pin_is_told(tree, capsys, line):
    (tree / pin.PINS).write_text(f"# A comment\n{line}\n")
    assert pin.main([], tree) == 2
    assert f"{pin.PINS}:2: {line}" in capsys.readouterr().err


# The bake file


def test_the_bake_file_builds_the_images_of_the_graph():
    text = (ROOT / "docker-bake.hcl").read_text()
    matrices = [json.loads(found) for found in re.findall(r"kind = (\[.*\])", text)]
    assert matrices == [list(KINDS)] * 2
    groups = [json.loads(found) for found in re.findall(r"targets = (\[.*\])", text)]
    assert groups == [list(KINDS), [f"release-{kind}" for kind in KINDS]]
    release = text[text.index('target "release"') :]
    assert re.search(r'tags += \["\$\{PREFIX\}/tenfold-python-\$\{kind\}"\]', release)
    assert "push-by-digest=true" in release
    arguments = re.search(r"args = \{(.*?)\}", text, re.DOTALL)
    dockerfile = (ROOT / "containers/Dockerfile").read_text()
    for name in re.findall(r"(\w+) +=", arguments[1]):
        assert re.search(rf"^ARG {name}\b", dockerfile, re.MULTILINE), name


def test_what_bake_makes_of_the_file():
    command = ["docker", "buildx"]
    asked = subprocess.run([*command, "version"], capture_output=True, check=False)
    if asked.returncode:
        pytest.skip("no docker buildx here")
    variables = {"PREFIX": "eu.example/p/t", "TAG": "0" * 16, "CACHE": "eu.example/p/c"}
    told = subprocess.run(
        [*command, "bake", "--print", "default", "release"],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        check=True,
    )
    targets = json.loads(told.stdout)["target"]
    images = tree_images("eu.example/p/t")
    for kind in KINDS:
        local, release = targets[kind], targets[f"release-{kind}"]
        name = images.reference(kind).partition(":")[0]
        assert local["tags"] == [f"{name}:{'0' * 16}"]
        assert "output" not in local
        assert release["tags"] == [name], "a tag would be given before the scan"
        assert "push-by-digest" in str(release["output"])
        assert release["args"] == local["args"]
        assert release["args"]["KIND"] == kind
        assert release["args"]["BASE_IMAGE"] == pinned()["BASE_IMAGE"]


# Cloud Build


def before(step):
    """Return the ids of all steps that end before this one starts."""
    found = set()
    for other in STEPS[step]["waitFor"]:
        if other != "-":
            found |= {other} | before(other)
    return found


def run_step(step, directory, programs=None, **env):
    """Run a step's script where the programs it calls are stand-ins."""
    script = STEPS[step]["script"]
    interpreter = script.splitlines()[0]
    shell = [sys.executable] if "python" in interpreter else ["bash"]
    for name, body in (programs or {}).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    (directory / "build").mkdir(exist_ok=True)
    path = f"{directory / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        [*shell, "-c", script],
        cwd=directory,
        env={"PATH": path, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_cloud_build_knows_every_key():
    assert set(BUILD) <= BUILD_KEYS
    assert set(BUILD["options"]) <= OPTION_KEYS
    assert BUILD["options"]["machineType"] in MACHINES
    assert BUILD["options"]["logging"] == "CLOUD_LOGGING_ONLY"
    for step in BUILD["steps"]:
        assert set(step) <= STEP_KEYS
        assert not ({"args", "entrypoint"} & set(step)), "a script excludes them"


def test_every_step_runs_in_a_pinned_image():
    assert {step["name"] for step in BUILD["steps"]} <= set(pinned().values())


def test_every_substitution_is_used_and_known():
    text = (ROOT / "cloudbuild.yaml").read_text()
    used = set(re.findall(r"\$\{?(_[A-Z]+)", text))
    assert used == set(BUILD["substitutions"])


def test_steps_wait_for_what_they_need():
    assert len(STEPS) == len(BUILD["steps"])
    assert {"lint", "test"} <= before("build")
    for scan in SCANS:
        assert "build" in before(scan)
    assert before("tag") >= SCANS
    assert "tag" in before("compile")
    assert "compile" in before("smoke")
    assert "test" not in before("lint"), "what can run at once does"
    assert not SCANS & set().union(*(before(scan) for scan in SCANS))


@pytest.mark.parametrize("step", STEPS)
def test_scripts_are_sound(step, tmp_path):
    script = STEPS[step]["script"]
    if script.startswith("#!/usr/bin/env python3"):
        compile(script, step, "exec")
        return
    if not script.startswith("#!"):
        script = f"#!/bin/sh\n{script}"  # what Cloud Build takes it for
    elif not script.startswith("#!/bin/sh"):
        assert "set -euo pipefail" in script
    file = tmp_path / "step"
    file.write_text(script)
    shellcheck = Path(sys.executable).with_name("shellcheck")
    checked = subprocess.run(
        [shellcheck, "--exclude=SC1091", file], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout


def test_a_build_without_a_registry_ends_before_the_work(tmp_path):
    done = run_step("environment", tmp_path, {"bin/make": "touch worked"}, PREFIX="")
    assert done.returncode
    assert "set _REGISTRY" in done.stderr
    assert not (tmp_path / "worked").exists()


def test_the_build_pushes_no_tag_and_uses_the_pinned_builder(tmp_path):
    (tmp_path / "containers").mkdir()
    (tmp_path / pin.PINS).write_text((ROOT / pin.PINS).read_text())
    (tmp_path / "build").mkdir()
    (tmp_path / "build/tag").write_text("0123456789abcdef\n")
    docker = {"bin/docker": 'echo "$TAG $PREFIX $*" >> calls'}
    done = run_step("build", tmp_path, docker, PREFIX="eu.example/p/t", CACHE="c")
    assert done.returncode == 0, done.stderr
    create, bake = (tmp_path / "calls").read_text().splitlines()
    assert f"--driver-opt image={pinned()['BUILDKIT_IMAGE']}" in create
    assert bake == (
        "0123456789abcdef eu.example/p/t buildx bake release"
        " --metadata-file build/metadata.json"
    )


def test_digests_are_what_compile_reads(tmp_path):
    (tmp_path / "build").mkdir()
    metadata = {
        f"release-{kind}": {"containerimage.digest": digest}
        for kind, digest in DIGESTS.items()
    }
    (tmp_path / "build/metadata.json").write_text(json.dumps(metadata))
    done = run_step("digests", tmp_path)
    assert done.returncode == 0, done.stderr
    images = tree_images("eu.example/p/t", tmp_path / "build/digests.json")
    assert images.digests == DIGESTS
    for kind in KINDS:
        assert (tmp_path / f"build/{kind}.digest").read_text() == DIGESTS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_scan_fails_on_what_the_scanner_fails_on(kind, tmp_path):
    (tmp_path / "build").mkdir()
    (tmp_path / f"build/{kind}.digest").write_text(DIGESTS[kind])
    trivy = {"bin/trivy": 'echo "$*" > calls; exit 1'}
    environment = dict(item.split("=") for item in STEPS[f"scan-{kind}"]["env"])
    assert environment.pop("PREFIX") == "$_REGISTRY"
    done = run_step(
        f"scan-{kind}", tmp_path, trivy, PREFIX="eu.example/t", **environment
    )
    assert done.returncode == 1
    called = (tmp_path / "calls").read_text()
    image = tree_images("eu.example/t").reference(kind).partition(":")[0]
    assert called.endswith(f" {image}@{DIGESTS[kind]}\n")
    assert "--severity CRITICAL --ignore-unfixed --exit-code 1" in called
    assert "secretEnv" not in STEPS[f"scan-{kind}"]


#: Keeps tags as files, and wraps an image into another digest if asked to.
DOCKER = """
echo "$*" >> calls
case "$3" in
create) name=$(echo "$5" | tr / _); echo "${WRAPPED:-${6#*@}}" > "tags_$name" ;;
inspect) for name; do :; done; sed 's/.*/"&"/' "tags_$(echo "$name" | tr / _)" ;;
esac
"""


def tag(tmp_path, **env):
    (tmp_path / "build").mkdir(exist_ok=True)
    (tmp_path / "build/tag").write_text("0123456789abcdef\n")
    for kind, digest in DIGESTS.items():
        (tmp_path / f"build/{kind}.digest").write_text(digest)
    return run_step(
        "tag", tmp_path, {"bin/docker": DOCKER}, PREFIX="eu.example/t", **env
    )


def tags(tmp_path):
    return [(tmp_path / f"tags_{name}").read_text().strip() for name in tag_names()]


def tag_names():
    return [f"eu.example_t_tenfold-python-{kind}:0123456789abcdef" for kind in KINDS]


def test_scanned_images_get_the_tag_of_the_tree(tmp_path):
    done = tag(tmp_path)
    assert done.returncode == 0, done.stderr
    assert tags(tmp_path) == list(DIGESTS.values())


def test_a_tag_that_is_there_never_moves(tmp_path):
    (tmp_path / f"tags_{tag_names()[1]}").write_text("sha256:old")
    done = tag(tmp_path)
    assert done.returncode == 0, done.stderr
    assert tags(tmp_path)[1] == "sha256:old"
    assert tags(tmp_path)[2] == DIGESTS["tensorflow"]


def test_a_tag_on_another_digest_fails_the_build(tmp_path):
    done = tag(tmp_path, WRAPPED="sha256:wrapped")
    assert done.returncode
    assert f"is sha256:wrapped, not {DIGESTS['cpu']}" in done.stdout


def test_compile_names_the_scanned_digests(tmp_path):
    python = {".venv/bin/python": 'echo "$*" > calls'}
    done = run_step("compile", tmp_path, python, PREFIX="eu.example/t")
    assert done.returncode == 0, done.stderr
    called = (tmp_path / "calls").read_text()
    assert "--images eu.example/t --digests build/digests.json" in called


@pytest.mark.parametrize("step", ["compile", "smoke"])
def test_commands_know_the_options_they_are_given(step):
    line = STEPS[step]["script"].replace("\\\n", " ")
    script, options = re.search(r"python pipelines/(\w+)\.py (.*)", line).groups()
    verb = re.search(r'main\(\["(\w+)"', (ROOT / f"pipelines/{script}.py").read_text())
    command = typer.main.get_command(app).commands[verb[1]]
    known = {name for parameter in command.params for name in parameter.opts}
    assert set(re.findall(r"--[\w-]+", options)) <= known


@pytest.mark.parametrize("asked", ["false", "", "True"])
def test_no_smoke_run_unless_asked_for(asked, tmp_path):
    python = {".venv/bin/python": "touch submitted"}
    done = run_step("smoke", tmp_path, python, PREFIX="eu.example/t", SMOKE=asked)
    assert done.returncode == 0
    assert "no smoke run" in done.stdout
    assert not (tmp_path / "submitted").exists()


def test_a_smoke_run_that_fails_fails_the_build(tmp_path):
    assert BUILD["substitutions"]["_SMOKE"] == "false"
    python = {".venv/bin/python": 'echo "$*" > calls; exit 3'}
    done = run_step("smoke", tmp_path, python, PREFIX="eu.example/t", SMOKE="true")
    assert done.returncode == 3
    called = (tmp_path / "calls").read_text()
    assert called.startswith(
        "pipelines/submit.py --target vertex --recipe smoke --wait"
    )


# GitHub Actions


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_may_read_and_no_more(name):
    workflow = yaml.safe_load(WORKFLOWS[name])
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in WORKFLOWS[name]
    # YAML 1.1 reads the key `on` as true. Code of a fork must not run with rights.
    assert "pull_request_target" not in workflow[True]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_pinned_by_commit_and_say_their_version(name):
    lines = [line for line in WORKFLOWS[name].splitlines() if "uses:" in line]
    assert lines
    for line in lines:
        assert re.search(r"uses: [\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+$", line), line


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_run_only_pinned_images(name):
    used = set(re.findall(r"\$(\w+_IMAGE)", WORKFLOWS[name]))
    assert used <= set(pinned())
    for call in re.findall(r"docker run.*?(?:\n\s*\n|\Z)", WORKFLOWS[name], re.DOTALL):
        assert "_IMAGE" in call


@pytest.mark.parametrize("job", JOBS)
def test_jobs_end_and_hold_no_rights(job):
    assert job["timeout-minutes"] <= 120
    assert "permissions" not in job
    for step in job["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_workflow_runs_the_same_checks_as_the_build():
    commands = WORKFLOWS["checks.yaml"]
    for step in ("lint", "test"):
        assert STEPS[step]["script"] in commands
    kinds = yaml.safe_load(commands)["jobs"]["images"]["strategy"]["matrix"]["kind"]
    assert tuple(kinds) == KINDS
