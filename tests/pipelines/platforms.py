"""Stand-ins for the services that graphs are sent to: they record what they are told.

Each is a real HTTP server, so the real clients speak to it. What a service would
refuse they refuse, too.
"""

import functools
import hashlib
import http.server
import json
import re
import threading
from urllib.parse import parse_qs, urlsplit

from google.cloud.aiplatform_v1.types import PipelineJob
from google.protobuf import json_format


class Server:
    """An HTTP server on a free port.

    Attributes:
        requests: (method, path, query, body) of all that came.
        failures: [method, part of a path, status, answer, whether to obey first] of
            requests to come, each once.
    """

    def __init__(self):
        self.requests, self.failures = [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                url = urlsplit(self.path)
                size = int(self.headers.get("Content-Length", 0))
                text = self.rfile.read(size).decode()
                query = {key: values[0] for key, values in parse_qs(url.query).items()}
                status, told, headers = outer.answer(
                    self.command, url.path, query, text, self.headers
                )
                data = told if isinstance(told, bytes) else json.dumps(told).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_):
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._http.server_address[1]}"
        self.address = f"http://{self.host}"
        serve = functools.partial(self._http.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()

    def fail(self, status, message="try later", method="POST", path="", obey=False):
        self.failures.append([method, path, status, message, obey])

    def answer(self, method, path, query, text, headers):
        body = json.loads(text) if text.startswith("{") else text
        self.requests.append((method, path, query, body))
        for failure in self.failures:
            if failure[0] == method and failure[1] in path:
                self.failures.remove(failure)
                if failure[4]:
                    self.obey(method, path, query, body, headers)
                return self.problem(failure[2], failure[3])
        return self.obey(method, path, query, body, headers)

    def problem(self, status, message):
        told = {"error": {"code": status, "message": message, "status": "SOME"}}
        return status, told, {"Content-Type": "application/json"}

    def asked(self, method, part=""):
        return [r for r in self.requests if r[0] == method and part in r[1]]


class Registry(Server):
    """A registry of images that gives its token to anyone."""

    def __init__(self):
        super().__init__()
        self.digests = {}
        self.needs_token = True

    @property
    def prefix(self):
        return f"{self.host}/tenfold"

    def push(self, reference):
        """Have an image by its tag and by its digest."""
        path, _, tag = reference.removeprefix(f"{self.host}/").rpartition(":")
        digest = f"sha256:{hashlib.sha256(reference.encode()).hexdigest()}"
        self.digests[path, tag] = self.digests[path, digest] = digest
        return digest

    def obey(self, method, path, query, body, headers):
        del method, body
        if path == "/token":
            return 200, {"token": f"for {query['scope']}"}, {}
        found = re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", path)
        scope = f"repository:{found[1]}:pull"
        if self.needs_token and headers["Authorization"] != f"Bearer for {scope}":
            challenge = f'Bearer realm="{self.address}/token",scope="{scope}"'
            return 401, {}, {"WWW-Authenticate": challenge}
        digest = self.digests.get(found.groups())
        if digest is None:
            return 404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]}, {}
        return 200, {}, {"Docker-Content-Digest": digest}


class Vertex(Server):
    """Pipeline jobs and metadata of Vertex AI, as its REST API has them."""

    def __init__(self):
        super().__init__()
        self.jobs, self.contexts, self.children = {}, set(), []
        #: Whether a list does not tell of what has just been made.
        self.lags = False
        #: Changes of a job, one a look.
        self.course = []

    def obey(self, method, path, query, body, headers):
        assert headers["Authorization"].startswith("Bearer ")
        above, _, last = path.removeprefix("/v1/").rpartition("/")
        if last == "pipelineJobs" and method == "GET":
            return self._listed(f"{above}/pipelineJobs", query)
        if last == "pipelineJobs":
            return self._create(f"{above}/pipelineJobs", query["pipelineJobId"], body)
        if last == "contexts":
            name = query["contextId"]
            if name in self.contexts:
                return self.problem(409, f"{name} exists")
            self.contexts.add(name)
            return 200, {"name": f"{above}/contexts/{name}"}, {}
        if last.endswith(":addContextChildren"):
            self.children.append((last.partition(":")[0], body["childContexts"]))
            return 200, {}, {}
        job = self.jobs.get(path.removeprefix("/v1/"))
        if job is None:
            return self.problem(404, f"The PipelineJob does not exist: {last}")
        if self.course:
            job.update(self.course.pop(0))
        return 200, job, {"Content-Type": "application/json"}

    def _listed(self, parent, query):
        """List ids by a pattern, two a page."""
        found = re.fullmatch(r'pipeline_job_user_id:"([a-z0-9-]+)\*"', query["filter"])
        assert query["readMask"] == "name"
        start = int(query.get("pageToken", 0))
        names = [n for n in self.jobs if n.startswith(f"{parent}/{found[1]}")]
        page = [{"name": n} for n in names[start : start + 2]]
        more = {"nextPageToken": str(start + 2)} if len(names) > start + 2 else {}
        told = {} if self.lags else {"pipelineJobs": page, **more}
        return 200, told, {"Content-Type": "application/json"}

    def _create(self, parent, name, body):
        if not re.fullmatch(r"[a-z][-a-z0-9]{0,127}", name):
            return self.problem(400, f"{name} is no id")
        full = f"{parent}/{name}"
        if full in self.jobs:
            return self.problem(409, f"The PipelineJob already exists: {full}")
        json_format.ParseDict(body, PipelineJob.pb(PipelineJob()))
        added = {
            "name": full,
            "state": "PIPELINE_STATE_PENDING",
            "createTime": "2026-11-21T10:00:00Z",
            "labels": {
                **body["labels"],
                "vertex-ai-pipelines-run-billing-id": "1234567890",
            },
            "pipelineSpec": {**body["pipelineSpec"], "deploymentConfig": {"a": "copy"}},
        }
        self.jobs[full] = {**body, **added}
        return 200, self.jobs[full], {"Content-Type": "application/json"}

    def job(self, name):
        return next(job for full, job in self.jobs.items() if full.endswith(f"/{name}"))


class Kubeflow(Server):
    """Experiments and runs of Kubeflow Pipelines, as its REST API has them."""

    def __init__(self):
        super().__init__()
        self.health = {"commit_sha": "c", "tag_name": "2.17.0", "multi_user": False}
        self.experiments, self.runs = {}, {}
        #: Changes of a run, one a look.
        self.course = []

    def problem(self, status, message):
        told = {"error": message, "code": 13, "message": message}
        return status, told, {"Content-Type": "application/json"}

    def obey(self, method, path, query, body, headers):
        del headers
        kind = {"Content-Type": "application/json"}
        what, _, last = path.removeprefix("/apis/v2beta1/").partition("/")
        if what == "healthz":
            return 200, self.health, kind
        if what == "experiments" and method == "GET":
            return 200, {"experiments": self._filtered(self.experiments, query)}, kind
        if what == "experiments":
            body["experiment_id"] = f"experiment-{len(self.experiments)}"
            self.experiments[body["experiment_id"]] = body
            return 200, body, kind
        if method == "GET" and last:
            if last not in self.runs:
                return self.problem(404, f"Run {last} not found")
            if self.course:
                self.runs[last].update(self.course.pop(0))
            return 200, self.runs[last], kind
        if method == "GET":
            return 200, {"runs": self._filtered(self.runs, query)}, kind
        id_ = f"00000000-0000-4000-8000-{len(self.runs):012d}"
        self.runs[id_] = {**body, "run_id": id_, "state": "PENDING"}
        return 200, self.runs[id_], kind

    @staticmethod
    def _filtered(rows, query):
        predicate = json.loads(query["filter"])["predicates"][0]
        assert predicate["key"] == "display_name"
        text = predicate["stringValue"]
        if predicate["operation"] in ("IS_SUBSTRING", 9):
            return [r for r in rows.values() if text in r["display_name"]]
        assert predicate["operation"] in ("EQUALS", 1)
        return [r for r in rows.values() if text == r["display_name"]]
