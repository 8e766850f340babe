"""The Docker engine of this machine, for runs in the real images."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipelines.images import Images, tree_images
from pipelines.plan import images_of
from pipelines.targets import TargetError
from tenfold.data.files import remove_directory
from tenfold.data.storage import open_storage
from tenfold.recipe import Json, Recipe

#: The user of the images, for an engine that is driven by root.
IMAGE_USER = 10001
#: Tasks save what they have on SIGTERM; then they are killed.
_SECONDS_TO_SAVE = 120
_LABEL = "tenfold.run"


class Containers:
    """Runs of the graph in containers.

    Args:
        prefix: of the images' names.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def prepare(self, recipe: Recipe, source: str, store: str) -> None:
        """Check that a run can start, and let its user write where it must.

        Raises:
            TargetError: saying what to do first.
        """
        self.check(source, store)
        missing = missing_images(recipe, tree_images(self.prefix))
        if missing:
            raise TargetError(
                f"no image {', '.join(missing)} for this tree; make images"
            )
        Path(store).mkdir(parents=True, exist_ok=True)
        _give(Path(store), *container_user())

    def check(self, source: str, store: str) -> None:
        """Refuse places that containers without a network cannot reach."""
        for option, address in (("--source", source), ("--store", store)):
            if open_storage(address).local_path is None:
                raise TargetError(
                    f"{option} {address}: containers here run without a network; give"
                    " a local folder, or use --target local"
                )

    @contextlib.contextmanager
    def lent(self, root: Path) -> Iterator[None]:
        """Make an empty folder that containers may write to.

        Containers that are at work when the block ends are stopped, and so are those
        that an earlier run left behind.
        """
        stop(root)
        remove_directory(root)
        root.mkdir(parents=True)
        _give(root, *container_user())
        try:
            yield
        finally:
            stop(root)


def container_arguments(recipe: Recipe, order: Json) -> dict[str, Any]:
    """Return what every container of a run gets; kfp.local knows no other scope.

    No network; the source read-only and the store, at the paths they have here; the
    user of this process, or the image's own instead of root.
    """
    from docker.types import DeviceRequest, Mount

    profiles = [recipe.profile(name) for name in ("cpu", *recipe.profiles)]
    user, group = container_user()
    arguments: dict[str, Any] = {
        "network_mode": "none",
        "user": f"{user}:{group}",
        "init": True,
        "labels": {_LABEL: order["root"]},
        "shm_size": f"{max(max(profile.shm_gb for profile in profiles), 1)}g",
        "mem_limit": f"{max(profile.memory_gb for profile in profiles)}g",
        "security_opt": ["no-new-privileges"],
        "cap_drop": ["ALL"],
        "mounts": [
            Mount(order["source"], order["source"], type="bind", read_only=True),
            Mount(order["store"], order["store"], type="bind"),
        ],
    }
    if any(profile.gpu for profile in profiles):
        arguments["device_requests"] = [DeviceRequest(count=-1, capabilities=[["gpu"]])]
    return arguments


def container_user() -> tuple[int, int]:
    """Return the user and group of the containers, which is never root."""
    user = os.getuid()
    return (user, os.getgid()) if user else (IMAGE_USER, IMAGE_USER)


def missing_images(recipe: Recipe, images: Images) -> list[str]:
    """Return the images of a recipe that the engine does not have.

    Raises:
        TargetError: no engine answers.
    """
    import docker

    client = engine()
    missing = []
    for name in images_of(recipe, images):
        try:
            client.images.get(name)
        except docker.errors.ImageNotFound:
            missing.append(name)
    return missing


def engine() -> Any:
    """Return a client of this machine's Docker engine.

    Raises:
        TargetError: none answers.
    """
    import docker

    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        raise TargetError(
            f"no Docker engine answers ({error}); start it, and check that `docker"
            " info` works as this user"
        ) from None
    return client


def stop(root: Path) -> None:
    """Stop the containers of a run, all at once; they have time to save their work."""
    filters = {"label": f"{_LABEL}={root}"}
    found = engine().containers.list(all=True, ignore_removed=True, filters=filters)
    with ThreadPoolExecutor(max(len(found), 1)) as pool:
        list(pool.map(_stop, found))


def _stop(container: Any) -> None:
    from docker.errors import APIError

    # One that ends by itself meanwhile is gone, or on its way.
    with contextlib.suppress(APIError):
        container.stop(timeout=_SECONDS_TO_SAVE)
    with contextlib.suppress(APIError):
        container.remove(force=True)


def _give(path: Path, user: int, group: int) -> None:
    """Give a tree to the containers' user, if it is not its own already.

    Raises:
        TargetError: it belongs to somebody else, and this user is not root.
    """
    for below in (path, *path.rglob("*")):
        # Another run may rename its temporary files meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if below.lstat().st_uid == user:
                continue
            try:
                os.chown(below, user, group, follow_symlinks=False)
            except PermissionError:
                raise TargetError(
                    f"{below} belongs to another user, so containers cannot write"
                    f" there: sudo chown -R {user}:{group} {path}"
                ) from None
