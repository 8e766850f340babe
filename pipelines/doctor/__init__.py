"""Finds out whether a recipe can run on a target, before it does."""

from collections.abc import Iterator

from pipelines.doctor import cluster, google, here, images
from pipelines.doctor.findings import Check, Finding, Patient
from pipelines.targets import find_target
from tenfold.errors import TenfoldError

__all__ = ["Finding", "Patient", "examine"]

_CHECKS: dict[str, tuple[Check, ...]] = {
    "local": (
        Check("python", here.python),
        Check("machine", here.machine),
        Check("shared memory", here.shared_memory),
        Check("weights", images.weights),
        Check("GPU", here.gpu),
    ),
    "docker": (
        Check("machine", here.machine),
        Check("engine", here.engine_memory),
        Check("images", here.built_images, needs="engine"),
        Check("runs", here.writable),
        Check("weights", images.weights),
        Check("GPU", here.gpu),
        Check("GPU in containers", here.gpu_runtime, needs="engine"),
    ),
    "kubeflow": (
        Check("clients", cluster.clients),
        Check("API", cluster.api),
        Check("store", cluster.store),
        Check("buckets", google.buckets_of_cluster, network=True),
        Check("nodes", cluster.nodes),
        Check("driver", cluster.driver),
        Check("shared memory", cluster.shared_memory),
        Check("images", images.in_registry),
        Check("weights", images.weights),
    ),
    "vertex": (
        Check("clients", google.clients),
        Check("settings", google.settings),
        Check("machines", google.machines),
        Check("driver", google.driver),
        Check("credentials", google.credentials),
        Check("permissions", google.permissions, "credentials", network=True),
        Check("service account", google.service_account, "credentials", network=True),
        Check("buckets", google.buckets, "credentials", network=True),
        Check("images", images.in_registry),
        Check("weights", images.weights),
    ),
}


def examine(patient: Patient) -> Iterator[tuple[str, Finding]]:
    """Yield what each check of a target finds, under the check's name.

    What needs the network, or something that failed, is left out without it.

    Raises:
        TargetError: there is no such target.
    """
    find_target(patient.target)
    for check in _CHECKS[patient.target]:
        for finding in _look(check, patient):
            if finding.status == "FAIL":
                patient.failed.add(check.name)
            yield check.name, finding


def _look(check: Check, patient: Patient) -> Iterator[Finding]:
    if check.needs in patient.failed:
        yield Finding("skipped", f"needs what failed under {check.needs}")
        return
    if check.network and not patient.online:
        yield Finding("skipped", "no network")
        return
    try:
        yield from check.look(patient)
    except TenfoldError as error:
        # These sentences say what to do, too.
        yield Finding("FAIL", str(error))
    except OSError as error:
        # This system does not tell, e.g. one without /proc; that stops no run.
        yield Finding("warn", f"cannot be looked at: {error}")
