"""One interface to a local folder and to an object store.

The clients of object stores are in `gcs` and `s3`, which are imported only once such
an address is used. Nothing here or there ever creates a bucket.
"""

import functools
import os
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import unquote

from tenfold.data.files import (
    TEMPORARY_PREFIX,
    atomic_path,
    files_below,
    is_hidden,
    sha256_of_source,
)
from tenfold.errors import StoreError, TenfoldError

#: What the clients' errors mean, in one voice.
MISSING = "the file, or its bucket, does not exist (none is ever created)"
DAMAGED = "what arrived differs from the checksum; run again"

#: Connections that a client keeps: some files at once, in some parts each.
CONNECTIONS = 64

_HASHING_THREADS = 4
_BUCKET = re.compile(r"[\w.-]+", re.ASCII)
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"(?<=://)([^?\s]+)\?\S*")


@dataclass(frozen=True)
class FileStamp:
    """What a file is, without its data.

    Attributes:
        name: relative, with `/`.
        digest: a kind, a colon and the value; the kind depends on where the file
            lies, so stamps compare only within one place.
    """

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class Storage(ABC):
    """A place that holds files under relative names.

    A file is there wholly or not at all: readers never see half of one. Whatever
    goes wrong is a StoreError that names the address. A storage holds no connection,
    so threads may share it and other processes receive it.

    Attributes:
        uri: an absolute path, or an address such as `gs://bucket/prefix`.
    """

    uri: str

    @property
    def local_path(self) -> Path | None:
        """The folder, or None when the place is remote."""
        return None

    def address(self, name: str | None) -> str:
        """Return the address of a file here, or of the place itself."""
        return f"{self.uri}/{name}" if name else self.uri

    def child(self, name: str) -> Self:
        """Return the place one or more levels below."""
        return replace(self, uri=self.address(checked_name(name)))

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
                f"{self.address(name)} has {sizes[1]:,} bytes after the upload of "
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

    def _reason(self, error: Exception) -> str:
        """Say in words what an error means, and the cure if there is one."""
        if isinstance(error, FileNotFoundError):
            return MISSING
        if isinstance(error, PermissionError):
            return f"access denied ({error}); check the permissions"
        return str(error) or type(error).__name__

    @contextmanager
    def _failing(self, action: str, name: str | None) -> Iterator[None]:
        if name is not None:
            checked_name(name)
        try:
            yield
        except TenfoldError:
            raise
        except Exception as error:  # Clients raise OSError, ValueError, their own …
            reason = _without_secrets(self._reason(error))
            # From None: a traceback would show the addresses of upload sessions,
            # which open the bucket to whoever reads them.
            raise StoreError(
                f"cannot {action} {self.address(name)}: {reason}"
            ) from None


@dataclass(frozen=True)
class _Folder(Storage):
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
        return FileStamp(name, path.stat().st_size, f"sha256:{sha256_of_source(path)}")

    def _path(self, name: str) -> Path:
        return Path(self.uri, name)


@dataclass(frozen=True)
class ObjectStorage(Storage):
    """Objects below a prefix. One request makes an object, so writing is atomic.

    Attributes:
        part: objects larger than this travel in parts of so many bytes.
        threads: parts of one object that travel at once.
    """

    part: int = 32 << 20
    threads: int = 8

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self._parts[0]

    @property
    def _parts(self) -> tuple[str, str]:
        bucket, _, prefix = self.uri.partition("://")[2].partition("/")
        return bucket, f"{prefix}/" if prefix else ""

    @abstractmethod
    def _find(self, key: str) -> FileStamp | None:
        """Describe an object of the bucket; none if it or the bucket is missing."""

    @abstractmethod
    def _list(self, prefix: str) -> Iterable[FileStamp]:
        """Describe the bucket's objects under a prefix, by their whole keys."""

    def _key(self, name: str) -> str:
        return self._parts[1] + name

    def _size(self, name: str) -> int | None:
        found = self._find(self._key(name))
        if found is None:
            self._require_bucket()
            return None
        return found.size

    def _names(self, folder: str) -> list[str]:
        return [stamp.name for stamp in self._listing(folder)]

    def _stamps(self, names: Sequence[str] | None) -> list[FileStamp]:
        if names is None:
            return [stamp for stamp in self._listing("") if not is_hidden(stamp.name)]
        found = [(name, self._find(self._key(name))) for name in names]
        if any(stamp is None for _, stamp in found):
            raise FileNotFoundError
        return [replace(stamp, name=name) for name, stamp in found if stamp]

    def _listing(self, folder: str) -> Iterator[FileStamp]:
        for stamp in self._list(self._key(f"{folder}/" if folder else "")):
            # A console shows folders by making empty objects with a slash at the end.
            if not stamp.name.endswith("/"):
                yield replace(stamp, name=stamp.name.removeprefix(self._parts[1]))

    def _require_bucket(self) -> None:
        """Fail if the bucket is missing, rather than just an object in it.

        Otherwise a misspelt store looks empty, and hours go by before the first
        write.
        """
        scheme = self.uri.partition("://")[0]
        _list_nothing(replace(self, uri=f"{scheme}://{self.bucket}"))


@functools.lru_cache
def _list_nothing(storage: ObjectStorage) -> None:
    for _ in storage._list(f"{TEMPORARY_PREFIX}nothing"):
        pass


def open_storage(uri: str | Path) -> Storage:
    """Return the place at a path, file://, gs:// or s3:// address.

    Nothing is contacted.

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
    if scheme not in ("gs", "s3"):
        raise StoreError(
            f"{_without_secrets(text)}: '{scheme}://' is not supported; use one of"
            " a path, file://, gs://, s3://"
        )
    if not _BUCKET.fullmatch(rest.partition("/")[0]):
        raise StoreError(
            f"{_without_secrets(text)} names no bucket; write {scheme}://bucket/prefix"
        )
    return _object_storage(scheme)(f"{scheme}://{rest.rstrip('/')}")


def cache_folder() -> Path:
    """Return the folder for local copies of what object stores hold.

    It is `TENFOLD_CACHE`, else one below the system's temporary folder.
    """
    named = os.environ.get("TENFOLD_CACHE")
    return Path(named) if named else Path(tempfile.gettempdir()) / "tenfold"


def checked_name(name: str) -> str:
    """Return the name of a file in a storage.

    Raises:
        StoreError: it is not relative, or it leaves the storage.
    """
    if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise StoreError(f"{name!r} is not a relative name such as 'a/b.json'")
    return name


def _object_storage(scheme: str) -> type[ObjectStorage]:
    # Here, so that only those who use an object store wait for its client.
    if scheme == "gs":
        from tenfold.data.gcs import CloudStorage

        return CloudStorage
    from tenfold.data.s3 import S3Storage

    return S3Storage


def _without_secrets(text: str) -> str:
    """Put a text on one line, its web addresses without passwords and signatures."""
    return _QUERY.sub(r"\1", _PASSWORD.sub("", " ".join(text.split())))
