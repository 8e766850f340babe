"""Compiled graphs as files for `curl` and `gcloud`, and folds as jobs of their own."""

import shlex
from pathlib import Path

import yaml

from pipelines.compile import Compiled
from pipelines.machines import LEAST_DISK_GB, MachineError, machine_for
from pipelines.pinning import check_images
from pipelines.registry import Name
from pipelines.settings import Settings
from pipelines.submit import graph_of, inline, read_graph
from pipelines.targets import profile_of
from pipelines.vertex import needed, request_of
from tenfold.data.files import (
    atomic_directory,
    atomic_path,
    remove_directory,
    write_json,
)
from tenfold.errors import TenfoldError
from tenfold.recipe import Json, Resources

#: E2 machines: CPUs, GB and name (compute/docs/general-purpose-machines, read in
#: November 2026); Vertex AI runs tasks that ask for nothing on an e2-standard-4.
_PLAIN = (
    *((cpu, 4 * cpu, f"e2-standard-{cpu}") for cpu in (4, 8, 16, 32)),
    *((cpu, 8 * cpu, f"e2-highmem-{cpu}") for cpu in (4, 8, 16)),
)
#: What Linux takes as one argument of a command, less its last byte.
LONGEST_ARGUMENT = 128 * 1024 - 1
#: Sending a run takes a minute; looking for images may take some more.
_SUBMITTER = Resources(cpu=2, memory_gb=8, timeout_hours=0.5)


def missing(settings: Settings) -> str | None:
    """Return a sentence on what the files need and settings lack, if anything."""
    faults = []
    try:
        needed(settings)
    except TenfoldError as error:
        faults.append(str(error))
    if not Name.of(f"{settings.images}/cpu").registry:
        faults.append(
            f"images {settings.images} are in no registry; give one as --images, e.g."
            " europe-west4-docker.pkg.dev/PROJECT/REPOSITORY"
        )
    return "; ".join(faults) or None


def write_requests(
    compiled: Compiled, settings: Settings, directory: Path
) -> list[Path]:
    """Write what `curl` and `gcloud` send for a compiled graph.

    Args:
        compiled: for Vertex AI; for others there are no such files.
        settings: those of `missing`, or nothing is written; what an earlier graph
            left is removed, so that nobody sends it.
        directory: receives `<name>-vertex-request.json`, the body of a run;
            `<name>-vertex-submitter.yaml`, a custom job that sends it; and the folder
            `<name>-jobs` with a custom job for what comes before training and for
            every fold.

    Returns:
        The two files and the folder.
    """
    if compiled.target != "vertex":
        return []
    name = f"{compiled.recipe.challenge}-{compiled.recipe.name}"
    request = directory / f"{name}-vertex-request.json"
    submitter = directory / f"{name}-vertex-submitter.yaml"
    jobs = directory / f"{name}-jobs"
    request.unlink(missing_ok=True)
    submitter.unlink(missing_ok=True)
    remove_directory(jobs)
    if missing(settings):
        return []
    documents = read_graph(str(compiled.path))
    body = request_of(graph_of(documents, settings, ""), settings)
    check_images(body, nodes_hold_images=False)
    write_json(request, body)
    data, before = inline(body), []
    if len(data) > LONGEST_ARGUMENT:
        data = f"{settings.vertex.pipeline_root}/{request.name}"
        before = [shlex.join(["gcloud", "storage", "cp", str(request), data])]
    spec = _submitter(compiled, settings, data)
    _write(submitter, spec, [*before, _command(submitter, settings)])
    with atomic_directory(jobs) as folder:
        for job, spec in _jobs(compiled, settings).items():
            file = f"{job}.yaml"
            _write(folder / file, spec, [_command(jobs / file, settings)])
    return [request, submitter, jobs]


def _submitter(compiled: Compiled, settings: Settings, data: str) -> Json:
    """Return a job that sends a run from inside Google Cloud."""
    own = settings.vertex
    options = {
        "--target": "vertex",
        "--project": own.project,
        "--location": own.location,
        "--experiment": own.experiment,
        "--compiled": data,
    }
    given = [str(word) for pair in options.items() if pair[1] for word in pair]
    command = ["python3", "-m", "pipelines.cli", "launch", *given]
    return _spec(compiled.images.reference("cpu"), command, _SUBMITTER, settings)


def _jobs(compiled: Compiled, settings: Settings) -> dict[str, Json]:
    """Return the specs of all jobs outside the graph, by name."""
    recipe, images = compiled.recipe, compiled.images
    given = ["--recipe", recipe.to_json()]
    given += ["--source", str(settings.source), "--store", str(settings.store)]
    jobs = {
        "prepare": _spec(
            images.of_stage(recipe, "group"),
            _verb("prepare", recipe.challenge, given, "/tmp/prepared"),  # noqa: S108
            profile_of(recipe, "group"),
            settings,
        )
    }
    for member in recipe.members:
        profile = profile_of(recipe, "train", member.name)
        for fold in range(recipe.split.k):
            one = [*given, "--member", member.name, "--fold", str(fold)]
            jobs[f"{member.name}-fold-{fold}"] = _spec(
                images.of_stage(recipe, "train"),
                _verb("fold", recipe.challenge, one, "/tmp/fold.json"),  # noqa: S108
                profile,
                settings,
            )
    return jobs


def _verb(verb: str, challenge: str, options: list[str], out: str) -> list[str]:
    return ["python3", "-m", "tenfold", verb, challenge, *options, "--out", out]


def _spec(
    image: str, command: list[str], profile: Resources, settings: Settings
) -> Json:
    """Return a CustomJobSpec as gcloud reads it: keys in camelCase."""
    own = settings.vertex
    container: Json = {"imageUri": image, "command": command}
    if settings.weights:
        container["env"] = [{"name": "TENFOLD_WEIGHTS", "value": settings.weights}]
    spec: Json = {
        "workerPoolSpecs": [
            {
                "machineSpec": _machine(profile),
                "replicaCount": 1,
                "diskSpec": {
                    "bootDiskType": "pd-ssd",
                    "bootDiskSizeGb": max(profile.disk_gb, LEAST_DISK_GB),
                },
                "containerSpec": container,
            }
        ],
        "scheduling": {
            "timeout": f"{int(profile.timeout_hours * 3600)}s",
            "strategy": "SPOT" if profile.spot else "STANDARD",
            # Whoever is restarted goes on from its checkpoint.
            "restartJobOnWorkerRestart": True,
        },
        "serviceAccount": own.service_account,
    }
    if own.network:
        spec["network"] = own.network
    if own.tensorboard and profile.gpu:
        spec["tensorboard"] = own.tensorboard
        spec["baseOutputDirectory"] = {
            "outputUriPrefix": f"{own.pipeline_root}/tensorboard"
        }
    return spec


def _machine(profile: Resources) -> Json:
    """Return the smallest machine that holds a profile, as the API says it."""
    if profile.gpu is not None:
        machine = machine_for(profile)
        return {
            "machineType": machine.name,
            "acceleratorType": machine.gpu,
            "acceleratorCount": machine.gpus,
        }
    fitting = [
        (cpu, memory, name)
        for cpu, memory, name in _PLAIN
        if cpu >= profile.cpu and memory >= profile.memory_gb
    ]
    if not fitting:
        raise MachineError(
            f"no E2 machine has {profile.cpu} CPUs and {profile.memory_gb} GB; ask for"
            " less in the recipe's profile"
        )
    return {"machineType": min(fitting)[2]}


def _command(path: Path, settings: Settings) -> str:
    """Return what sends a job; key and labels are no part of its spec."""
    own = settings.vertex
    labels = ",".join(f"{key}={value}" for key, value in own.labels.items())
    options = {
        "--region": own.location,
        "--display-name": path.stem,
        "--config": path,
        "--kms-key": own.encryption_key,
        "--labels": labels,
    }
    given = [f"{name}={value}" for name, value in options.items() if value]
    return shlex.join(["gcloud", "ai", "custom-jobs", "create", *given])


def _write(path: Path, spec: Json, commands: list[str]) -> None:
    """Write a spec below the commands that send it."""
    head = "".join(f"# {command}\n" for command in commands)
    text = yaml.safe_dump(spec, sort_keys=False, width=1_000_000)
    with atomic_path(path) as temporary:
        temporary.write_text(head + text, "utf-8")
