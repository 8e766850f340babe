"""Runs of compiled graphs on Kubeflow Pipelines, through its SDK."""

import contextlib
import functools
import io
import json
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml
from google.api_core.exceptions import RetryError

from pipelines import submit
from pipelines.backoff import PASSING, back_off
from pipelines.settings import Settings, require
from pipelines.submit import Graph, LaunchError, Run, Task
from tenfold.recipe import Json

#: The first whose graphs do on a cluster what they do here.
OLDEST = (2, 17)
#: By which the SDK, too, is told that pages are not at the API's address.
PAGES_VARIABLE = "KF_PIPELINES_UI_ENDPOINT"

_HEALTH = "/apis/v2beta1/healthz"
_SECONDS = 30
_STATES = {
    "SKIPPED": submit.SUCCEEDED,
    "CANCELED": submit.CANCELLED,
    "CANCELING": "cancelling",
}


class KubeflowRuns:
    """Runs of one installation of Kubeflow Pipelines."""

    nodes_hold_images = True

    def __init__(self, settings: Settings) -> None:
        self._settings, self._own = settings, settings.kubeflow
        (host,) = require(settings, "kubeflow.host")
        if not host.startswith(("http://", "https://")):
            raise LaunchError(
                f"kubeflow.host {host} does not say how to speak to it; write"
                f" http://{host} or https://{host}"
            )
        self._host = host.rstrip("/")

    def body(self, graph: Graph) -> Json:
        """Return a run as the REST API takes it."""
        require(self._settings, "source", "store")
        submit.require_addresses(self._settings, ["gs://", "s3://"], "a cluster")
        # One that was has a document of its own for the cluster, always.
        if not graph.cluster:
            raise LaunchError(
                "this graph was not compiled for Kubeflow; compile it with --target"
                " kubeflow"
            )
        return {
            "pipeline_spec": {
                "pipeline_spec": graph.spec,
                "platform_spec": graph.cluster,
            },
            "runtime_config": {"parameters": graph.parameters},
        }

    def stem(self, body: Json) -> str:
        """Return the display name of a run without its attempt."""
        spec, cluster = _documents(body["pipeline_spec"])
        return submit.stem_of(spec, cluster, body["runtime_config"]["parameters"])

    def address(self, name: str) -> str:
        """Return where a run is sent to; its name is part of what is sent."""
        del name
        return f"{self._host}/apis/v2beta1/runs"

    def latest(self, stem: str) -> Run | None:
        """Return the last attempt of a stem."""
        with self._in_plain_words(f"look up {stem}"):
            named = back_off(_may_pass)(self._named)("IS_SUBSTRING", f"{stem}-")
        attempts = {}
        for run in named:
            found = re.fullmatch(re.escape(stem) + r"-(\d+)", run.display_name)
            if found:
                attempts[int(found[1])] = run
        return self._run(attempts[max(attempts)]) if attempts else None

    def create(self, body: Json, name: str) -> Run:
        """Send a run, unless one of that name is there."""

        @back_off(_may_pass)
        def send() -> Any:
            # Names need not be unique here: after an answer that was lost, look first.
            there = self._named("EQUALS", name)
            return there[0] if there else self._send(body, name)

        with self._in_plain_words(f"start {name}"):
            return self._run(send())

    def enlist(self, run: Run) -> None:
        """Do nothing: a run is made in its experiment."""

    def look(self, run: str) -> Run:
        """Return a run as it is now."""
        return self._run(self._get(run))

    def recorded(self, run: str) -> Json:
        """Return what was sent for a run."""
        found = self._get(run)
        if not found.pipeline_spec:
            raise LaunchError(
                f"{found.display_name} was made from an uploaded pipeline, not by"
                " tenfold launch; clone it in the console"
            )
        parameters = found.runtime_config.parameters or {}
        return {
            "pipeline_spec": found.pipeline_spec,
            "runtime_config": {"parameters": parameters},
        }

    def _send(self, body: Json, name: str) -> Any:
        experiment = self._experiment()
        documents = [part for part in _documents(body["pipeline_spec"]) if part]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "graph.yaml")
            file.write_text(yaml.safe_dump_all(documents), "utf-8")
            return self._client.run_pipeline(
                experiment_id=experiment,
                job_name=name,
                pipeline_package_path=str(file),
                params=body["runtime_config"]["parameters"],
            )

    def _experiment(self) -> str:
        """Return the id of the settings' experiment, which is made if need be."""
        name = self._own.experiment
        try:
            found = self._client.create_experiment(name)
        except Exception as error:
            if getattr(error, "status", None) != requests.codes.conflict:
                raise
            # Somebody else has just made it.
            found = self._client.get_experiment(experiment_name=name)
        return str(found.experiment_id)

    def _get(self, run: str) -> Any:
        with self._in_plain_words(f"look up {run}"):
            return back_off(_may_pass)(self._client.get_run)(run)

    def _named(self, operation: str, name: str) -> list[Any]:
        predicate = {
            "operation": operation,
            "key": "display_name",
            "stringValue": name,
        }
        found = self._client.list_runs(
            page_size=100, filter=json.dumps({"predicates": [predicate]})
        )
        return list(found.runs or [])

    def _run(self, run: Any) -> Run:
        pages = os.environ.get(PAGES_VARIABLE, self._host).rstrip("/")
        details = run.run_details.task_details if run.run_details else None
        titles = submit.titles_of(_documents(run.pipeline_spec or {})[0])
        return Run(
            id=run.run_id,
            name=run.display_name,
            state=_state(run.state),
            link=f"{pages}/#/runs/details/{run.run_id}",
            error=run.error.message if run.error else "",
            tasks=tuple(
                _task(detail, titles[detail.display_name])
                for detail in details or []
                if detail.display_name in titles
            ),
        )

    @functools.cached_property
    def _client(self) -> Any:
        self.check_host()
        import kfp

        with warnings.catch_warnings():
            # It says that it needs KFP 2, which has just been found there.
            warnings.simplefilter("ignore", FutureWarning)
            return kfp.Client(host=self._host, namespace=self._own.namespace)

    def check_host(self) -> None:
        """Refuse an address that is not that of the API, or of too old a one.

        Raises:
            LaunchError: saying what answers there.
        """
        try:
            answer = _health(f"{self._host}{_HEALTH}")
        except (requests.RequestException, RetryError) as error:
            raise LaunchError(
                f"nothing answers at {self._host} ({type(error).__name__}); check"
                " kubeflow.host, and the port forward if it is one"
            ) from None
        if answer.status_code in (
            requests.codes.unauthorized,
            requests.codes.forbidden,
        ):
            raise LaunchError(
                f"{self._host} denies access (status {answer.status_code}); use a port"
                " forward to svc/ml-pipeline, or an address that you are logged in to"
            )
        told = _json_of(answer)
        if not {"multi_user", "apiServerReady"} & set(told):
            raise LaunchError(
                f"{self._host} is not the API of Kubeflow Pipelines 2"
                f" (GET {_HEALTH} gives status {answer.status_code}); check"
                " kubeflow.host"
            )
        # The pages' server, which hands on to the API, has its own word for it.
        tag = str(told.get("tag_name") or told.get("apiServerTagName"))
        version = re.match(r"v?(\d+)\.(\d+)", tag)
        if version and (int(version[1]), int(version[2])) < OLDEST:
            raise LaunchError(
                f"{self._host} is Kubeflow Pipelines {tag}; graphs need"
                f" {'.'.join(map(str, OLDEST))} or later"
            )

    @contextmanager
    def _in_plain_words(self, action: str) -> Iterator[None]:
        """Turn what the API and its client raise into a sentence; hush the client."""
        from kfp_server_api import ApiException  # type: ignore[import-untyped]
        from urllib3.exceptions import HTTPError

        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except RetryError as error:
            cause = error.cause
            status = getattr(cause, "status", None)
            reason = f"status {status}" if status else type(cause).__name__
            reason += "; tried for five minutes"
        except ApiException as error:
            reason = f"status {error.status}: {_said(error)}"
            if error.status in (401, 403):
                reason += "; ask for the role kubeflow-pipelines-edit in the namespace"
        except (HTTPError, ValueError) as error:
            reason = str(error)
        else:
            return
        raise LaunchError(f"cannot {action} at {self._host}: {reason}")


@back_off(lambda error: isinstance(error, requests.HTTPError))
def _health(address: str) -> requests.Response:
    answer = requests.get(address, timeout=_SECONDS)
    if answer.status_code in PASSING:
        answer.raise_for_status()
    return answer


def _may_pass(error: BaseException) -> bool:
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    if isinstance(error, ApiException):
        return error.status in PASSING
    return isinstance(error, HTTPError)


def _documents(spec: Json) -> tuple[Json, Json]:
    """Split what the API calls a pipeline's spec into its two documents."""
    if "pipeline_spec" in spec:
        return spec["pipeline_spec"], spec.get("platform_spec") or {}
    return spec, {}


def _task(detail: Any, title: str) -> Task:
    return Task(
        key=detail.task_id,
        title=title,
        state=_state(detail.state),
        created=detail.create_time,
        started=detail.start_time,
        ended=detail.end_time,
        error=detail.error.message if detail.error else "",
    )


def _state(word: str | None) -> str:
    return _STATES.get(word or "", (word or "PENDING").lower())


def _json_of(answer: requests.Response) -> Json:
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _said(error: Any) -> str:
    """Return what the API said, which comes as JSON if it was the API."""
    try:
        told = json.loads(error.body)
        return str(told.get("message") or told["error"])
    except (TypeError, ValueError, KeyError, AttributeError):
        return str(error.reason)
