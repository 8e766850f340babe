"""One file over HTTPS: resumed where it stopped, asked for again when it fails.

A range is asked for only together with the version it must be of (If-Range), so that
parts of two versions are never joined (RFC 9110, sections 13.1.5 and 14.2).
"""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin

import requests
from urllib3.exceptions import HTTPError as BrokenReply

from tenfold.data.fetching.addresses import checked, name_of, origin, shown
from tenfold.data.fetching.partial import Partial
from tenfold.data.fetching.room import full, is_full, require_room
from tenfold.errors import SourceError

#: Called with bytes that are here and bytes in all, None if nobody knows.
OnBytes = Callable[[int, int | None], None]

_BLOCK = 1 << 18
#: Seconds to connect, and without a byte.
_TIMEOUT = (20.0, 60.0)
_MOST_REDIRECTS = 5
#: What may pass: too many requests, or a service or gateway in trouble.
_PASSING = (408, 429, 500, 502, 503, 504)
_LOST = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)
_LONGEST_ASKED_WAIT = 120
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class Remote:
    """A file elsewhere.

    Attributes:
        bearer: token for the host of the address, and for no other.
    """

    url: str = field(repr=False)
    bearer: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Patience:
    """How long a service in trouble is waited for.

    Attributes:
        first_wait: before the second attempt, in seconds; it doubles each time.
        longest_wait: between later attempts.
        attempts: until a failure is final; whenever one brings something new, they
            are counted anew.
    """

    first_wait: float = 1.0
    longest_wait: float = 32.0
    attempts: int = 10

    def wait(self, attempt: int, asked: float) -> None:
        """Sleep after the n-th attempt, at least as long as the service asked for."""
        pause = min(self.first_wait * 2.0 ** (attempt - 1), self.longest_wait)
        time.sleep(max(pause, asked))


#: As Google's agreements of service ask of their clients, for about three minutes.
PATIENCE = Patience()


class _Passing(Exception):  # noqa: N818 - no fault of the user's, worth a retry
    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def download(
    remote: Remote,
    path: Path,
    size: int | None,
    on_bytes: OnBytes,
    patience: Patience = PATIENCE,
) -> None:
    """Make `path` hold a remote file, whole; what it holds is not judged.

    Args:
        remote: the file.
        path: where it goes; what has arrived of it lies beside that.
        size: bytes that it must have, if that is known.
        on_bytes: told of what arrives.
        patience: with a service in trouble.

    Raises:
        SourceError: it cannot be had, has another size, or the disk is full. What
            arrived is kept for the next call, unless it cannot be of use.
    """
    part = Partial(path)
    try:
        with requests.Session() as session, unlogged():
            _persist(session, remote, part, size, on_bytes, patience)
        part.finish(path)
    except OSError as error:
        if is_full(error):
            raise full(path.parent) from None
        raise


def _persist(
    session: requests.Session,
    remote: Remote,
    part: Partial,
    size: int | None,
    on_bytes: OnBytes,
    patience: Patience,
) -> None:
    """Ask until all is there, or nothing new comes."""
    attempt, most = 0, part.size
    while True:
        try:
            _continue(session, remote, part, size, on_bytes)
            return
        except _Passing as error:
            # Only more than ever before counts, else one could go in circles.
            attempt = 1 if part.size > most else attempt + 1
            most = max(most, part.size)
            if attempt >= patience.attempts:
                raise SourceError(
                    f"{shown(remote.url)}: {error}; asked {attempt} times in vain. Run"
                    " the same command again later: what has arrived is kept"
                ) from None
            patience.wait(attempt, error.wait)


def _continue(
    session: requests.Session,
    remote: Remote,
    part: Partial,
    size: int | None,
    on_bytes: OnBytes,
) -> None:
    """Ask once for what is missing, and add what comes."""
    if part.is_whole():
        return
    with _ask(session, remote, part.conditions()) as reply:
        start, total = _understand(reply, remote, part)
        if size is not None and total not in (None, size):
            part.discard()
            raise SourceError(
                f"{shown(remote.url)} has {total:,} bytes, the list says {size:,}; it"
                " is another file, so look for the right one"
            )
        if total is not None:
            require_room(total - start, part.path.parent, part.name)
        part.begin(start, total, reply.headers)
        on_bytes(start, total)
        with part.path.open("ab" if start else "wb", buffering=0) as file:
            for block in _blocks(reply):
                file.write(block)
                on_bytes(file.tell(), total)
            os.fsync(file.fileno())
    if total is not None and part.size != total:
        raise _Passing("the connection ended early")


def _ask(
    session: requests.Session, remote: Remote, conditions: Mapping[str, str]
) -> requests.Response:
    """Send a request, and follow redirects without taking the token along."""
    url = remote.url
    # Identity: the bytes of the file are counted and kept, not those of its packing.
    headers = {"Accept-Encoding": "identity", **conditions}
    for _ in range(_MOST_REDIRECTS + 1):
        bearer = remote.bearer if origin(url) == origin(remote.url) else None
        reply = _send(session, url, headers, bearer)
        if not reply.is_redirect:
            return reply
        reply.close()
        target = urljoin(url, reply.headers["Location"])
        try:
            checked(target)
            if url.startswith("https:") and not target.startswith("https:"):
                raise ValueError(f"{shown(target)} is not https")
        except ValueError as error:
            raise SourceError(
                f"{shown(remote.url)} leads elsewhere, and {error}"
            ) from None
        url = target
    raise SourceError(
        f"{shown(remote.url)} leads on more than {_MOST_REDIRECTS} times; copy the link"
        " anew"
    )


def _send(
    session: requests.Session, url: str, headers: Mapping[str, str], bearer: str | None
) -> requests.Response:
    # What requests says of a failure holds the address whole, so it is not repeated.
    try:
        return session.get(
            url,
            headers=headers,
            auth=_Bearer(bearer),
            stream=True,
            timeout=_TIMEOUT,
            allow_redirects=False,
        )
    except requests.exceptions.SSLError:
        raise SourceError(
            f"{shown(url)} cannot be trusted: its certificate is not one that this"
            " machine knows; REQUESTS_CA_BUNDLE names a file of your own network's"
        ) from None
    except _LOST:
        raise _Passing("it does not answer") from None
    except requests.RequestException as error:
        raise SourceError(
            f"{shown(url)} cannot be asked ({type(error).__name__}); copy it anew"
        ) from None


class _Bearer:
    """Gives the token, or nothing; never what a .netrc has for the host."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _understand(
    reply: requests.Response, remote: Remote, part: Partial
) -> tuple[int, int | None]:
    """Return where the bytes of a reply begin, and how many there are in all."""
    if reply.status_code == 206:
        found = _RANGE.match(reply.headers.get("Content-Range", ""))
        total = int(found[2]) if found and found[2] != "*" else None
        start = int(found[1]) if found else None
        if start != part.size or part.is_of_another(total, reply.headers):
            part.discard()
            raise _Passing("it changed meanwhile")
        return start, total
    if reply.status_code == 416:
        part.discard()
        raise _Passing("it is shorter than what had arrived")
    if reply.status_code != 200:
        _refuse(reply, remote)
    kind = reply.headers.get("Content-Type", "")
    if kind.startswith("text/html") and not name_of(remote.url).endswith(".html"):
        raise SourceError(
            f"{shown(remote.url)} is a web page, perhaps one to log in; copy the link"
            " of the file itself"
        )
    length = reply.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _refuse(reply: requests.Response, remote: Remote) -> None:
    status, where = reply.status_code, shown(remote.url)
    if status in _PASSING:
        asked = reply.headers.get("Retry-After", "")
        wait = min(int(asked), _LONGEST_ASKED_WAIT) if asked.isdecimal() else 0
        raise _Passing(f"it answers {status} {reply.reason}", wait)
    if status in (401, 403):
        cure = (
            "the token may be wrong or without permission for it"
            if remote.bearer
            else "a signed link ends after hours or a day: copy it anew; other places"
            " want a token (docs/fetch.md)"
        )
        raise SourceError(f"{where} is refused ({status}); {cure}")
    if status in (404, 410):
        raise SourceError(f"{where} does not exist ({status}); copy the link anew")
    raise SourceError(f"{where} answers {status} {reply.reason}; copy the link anew")


def _blocks(reply: requests.Response) -> Iterator[bytes]:
    try:
        yield from reply.raw.stream(_BLOCK, decode_content=False)
    except (BrokenReply, ConnectionError, TimeoutError):
        raise _Passing("the connection broke") from None


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep urllib3 from logging addresses, signatures included."""
    logger = logging.getLogger("urllib3")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
