"""Files that are either whole or absent, and what a folder holds."""

import csv
import errno
import fcntl
import functools
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tenfold.errors import StoreError

#: Half-written files and folders bear this prefix; no listing shows them.
TEMPORARY_PREFIX = ".tmp-"
#: How Rust's libraries, such as polars, say the number of an error of the system.
_NUMBER = re.compile(r"\(os error (\d+)\)")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors of the system that name no file, as of a full disk, name this one."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            _number(error)
            # With a file's name an error shows this in place of its own words.
            error.strerror = error.strerror or str(error)
            error.filename = str(path)
        raise


def _number(error: OSError) -> None:
    """Give an error its number, if only its words tell it."""
    found = _NUMBER.search(str(error)) if error.errno is None else None
    if found:
        error.errno = int(found[1])
        error.strerror = os.strerror(error.errno)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Lend a temporary path that becomes `path` when the block succeeds.

    Missing parent folders are made. The temporary path has the suffix of `path`,
    because many writers choose the format by it or append it when it is missing.

    Raises:
        FileNotFoundError: the block wrote nothing.
        IsADirectoryError: `path` is a folder.
        OSError: of the disk; it names `path`, and never the temporary one.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{path.suffix}"
    temporary = path.with_name(name)
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        _number(error)
        # An error without a number is none of the disk's: a download's, say.
        if error.errno is not None and _names(error) in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _names(error: OSError) -> str | None:
    """Return the file that an error names."""
    return None if error.filename is None else str(error.filename)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Lend an empty folder that becomes `path` when the block succeeds.

    What a killed process left behind is removed first, so one process at a time
    may fill a given `path`, which must not exist yet (or be an empty folder).
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
    remove_directory(temporary)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        temporary.rename(path)
    finally:
        remove_directory(temporary)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Let one process at a time into the block; others wait.

    The lock goes with the process, so a killed one leaves nothing behind.

    Args:
        file: made if it is not there, and left there.
    """
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def remove_directory(path: Path) -> None:
    """Remove a folder and all below it; a missing one is fine."""
    if path.exists():
        shutil.rmtree(path)


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically: keys sorted, two spaces, finite numbers only.

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
        TypeError: a value has no JSON form.
    """
    text = json.dumps(value, sort_keys=True, indent=2, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path, cure: str = "delete it and run again") -> Any:
    """Read what `write_json` wrote.

    Args:
        path: of the file.
        cure: what to do about a file that is damaged; the default is for those that
            nobody but Tenfold names.

    Raises:
        FileNotFoundError: there is no such file.
        StoreError: the file is not valid JSON.
    """
    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except ValueError as error:
        raise StoreError(f"{path} is not valid JSON ({error}); {cure}") from error


def write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write a table as CSV with bytes that depend on the content only, atomically."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's contents as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_source(path: Path) -> str:
    """Return the SHA-256 of a file that a user keeps, read once as long as it stays.

    A file counts as the same while its size and the time of its last change are; not
    that of its content, which anybody can set.
    """
    stat = path.stat()
    return _sha256_of_version(path.absolute(), stat.st_size, stat.st_ctime_ns)


@functools.lru_cache(maxsize=1 << 20)
def _sha256_of_version(path: Path, size: int, changed: int) -> str:
    del size, changed
    return sha256_of(path)


def files_below(directory: Path) -> list[str]:
    """List the files below a folder: relative names with `/`, sorted.

    Linked folders are followed, since data often lie on another disk; a link to a
    folder that contains it is not. Half-written files are left out.
    """
    return sorted(_walk(directory, "", frozenset()))


def is_hidden(name: str) -> bool:
    """Tell whether a relative name is no data (`.DS_Store`, `._x`, `__MACOSX/`)."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _flush(path: Path) -> None:
    # Without this a power cut may keep the rename and lose the contents.
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def _walk(
    directory: Path, prefix: str, above: frozenset[tuple[int, int]]
) -> Iterator[str]:
    status = directory.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(TEMPORARY_PREFIX):
                continue
            if entry.is_dir():
                below = Path(entry.path)
                yield from _walk(below, f"{prefix}{entry.name}/", above | {identity})
            elif entry.is_file():
                yield prefix + entry.name
