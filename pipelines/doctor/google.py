"""Google Cloud: what a run on Vertex AI needs."""

import os
from collections.abc import Iterator
from typing import Any

import requests
from google.api_core.exceptions import GoogleAPICallError, NotFound

from pipelines.doctor.account import SECONDS, Account, GoogleError
from pipelines.doctor.cluster import unset_addresses
from pipelines.doctor.findings import Finding, Patient, versions
from pipelines.doctor.here import CUDA
from pipelines.machines import check_region, end_of_support, machine_for
from pipelines.settings import require
from pipelines.submit import require_addresses
from tenfold.errors import TenfoldError

RESOURCES = "https://cloudresourcemanager.googleapis.com"
IAM = "https://iam.googleapis.com"

#: What the caller needs; the custom jobs of a run are its service account's to start.
_PERMISSIONS = ("aiplatform.pipelineJobs.create", "aiplatform.pipelineJobs.get")
_ACT_AS = "iam.serviceAccounts.actAs"
_SEE, _READ = "storage.buckets.get", "storage.objects.get"
_WRITE = "storage.objects.create"
#: Roles with which a bucket's objects can be read, written and removed.
_WRITERS = {"roles/storage.objectUser", "roles/storage.objectAdmin"}
_WRITERS |= {"roles/storage.admin"}
_READERS = _WRITERS | {"roles/storage.objectViewer"}


def clients(patient: Patient) -> Iterator[Finding]:
    """Check the SDKs."""
    del patient
    yield from versions(
        {
            "kfp": ("2.17", "3"),
            # The converter to custom jobs does not know the 2.x line.
            "google-cloud-aiplatform": ("1.165", "2"),
            "google-cloud-pipeline-components": ("2.22", None),
        }
    )


def settings(patient: Patient) -> Iterator[Finding]:
    """Check that all is said which nothing can be guessed for.

    Raises:
        TenfoldError: naming what is missing or out of reach.
    """
    names = ("project", "location", "pipeline_root", "service_account")
    found = require(patient.settings, *(f"vertex.{name}" for name in names))
    yield Finding("ok", ", ".join(found))
    require_addresses(patient.settings, ["gs://"], "Vertex AI")
    yield from unset_addresses(patient)


def machines(patient: Patient) -> Iterator[Finding]:
    """Find each task's machine, and whether the region has its accelerator."""
    region = patient.settings.vertex.location
    for title, profile in patient.profiles.items():
        if profile.gpu is None:
            continue
        try:
            machine = machine_for(profile)
            doubt = check_region(profile, region) if region else "no region is set"
        except TenfoldError as error:
            yield Finding("FAIL", f"{title}: {error}", "--set the profile's gpu, gpus")
            continue
        sold = "spot" if profile.spot else "on demand"
        yield Finding("ok", f"{title}: {machine}, {sold}")
        for warning in (doubt, end_of_support(profile.gpu)):
            if warning:
                yield Finding("warn", f"{title}: {warning}")
    if patient.loads_in_parallel:
        yield Finding(
            "skipped", "shared memory: Vertex AI does not say how much it gives"
        )


def driver(patient: Patient) -> Iterator[Finding]:
    """Say which driver the images need; only a job sees which one there is."""
    training = [p for p in patient.profiles.values() if p.gpu is not None]
    if not training:
        return
    try:
        machine = machine_for(training[0])
    except TenfoldError:
        # That is another check's failure.
        return
    cuda, region = CUDA[patient.engine], patient.settings.vertex.location or "REGION"
    pool = (
        f"machine-type={machine.name},accelerator-type={machine.gpu},"
        f"accelerator-count={machine.gpus},replica-count=1,"
        f"container-image-uri={patient.images.reference(patient.engine)}"
    )
    yield Finding(
        "skipped",
        f"CUDA {cuda.major} needs driver {cuda.driver}; Vertex AI shows its own to jobs"
        " only",
        f"gcloud ai custom-jobs create --region={region} --display-name=driver"
        # Not nvidia-smi, which is on no PATH of these images.
        f" --worker-pool-spec={pool} --command=cat --args=/proc/driver/nvidia/version",
    )


def credentials(patient: Patient) -> Iterator[Finding]:
    """Check that there are credentials, and that they are still good.

    Raises:
        GoogleError: saying how to get some.
    """
    tried = "" if patient.online else ", not tried without a network"
    yield Finding("ok", f"application default credentials of {patient.account}{tried}")


def permissions(patient: Patient) -> Iterator[Finding]:
    """Ask which of the permissions on the project the caller has."""
    project = patient.settings.vertex.project
    if project is None:
        return
    account = patient.account
    address = f"{RESOURCES}/v1/projects/{project}"
    missing = account.lacks(address, _PERMISSIONS)
    if missing:
        yield Finding(
            "FAIL",
            f"{account} has no {', '.join(missing)} in {project}",
            f"gcloud projects add-iam-policy-binding {project}"
            f" --member={account.member} --role=roles/aiplatform.user",
        )
    else:
        yield Finding("ok", f"{account} may create runs in {project}")


def service_account(patient: Patient) -> Iterator[Finding]:
    """Ask whether the caller may say that tasks run as the service account."""
    name = patient.settings.vertex.service_account
    if name is None:
        return
    account = patient.account
    address = f"{IAM}/v1/projects/-/serviceAccounts/{name}"
    if account.lacks(address, (_ACT_AS,)):
        yield Finding(
            "FAIL",
            f"{account} may not act as {name}",
            f"gcloud iam service-accounts add-iam-policy-binding {name}"
            f" --member={account.member} --role=roles/iam.serviceAccountUser",
        )
    else:
        yield Finding("ok", f"{account} may act as {name}")


def buckets(patient: Patient) -> Iterator[Finding]:
    """Look at the buckets of a run; nothing is written."""
    root = _bucket_of(patient.settings.vertex.pipeline_root)
    for name, writes in _used(patient):
        yield from _look(patient, name, writes, seen=name == root)


def buckets_of_cluster(patient: Patient) -> Iterator[Finding]:
    """Look at the buckets that the tasks of a cluster use, if the caller can."""
    used = _used(patient)
    if not used:
        return
    try:
        account = patient.account
    except GoogleError as error:
        yield Finding("skipped", str(error))
        return
    for name, writes in used:
        yield from _look(patient, name, writes)
        if patient.settings.vertex.service_account is None:
            yield _own_rights(account, _client(patient).bucket(name), writes)


def _used(patient: Patient) -> list[tuple[str, bool]]:
    """Return the names of Google's buckets, and whether a run writes there."""
    own = patient.settings
    found: dict[str, bool] = {}
    root = own.vertex.pipeline_root if patient.target == "vertex" else None
    for address, writes in ((root, True), (own.store, True), (own.source, False)):
        if name := _bucket_of(address):
            found[name] = found.get(name, False) or writes
    return sorted(found.items())


def _bucket_of(address: str | None) -> str | None:
    if address is None or not address.startswith("gs://"):
        return None
    return address.removeprefix("gs://").partition("/")[0]


def _client(patient: Patient) -> Any:
    from google.cloud import storage

    # Else it looks every bucket up in the background, for traces that nobody keeps.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    return storage.Client(
        project=patient.settings.vertex.project or "PROJECT",
        credentials=patient.account.session.credentials,
    )


def _look(
    patient: Patient, name: str, writes: bool, seen: bool = False
) -> Iterator[Finding]:
    """Look at a bucket.

    Args:
        patient: the run.
        name: of the bucket.
        writes: the run's tasks write there, rather than read.
        seen: whoever sends the run must be able to see it, too.
    """
    own = patient.settings.vertex
    region, project = own.location or "REGION", own.project or "PROJECT"
    bucket = _client(patient).bucket(name)
    try:
        may = bucket.test_iam_permissions([_SEE], timeout=SECONDS, retry=None)
        if _SEE in may:
            bucket.reload(timeout=SECONDS, retry=None)
    except NotFound:
        yield Finding(
            "FAIL",
            f"no bucket gs://{name}",
            f"gcloud storage buckets create gs://{name} --location={region}"
            f" --project={project} --uniform-bucket-level-access",
        )
        return
    except (GoogleAPICallError, requests.RequestException) as error:
        yield Finding(
            "warn", f"gs://{name} cannot be looked at ({type(error).__name__})"
        )
        return
    if _SEE in may:
        yield _place(patient, name, str(bucket.location).lower())
    elif seen:
        yield Finding(
            "FAIL",
            f"{patient.account} may not see gs://{name}, which is checked before a run",
            f"gcloud storage buckets add-iam-policy-binding gs://{name}"
            f" --member={patient.account.member}"
            " --role=roles/storage.legacyBucketReader",
        )
    else:
        yield Finding("ok", f"gs://{name} is there; its region is not for you to see")
    if own.service_account is not None:
        yield _rights(bucket, own.service_account, writes)


def _place(patient: Patient, name: str, place: str) -> Finding:
    wanted = patient.settings.vertex.location
    if patient.target == "vertex" and wanted is not None and place != wanted:
        return Finding(
            "warn",
            f"gs://{name} is in {place}, the run in {wanted}: slow, and charged",
            "use a bucket of the run's region",
        )
    return Finding("ok", f"gs://{name} is there, in {place}")


def _rights(bucket: Any, service_account: str, writes: bool) -> Finding:
    """Tell whether tasks may use a bucket, as far as its policy says."""
    member = f"serviceAccount:{service_account}"
    verb, roles = ("write to", _WRITERS) if writes else ("read", _READERS)
    try:
        policy = bucket.get_iam_policy(
            requested_policy_version=3, timeout=SECONDS, retry=None
        )
    except (GoogleAPICallError, requests.RequestException):
        what = f"who may {verb} gs://{bucket.name} is not for you to see"
        return Finding("skipped", what)
    if any(
        member in binding["members"] and binding["role"] in roles
        for binding in policy.bindings
    ):
        return Finding("ok", f"{service_account} may {verb} gs://{bucket.name}")
    role = "objectUser" if writes else "objectViewer"
    return Finding(
        "warn",
        f"{service_account} may not {verb} gs://{bucket.name}, unless the project lets"
        " it",
        f"gcloud storage buckets add-iam-policy-binding gs://{bucket.name}"
        f" --member={member} --role=roles/storage.{role}",
    )


def _own_rights(account: Account, bucket: Any, writes: bool) -> Finding:
    """Tell what the caller may; whom a cluster's pods are, no setting says."""
    verb, wanted = ("write to", _WRITE) if writes else ("read", _READ)
    try:
        may = bucket.test_iam_permissions([wanted], timeout=SECONDS, retry=None)
    except (GoogleAPICallError, requests.RequestException):
        return Finding("skipped", f"who may {verb} gs://{bucket.name} was not told")
    if wanted in may:
        what = f"{account} may {verb} gs://{bucket.name}; pods must be able to, too"
        return Finding("ok", what)
    return Finding(
        "skipped", f"{account} may not {verb} gs://{bucket.name}; pods must be able to"
    )
