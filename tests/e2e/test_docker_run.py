"""The smoke run in the real images: no network, not as root, outputs checked.

kfp.local may call a container done that was killed, so nothing here trusts a status.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import docker
import pytest

from pipelines.containers import container_arguments, container_user
from pipelines.images import KINDS, tree_images
from tenfold.challenges import find_challenge, load_recipe
from tenfold.stages.report import headline, read_run

pytestmark = pytest.mark.docker
IMAGES = tree_images("tenfold")


@pytest.fixture(scope="module")
def engine():
    client = docker.from_env()
    for kind in KINDS:
        client.images.get(IMAGES.reference(kind))
    return client


def inside(engine, kind, code, **arguments):
    """Run Python in an image; give what it printed."""
    command = ["python3", "-c", code]
    image = IMAGES.reference(kind)
    printed = engine.containers.run(image, command, remove=True, **arguments)
    return printed.decode().strip()


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_runs_as_a_plain_user_without_an_installer(engine, kind):
    code = (
        "import os, pathlib, tempfile; from importlib.util import find_spec;"
        "tempfile.TemporaryFile(); pathlib.Path.home().joinpath('x').touch();"
        "print(os.getuid(), find_spec('pip'), os.access('/app', os.W_OK))"
    )
    assert inside(engine, kind, code, network_mode="none") == "10001 None False"


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_says_what_it_is_made_of(engine, kind):
    image = engine.images.get(IMAGES.reference(kind))
    labels = image.labels
    assert labels["org.opencontainers.image.version"] == IMAGES.tag
    assert labels["org.opencontainers.image.title"] == f"tenfold-python-{kind}"
    assert len(labels["org.opencontainers.image.revision"].split("-")[0]) == 40
    # A changed line of code moves a small layer, not the frameworks again.
    layers = {layer["CreatedBy"]: layer["Size"] for layer in image.history()}
    (code,) = (size for made, size in layers.items() if "COPY /app" in made)
    assert code < 10e6


def test_the_torch_image_holds_the_cuda_build(engine):
    code = "import torch; print(torch.version.cuda is not None)"
    assert inside(engine, "torch", code, network_mode="none") == "True"


def test_the_tensorflow_image_holds_the_cuda_build(engine):
    code = (
        "import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3';"
        "import tensorflow as tf, keras; x = tf.linalg.matmul([[2.0]], [[3.0]]);"
        "print(tf.sysconfig.get_build_info()['is_cuda_build'], float(x[0, 0]))"
    )
    printed = inside(engine, "tensorflow", code, network_mode="none", stderr=False)
    assert printed.splitlines()[-1] == "True 6.0"


#: Of each challenge with images of its own: tasks, and how far the score is above the
#: simple rule's.
RUNS = {"kelp": (17, 0.05), "contrails": (10, 0.2)}


@pytest.fixture(scope="module", params=RUNS)
def run(engine, tmp_path_factory, request):
    """A challenge's smoke recipe, whole, through DockerRunner: its name and folder."""
    del engine
    at = tmp_path_factory.mktemp("docker")
    at.chmod(0o755)
    command = [sys.executable, "-m", "pipelines.cli", "run", request.param]
    done = subprocess.run(
        [*command, "-t", "docker", "--images", "tenfold"],
        cwd=at,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return request.param, at / "runs"


def test_every_task_left_its_result(run):
    challenge, runs = run
    record = read_run(runs / f"{challenge}-smoke")
    assert len(record.tasks) == RUNS[challenge][0]
    assert all(record.context.store.find(task.address) for task in record.tasks)
    assert not any(task.reused for task in record.tasks)


def test_the_submission_is_right(run):
    challenge, runs = run
    found = find_challenge(challenge)
    submission = runs / f"{challenge}-smoke" / found.submission.FILE
    (data,) = (runs / "data").glob(f"{challenge}-*")
    scored = found.submission.score(submission, data / "truth")
    record = read_run(runs / f"{challenge}-smoke")
    head = headline(record)
    expected = pytest.approx(head.truth["score"], abs=1e-9)
    assert scored[found.scoring.MONITOR] == expected
    assert head.honest > head.baseline + RUNS[challenge][1]


def test_no_task_ran_as_root(run):
    challenge, runs = run
    record = read_run(runs / f"{challenge}-smoke")
    manifests = [
        record.context.entry(task).path / "manifest.json" for task in record.tasks
    ]
    owners = {manifest.stat().st_uid for manifest in manifests}
    assert owners == {container_user()[0]}
    assert owners != {0}


def test_the_containers_have_no_network(engine, tmp_path):
    (tmp_path / "store").mkdir()
    tmp_path.chmod(0o755)
    order = {
        "source": str(tmp_path),
        "store": str(tmp_path / "store"),
        "root": str(tmp_path),
    }
    arguments = container_arguments(load_recipe("kelp", "smoke"), order)
    code = (
        "import socket, json; names = sorted(n for _, n in socket.if_nameindex());"
        "print(json.dumps(names))"
    )
    assert json.loads(inside(engine, "cpu", code, **arguments)) == ["lo"]


def test_a_stopped_run_saves_its_training_and_leaves_no_container(engine, tmp_path):
    tmp_path.chmod(0o755)
    command = [sys.executable, "-m", "pipelines.cli", "run", "kelp", "-t", "docker"]
    process = subprocess.Popen(
        [*command, "--images", "tenfold", "--set", "split.k=2"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    training = "runs/store/fit/*"
    while not list(tmp_path.glob(f"{training}/checkpoints/*")):
        assert process.poll() is None
        time.sleep(0.2)
    process.terminate()
    assert process.wait(100) == 128 + signal.SIGTERM
    logs = [log.read_text() for log in tmp_path.glob(f"{training}/log.jsonl")]
    assert any('"terminated"' in log for log in logs)
    root = tmp_path / "runs" / "kelp-smoke" / "pipeline"
    label = {"label": f"tenfold.run={root}"}
    assert engine.containers.list(all=True, filters=label) == []
