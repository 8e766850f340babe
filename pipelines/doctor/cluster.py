"""A cluster with Kubeflow Pipelines."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from pipelines.doctor.account import SECONDS
from pipelines.doctor.findings import Finding, Patient, versions
from pipelines.doctor.here import CUDA, version_of
from pipelines.kubeflow import KubeflowRuns
from pipelines.submit import require_addresses
from tenfold.recipe import Json, Resources

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_GPU = "nvidia.com/gpu"
#: Major, minor and revision: of newer versions of GPU feature discovery, of older ones.
_DRIVER_LABELS = (
    tuple(f"cuda.driver-version.{part}" for part in ("major", "minor", "revision")),
    tuple(f"cuda.driver.{part}" for part in ("major", "minor", "rev")),
)
_UNITS = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
_UNITS |= {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def clients(patient: Patient) -> Iterator[Finding]:
    """Check the SDK."""
    del patient
    yield from versions({"kfp": ("2.17", "3"), "kfp-kubernetes": ("2.17", "3")})


def api(patient: Patient) -> Iterator[Finding]:
    """Ask the API whether it is one, and of a version that runs these graphs.

    Raises:
        TenfoldError: saying what answers instead.
    """
    runs, host = KubeflowRuns(patient.settings), str(patient.settings.kubeflow.host)
    here = urlsplit(host).hostname in _LOOPBACK
    if not here and not _answers(host) and not patient.online:
        yield Finding("skipped", "no network")
        return
    runs.check_host()
    yield Finding("ok", f"{host} answers, and runs these graphs")


def store(patient: Patient) -> Iterator[Finding]:
    """Check that tasks can reach data and store, and have keys for them.

    Raises:
        LaunchError: an address is not one for a cluster.
    """
    own = patient.settings
    require_addresses(own, ["gs://", "s3://"], "a cluster")
    yield from unset_addresses(patient)
    secret = own.kubeflow.store_secret
    if secret is None and (own.store or "").startswith("s3://"):
        yield Finding(
            "warn",
            f"{own.store} without kubeflow.store_secret: tasks have no keys of it",
            "kubectl create secret generic tenfold-store --from-literal=accesskey=…"
            " --from-literal=secretkey=…, and write its name into tenfold.yaml",
        )
    if secret is not None and shutil.which("kubectl"):
        namespace = own.kubeflow.namespace
        done = _kubectl("get", "secret", secret, "-n", namespace, "-o", "name")
        if done.returncode == 0:
            yield Finding("ok", f"secret {secret} is in namespace {namespace}")
        else:
            yield Finding(
                "FAIL",
                f"secret {secret}: {_last_line(done.stderr)}",
                f"kubectl create secret generic {secret} -n {namespace}"
                " --from-literal=accesskey=… --from-literal=secretkey=…",
            )


def unset_addresses(patient: Patient) -> Iterator[Finding]:
    """Name what must be said when a run is sent."""
    own = patient.settings
    for name, address in (("source", own.source), ("store", own.store)):
        if address is None:
            yield Finding("warn", f"no {name}", f"give --{name} to tenfold launch")
        else:
            yield Finding("ok", f"{name} {address}")


def nodes(patient: Patient) -> Iterator[Finding]:
    """Look for a node that holds each of the recipe's tasks."""
    try:
        name, found = _nodes()
    except _UnseenError as error:
        yield Finding("skipped", str(error))
        return
    label = patient.settings.kubeflow.gpu_label
    for title, profile in patient.profiles.items():
        asked = f"{profile.cpu} CPUs, {profile.memory_gb} GB"
        if profile.gpu is not None:
            asked += f", {profile.gpus} × {profile.gpu}"
        lacks = [_lacks(node, profile, label) for node in found]
        if any(not reasons for reasons in lacks):
            yield Finding("ok", f"{name} has a node for {title} ({asked})")
        else:
            nearest = min(lacks, key=len, default=["has no node"])
            yield Finding(
                "warn",
                f"{name} has no node for {title} ({asked}); the nearest"
                f" {', '.join(nearest)}",
                "add one, unless a pool that grows on demand makes it",
            )


def driver(patient: Patient) -> Iterator[Finding]:
    """Compare the driver of GPU nodes, where labels tell it, with the image's CUDA."""
    training = [p for p in patient.profiles.values() if p.gpu is not None]
    if not training:
        return
    try:
        _, found = _nodes()
    except _UnseenError:
        found = []
    label, told = patient.settings.kubeflow.gpu_label, False
    cuda = CUDA[patient.engine]
    needs = f"CUDA {cuda.major} needs driver {cuda.driver}"
    for node in found:
        labels = node["metadata"].get("labels", {})
        has = _driver(labels)
        if has is None or (label and labels.get(label) != _product(training[0])):
            continue
        told = True
        name = node["metadata"]["name"]
        if version_of(has) >= version_of(cuda.driver):
            yield Finding("ok", f"{name} has driver {has}")
        else:
            yield Finding(
                "FAIL",
                f"{name} has driver {has}; {needs}",
                f"install NVIDIA's driver {cuda.driver} or later; on GKE, make the pool"
                " with gpu-driver-version=latest",
            )
    if not told:
        yield Finding(
            "warn",
            f"{needs}, and no node is labelled with its own",
            _show_driver(patient, training[0]),
        )


def shared_memory(patient: Patient) -> Iterator[Finding]:
    """Check that pods with loader workers get more than the 64 MB of a container."""
    for member in patient.recipe.members:
        profile = patient.recipe.profile(member.profile)
        if not member.training.workers:
            yield Finding("ok", f"{member.name} has no loader workers")
        elif profile.shm_gb:
            yield Finding(
                "ok",
                f"{member.name}: {profile.shm_gb} GB, of {profile.memory_gb} GB memory",
            )
        else:
            yield Finding(
                "FAIL",
                f"{member.name} has loader workers, and a pod's /dev/shm 64 MB",
                f"--set profiles.{member.profile}.shm_gb=8",
            )


class _UnseenError(Exception):
    """Why nodes are not to be seen."""


def _nodes() -> tuple[str, list[Json]]:
    """Return kubectl's current context, and the nodes it has."""
    if shutil.which("kubectl") is None:
        raise _UnseenError("no kubectl on the PATH")
    context = _kubectl("config", "current-context")
    if context.returncode != 0:
        raise _UnseenError("kubectl has no context")
    name = context.stdout.strip()
    done = _kubectl("get", "nodes", "-o", "json")
    if done.returncode != 0:
        raise _UnseenError(f"context {name}: {_last_line(done.stderr)}")
    return name, json.loads(done.stdout)["items"]


def _product(profile: Resources) -> str:
    """Return what a node's label calls a GPU."""
    return str(profile.gpu).lower().replace("_", "-")


def _driver(labels: Mapping[str, str]) -> str | None:
    """Return what NVIDIA's GPU feature discovery says of a node's driver."""
    for parts in _DRIVER_LABELS:
        found = [labels.get(f"nvidia.com/{part}") for part in parts]
        if found[0] is not None:
            return ".".join(part for part in found if part)
    return None


def _show_driver(patient: Patient, profile: Resources) -> str:
    """Write a command that starts a pod with a GPU and shows its node's driver."""
    image = patient.images.reference(patient.engine)
    shown = {"name": "driver", "image": image, "resources": {"limits": {_GPU: "1"}}}
    # Not nvidia-smi, which is on no PATH of these images.
    shown["command"] = ["cat", "/proc/driver/nvidia/version"]
    spec: Json = {"containers": [shown], "tolerations": [{"key": _GPU}]}
    spec["tolerations"][0]["operator"] = "Exists"
    if label := patient.settings.kubeflow.gpu_label:
        spec["nodeSelector"] = {label: _product(profile)}
    return (
        f"kubectl run driver -n {patient.settings.kubeflow.namespace} -i --rm"
        f" --restart=Never --image={image} --overrides='{json.dumps({'spec': spec})}'"
    )


def _answers(host: str) -> bool:
    try:
        requests.head(host, timeout=SECONDS)
    except requests.RequestException:
        return False
    return True


def _lacks(node: Json, profile: Resources, label: str | None) -> list[str]:
    """Say why a node does not hold a task."""
    has: Mapping[str, Any] = node["status"]["allocatable"]
    wanted = {"cpu": profile.cpu, "memory": profile.memory_gb * 1e9, _GPU: profile.gpus}
    lacks = [
        f"has {has.get(name, 0)} of {name}"
        for name, amount in wanted.items()
        if _amount(str(has.get(name, 0))) < amount
    ]
    tolerated = {_GPU} if profile.gpu is not None else set()
    for taint in node["spec"].get("taints", ()):
        if taint["effect"] != "PreferNoSchedule" and taint["key"] not in tolerated:
            lacks.append(f"keeps tasks off by taint {taint['key']}")
    if profile.gpu is not None and label is not None:
        value = node["metadata"].get("labels", {}).get(label)
        if value != _product(profile):
            lacks.append(f"has {label}={value}, not {_product(profile)}")
    return lacks


def _amount(text: str) -> float:
    """Return a quantity as Kubernetes writes it, e.g. 1930m or 16Gi."""
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)


def _kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["kubectl", *arguments, f"--request-timeout={SECONDS}s"]
    return subprocess.run(  # noqa: S603 - names from the user's own settings
        command, capture_output=True, text=True, check=False
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no answer"])[-1]
