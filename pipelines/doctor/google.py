"""Google Cloud: what a run on Vertex AI needs."""

from collections.abc import Iterator
from typing import Any

import requests
from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound

from pipelines.doctor.account import SECONDS
from pipelines.doctor.cluster import unset_addresses
from pipelines.doctor.findings import Finding, Patient, versions
from pipelines.doctor.here import CUDA
from pipelines.machines import check_region, end_of_support, machine_for
from pipelines.settings import require
from pipelines.submit import require_addresses
from tenfold.errors import TenfoldError

RESOURCES = "https://cloudresourcemanager.googleapis.com"
IAM = "https://iam.googleapis.com"

_PERMISSIONS = ("aiplatform.pipelineJobs.create", "aiplatform.customJobs.create")
_ACT_AS = "iam.serviceAccounts.actAs"
#: Roles with which a bucket's objects can be read, written and removed.
_WRITERS = {"roles/storage.objectUser", "roles/storage.objectAdmin"}
_WRITERS |= {"roles/storage.admin"}


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
        f" --worker-pool-spec={pool} --command=nvidia-smi",
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
    """Look at the buckets that a run writes to; nothing is written."""
    addresses = (patient.settings.vertex.pipeline_root, patient.settings.store)
    names = {
        address.removeprefix("gs://").partition("/")[0]
        for address in addresses
        if address and address.startswith("gs://")
    }
    for name in sorted(names):
        yield from _bucket(patient, name)


def _bucket(patient: Patient, name: str) -> Iterator[Finding]:
    from google.cloud import storage

    own = patient.settings.vertex
    region, project = own.location or "REGION", own.project or "PROJECT"
    client = storage.Client(
        project=project, credentials=patient.account.session.credentials
    )
    bucket = client.bucket(name)
    try:
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
            "FAIL",
            f"gs://{name} cannot be looked at ({type(error).__name__})",
            f"gcloud storage buckets add-iam-policy-binding gs://{name}"
            f" --member={patient.account.member}"
            " --role=roles/storage.legacyBucketReader",
        )
        return
    place = str(bucket.location).lower()
    if own.location is not None and place != own.location:
        yield Finding(
            "warn",
            f"gs://{name} is in {place}, the run in {own.location}: slow, and charged",
            "use a bucket of the run's region",
        )
    else:
        yield Finding("ok", f"gs://{name} is there, in {place}")
    if own.service_account is not None:
        yield _writer(bucket, own.service_account)


def _writer(bucket: Any, service_account: str) -> Finding:
    """Tell whether tasks may write to a bucket, as far as its policy says."""
    member = f"serviceAccount:{service_account}"
    try:
        policy = bucket.get_iam_policy(
            requested_policy_version=3, timeout=SECONDS, retry=None
        )
    except (Forbidden, requests.RequestException):
        what = f"who may write to gs://{bucket.name} is not for you to read"
        return Finding("skipped", what)
    if any(
        member in binding["members"] and binding["role"] in _WRITERS
        for binding in policy.bindings
    ):
        return Finding("ok", f"{service_account} may write to gs://{bucket.name}")
    return Finding(
        "warn",
        f"gs://{bucket.name} does not let {service_account} write, unless the project"
        " does",
        f"gcloud storage buckets add-iam-policy-binding gs://{bucket.name}"
        f" --member={member} --role=roles/storage.objectUser",
    )
