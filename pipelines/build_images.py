"""Builds the images with a Docker engine, and pushes them."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.containers import engine
from pipelines.images import KINDS, ROOT, ImageError, Images, pins, tree_images
from pipelines.registry import find_digest
from tenfold.data.files import write_json

#: What an image may weigh, unpacked, in GB (10⁹ bytes); the base adds about 0.1 to 0.3.
LARGEST_GB = {"cpu": 1.5, "torch": 7.5, "tensorflow": 8.5}


@dataclass(frozen=True)
class Network:
    """How a build reaches the package index.

    Attributes:
        mode: network of the build's steps, e.g. `host`; none: the engine's own.
        authority: file of the network's own certificate authorities.
    """

    mode: str | None = None
    authority: Path | None = None


def build(
    kinds: Sequence[str], prefix: str, base: str | None, network: Network
) -> list[str]:
    """Build images of this tree; what is there already is not built again.

    Args:
        kinds: of `KINDS`.
        prefix: of their names.
        base: image to build on; none: the pinned one.
        network: to the package index.

    Returns:
        A line for each: its name and size.

    Raises:
        ImageError: there is no such kind, a build failed, or an image is larger than
            its cap.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise ImageError(
            f"no kind of image is called {', '.join(unknown)}; there is"
            f" {', '.join(KINDS)}"
        )
    engine()
    images = tree_images(prefix)
    for kind in kinds:
        command = _command(kind, images, base or pins()["BASE_IMAGE"], network)
        _run(command, images.reference(kind))
    return [_weigh(kind, images) for kind in kinds]


def push(prefix: str, kinds: Sequence[str], digests: Path) -> None:
    """Push images of this tree, and write down the digests they got.

    Raises:
        ImageError: a push failed, or the registry told no digest.
    """
    images = tree_images(prefix)
    found = {}
    for kind in kinds:
        name = images.reference(kind)
        _run(["docker", "push", name], name)
        found[kind] = _pushed_digest(name)
    write_json(digests, found)


def _pushed_digest(name: str) -> str:
    """Return the digest that a registry has for a name, or the engine knows."""
    try:
        digest = find_digest(name)
    except ImageError:
        # Docker has its own login, which may be another than the one asked with here.
        digest = None
    if digest is not None:
        return digest
    known = engine().images.get(name).attrs["RepoDigests"]
    repository = name.rpartition(":")[0]
    mine = {item for item in known if item.startswith(f"{repository}@")}
    # An image that was pushed there twice may have an older digest, too.
    if len(mine) != 1:
        raise ImageError(
            f"{name} was pushed, but which digest it has was not told; look it up in"
            " the registry and write it into the file of digests"
        )
    return str(mine.pop()).partition("@")[2]


def _command(kind: str, images: Images, base: str, network: Network) -> list[str]:
    command = ["docker", "build", "--file", str(ROOT / "containers" / "Dockerfile")]
    arguments = {
        "BASE_IMAGE": base,
        "KIND": kind,
        "TAG": images.tag,
        "REVISION": _revision(),
    }
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    if network.mode is not None:
        command += ["--network", network.mode]
    if network.authority is not None:
        command += ["--secret", f"id=ca,src={network.authority}"]
    return [*command, "--tag", images.reference(kind), str(ROOT)]


def _revision() -> str:
    """Return the commit of the tree, if it is one and git is here."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()


def _run(command: Sequence[str], image: str) -> None:
    # Engines before version 23 build the old way unless they are told.
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    try:
        done = subprocess.run(command, env=environment, check=False)  # noqa: S603
    except FileNotFoundError:
        raise ImageError("no docker command on the PATH; install Docker") from None
    if done.returncode != 0:
        raise ImageError(f"{' '.join(command[:2])} of {image} failed; see above")


def _weigh(kind: str, images: Images) -> str:
    name = images.reference(kind)
    size = engine().images.get(name).attrs["Size"] / 1e9
    if size > LARGEST_GB[kind]:
        raise ImageError(
            f"{name} is {size:.2f} GB, above its cap of {LARGEST_GB[kind]} GB; find out"
            " what made it grow (docker history), or raise the cap"
        )
    return f"{name}  {size:.2f} GB of at most {LARGEST_GB[kind]}"
