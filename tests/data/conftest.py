"""A proxy in front of an object store, that counts, refuses, damages and hangs up."""

import contextlib
import dataclasses
import http.client
import http.server
import threading
from urllib.parse import urlsplit

import pytest

from tenfold.data.gcs import CloudStorage
from tenfold.data.s3 import S3Storage

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclasses.dataclass(frozen=True)
class Seen:
    """A request that reached the proxy, with its body as the client sent it."""

    method: str
    path: str
    headers: http.client.HTTPMessage
    body: bytes


class Proxy:
    """Forwards requests; what it shall do instead is a list of rules.

    A rule is a function of a request that gives None (not mine), a status to answer
    with, or one of "damage request", "damage reply", "hang up" and "stall" (both in
    the middle of the reply).
    """

    def __init__(self, upstream):
        self.seen, self.rules = [], []
        self.stalled, self._closing = threading.Event(), threading.Event()
        self._upstream = urlsplit(upstream).netloc
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                with contextlib.suppress(ConnectionError):
                    super().handle_one_request()

            def __getattr__(self, name):
                if name.startswith("do_"):
                    return lambda: proxy._serve(self)
                raise AttributeError(name)

            def log_message(self, *_arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        ).start()

    def close(self):
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def during(self, what, times=None, when=lambda _seen: True):
        """Do `what` to the requests of a kind: to so many of them, or to all."""
        left = [times]
        lock = threading.Lock()

        def rule(seen):
            with lock:
                if not when(seen) or left[0] == 0:
                    return None
                if left[0] is not None:
                    left[0] -= 1
            return what

        self.rules.append(rule)

    def asked(self, method, header=None):
        """The requests of a method, of those only that bear a header."""
        return [
            seen
            for seen in self.seen
            if seen.method == method and (header is None or header in seen.headers)
        ]

    def _serve(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        seen = Seen(handler.command, handler.path, handler.headers, body)
        self.seen.append(seen)
        told = (rule(seen) for rule in list(self.rules))
        what = next((each for each in told if each is not None), None)
        if isinstance(what, int):
            self._reply(handler, what, {}, b"")
            return
        if what == "damage request":
            body = flip(body)
        link = http.client.HTTPConnection(self._upstream, timeout=60)
        link.request(handler.command, handler.path, body, dict(handler.headers))
        reply = link.getresponse()
        data = reply.read()
        link.close()
        if what == "damage reply":
            data = flip(data)
        headers = {k: v for k, v in reply.getheaders() if k.lower() not in HOP}
        if handler.command == "HEAD":
            headers["Content-Length"] = reply.getheader("Content-Length", "0")
        self._reply(handler, reply.status, headers, data, what)

    def _reply(self, handler, status, headers, data, what=None):
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(data))} | headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        cut = what in ("hang up", "stall")
        handler.wfile.write(data[: len(data) // 2] if cut else data)
        if what == "stall":
            self.stalled.set()
            self._closing.wait(60)
        if cut:
            handler.close_connection = True


def flip(data):
    """Change one bit in the middle."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@dataclasses.dataclass
class Remote:
    """An object store behind a proxy.

    Attributes:
        uri: of a bucket in it.
        storage: the same with small parts and little patience, since tests wait.
    """

    kind: str
    uri: str
    proxy: Proxy
    storage: CloudStorage | S3Storage


@pytest.fixture
def gs(request, bucket, monkeypatch):
    """Cloud Storage behind a proxy."""
    with contextlib.closing(Proxy(request.getfixturevalue("gcs_server"))) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.address)
        patience = {"first_wait": 0.01, "longest_wait": 0.05, "give_up": 10.0}
        yield Remote("gs", bucket, proxy, CloudStorage(bucket, 1 << 20, 4, **patience))


@pytest.fixture
def s3(request, s3_bucket, monkeypatch):
    """S3 behind a proxy."""
    with contextlib.closing(Proxy(request.getfixturevalue("s3_server"))) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        # Five MiB: S3 takes no smaller part.
        yield Remote("s3", s3_bucket, proxy, S3Storage(s3_bucket, 5 << 20, 4, 3))


@pytest.fixture(params=["gs", "s3"])
def remote(request):
    """An object store of either kind behind a proxy."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["bucket", "s3_bucket"])
def any_bucket(request):
    """The address of a new, empty bucket of either kind."""
    return request.getfixturevalue(request.param)
