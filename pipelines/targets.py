"""What differs between the places a graph can run in: images and resources."""

import os
from dataclasses import dataclass
from typing import Any, Protocol

from tenfold.errors import TenfoldError
from tenfold.recipe import Recipe, Resources

#: Stages that need the engine of the recipe's members.
ENGINE_STAGES = ("train", "predict")


class TargetError(TenfoldError):
    """A target is unknown or cannot run what is asked of it."""


class Place(Protocol):
    """Applies a profile to a task of one target."""

    def __call__(self, task: Any, profile: Resources) -> None:
        """Set what the task needs."""


@dataclass(frozen=True)
class Target:
    """One placement of the graph.

    Attributes:
        name: as the command line says it.
        place: gives a task its resources.
        compiled: whether it runs from a compiled file.
        shared: whether all tasks run on one machine.
    """

    name: str
    place: Place
    compiled: bool
    shared: bool = False


def _nowhere(task: Any, profile: Resources) -> None:
    """A local process takes what the machine has."""
    del task, profile


def _on_kubeflow(task: Any, profile: Resources) -> None:
    from kfp import kubernetes

    _size(task, profile)
    if profile.gpu is not None:
        # Kubernetes knows the resource, not the product: any node's GPU will do.
        task.set_accelerator_type("nvidia.com/gpu")
        task.set_accelerator_limit(profile.gpus)
        kubernetes.add_toleration(
            task, key="nvidia.com/gpu", operator="Exists", effect="NoSchedule"
        )
    if profile.shm_gb:
        # Loader workers pass batches through shared memory; the default is 64 MB.
        kubernetes.empty_dir_mount(
            task,
            volume_name="shm",
            mount_path="/dev/shm",  # noqa: S108
            medium="Memory",
            size_limit=f"{profile.shm_gb}Gi",
        )
    kubernetes.set_image_pull_policy(task, "IfNotPresent")
    kubernetes.set_timeout(task, int(profile.timeout_hours * 3600))


def _on_vertex(task: Any, profile: Resources) -> None:
    _size(task, profile)
    if profile.gpu is not None:
        task.set_accelerator_type(profile.gpu)
        task.set_accelerator_limit(profile.gpus)


def _size(task: Any, profile: Resources) -> None:
    # Vertex honours limits, not requests; Kubernetes takes a limit as the request.
    task.set_cpu_limit(str(profile.cpu))
    task.set_memory_limit(f"{profile.memory_gb}G")


TARGETS = {
    target.name: target
    for target in (
        Target("local", _nowhere, compiled=False, shared=True),
        Target("kubeflow", _on_kubeflow, compiled=True),
        Target("vertex", _on_vertex, compiled=True),
    )
}


def find_target(name: str) -> Target:
    """Return the target called `name`, or say which ones there are."""
    if name not in TARGETS:
        raise TargetError(f"unknown target {name!r}; there is {', '.join(TARGETS)}")
    return TARGETS[name]


def profile_of(recipe: Recipe, stage: str, member: str | None = None) -> Resources:
    """Return the resources of a stage's tasks."""
    if stage == "train" and member is not None:
        return recipe.profile(recipe.member(member).profile)
    if stage == "group" and recipe.groups.embedding.enabled:
        return recipe.profile("group")
    return recipe.profile("predict" if stage == "predict" else "cpu")


def parallel_folds(recipe: Recipe, target: Target, member: str) -> int:
    """Return how many folds of a member train at once.

    On one machine no more than its cores, at the member's threads, allow; and one
    after the other on a GPU, whose memory two do not share.
    """
    if not target.shared:
        return recipe.parallel_folds
    threads = recipe.member(member).training.threads
    if threads is None or profile_of(recipe, "train", member).gpu is not None:
        return 1
    room = max(len(os.sched_getaffinity(0)) // threads, 1)
    return min(recipe.parallel_folds, room)


def image_of(recipe: Recipe, stage: str, images: str, tag: str) -> str:
    """Return the image a stage runs in: its engine's, or the small one.

    Args:
        recipe: names the engine of its members.
        stage: of the graph.
        images: prefix of the images, e.g. a registry's path.
        tag: of all of them.
    """
    kind = "cpu"
    if stage in ENGINE_STAGES:
        engines = {member.engine for member in recipe.members}
        if len(engines) > 1:
            raise TargetError("members of two engines need roles in two images")
        kind = {"torch": "torch", "keras": "tensorflow"}[engines.pop()]
    if stage == "group" and recipe.groups.embedding.enabled:
        kind = "torch"
    return f"{images}/tenfold-python-{kind}:{tag}"
