"""One interface to a local folder and to an object store.

This is the only module that talks to a cloud's storage, and it does so only once a
gs:// address is really used. It never creates a bucket.
"""

import base64
import fcntl
import functools
import hashlib
import json
import logging
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tenfold.data.archives import SUFFIXES, extract, is_archive
from tenfold.data.files import (
    TEMPORARY_PREFIX,
    atomic_path,
    files_below,
    is_hidden,
    read_json,
    remove_directory,
    sha256_of,
    write_json,
)
from tenfold.errors import SourceError, StoreError, TenfoldError

#: Called with files done, files in all and the word "files".
OnProgress = Callable[[int, int, str], None]

_HASHING_THREADS = 4
_TRANSFER_THREADS = 8
_BLOCK = 1 << 20
_CONTENTS = ".localised.json"


@dataclass(frozen=True)
class FileStamp:
    """What a file is, without its data.

    Attributes:
        name: relative, with `/`.
        digest: `sha256:`, `md5:` or `crc32c:` and the value; which of them depends
            on where the file lies, so stamps compare only within one place.
    """

    name: str
    size: int
    digest: str


class Storage(ABC):
    """A place that holds files under relative names.

    A file is there wholly or not at all: readers never see half of one. Whatever
    goes wrong is a StoreError that names the address.

    Attributes:
        uri: an absolute path, or an address such as `gs://bucket/prefix`.
    """

    uri: str

    @property
    def local_path(self) -> Path | None:
        """The folder, or None when the place is remote."""
        return None

    def child(self, name: str) -> "Storage":
        """Return the place one or more levels below."""
        return open_storage(f"{self.uri}/{_checked(name)}")

    def read_bytes(self, name: str) -> bytes:
        """Read a whole file."""
        with self._failing("read", name):
            return self._read(name)

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a whole file, replacing an older one."""
        with self._failing("write", name):
            self._write(name, data)

    def upload(self, local: Path, name: str) -> None:
        """Copy a local file here, replacing an older one; its size is verified."""
        with self._failing("write", name):
            self._upload(local, name)
        sizes = local.stat().st_size, self.size(name)
        if sizes[0] != sizes[1]:
            raise StoreError(
                f"{self._address(name)} has {sizes[1]:,} bytes after the upload of "
                f"{local}, which has {sizes[0]:,}; run again"
            )

    def download(self, name: str, local: Path) -> None:
        """Copy a file from here; size and, if remote, checksum are verified."""
        with self._failing("read", name), atomic_path(local) as temporary:
            self._download(name, temporary)

    def delete(self, name: str) -> None:
        """Remove a file; a missing one is fine."""
        with self._failing("delete", name):
            self._delete(name)

    def exists(self, name: str) -> bool:
        """Tell whether there is such a file (a folder is none)."""
        with self._failing("look up", name):
            return self._size(name) is not None

    def size(self, name: str) -> int:
        """Return the size of a file in bytes."""
        with self._failing("look up", name):
            size = self._size(name)
            if size is None:
                raise FileNotFoundError
            return size

    def names(self, prefix: str = "") -> list[str]:
        """List all files, at any depth, whose relative names start with `prefix`.

        The names are sorted. A folder that does not exist has none, but a bucket
        that does not exist is an error.
        """
        folder = prefix.rpartition("/")[0]
        with self._failing("list", folder or None):
            found = self._names(folder)
        return sorted(name for name in found if name.startswith(prefix))

    def stamps(self, names: Sequence[str] | None = None) -> list[FileStamp]:
        """Describe the named files, or all that are not hidden; sorted by name."""
        with self._failing("read", None):
            return sorted(self._stamps(names), key=lambda stamp: stamp.name)

    @abstractmethod
    def _read(self, name: str) -> bytes: ...

    @abstractmethod
    def _write(self, name: str, data: bytes) -> None: ...

    @abstractmethod
    def _upload(self, local: Path, name: str) -> None: ...

    @abstractmethod
    def _download(self, name: str, temporary: Path) -> None: ...

    @abstractmethod
    def _delete(self, name: str) -> None: ...

    @abstractmethod
    def _size(self, name: str) -> int | None: ...

    @abstractmethod
    def _names(self, folder: str) -> list[str]: ...

    @abstractmethod
    def _stamps(self, names: Sequence[str] | None) -> list[FileStamp]: ...

    def _address(self, name: str | None) -> str:
        return f"{self.uri}/{name}" if name else self.uri

    @contextmanager
    def _failing(self, action: str, name: str | None) -> Iterator[None]:
        if name is not None:
            _checked(name)
        try:
            yield
        except TenfoldError:
            raise
        except Exception as error:  # Clients raise OSError, ValueError, their own …
            raise StoreError(
                f"cannot {action} {self._address(name)}: {_reason(error)}"
            ) from error


@dataclass(frozen=True)
class _Folder(Storage):
    uri: str

    @property
    def local_path(self) -> Path:
        return Path(self.uri)

    def _read(self, name: str) -> bytes:
        return self._path(name).read_bytes()

    def _write(self, name: str, data: bytes) -> None:
        with atomic_path(self._path(name)) as temporary:
            temporary.write_bytes(data)

    def _upload(self, local: Path, name: str) -> None:
        with atomic_path(self._path(name)) as temporary:
            shutil.copyfile(local, temporary)

    def _download(self, name: str, temporary: Path) -> None:
        shutil.copyfile(self._path(name), temporary)
        if temporary.stat().st_size != self._size(name):
            raise OSError("it changed while it was read")

    def _delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _size(self, name: str) -> int | None:
        path = self._path(name)
        return path.stat().st_size if path.is_file() else None

    def _names(self, folder: str) -> list[str]:
        start = self._path(folder)
        prefix = f"{folder}/" if folder else ""
        return [prefix + name for name in files_below(start)] if start.is_dir() else []

    def _stamps(self, names: Sequence[str] | None) -> list[FileStamp]:
        if names is None:
            names = [name for name in self._names("") if not is_hidden(name)]
        with ThreadPoolExecutor(_HASHING_THREADS) as pool:
            return list(pool.map(self._stamp, names))

    def _stamp(self, name: str) -> FileStamp:
        path = self._path(name)
        return FileStamp(name, path.stat().st_size, f"sha256:{sha256_of(path)}")

    def _path(self, name: str) -> Path:
        return Path(self.uri, name)


@dataclass(frozen=True)
class _Bucket(Storage):
    """Objects below a prefix. One PUT makes an object, so writing is atomic."""

    uri: str

    @property
    def _client(self) -> Any:
        # Asked for each time: the client is per process and thread, a storage is not.
        return _CLIENTS[self.uri.partition("://")[0]]()

    def _read(self, name: str) -> bytes:
        return bytes(self._client.cat_file(self._key(name)))

    def _write(self, name: str, data: bytes) -> None:
        self._client.pipe_file(self._key(name), data)

    def _upload(self, local: Path, name: str) -> None:
        self._client.put_file(str(local), self._key(name))

    def _download(self, name: str, temporary: Path) -> None:
        stamp = _stamp_of(name, self._client.info(self._key(name)))
        self._client.get_file(self._key(name), str(temporary))
        if not _is_copy(temporary, stamp):
            raise OSError("what arrived differs from the object's checksum; run again")

    def _delete(self, name: str) -> None:
        if self._size(name) is not None:
            self._client.rm_file(self._key(name))

    def _size(self, name: str) -> int | None:
        try:
            info = self._client.info(self._key(name))
        except FileNotFoundError:
            _require_bucket(self.uri)
            return None
        return int(info["size"]) if info["type"] == "file" else None

    def _names(self, folder: str) -> list[str]:
        return [name for name, _ in self._listing(folder)]

    def _stamps(self, names: Sequence[str] | None) -> list[FileStamp]:
        if names is not None:
            infos = [(name, self._client.info(self._key(name))) for name in names]
        else:
            infos = [item for item in self._listing("") if not is_hidden(item[0])]
        return [_stamp_of(name, info) for name, info in infos]

    def _listing(self, folder: str) -> list[tuple[str, dict[str, Any]]]:
        found = self._client.find(self._key(folder).rstrip("/"), detail=True)
        root = self._key("")
        return [
            (key.removeprefix(root), info)
            for key, info in found.items()
            # A console shows folders by making empty objects with a slash at the end.
            if key.startswith(root) and info["type"] == "file" and key[-1] != "/"
        ]

    def _key(self, name: str) -> str:
        return f"{self.uri.partition('://')[2]}/{name}"


def open_storage(uri: str | Path) -> Storage:
    """Return the place at a path, file:// or gs:// address; nothing is contacted.

    Raises:
        StoreError: the address is of an unknown kind or lacks a bucket.
    """
    text = str(uri)
    scheme, separator, rest = text.partition("://")
    if isinstance(uri, Path) or not separator:
        return _Folder(str(Path(text).expanduser().absolute()))
    if scheme == "file":
        host, _, path = rest.partition("/")
        if host not in ("", "localhost"):
            raise StoreError(f"{text} names another machine; use file:///{path}")
        return _Folder(str(Path(f"/{unquote(path)}")))
    if scheme not in _CLIENTS:
        known = ", ".join(["a path", "file://", *(f"{name}://" for name in _CLIENTS)])
        raise StoreError(f"{text}: '{scheme}://' is not supported; use one of {known}")
    if not rest.strip("/"):
        raise StoreError(f"{text} names no bucket; write {scheme}://bucket/prefix")
    return _Bucket(f"{scheme}://{rest.strip('/')}")


def fingerprint(uri: str | Path) -> str:
    """Return the digest of what a source holds, whatever its dates say.

    A source is a folder, an archive file or a gs:// address of either. The data of
    local files are read; of objects, only the listing is. Hidden files and
    `__MACOSX` do not count.

    Raises:
        SourceError: the source is missing, unreadable or empty.
    """
    with _source_errors():
        return _digest(_stamps_of(uri, *_source(uri)))


def localise(
    uri: str | Path, scratch: Path, on_progress: OnProgress | None = None
) -> Path:
    """Return a local folder with the source's files.

    A folder is returned as it is. Anything else is brought below `scratch`, wholly
    or not at all, under a name made from its content; what is there already is used
    again, and a download that was cut short goes on where it stopped.

    Raises:
        SourceError: the source is missing, unreadable, empty or unsafe to unpack.
    """
    with _source_errors():
        storage, archive = _source(uri)
        if archive is None and storage.local_path is not None:
            if all(is_hidden(name) for name in storage.names()):
                raise SourceError(f"no files in {uri}")
            return storage.local_path
        if archive is not None and not is_archive(archive):
            raise SourceError(
                f"{uri} is neither a folder nor an archive ({', '.join(SUFFIXES)})"
            )
        return _bring(uri, storage, archive, scratch, on_progress or _say_nothing)


def _source(uri: str | Path) -> tuple[Storage, str | None]:
    """Split a source into a place and, if it is a single file, its name there."""
    whole = open_storage(uri)
    path = whole.local_path
    if path is not None:
        if not path.exists():
            raise SourceError(f"no files in {uri}: it does not exist")
        return (
            (open_storage(path.parent), path.name) if path.is_file() else (whole, None)
        )
    above, _, name = whole.uri.rpartition("/")
    if is_archive(name) and not above.endswith("/"):
        folder = open_storage(above)
        if folder.exists(name):
            return folder, name
    return whole, None


def _stamps_of(
    uri: str | Path, storage: Storage, archive: str | None
) -> list[FileStamp]:
    stamps = storage.stamps(None if archive is None else [archive])
    if not stamps:
        raise SourceError(f"no files in {uri}")
    return stamps


def _digest(stamps: Sequence[FileStamp]) -> str:
    digest = hashlib.sha256()
    for stamp in stamps:
        line = json.dumps([stamp.name, stamp.size, stamp.digest])
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def _bring(
    uri: str | Path,
    storage: Storage,
    archive: str | None,
    scratch: Path,
    on_progress: OnProgress,
) -> Path:
    stamps = _stamps_of(uri, storage, archive)
    label = re.sub(
        r"[^A-Za-z0-9_-]+", "-", storage._address(archive).rpartition("/")[2]
    )
    target = scratch / f"{label[:40]}-{_digest(stamps)[:16]}"
    # Named after the address, so that a download goes on after the source grew.
    key = hashlib.sha256(storage._address(archive).encode()).hexdigest()[:16]
    partial = scratch / f"{TEMPORARY_PREFIX}{key}"
    with _alone(partial.with_suffix(".lock")):
        if _is_complete(target):
            return target
        remove_directory(target)
        if archive is None:
            _fetch(storage, stamps, partial, on_progress)
            partial.rename(target)
        elif storage.local_path is not None:
            extract(storage.local_path / archive, target)
        else:
            _fetch(storage, stamps, partial, on_progress)
            extract(partial / archive, target)
            remove_directory(partial)
        sizes = {name: (target / name).stat().st_size for name in files_below(target)}
        write_json(target / _CONTENTS, sizes)
    return target


def _is_complete(target: Path) -> bool:
    """Tell whether all is there; cleaners of /tmp remove single old files."""
    if not (target / _CONTENTS).is_file():
        return False
    sizes = read_json(target / _CONTENTS)
    found = {name: (target / name).stat().st_size for name in files_below(target)}
    found.pop(_CONTENTS)
    return bool(sizes == found)


def _fetch(
    storage: Storage,
    stamps: Sequence[FileStamp],
    directory: Path,
    on_progress: OnProgress,
) -> None:
    """Make a folder hold exactly the stamped files, keeping those that it has."""
    directory.mkdir(parents=True, exist_ok=True)
    wanted = {_checked(stamp.name) for stamp in stamps}
    for name in files_below(directory):
        if name not in wanted:
            (directory / name).unlink()
    pool = ThreadPoolExecutor(_TRANSFER_THREADS)
    try:
        jobs = [pool.submit(_fetch_one, storage, stamp, directory) for stamp in stamps]
        for done, job in enumerate(as_completed(jobs), start=1):
            job.result()
            on_progress(done, len(jobs), "files")
    finally:
        pool.shutdown(cancel_futures=True)


def _fetch_one(storage: Storage, stamp: FileStamp, directory: Path) -> None:
    path = directory / stamp.name
    if not _is_copy(path, stamp):
        storage.download(stamp.name, path)


def _is_copy(path: Path, stamp: FileStamp) -> bool:
    if not path.is_file() or path.stat().st_size != stamp.size:
        return False
    kind = stamp.digest.partition(":")[0]
    digest = _new_digest(kind)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return stamp.digest == f"{kind}:{base64.b64encode(digest.digest()).decode()}"


def _new_digest(kind: str) -> Any:
    if kind == "md5":
        return hashlib.md5(usedforsecurity=False)
    import google_crc32c

    checksum: Any = google_crc32c.Checksum
    return checksum()


def _stamp_of(name: str, info: dict[str, Any]) -> FileStamp:
    """Read an object's listing; composed objects have no MD5."""
    if info.get("md5Hash"):
        digest = f"md5:{info['md5Hash']}"
    else:
        digest = f"crc32c:{info['crc32c']}"
    return FileStamp(name, int(info["size"]), digest)


def _gs_client() -> Any:
    """Return fsspec's client for Google Cloud, one for each process and thread."""
    import aiohttp
    import gcsfs.core

    # It logs a traceback before it raises; whoever gets the error tells it once.
    logging.getLogger("gcsfs").addHandler(logging.NullHandler())
    emulated = bool(os.environ.get("STORAGE_EMULATOR_HOST"))
    # The class that gcsfs exports asks over gRPC what kind each bucket is, which
    # costs a permission, and a minute wherever gRPC is blocked.
    return gcsfs.core.GCSFileSystem(
        token="anon" if emulated else None,
        use_listings_cache=False,
        # No limit on a long transfer, but one on silence.
        requests_timeout=aiohttp.ClientTimeout(sock_connect=30, sock_read=120),
    )


#: Another object store is one more entry (and what `_stamp_of` reads of it).
_CLIENTS: dict[str, Callable[[], Any]] = {"gs": _gs_client}


@functools.lru_cache
def _require_bucket(uri: str) -> None:
    """Raise FileNotFoundError when there is no bucket, rather than just no object.

    Otherwise a misspelt store looks empty, and hours go by before the first write.
    """
    scheme, _, rest = uri.partition("://")
    bucket = rest.partition("/")[0]
    _CLIENTS[scheme]().find(f"{bucket}/{TEMPORARY_PREFIX}nothing")


def _checked(name: str) -> str:
    if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise StoreError(f"{name!r} is not a relative name such as 'a/b.json'")
    return name


def _reason(error: Exception) -> str:
    """Say in words what a client's exception means, and the cure if there is one."""
    if isinstance(error, FileNotFoundError):
        return "the file, or its bucket, does not exist (none is ever created)"
    denied = isinstance(error, PermissionError) or "Forbidden" in str(error)
    if denied or getattr(error, "code", None) in (401, 403):
        return (
            f"access denied ({error}); check the permissions and, in the cloud, "
            "who you are: gcloud auth application-default login"
        )
    return str(error) or type(error).__name__


@contextmanager
def _source_errors() -> Iterator[None]:
    try:
        yield
    except (StoreError, OSError) as error:
        raise SourceError(str(error)) from error


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one process at a time fill a folder; the lock ends with its holder."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say_nothing(done: int, total: int, unit: str) -> None:
    """Report progress to nobody."""
