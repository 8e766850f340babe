"""Resolves the tags in pins.env to digests and repeats them where files need them.

`make pin` asks the registries. `--offline` only repeats what pins.env says; `--check`
changes nothing and fails where a file says something else.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import requests

from tenfold.errors import TenfoldError

ROOT = Path(__file__).resolve().parent.parent
PINS = "containers/pins.env"
COPIES = (
    "cloudbuild.yaml",
    "containers/Dockerfile",
    "docker-bake.hcl",
    ".github/workflows/*.yaml",
)
_PIN = re.compile(r"([A-Z][A-Z0-9_]*)=(\S+)")
_IMAGE = re.compile(
    r"(?P<host>(?:[\w-]+\.)+[\w-]+(?::\d+)?|[\w-]+:\d+)(?P<repository>(?:/[\w.-]+)+)"
    r":(?P<tag>\w[\w.-]*)(?P<digest>@sha256:[0-9a-f]{64})?"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MANIFESTS = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)
_SECONDS = 20


class PinError(TenfoldError):
    """A pin is malformed, or its registry does not tell its digest."""


def read_pins(root: Path) -> dict[str, str]:
    """Return the images of pins.env by name.

    Raises:
        PinError: naming a line that is no pin.
    """
    pins = {}
    for number, line in enumerate((root / PINS).read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        pin = _PIN.fullmatch(line)
        is_image = pin is not None and pin[1].endswith("_IMAGE")
        if pin is None or (is_image and not _IMAGE.fullmatch(pin[2])):
            raise PinError(
                f"{PINS}:{number}: {line} is not NAME=registry/image:tag; write the"
                " registry too, e.g. docker.io/library/python:3.11-slim"
            )
        if is_image:
            pins[pin[1]] = pin[2]
    return pins


def look_up(reference: str, session: requests.Session) -> str:
    """Return a reference with the digest that its tag has now.

    Raises:
        PinError: the registry cannot be reached, or has no such tag.
    """
    image = _IMAGE.fullmatch(reference)
    if image is None:
        raise PinError(f"{reference} is not registry/image:tag")
    tagged = reference.partition("@")[0]
    host = {"docker.io": "registry-1.docker.io"}.get(image["host"], image["host"])
    local = host.partition(":")[0] in ("localhost", "127.0.0.1")
    url = f"http{'' if local else 's'}://{host}/v2{image['repository']}"
    url += f"/manifests/{image['tag']}"
    headers = {"Accept": _MANIFESTS}
    try:
        answer = _head(url, headers, session)
        if answer.status_code == requests.codes.unauthorized:
            headers["Authorization"] = f"Bearer {_token(answer, session)}"
            answer = _head(url, headers, session)
        answer.raise_for_status()
    except requests.HTTPError as error:
        raise PinError(
            f"{host} answers {error.response.status_code} for {tagged}: not there,"
            f" or not for everyone; correct {PINS}. Nothing was changed"
        ) from None
    except requests.RequestException as error:
        raise PinError(
            f"cannot reach {host} for {tagged} ({type(error).__name__}); run this where"
            " it can be reached. Nothing was changed"
        ) from None
    digest = answer.headers.get("Docker-Content-Digest", "")
    if not _DIGEST.fullmatch(digest):
        raise PinError(f"{host} tells no digest of {tagged}. Nothing was changed")
    return f"{tagged}@{digest}"


def repeat(root: Path, pins: dict[str, str]) -> list[Path]:
    """Write the pins into pins.env and every copy; return the files that changed."""
    changed = {}
    for path in [root / PINS, *_copies(root)]:
        old = path.read_text("utf-8")
        lines = old.splitlines(keepends=True)
        new = "".join(_repeated(line, pins) for line in lines)
        if new != old:
            changed[path] = new
    for path, text in changed.items():
        draft = path.with_name(f".{path.name}.new")
        draft.write_text(text, "utf-8")
        draft.replace(path)
    return list(changed)


def faults(root: Path, pins: dict[str, str]) -> list[str]:
    """Return a sentence for each image in a copy that is not the one of its pin."""
    found = []
    for path in _copies(root):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            name = _named(line, pins)
            for image in _IMAGE.finditer(line):
                if name is None or image[0] != pins[name]:
                    place = f"{path.relative_to(root)}:{number}: {image[0]}"
                    found.append(
                        f"{place} is not the {name} of {PINS}; run make pin"
                        if name
                        else f"{place} names no pin of {PINS}; add one, and its name"
                        " to the line"
                    )
    return found


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--check", action="store_true", help="change nothing")
    modes.add_argument("--offline", action="store_true", help="ask no registry")
    options = parser.parse_args(arguments)
    try:
        pins = read_pins(root)
        if options.check:
            return _check(root, pins)
        if not options.offline:
            with requests.Session() as session:
                pins = {name: look_up(pins[name], session) for name in pins}
    except PinError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    files = [str(path.relative_to(root)) for path in repeat(root, pins)]
    sys.stdout.write(f"changed: {', '.join(files) or 'nothing'}\n")
    return 0


def _check(root: Path, pins: dict[str, str]) -> int:
    found = faults(root, pins)
    moving = [name for name, image in pins.items() if "@" not in image]
    for sentence in found:
        sys.stdout.write(f"{sentence}\n")
    if moving:
        sys.stdout.write(f"not by digest yet: {', '.join(moving)}\n")
    return 1 if found else 0


def _copies(root: Path) -> Iterator[Path]:
    for pattern in COPIES:
        yield from sorted(root.glob(pattern))


def _named(line: str, pins: dict[str, str]) -> str | None:
    return next((name for name in pins if re.search(rf"\b{name}\b", line)), None)


def _repeated(line: str, pins: dict[str, str]) -> str:
    name = _named(line, pins)
    return _IMAGE.sub(pins[name], line) if name else line


def _head(
    url: str, headers: dict[str, str], session: requests.Session
) -> requests.Response:
    return session.head(url, headers=headers, timeout=_SECONDS, allow_redirects=True)


def _token(answer: requests.Response, session: requests.Session) -> str:
    """Return what an anonymous client may read with, asked where a challenge says."""
    challenge = answer.headers.get("WWW-Authenticate", "")
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = fields.pop("realm", None)
    if realm is None or not challenge.startswith("Bearer "):
        answer.raise_for_status()
    given = session.get(realm, params=fields, timeout=_SECONDS)
    given.raise_for_status()
    body = given.json()
    return str(body.get("token") or body.get("access_token"))


if __name__ == "__main__":
    sys.exit(main())
