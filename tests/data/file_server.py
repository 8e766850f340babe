"""A real HTTP server of files, which can be told to misbehave."""

import contextlib
import dataclasses
import functools
import hashlib
import http.client
import http.server
import threading
from urllib.parse import urlsplit

MODIFIED = "Sat, 21 Nov 2026 10:00:00 GMT"


@dataclasses.dataclass
class File:
    """What is at a path.

    Attributes:
        etag, modified: sent, unless empty, and compared with If-Range.
        ranges: whether ranges are served at all.
        if_range: whether a range is of the version that was asked for.
        cuts: after how many bytes of a reply to hang up, once each.
        stalls: whether to stop there without hanging up.
        statuses: to answer with instead, once each.
        lengthless: whether the size is not told.
        most: bytes that a range holds at most, however many are asked for.
    """

    data: bytes
    etag: str = "by content"
    modified: str = MODIFIED
    ranges: bool = True
    if_range: bool = True
    cuts: list = dataclasses.field(default_factory=list)
    stalls: bool = False
    statuses: list = dataclasses.field(default_factory=list)
    kind: str = "application/octet-stream"
    lengthless: bool = False
    most: int | None = None

    def __post_init__(self):
        if self.etag == "by content":
            self.etag = f'"{hashlib.sha256(self.data).hexdigest()[:16]}"'


@dataclasses.dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: http.client.HTTPMessage
    body: bytes


class FileServer:
    """Serves files on a free port.

    Attributes:
        files: path → file.
        redirects: path → address.
        headers: sent with every redirect or refusal.
        seen: all requests.
        sent: bytes of bodies that went out.
        stalled: set when a reply stopped in the middle.

    Args:
        tls: context with the certificate that it shows; none: it speaks plain HTTP.
    """

    def __init__(self, tls=None):
        self.files, self.redirects, self.headers, self.seen = {}, {}, {}, []
        self.sent = 0
        self.stalled, self._closing = threading.Event(), threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                with contextlib.suppress(ConnectionError):
                    super().handle_one_request()

            def do_GET(self):
                outer.answer(self)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._scheme = "https" if tls else "http"
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_address[1]
        serve = functools.partial(self._http.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()

    def url(self, path, host="127.0.0.1"):
        return f"{self._scheme}://{host}:{self.port}{path}"

    def close(self):
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()

    def ranges(self):
        """The ranges that were asked for, in order; None for a whole file."""
        return [seen.headers["Range"] for seen in self.seen]

    def answer(self, handler):
        size = int(handler.headers.get("Content-Length", 0))
        body = handler.rfile.read(size)
        path = urlsplit(handler.path).path
        self.seen.append(Seen(handler.command, handler.path, handler.headers, body))
        if path in self.redirects:
            where = {"Location": self.redirects[path], "Content-Length": "0"}
            _head(handler, 302, where | self.headers)
        elif path not in self.files:
            _head(handler, 404, {"Content-Length": "0"} | self.headers)
        elif self.files[path].statuses:
            status = self.files[path].statuses.pop(0)
            _head(handler, status, {"Content-Length": "4"} | self.headers)
            handler.wfile.write(b"told")
        else:
            self._serve(handler, self.files[path])

    def _serve(self, handler, file):
        total, start, status = len(file.data), 0, 200
        end = total
        headers = {"Content-Type": file.kind}
        headers |= {"ETag": file.etag} if file.etag else {}
        headers |= {"Last-Modified": file.modified} if file.modified else {}
        headers |= {"Accept-Ranges": "bytes"} if file.ranges else {}
        asked = handler.headers["Range"]
        wanted = handler.headers["If-Range"]
        same = wanted in (None, file.etag, file.modified) or not file.if_range
        if asked and file.ranges and same:
            start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
            end = min(total, start + (file.most or total))
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{total}"
        if asked and start >= total:
            _head(handler, 416, {"Content-Length": "0"})
            return
        body = file.data[start:end]
        if file.lengthless:
            headers["Connection"] = "close"
            handler.close_connection = True
        else:
            headers["Content-Length"] = str(len(body))
        _head(handler, status, headers)
        cut = file.cuts.pop(0) if file.cuts else None
        handler.wfile.write(body[:cut])
        handler.wfile.flush()
        self.sent += len(body[:cut])
        if cut is not None:
            handler.close_connection = True
            if file.stalls:
                self.stalled.set()
                self._closing.wait(60)


def _head(handler, status, headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
