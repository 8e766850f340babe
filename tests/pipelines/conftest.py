"""Compiled graphs, and local stand-ins for the services they are sent to."""

import json

import pytest
import yaml
from google.oauth2.credentials import Credentials

from pipelines.cli import main
from pipelines.compile import compile_recipe
from pipelines.images import Images
from pipelines.settings import Settings
from tests.pipelines.platforms import Kubeflow, Registry, Vertex

ACCOUNT = "runner@a-project.iam.gserviceaccount.com"
SETTINGS = {
    "source": "gs://a-project-data/kelp",
    "store": "gs://a-project-store/tenfold",
    "vertex": {
        "project": "a-project",
        "location": "europe-west4",
        "pipeline_root": "gs://a-project-pipelines/tenfold",
        "service_account": ACCOUNT,
        "labels": {"team": "kelp"},
    },
}
TAG = "0123456789abcdef"


def serve(kind):
    server = kind()
    yield server
    server.close()


@pytest.fixture(scope="module")
def registry():
    yield from serve(Registry)


@pytest.fixture(scope="module")
def compiled(registry, tmp_path_factory):
    """Graphs by (recipe, target), of images that the registry has."""
    images = Images(registry.prefix, TAG)
    for kind in ("cpu", "torch"):
        registry.push(images.reference(kind))
    own = Settings.model_validate({**SETTINGS, "images": registry.prefix})
    directory = tmp_path_factory.mktemp("build")
    return {
        (name, written.target): written
        for name in ("smoke", "winning")
        for written in compile_recipe(
            "kelp", name, settings=own, images=images, directory=directory
        )
    }


@pytest.fixture
def vertex(monkeypatch):
    server = Vertex()
    endpoint = "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM"
    monkeypatch.setenv(endpoint, f"{server.address}/")
    somebody = (Credentials("a-made-up-token"), "a-project")
    monkeypatch.setattr("google.auth.default", lambda *_, **__: somebody)
    yield server
    server.close()


@pytest.fixture
def kubeflow(monkeypatch):
    monkeypatch.delenv("KF_PIPELINES_UI_ENDPOINT", raising=False)
    yield from serve(Kubeflow)


@pytest.fixture
def pauses(monkeypatch):
    """Nobody waits; the lengths of the pauses are kept."""
    kept = []
    monkeypatch.setattr("time.sleep", kept.append)
    return kept


@pytest.fixture
def settings_file(tmp_path):
    """Write settings, changed by dotted names, and give their option."""

    def write(**changes):
        value = json.loads(json.dumps(SETTINGS))
        for dotted, new in changes.items():
            *above, last = dotted.split("__")
            node = value
            for key in above:
                node = node.setdefault(key, {})
            node[last] = new
        path = tmp_path / "settings.yaml"
        path.write_text(yaml.safe_dump(value))
        return ["--settings", str(path)]

    return write


@pytest.fixture
def tenfold(capsys):
    """Run a command; give its exit code, output and errors."""

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


@pytest.fixture
def refused(tenfold):
    """Run a command that must fail; give its one sentence."""

    def run(*arguments):
        code, _, err = tenfold(*arguments)
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert code == 2
        assert len(lines) == 1, err
        return lines[0]

    return run
