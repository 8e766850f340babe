"""Asks registries of images which digest a name has (Docker's registry API, v2)."""

import hashlib
import re
from dataclasses import dataclass

import requests
from google.api_core.exceptions import RetryError

from pipelines.backoff import PASSING, back_off
from pipelines.images import ImageError

_SECONDS = 30
#: What a manifest may be: an index over platforms, or the image of one.
_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
#: Who may be given a token of Google's.
_GOOGLE = re.compile(r"https://([\w-]+\.)*(gcr\.io|pkg\.dev)(/.*)?")
_LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+)(:\d+)?")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Name:
    """The parts of an image's name.

    Attributes:
        registry: host, or nothing for names that only an engine or a node knows.
        repository: path in it.
        version: tag or digest.
    """

    registry: str
    repository: str
    version: str

    @classmethod
    def of(cls, reference: str) -> "Name":
        """Take a name apart; a digest counts before a tag, nothing is `latest`."""
        path, _, digest = reference.partition("@")
        above, slash, last = path.rpartition("/")
        last, _, tag = last.partition(":")
        path = above + slash + last
        first, _, rest = path.partition("/")
        is_host = "." in first or ":" in first or first == "localhost"
        registry, repository = (first, rest) if is_host and rest else ("", path)
        return cls(registry, repository, digest or tag or "latest")

    @property
    def unversioned(self) -> str:
        """The name without tag and digest."""
        return f"{self.registry}/{self.repository}".lstrip("/")


def find_digest(reference: str) -> str | None:
    """Return the digest an image has in its registry; none if it is not there.

    Raises:
        ImageError: the registry does not answer, or denies access.
    """
    name = Name.of(reference)
    try:
        answer = _ask(name)
    except (requests.RequestException, RetryError) as error:
        raise ImageError(
            f"registry {name.registry} does not answer ({type(error).__name__}); check"
            " the prefix of the images and the network"
        ) from None
    if answer.status_code == requests.codes.not_found:
        return None
    if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        raise ImageError(
            f"registry {name.registry} denies access to {name.repository}"
            f" (status {answer.status_code}); {_cure(name)}"
        )
    if not answer.ok:
        raise ImageError(
            f"registry {name.registry} answers {answer.status_code} when asked for"
            f" {reference}; try again later"
        )
    told = answer.headers.get("Docker-Content-Digest")
    return told or f"sha256:{hashlib.sha256(answer.content).hexdigest()}"


@back_off(
    lambda error: (
        isinstance(error, requests.HTTPError) and error.response.status_code in PASSING
    )
)
def _ask(name: Name) -> requests.Response:
    # Plain HTTP is for registries on this machine only, as Docker has it.
    scheme = "http" if _LOOPBACK.fullmatch(name.registry) else "https"
    host = "registry-1.docker.io" if name.registry == "docker.io" else name.registry
    address = f"{scheme}://{host}/v2/{name.repository}/manifests/{name.version}"
    headers = {"Accept": _MANIFESTS}
    # GET, since a registry need not tell the digest; then it is that of the body.
    answer = requests.get(address, headers=headers, timeout=_SECONDS)
    challenge = answer.headers.get("WWW-Authenticate", "")
    denied = answer.status_code == requests.codes.unauthorized
    if denied and challenge.lower().startswith("bearer "):
        headers["Authorization"] = f"Bearer {_token(name, challenge)}"
        answer = requests.get(address, headers=headers, timeout=_SECONDS)
    if answer.status_code in PASSING:
        answer.raise_for_status()
    return answer


def _token(name: Name, challenge: str) -> str:
    """Get the token that a registry asks for: as oneself at Google, else as anyone."""
    wanted = dict(_CHALLENGE.findall(challenge))
    realm = wanted.pop("realm", "")
    own = None
    if _GOOGLE.fullmatch(realm):
        own = ("oauth2accesstoken", _google_token(name))
    answer = requests.get(realm, params=wanted, auth=own, timeout=_SECONDS)
    if answer.status_code in PASSING:
        answer.raise_for_status()
    told = answer.json() if answer.ok else {}
    return str(told.get("token") or told.get("access_token") or "")


def _google_token(name: Name) -> str:
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request

    scope = "https://www.googleapis.com/auth/cloud-platform"
    try:
        credentials, _ = google.auth.default(scopes=[scope])
        credentials.refresh(Request())  # type: ignore[no-untyped-call]
    except GoogleAuthError as error:
        raise ImageError(
            f"no credentials for registry {name.registry} ({error}); gcloud auth"
            " application-default login"
        ) from None
    return str(credentials.token)


def _cure(name: Name) -> str:
    if not _GOOGLE.fullmatch(f"https://{name.registry}"):
        return "only what anyone may pull can be checked there"
    return "it takes roles/artifactregistry.reader on the repository"
