"""Digests of images: the registry's API, its token, and what it says when it cannot."""

import hashlib

import pytest
import requests

from pipelines.images import ImageError
from pipelines.registry import Name, find_digest
from tests.pipelines.platforms import Registry

DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
def hub():
    server = Registry()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("tenfold/cpu:1", ("", "tenfold/cpu", "1")),
        ("cpu", ("", "cpu", "latest")),
        ("localhost/cpu:1", ("localhost", "cpu", "1")),
        ("localhost:5000/a/cpu:1", ("localhost:5000", "a/cpu", "1")),
        ("eu-docker.pkg.dev/p/r/cpu:1", ("eu-docker.pkg.dev", "p/r/cpu", "1")),
        (f"gcr.io/p/cpu@{DIGEST}", ("gcr.io", "p/cpu", DIGEST)),
        (f"localhost:5000/cpu:1@{DIGEST}", ("localhost:5000", "cpu", DIGEST)),
    ],
)
def test_names_are_taken_apart_as_docker_does(reference, parts):
    assert Name.of(reference) == Name(*parts)


@pytest.mark.parametrize("needs_token", [True, False])
def test_a_tag_has_the_digest_its_registry_tells(hub, needs_token):
    hub.needs_token = needs_token
    digest = hub.push(f"{hub.prefix}/cpu:1")
    assert find_digest(f"{hub.prefix}/cpu:1") == digest
    assert find_digest(f"{hub.prefix}/cpu@{digest}") == digest


def test_what_is_not_there_has_none(hub):
    hub.push(f"{hub.prefix}/cpu:1")
    assert find_digest(f"{hub.prefix}/cpu:2") is None
    assert find_digest(f"{hub.prefix}/cpu@{DIGEST}") is None


def test_a_registry_that_tells_no_digest_sends_what_it_is_of(hub):
    manifest = b'{"schemaVersion": 2}'
    hub.obey = lambda *_: (200, manifest, {})
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    assert find_digest(f"{hub.prefix}/cpu:1") == digest


def test_a_registry_in_trouble_is_asked_again(hub, pauses):
    digest = hub.push(f"{hub.prefix}/cpu:1")
    for path in ("/v2", "/token"):
        hub.fail(503, method="GET", path=path)
    assert find_digest(f"{hub.prefix}/cpu:1") == digest
    assert len(pauses) == 2


def test_a_registry_that_denies_access_is_named(hub):
    hub.needs_token = False
    hub.fail(403, method="GET")
    with pytest.raises(ImageError, match=r"denies access to tenfold/cpu \(status 403"):
        find_digest(f"{hub.prefix}/cpu:1")


def test_a_registry_with_another_way_to_log_in_denies_access(hub):
    hub.obey = lambda *_: (401, {}, {"WWW-Authenticate": 'Basic realm="Registry"'})
    with pytest.raises(ImageError, match="denies access"):
        find_digest(f"{hub.prefix}/cpu:1")


def test_a_registry_that_does_not_answer_is_named(pauses):
    with pytest.raises(ImageError, match=r"registry 127\.0\.0\.1:9 does not answer"):
        find_digest("127.0.0.1:9/tenfold/cpu:1")
    assert not pauses


class Asked:
    """What was asked of registries that cannot be reached from here."""

    def __init__(self, monkeypatch, realm):
        self.auth, self.addresses, self.realm = {}, [], realm
        monkeypatch.setattr("requests.get", self.get)

        class Own:
            token = "own"  # noqa: S105

            def refresh(self, _):
                pass

        monkeypatch.setattr("google.auth.default", lambda **_: (Own(), "a-project"))

    def get(self, address, headers=None, auth=None, **_):
        self.addresses.append(address)
        self.auth[address] = auth
        answer = requests.Response()
        answer.status_code = 200
        if address == self.realm:
            answer._content = b'{"token": "given"}'
        elif "Authorization" not in headers:
            answer.status_code = 401
            answer.headers["WWW-Authenticate"] = f'Bearer realm="{self.realm}"'
        else:
            assert headers["Authorization"] == "Bearer given"
            answer.headers["Docker-Content-Digest"] = DIGEST
        return answer


@pytest.mark.parametrize(
    ("name", "realm"),
    [
        ("europe-west4-docker.pkg.dev/p/r/cpu:1", "europe-west4-docker.pkg.dev"),
        ("eu.gcr.io/p/cpu:1", "eu.gcr.io"),
    ],
)
def test_google_is_asked_as_oneself(monkeypatch, name, realm):
    asked = Asked(monkeypatch, f"https://{realm}/v2/token")
    assert find_digest(name) == DIGEST
    assert asked.auth[asked.realm] == ("oauth2accesstoken", "own")


@pytest.mark.parametrize(
    "realm",
    [
        "https://pkg.dev.example/token",
        "https://example/pkg.dev/token",
        "http://pkg.dev/token",
    ],
)
def test_nobody_else_is_given_the_token(monkeypatch, realm):
    asked = Asked(monkeypatch, realm)
    assert find_digest("europe-west4-docker.pkg.dev/p/r/cpu:1") == DIGEST
    assert set(asked.auth.values()) == {None}


def test_docker_hub_is_asked_where_it_is(monkeypatch):
    asked = Asked(monkeypatch, "https://auth.docker.io/token")
    find_digest("docker.io/library/python:3.11")
    address = "https://registry-1.docker.io/v2/library/python/manifests/3.11"
    assert asked.addresses[0] == address


def test_without_credentials_the_way_to_log_in_is_said(monkeypatch):
    from google.auth.exceptions import DefaultCredentialsError

    def nobody(**_):
        raise DefaultCredentialsError("none")

    Asked(monkeypatch, "https://gcr.io/v2/token")
    monkeypatch.setattr("google.auth.default", nobody)
    with pytest.raises(ImageError, match="gcloud auth application-default login"):
        find_digest("gcr.io/p/cpu:1")
