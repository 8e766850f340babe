"""Addresses of files: which may be asked, how they are shown, and what opens them.

A signed link is a credential: whoever has it has the file. So what comes after the
path of an address is in no message, log or record.
"""

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from tenfold.errors import SourceError

TOKEN_VARIABLE = "TENFOLD_FETCH_TOKEN"  # noqa: S105 - the variable's name

_LOCAL = ("localhost", "127.0.0.1", "::1")
#: The parameter that makes a link a signed one, in lower case: Amazon's, Google's,
#: Amazon's older, Azure's.
_SIGNATURES = {"x-amz-signature", "x-goog-signature", "signature", "sig"}
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Link:
    """A line of a user's file of links.

    Attributes:
        name: last part of the address' path, or what the user wrote before it.
        given: whether the user wrote it.
        where: file and line, for messages.
    """

    name: str
    given: bool
    url: str = field(repr=False)
    where: str


def checked(url: str) -> str:
    """Return an address that may be asked.

    Raises:
        ValueError: it is not https (or http of this very machine, as tests use), or
            holds a password.
    """
    parts = urlsplit(url)
    if not parts.hostname or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise ValueError("it is no address such as https://host/path")
    if parts.scheme != "https" and not (
        parts.scheme == "http" and parts.hostname in _LOCAL
    ):
        raise ValueError(f"{shown(url)} is not https, so it could be read on the way")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{shown(url)} holds a password; leave it out")
    return url


def shown(url: str) -> str:
    """Return an address for people: without password, parameters and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}{'?…' if parts.query else ''}"


def name_of(url: str) -> str:
    """Return the name of the file at an address."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return whom an address asks: scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def is_signed(url: str) -> bool:
    """Tell whether an address carries its own permission.

    Object stores refuse a request with a second one, so it takes no token.
    """
    names = {name.lower() for name, _ in parse_qsl(urlsplit(url).query, True)}
    return bool(names & _SIGNATURES)


def read_links(path: Path) -> list[Link]:
    """Read a text file with `URL` or `NAME URL` on each line.

    Empty lines and those that begin with # do not count.

    Raises:
        SourceError: naming the line, never what it holds.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SourceError(f"cannot read the links in {path}: {reason}") from None
    links = []
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            url = checked(words[-1])
            if len(words) > 2:
                raise ValueError("it has more than a name and an address")
        except ValueError as error:
            raise SourceError(
                f"{where}: {error}; write URL, or NAME URL, on each line"
            ) from None
        links.append(
            Link((words[:-1] or [name_of(url)])[0], len(words) == 2, url, where)
        )
    return links


def find_token(file: Path | None) -> str | None:
    """Return the user's token: of the file, else of TENFOLD_FETCH_TOKEN, else none.

    Raises:
        SourceError: the file is missing or others may read it, or it is no token.
    """
    if file is None:
        token, where = os.environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
        if not token:
            return None
    else:
        token, where = _read_private(file), str(file)
    token = token.strip()
    if not _TOKEN.fullmatch(token):
        raise SourceError(f"{where} holds no token: one word of plain characters")
    return token


def _read_private(file: Path) -> str:
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise SourceError(f"others may read the token in {file}: chmod 600 {file}")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SourceError(f"cannot read the token in {file}: {reason}") from None
