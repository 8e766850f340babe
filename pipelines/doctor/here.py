"""This machine: what a run as processes or in containers needs of it."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.containers import container_user, engine, missing_images
from pipelines.doctor.account import SECONDS
from pipelines.doctor.findings import Finding, Patient
from pipelines.run import RUNS

_LEAST_DISK_GB = 10
_SHARED = Path("/dev/shm")  # noqa: S108
_QUERY = ("name", "driver_version", "compute_cap")


@dataclass(frozen=True)
class Cuda:
    """The CUDA that an image's wheels are built with.

    Attributes:
        major: of its version.
        driver: oldest NVIDIA driver for Linux that runs it.
        capability: lowest compute capability that it has code for, if that is known.
    """

    major: int
    driver: str
    capability: float | None


#: Kind of image → its CUDA. Drivers: NVIDIA's table of minor version compatibility
#: (docs.nvidia.com/deploy/cuda-compatibility) and the release notes of CUDA 13.0 and
#: 12.0; capability: PyTorch's support matrix (pytorch/pytorch pull request 175253).
#: All read in November 2026.
CUDA = {
    "torch": Cuda(13, "580.65.06", 7.5),
    "tensorflow": Cuda(12, "525.60.13", None),
}


def python(patient: Patient) -> Iterator[Finding]:
    """Say which Python runs the tasks; an older one does not get here."""
    del patient
    yield Finding("ok", platform.python_version())


def machine(patient: Patient) -> Iterator[Finding]:
    """Compare memory, cores and disk with what the recipe asks for."""
    wanted = max(profile.memory_gb for profile in patient.profiles.values())
    free = _free_memory_gb()
    if free < wanted:
        what = f"{free:.0f} GB of memory are free, the recipe asks for {wanted}"
        yield Finding("warn", what, "lower training.batch, or end other programs")
    else:
        yield Finding("ok", f"{free:.0f} GB of memory are free")
    cores = len(os.sched_getaffinity(0))
    wanted = max(profile.cpu for profile in patient.profiles.values())
    if cores < wanted:
        yield Finding("warn", f"{cores} cores, the recipe asks for {wanted}: slower")
    else:
        yield Finding("ok", f"{cores} cores")
    disk = shutil.disk_usage(_existing(RUNS)).free / 1e9
    status = Finding("ok", f"{disk:.0f} GB of disk are free for {RUNS}/")
    if disk < _LEAST_DISK_GB:
        status = Finding(
            "warn", status.what, "remove old runs, or give --out and --store"
        )
    yield status


def shared_memory(patient: Patient) -> Iterator[Finding]:
    """Compare /dev/shm with what loader workers fill; too little is a bus error."""
    if not patient.loads_in_parallel:
        yield Finding("ok", "not used: the recipe has no loader workers")
        return
    free = shutil.disk_usage(_SHARED).free / 1e9
    wanted = max(profile.shm_gb for profile in patient.profiles.values())
    if free >= wanted:
        yield Finding("ok", f"{free:.1f} GB are free in {_SHARED}")
    else:
        yield Finding(
            "FAIL",
            f"{free:.1f} GB are free in {_SHARED}, loader workers need {wanted}",
            f"sudo mount -o remount,size={wanted}G {_SHARED}",
        )


def engine_memory(patient: Patient) -> Iterator[Finding]:
    """Compare what the Docker engine may use with what containers are given."""
    info = engine().info()
    has = info["MemTotal"] / 1e9
    wanted = max(profile.memory_gb for profile in patient.profiles.values())
    version = f"Docker {info['ServerVersion']}"
    if has < wanted:
        yield Finding(
            "warn",
            f"{version} has {has:.0f} GB of memory, containers may take {wanted}",
            "give the engine more, or lower profiles.*.memory_gb",
        )
    else:
        yield Finding("ok", f"{version} has {has:.0f} GB of memory")


def built_images(patient: Patient) -> Iterator[Finding]:
    """Look for the images of this tree."""
    missing = missing_images(patient.recipe, patient.images)
    if missing:
        yield Finding("FAIL", f"no image {', '.join(missing)}", "make images")
    else:
        yield Finding("ok", f"all of tag {patient.images.tag}")


def writable(patient: Patient) -> Iterator[Finding]:
    """Check that the containers' user may write where runs are."""
    del patient
    folder, (user, _) = _existing(RUNS), container_user()
    # Root hands the folders over; anyone else's containers run as themselves.
    if os.getuid() == 0 or os.access(folder, os.W_OK):
        yield Finding("ok", f"containers run as user {user} and may write {RUNS}/")
    else:
        yield Finding(
            "FAIL",
            f"user {user} may not write {folder.absolute()}",
            f"sudo chown -R {user} {folder.absolute()}",
        )


def gpu(patient: Patient) -> Iterator[Finding]:
    """Compare GPUs and driver with the recipe's profiles and its image's CUDA."""
    wanted = max((profile.gpus for profile in patient.profiles.values()), default=0)
    if not wanted:
        yield Finding("ok", "not used: the recipe asks for none")
        return
    cuda = CUDA[patient.engine]
    try:
        found = _gpus()
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding(
            "FAIL",
            f"the recipe asks for {wanted}, and nvidia-smi does not answer ({error})",
            f"install NVIDIA's driver, {cuda.driver} or later, or --set the profiles'"
            " gpu=null and gpus=0",
        )
        return
    if len(found) < wanted:
        yield Finding(
            "FAIL",
            f"{len(found)} here, the recipe asks for {wanted} a task",
            f"--set the profiles' gpus to {len(found)}",
        )
    for name, driver, capability in found:
        if version_of(driver) < version_of(cuda.driver):
            yield Finding(
                "FAIL",
                f"{name} has driver {driver}; CUDA {cuda.major} needs {cuda.driver}",
                f"install NVIDIA's driver {cuda.driver} or later",
            )
        elif cuda.capability is not None and float(capability) < cuda.capability:
            yield Finding(
                "FAIL",
                f"{name} has compute capability {capability}; the {patient.engine}"
                f" image has code from {cuda.capability} on",
                "use a GPU of the Turing generation or later, e.g. T4 or L4",
            )
        else:
            yield Finding("ok", f"{name}, driver {driver}")


def gpu_runtime(patient: Patient) -> Iterator[Finding]:
    """Check that the engine can hand GPUs to containers."""
    if not any(profile.gpu for profile in patient.profiles.values()):
        return
    # The engine needs NVIDIA's hook or runtime; it does not tell of the hook.
    hook = shutil.which("nvidia-container-runtime-hook")
    if hook or "nvidia" in engine().info().get("Runtimes", {}):
        yield Finding("ok", "the engine knows NVIDIA's container toolkit")
    else:
        yield Finding(
            "FAIL",
            "the engine does not know NVIDIA's container toolkit",
            "install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure"
            " --runtime=docker && sudo systemctl restart docker",
        )


def _gpus() -> list[list[str]]:
    """Ask nvidia-smi for name, driver and compute capability of each GPU."""
    command = ["nvidia-smi", f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader"]
    done = subprocess.run(  # noqa: S603 - no part of it is a user's
        command, capture_output=True, text=True, check=True, timeout=4 * SECONDS
    )
    return [
        [cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()
    ]


def version_of(text: str) -> tuple[int, ...]:
    """Return a driver's version in an order that compares."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _free_memory_gb() -> float:
    text = Path("/proc/meminfo").read_text("utf-8")
    values = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return int(values["MemAvailable"].split()[0]) * 1024 / 1e9


def _existing(path: Path) -> Path:
    """Return the nearest folder above that is there."""
    absolute = path.absolute()
    return next(p for p in (absolute, *absolute.parents) if p.exists())
