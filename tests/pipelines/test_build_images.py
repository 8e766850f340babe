"""Images are built of known kinds only, and a push tells the digest it made."""

import json
import os
import re

import pytest

from pipelines.build_images import push
from pipelines.images import ImageError, tree_images
from tests.pipelines.conftest import serve
from tests.pipelines.platforms import Server

OLD, NEW = (f"sha256:{digit * 64}" for digit in "12")
JSON = {"Content-Type": "application/json"}


class Engine(Server):
    """A Docker engine that knows which digests an image got."""

    known = ()

    def obey(self, method, path, query, body, headers):
        del method, query, body, headers
        what = re.sub(r"^/v[\d.]+", "", path)
        if what == "/_ping":
            return 200, b"OK", {"Api-Version": "1.41"}
        if what == "/version":
            return 200, {"ApiVersion": "1.41", "MinAPIVersion": "1.24"}, JSON
        name = what.removeprefix("/images/").removesuffix("/json").rpartition(":")[0]
        return (
            200,
            {"Id": OLD, "RepoDigests": [f"{name}@{d}" for d in self.known]},
            JSON,
        )


@pytest.fixture
def engine(monkeypatch):
    for server in serve(Engine):
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{server.host}")
        yield server


@pytest.fixture
def docker(monkeypatch, tmp_path):
    """The first `docker` on the PATH: does nothing, and ends as it is told to."""

    def ends(code):
        (tmp_path / "docker").write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / "docker").chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    ends(0)
    return ends


@pytest.fixture
def pushed(engine, docker, registry, tmp_path):
    """Push the cpu image; give the digest that was written down."""
    del docker
    registry.digests.clear()

    def run(in_registry, *known):
        engine.known = known
        name = tree_images(registry.prefix).reference("cpu")
        if in_registry:
            path, _, tag = name.removeprefix(f"{registry.host}/").rpartition(":")
            registry.digests[path, tag] = in_registry
        push(registry.prefix, ["cpu"], tmp_path / "digests.json")
        return json.loads((tmp_path / "digests.json").read_text())["cpu"]

    return run


def test_the_registry_says_which_digest_a_push_made(pushed):
    assert pushed(NEW, OLD, NEW) == NEW


def test_where_the_registry_tells_nothing_the_engine_does(pushed):
    assert pushed(None, NEW) == NEW


@pytest.mark.parametrize("known", [(), (OLD, NEW)])
def test_a_digest_that_nobody_can_tell_is_not_guessed(pushed, known):
    with pytest.raises(ImageError, match="which digest it has was not told"):
        pushed(None, *known)


@pytest.mark.usefixtures("engine")
def test_a_push_that_fails_names_its_image(docker, registry, tmp_path):
    docker(1)
    name = tree_images(registry.prefix).reference("cpu")
    with pytest.raises(ImageError, match=f"^docker push of {name} failed; see above$"):
        push(registry.prefix, ["cpu"], tmp_path / "digests.json")
    assert not (tmp_path / "digests.json").exists()


@pytest.mark.usefixtures("engine")
def test_a_build_that_fails_names_its_image(docker, tenfold):
    docker(1)
    code, _, said = tenfold("images", "build", "--kind", "cpu", "--images", "r.example")
    assert code == 2
    name = tree_images("r.example").reference("cpu")
    assert f"docker build of {name} failed; see above" in said


def test_an_unknown_kind_is_refused_with_those_there_are(tenfold):
    code, _, said = tenfold("images", "build", "--kind", "cpu", "--kind", "foo")
    assert (code, said.count("\n")) == (2, 1)
    assert "no kind of image is called foo; there is cpu, torch, tensorflow" in said
