"""What differs between the places a graph can run in: resources and access."""

import os
from typing import Any, Protocol

from pipelines.machines import check_region, machine_for
from pipelines.settings import Settings, require
from tenfold.errors import TenfoldError
from tenfold.recipe import Recipe, Resources

#: Stages that write curves.
_LOGGING = ("train", "trial")
_GPU_RESOURCE = "nvidia.com/gpu"


class TargetError(TenfoldError):
    """A target is unknown or cannot run what is asked of it."""


class Target(Protocol):
    """One placement of the graph.

    Attributes:
        name: as the command line says it.
        compiled: whether it runs from a compiled file.
        shared: whether all tasks run on one machine.
    """

    name: str
    compiled: bool
    shared: bool

    def component(self, component: Any, profile: Resources, label: str) -> Any:
        """Return the component as the kind of task this place runs it as."""

    def place(self, task: Any, profile: Resources) -> None:
        """Give a task its resources and what it reaches its data with."""


class Local:
    """Tasks on this machine, which take what it has: processes or containers."""

    compiled, shared = False, True

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        del settings

    def component(self, component: Any, profile: Resources, label: str) -> Any:
        """Return the component as it is."""
        del profile, label
        return component

    def place(self, task: Any, profile: Resources) -> None:
        """Leave the task as it is."""
        del task, profile


class Kubeflow:
    """Pods of a cluster with Kubeflow Pipelines 2.17 or later."""

    compiled, shared = True, False

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._own, self._weights = settings.kubeflow, settings.weights

    def component(self, component: Any, profile: Resources, label: str) -> Any:
        """Return the component as it is."""
        del profile, label
        return component

    def place(self, task: Any, profile: Resources) -> None:
        """Ask for resources, a node, shared memory and the store's secret."""
        from kfp import kubernetes

        _size(task, profile)
        if profile.gpu is not None:
            # Kubernetes knows the resource; the product is a label of the node.
            task.set_accelerator_type(_GPU_RESOURCE)
            task.set_accelerator_limit(profile.gpus)
            kubernetes.add_toleration(
                task, key=_GPU_RESOURCE, operator="Exists", effect="NoSchedule"
            )
            if self._own.gpu_label is not None:
                product = profile.gpu.lower().replace("_", "-")
                kubernetes.add_node_selector(task, self._own.gpu_label, product)
        if profile.shm_gb:
            # Loader workers pass batches through shared memory; the default is 64 MB.
            kubernetes.empty_dir_mount(
                task,
                volume_name="shm",
                mount_path="/dev/shm",  # noqa: S108
                medium="Memory",
                # In the unit of the memory that it is a part of.
                size_limit=f"{profile.shm_gb}G",
            )
        if self._own.store_secret is not None:
            kubernetes.use_secret_as_env(
                task,
                secret_name=self._own.store_secret,
                secret_key_to_env={
                    "accesskey": "AWS_ACCESS_KEY_ID",
                    "secretkey": "AWS_SECRET_ACCESS_KEY",
                },
            )
        for variable, value in self._variables().items():
            task.set_env_variable(variable, value)
        kubernetes.set_image_pull_policy(task, "IfNotPresent")
        kubernetes.set_timeout(task, int(profile.timeout_hours * 3600))

    def _variables(self) -> dict[str, str]:
        return _given(
            AWS_ENDPOINT_URL_S3=self._own.s3_endpoint, TENFOLD_WEIGHTS=self._weights
        )


class Vertex:
    """Tasks of Vertex AI Pipelines; those with a GPU become custom jobs.

    A plain task cannot say spot, disk or timeout, so Google's converter turns it
    into a launcher of a custom job that says all of them.
    """

    compiled, shared = True, False

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._own, self._weights = settings.vertex, settings.weights
        if self._own.tensorboard is not None:
            # The service takes logs only from jobs with an identity of their own.
            require(settings, "vertex.service_account", "vertex.pipeline_root")

    def component(self, component: Any, profile: Resources, label: str) -> Any:
        """Return a custom job for a profile with a GPU."""
        if profile.gpu is None:
            return component
        from google_cloud_pipeline_components.v1.custom_job import (
            create_custom_training_job_from_component,
        )

        machine = machine_for(profile)
        own = self._own
        if own.location is not None:
            check_region(profile, own.location)
        board = (component.name in _LOGGING and own.tensorboard) or ""
        return create_custom_training_job_from_component(
            component,
            display_name=label,
            machine_type=machine.name,
            accelerator_type=machine.gpu,
            accelerator_count=machine.gpus,
            boot_disk_type="pd-ssd",
            boot_disk_size_gb=profile.disk_gb,
            timeout=f"{int(profile.timeout_hours * 3600)}s",
            # Whoever is restarted goes on from its checkpoint.
            restart_job_on_worker_restart=True,
            strategy="SPOT" if profile.spot else "STANDARD",
            # The run's identity is not inherited.
            service_account=own.service_account or "",
            network=own.network or "",
            encryption_spec_key_name=own.encryption_key or "",
            tensorboard=board,
            base_output_directory=self._logs(label) if board else "",
            labels=own.labels,
            env=[
                {"name": name, "value": value}
                for name, value in self._variables().items()
            ],
        )

    def place(self, task: Any, profile: Resources) -> None:
        """Ask for resources, on demand; a custom job brings its own."""
        if profile.gpu is not None:
            return
        _size(task, profile)
        for variable, value in self._variables().items():
            task.set_env_variable(variable, value)

    def _logs(self, label: str) -> str:
        """Return a folder for the logs of one run's tasks of one label.

        The service resolves the placeholder, as it does that of the project. Folds
        and trials need no more: each has a folder of its own in there.
        """
        from kfp.dsl import PIPELINE_JOB_ID_PLACEHOLDER

        root, name = str(self._own.pipeline_root).rstrip("/"), label.lower()
        run = f"{root}/tensorboard/{PIPELINE_JOB_ID_PLACEHOLDER}"
        return f"{run}/{name.replace(' ', '-')}"

    def _variables(self) -> dict[str, str]:
        return _given(TENFOLD_WEIGHTS=self._weights)


def _size(task: Any, profile: Resources) -> None:
    # Vertex honours limits, not requests; Kubernetes takes a limit as the request.
    task.set_cpu_limit(str(profile.cpu))
    task.set_memory_limit(f"{profile.memory_gb}G")


def _given(**variables: str | None) -> dict[str, str]:
    return {name: value for name, value in variables.items() if value}


_KINDS: dict[str, type[Local | Kubeflow | Vertex]] = {
    "local": Local,
    "docker": Local,
    "kubeflow": Kubeflow,
    "vertex": Vertex,
}
TARGETS = tuple(_KINDS)
COMPILED = tuple(name for name, kind in _KINDS.items() if kind.compiled)


def find_target(name: str, settings: Settings | None = None) -> Target:
    """Return the target called `name`, or say which ones there are."""
    if name not in _KINDS:
        raise TargetError(f"unknown target {name!r}; there is {', '.join(TARGETS)}")
    return _KINDS[name](name, settings or Settings())


def profile_of(recipe: Recipe, stage: str, member: str | None = None) -> Resources:
    """Return the resources of a stage's tasks."""
    if stage in ("train", "trial") and member is not None:
        return recipe.profile(recipe.member(member).profile)
    if stage == "group" and recipe.groups.needs_network:
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
