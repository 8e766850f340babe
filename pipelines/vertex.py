"""Runs of compiled graphs on Vertex AI Pipelines, through its SDK.

The SDK's own `PipelineJob.submit` is not used: it makes a bucket that is missing, and
asks only once. What is sent here is the same message, to the same service.
"""

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import requests
import typer
from google.api_core import exceptions as api
from google.auth.exceptions import GoogleAuthError

from pipelines import submit
from pipelines.backoff import PASSING, back_off
from pipelines.machines import check_region
from pipelines.settings import Settings, require
from pipelines.submit import Graph, LaunchError, Run, Task
from tenfold.recipe import Json, Resources

#: The variable by which `gcloud` is told of another address, too.
ENDPOINT_VARIABLE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM"

_SECONDS = 60.0
_LOOKS_FOR_CONTEXT = 15
#: Parts of a run that are the sender's; the rest is the service's own.
_SENT = (
    "displayName",
    "pipelineSpec",
    "runtimeConfig",
    "labels",
    "serviceAccount",
    "network",
    "encryptionSpec",
    "preflightValidations",
)
_BILLING_LABEL = "vertex-ai-pipelines-run-billing-id"
_STATES = {
    "QUEUED": "queued",
    "CANCEL_PENDING": "cancelling",
    # Of a task that was found in the cache, or whose condition did not hold.
    "SKIPPED": submit.SUCCEEDED,
    "NOT_TRIGGERED": submit.SUCCEEDED,
}


def request_of(graph: Graph, settings: Settings) -> Json:
    """Return a run as the REST API takes it.

    Args:
        graph: with its parameters.
        settings: with all that `needed` asks for.
    """
    own = settings.vertex
    _, challenge, recipe = graph.name.split("-", 2)
    labels = {"tenfold-challenge": challenge, "tenfold-recipe": recipe}
    if "tags" in graph.parameters:
        labels["tenfold-tags"] = graph.parameters["tags"]
    request: Json = {
        "displayName": graph.name,
        "pipelineSpec": graph.spec,
        "runtimeConfig": {
            "gcsOutputDirectory": own.pipeline_root,
            "parameterValues": graph.parameters,
            # What does not depend on a failed fold goes on; tasks decide on caching.
            "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_SLOW",
        },
        "labels": own.labels | {name: _label(text) for name, text in labels.items()},
        "serviceAccount": own.service_account,
        "preflightValidations": True,
    }
    if own.network:
        request["network"] = own.network
    if own.encryption_key:
        request["encryptionSpec"] = {"kmsKeyName": own.encryption_key}
    return request


def needed(settings: Settings) -> None:
    """Refuse settings that a run cannot do without, or cannot reach its data with.

    Raises:
        SettingsError: naming all that are missing.
        LaunchError: data or store is not on Cloud Storage.
    """
    names = ("project", "location", "pipeline_root", "service_account")
    require(settings, "source", "store", *(f"vertex.{name}" for name in names))
    submit.require_addresses(settings, ["gs://"], "Vertex AI")


def settings_in(request: Json) -> dict[str, Any]:
    """Return what a request says, as settings that flags go over."""
    runtime = request.get("runtimeConfig", {})
    parameters = runtime.get("parameterValues", {})
    return {
        "source": parameters.get("source"),
        "store": parameters.get("store"),
        "vertex.pipeline_root": runtime.get("gcsOutputDirectory"),
        "vertex.service_account": request.get("serviceAccount"),
        "vertex.network": request.get("network"),
        "vertex.encryption_key": request.get("encryptionSpec", {}).get("kmsKeyName"),
        "vertex.labels": request.get("labels"),
    }


class VertexRuns:
    """Runs in one project and location."""

    nodes_hold_images = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._project, self._location = require(
            settings, "vertex.project", "vertex.location"
        )
        self._parent = f"projects/{self._project}/locations/{self._location}"
        self._answered = False

    def body(self, graph: Graph) -> Json:
        """Return a run as the REST API takes it."""
        needed(self._settings)
        if graph.cluster:
            raise LaunchError(
                "this graph was compiled for Kubeflow; compile it with --target vertex"
            )
        _check_jobs(graph, self._settings)
        return request_of(graph, self._settings)

    def stem(self, body: Json) -> str:
        """Return the id of a run without its attempt."""
        runtime = body["runtimeConfig"]
        return submit.stem_of(
            body["pipelineSpec"],
            runtime["parameterValues"],
            runtime["gcsOutputDirectory"],
            # A run that failed for its identity is another one with the right one.
            *(body.get(name) for name in ("serviceAccount", "network")),
            body.get("encryptionSpec"),
        )

    def address(self, name: str) -> str:
        """Return where a request is sent to."""
        host = self._host if "://" in self._host else f"https://{self._host}"
        return f"{host}/v1/{self._parent}/pipelineJobs?pipelineJobId={name}"

    def latest(self, stem: str) -> Run | None:
        """Return the last attempt of a stem; others may have been deleted."""
        with self._in_plain_words(f"look up {stem}"):
            listed = self._client.list_pipeline_jobs(
                request={
                    "parent": self._parent,
                    "filter": f'pipeline_job_user_id:"{stem}-*"',
                    "read_mask": {"paths": ["name"]},
                },
                retry=self._retry,
                timeout=_SECONDS,
            )
            names = [job.name.rpartition("/")[2] for job in listed]
            self._answered = True
        numbers = [
            int(found[1])
            for found in (re.fullmatch(re.escape(stem) + r"-(\d+)", n) for n in names)
            if found
        ]
        return self.look(f"{stem}-{max(numbers)}") if numbers else None

    def create(self, body: Json, name: str) -> Run:
        """Send a run, unless one of that id is there."""
        from google.cloud.aiplatform_v1.types import PipelineJob
        from google.protobuf import json_format

        job = PipelineJob()
        json_format.ParseDict(body, PipelineJob.pb(job))
        with self._in_plain_words(f"start {name}"):
            try:
                made = self._client.create_pipeline_job(
                    parent=self._parent,
                    pipeline_job=job,
                    pipeline_job_id=name,
                    retry=self._retry,
                    timeout=_SECONDS,
                )
            except api.Conflict:
                # An answer that was lost, or another sender of the same content.
                return self.look(name)
        return self._run(_json(made))

    def look(self, run: str) -> Run:
        """Return a run as it is now."""
        return self._run(self._get(run))

    def recorded(self, run: str) -> Json:
        """Return what was sent for a run."""
        job = self._get(run)
        body = {name: job[name] for name in _SENT if name in job}
        # The service adds these two to what it was sent.
        body["pipelineSpec"].pop("deploymentConfig", None)
        body.get("labels", {}).pop(_BILLING_LABEL, None)
        return body

    def enlist(self, run: Run) -> None:
        """Put a run into the settings' experiment, which is made if need be.

        Its metrics then are the experiment's. A run can be found there only once it
        began, so this waits for that; a run that is enlisted already stays so.
        """
        experiment = self._settings.vertex.experiment
        if experiment is None:
            return
        context = self._context_of(run.id)
        if context is None:
            typer.echo(
                f"{run.name} is not in experiment {experiment} yet: run this again"
                " once it has begun",
                err=True,
            )
            return
        from google.cloud.aiplatform_v1.services.metadata_service import (
            MetadataServiceClient,
        )
        from google.cloud.aiplatform_v1.types import Context

        with self._in_plain_words(f"put {run.name} into experiment {experiment}"):
            client = MetadataServiceClient(**self._arguments)
            store = f"{self._parent}/metadataStores/default"
            # What the SDK calls an experiment.
            parent = Context(
                display_name=experiment,
                schema_title="system.Experiment",
                schema_version="0.0.1",
                metadata={"experiment_deleted": False},
            )
            with suppress(api.Conflict):
                client.create_context(
                    parent=store,
                    context=parent,
                    context_id=experiment,
                    retry=self._retry,
                    timeout=_SECONDS,
                )
            client.add_context_children(
                context=f"{store}/contexts/{experiment}",
                child_contexts=[context],
                retry=self._retry,
                timeout=_SECONDS,
            )

    def _context_of(self, run: str) -> str | None:
        """Return the name of a run's metadata, as soon as there are any."""
        for look in range(_LOOKS_FOR_CONTEXT):
            if look:
                submit.pause()
            job = self._get(run)
            context = job.get("jobDetail", {}).get("pipelineRunContext", {})
            if context.get("name"):
                return str(context["name"])
            if self._run(job).state in submit.ENDED:
                break
        return None

    def _get(self, name: str) -> Json:
        full = name if "/" in name else f"{self._parent}/pipelineJobs/{name}"
        with self._in_plain_words(f"look up {name}"):
            try:
                job = self._client.get_pipeline_job(
                    name=full, retry=self._retry, timeout=_SECONDS
                )
                self._answered = True
                return _json(job)
            except api.NotFound:
                self._answered = True
                raise LaunchError(
                    f"there is no run {name} in {self._project}, {self._location}"
                ) from None

    def _run(self, job: Json) -> Run:
        name = job["name"].rpartition("/")[2]
        titles = submit.titles_of(job["pipelineSpec"])
        details = job.get("jobDetail", {}).get("taskDetails", [])
        return Run(
            id=name,
            name=name,
            state=_state(job.get("state", "PIPELINE_STATE_PENDING")),
            link=(
                "https://console.cloud.google.com/vertex-ai/locations/"
                f"{self._location}/pipelines/runs/{name}?project={self._project}"
            ),
            error=job.get("error", {}).get("message", ""),
            tasks=tuple(
                _task(detail, titles[detail["taskName"]])
                for detail in details
                if detail.get("taskName") in titles
            ),
        )

    @property
    def _host(self) -> str:
        other = os.environ.get(ENDPOINT_VARIABLE, "")
        return other.rstrip("/") or f"{self._location}-aiplatform.googleapis.com"

    @property
    def _arguments(self) -> dict[str, Any]:
        # REST goes through proxies that gRPC does not.
        return {"transport": "rest", "client_options": {"api_endpoint": self._host}}

    @functools.cached_property
    def _client(self) -> Any:
        from google.cloud.aiplatform_v1.services.pipeline_service import (
            PipelineServiceClient,
        )

        return PipelineServiceClient(**self._arguments)

    @property
    def _retry(self) -> Any:
        return back_off(self._may_pass)

    def _may_pass(self, error: BaseException) -> bool:
        if isinstance(error, api.GoogleAPICallError):
            return error.code in PASSING
        # A connection that broke, of a service that is there.
        return self._answered and isinstance(
            error, requests.ConnectionError | requests.Timeout
        )

    @contextmanager
    def _in_plain_words(self, action: str) -> Iterator[None]:
        """Turn what the service and its client raise into a sentence."""
        try:
            yield
        except (
            api.GoogleAPIError,
            GoogleAuthError,
            requests.RequestException,
        ) as error:
            reason = self._reason(error)
        else:
            return
        raise LaunchError(f"cannot {action} on Vertex AI: {reason}")

    def _reason(self, error: BaseException | None) -> str:
        said = _said(error)
        if isinstance(error, api.RetryError):
            return f"{self._reason(error.cause)}; tried for five minutes"
        if isinstance(error, api.Forbidden | api.Unauthorized):
            return f"permission denied ({said}); {self._cure(said)}"
        if isinstance(error, GoogleAuthError):
            return f"no credentials ({said}); gcloud auth application-default login"
        if isinstance(error, requests.RequestException):
            return (
                f"nothing answers at {self._host} ({type(error).__name__}); check"
                " vertex.location and the network"
            )
        return said

    def _cure(self, said: str) -> str:
        project = f"--project={self._project}"
        if re.search(r"has not been used|disabled", said):
            return f"gcloud services enable aiplatform.googleapis.com {project}"
        if re.search(r"act.?as", said, re.IGNORECASE):
            account = self._settings.vertex.service_account or "SERVICE_ACCOUNT"
            return (
                f"gcloud iam service-accounts add-iam-policy-binding {account}"
                f" {project} --member=user:YOU --role=roles/iam.serviceAccountUser"
            )
        return (
            f"gcloud projects add-iam-policy-binding {self._project}"
            " --member=user:YOU --role=roles/aiplatform.user"
        )


def _check_jobs(graph: Graph, settings: Settings) -> None:
    """Refuse custom jobs that the settings' identity or region cannot run.

    Raises:
        LaunchError: naming the task, and whom it would run as.
        MachineError: the region has no such accelerator.
    """
    wanted, region = settings.vertex.service_account, str(settings.vertex.location)
    for component in graph.spec.get("components", {}).values():
        parameters = component.get("inputDefinitions", {}).get("parameters", {})
        if "worker_pool_specs" not in parameters:
            continue
        job = {name: of.get("defaultValue") for name, of in parameters.items()}
        if job["service_account"] != wanted:
            who = job["service_account"] or "no identity of yours"
            raise LaunchError(
                f"{job['display_name']} was compiled to run as {who}, but the run is"
                f" to be as {wanted}; compile it again with --service-account {wanted}"
            )
        for pool in job["worker_pool_specs"]:
            gpu = pool["machine_spec"]["accelerator_type"]
            check_region(Resources(gpu=gpu, gpus=1), region)


def _json(job: Any) -> Json:
    from google.protobuf import json_format

    plain: Json = json_format.MessageToDict(type(job).pb(job))
    return plain


def _task(detail: Json, title: str) -> Task:
    return Task(
        key=str(detail["taskId"]),
        title=title,
        state=_state(detail.get("state", "PENDING")),
        created=_time(detail.get("createTime")),
        started=_time(detail.get("startTime")),
        ended=_time(detail.get("endTime")),
        error=detail.get("error", {}).get("message", ""),
    )


def _state(word: str) -> str:
    word = word.removeprefix("PIPELINE_STATE_")
    return _STATES.get(word, word.lower())


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]


def _said(error: BaseException | None) -> str:
    """Return what the service said, which its client puts behind the address."""
    text = str(getattr(error, "message", None) or error)
    return re.sub(r"^[A-Z]+ https?://\S+: ", "", text).rstrip(".")
