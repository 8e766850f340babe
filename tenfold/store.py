"""The content-addressed store that every stage reads from and writes to.

An entry lies at `<store>/<stage>/<digest>/`. Its digest is taken over the
addresses of its inputs, the part of the recipe the stage reads and the version
of its code, so an entry can be looked up before any work is done. It exists
once its manifest, written last, is there and true; until then its folder is
the workspace of whoever builds it, and finished parts in it are kept.
"""

import contextlib
import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenfold.data.files import (
    files_below,
    is_hidden,
    locked,
    naming,
    read_json,
    sha256_of,
    write_json,
)
from tenfold.data.storage import Storage, cache_folder, open_storage
from tenfold.errors import StoreError
from tenfold.progress import LOG_FILE, PROGRESS_FILE, Progress
from tenfold.recipe import Json, digest_of

MANIFEST = "manifest.json"
SCHEMA = 1
#: Working files that are no part of the result: checkpoints go when a training
#: is done, progress and log are about the making.
CHECKPOINTS = "checkpoints"
_VOLATILE = {MANIFEST, PROGRESS_FILE, LOG_FILE}
_LIBRARIES = (
    *("numpy", "torch", "tensorflow", "keras", "rasterio", "timm", "sklearn"),
    *("xgboost", "faiss", "monai"),
)


@dataclass(frozen=True)
class Key:
    """What an entry depends on.

    Attributes:
        stage: the folder below the store.
        inputs: name → address of each input entry (or a source's fingerprint).
        section: the part of the recipe the stage reads, as plain data.
        code: version of the code that makes it.
    """

    stage: str
    inputs: Mapping[str, str]
    section: Any
    code: str

    @property
    def address(self) -> str:
        """`<stage>/<digest>`, the entry's name in every store."""
        content = [dict(self.inputs), self.section, self.code, SCHEMA]
        return f"{self.stage}/{digest_of(content)[:24]}"


@dataclass(frozen=True)
class Entry:
    """A complete, verified result.

    Attributes:
        address: `<stage>/<digest>`.
        path: local folder with its files.
        manifest: its manifest, see `Store.build`.
    """

    address: str
    path: Path
    manifest: Json

    @property
    def stage(self) -> str:
        """Name of the stage that made it."""
        return self.address.split("/")[0]

    @property
    def inputs(self) -> dict[str, str]:
        """Name → address of what it was made from."""
        return dict(self.manifest["inputs"])

    @property
    def seconds(self) -> float:
        """How long the attempt took that finished it."""
        return float(self.manifest["seconds"])

    def json(self, name: str) -> Any:
        """Read one of its JSON files."""
        return read_json(self.path / name)


@dataclass(frozen=True)
class Workspace:
    """Where a stage puts its files while an entry is being made."""

    path: Path
    progress: Progress
    _remote: Storage | None = None

    def persist(self, *names: str) -> None:
        """Bring finished parts to the store now, so that they outlive the machine.

        Nothing to do where the store is a local folder. Names are written once
        and never changed, except for a pointer file, which goes last.
        """
        if self._remote is not None:
            for name in names:
                self._remote.upload(self.path / name, name)

    def discard(self, name: str) -> None:
        """Take a part that was persisted, and is not needed any more, away again."""
        if self._remote is not None:
            self._remote.delete(name)


Work = Callable[[Workspace], None]


class Store:
    """Entries below a folder or an object store.

    Args:
        uri: a folder, or gs://bucket/prefix or s3://bucket/prefix.
        mirror: where the entries of an object store are kept locally; the
            `TENFOLD_CACHE` folder, or one below the system's temporary folder.
    """

    def __init__(self, uri: str | Path, mirror: Path | None = None) -> None:
        self.uri = str(uri)
        self._storage = open_storage(uri)
        local = self._storage.local_path
        self._remote = local is None
        if local is None:
            local = mirror or cache_folder() / digest_of(self.uri)[:12]
        self._root = local

    @property
    def root(self) -> Path:
        """The local folder that holds, or mirrors, the entries."""
        return self._root

    def open(self, address: str) -> Entry:
        """Return a complete entry.

        Raises:
            StoreError: if there is none, or it does not match its manifest.
        """
        entry = self.find(address)
        if entry is None:
            raise StoreError(
                f"{self.uri}/{address} is missing or incomplete; run its stage again"
            )
        return entry

    def find(self, address: str) -> Entry | None:
        """Return the entry if it is complete and true, else None."""
        found = self._find_here(address)
        if found is None and self._remote:
            self._download(address)
            found = self._find_here(address)
        return found

    def _find_here(self, address: str) -> Entry | None:
        path = self._root / address
        manifest = _read_manifest(path)
        if manifest is None or _untrue_files(path, manifest):
            return None
        return Entry(address, path, manifest)

    def build(self, key: Key, label: str, recipe: Json, work: Work) -> Entry:
        """Return the entry of `key`, making it first if it is not there.

        Args:
            key: what the entry depends on.
            label: what a person calls the task, for progress and log.
            recipe: the whole recipe, recorded in the manifest.
            work: fills the workspace; on a rerun it finds what an earlier
                attempt left there and may go on from it.
        """
        found = self.find(key.address)
        if found is not None:
            return found
        path = self._root / key.address
        path.mkdir(parents=True, exist_ok=True)
        # A full disk names no file.
        with naming(path), locked(path.parent / f".{path.name}.lock"):
            # Somebody else may have finished it while we waited.
            return self.find(key.address) or self._make(key, path, label, recipe, work)

    def _make(
        self, key: Key, path: Path, label: str, recipe: Json, work: Work
    ) -> Entry:
        remote = self._storage.child(key.address) if self._remote else None
        if (path / MANIFEST).exists():
            # It is not true any more, so no file beside it is a finished part.
            shutil.rmtree(path)
            path.mkdir()
        if remote is not None and not remote.exists(MANIFEST):
            _restore_parts(remote, path)
        progress = Progress(path, key.stage, label)
        started = time.time()
        try:
            work(Workspace(path, progress, remote))
        except BaseException as error:
            # On a full disk the log has no room either.
            with contextlib.suppress(OSError):
                progress.log("failed", kind=type(error).__name__, message=str(error))
            raise
        manifest = {
            "schema": SCHEMA,
            "address": key.address,
            "label": label,
            "inputs": dict(key.inputs),
            "section": key.section,
            "code": key.code,
            "recipe": recipe,
            "versions": _versions(),
            "seconds": round(time.time() - started, 2),
            "files": _list_files(path),
        }
        progress.finish()
        self._complete(path, manifest, remote)
        # Only now: whoever dies before this goes on from the last checkpoint.
        shutil.rmtree(path / CHECKPOINTS, ignore_errors=True)
        if remote is not None:
            for name in remote.names(f"{CHECKPOINTS}/"):
                remote.delete(name)
        return Entry(key.address, path, manifest)

    def _complete(self, path: Path, manifest: Json, remote: Storage | None) -> None:
        if remote is not None:
            for file in manifest["files"]:
                remote.upload(path / file["name"], file["name"])
            for name in (PROGRESS_FILE, LOG_FILE):
                remote.upload(path / name, name)
        # The store's manifest comes before the mirror's, which would hide its lack.
        staged = path / f".{MANIFEST}"
        write_json(staged, manifest)
        if remote is not None:
            remote.upload(staged, MANIFEST)
        staged.replace(path / MANIFEST)

    def _download(self, address: str) -> None:
        remote = self._storage.child(address)
        if not remote.exists(MANIFEST):
            return
        path = self._root / address
        path.mkdir(parents=True, exist_ok=True)
        fetched = path / f".{MANIFEST}.fetched"
        remote.download(MANIFEST, fetched)
        manifest = read_json(fetched)
        for name in _untrue_files(path, manifest):
            if not remote.exists(name):
                return
            remote.download(name, path / name)
        fetched.replace(path / MANIFEST)


def _read_manifest(path: Path) -> Json | None:
    try:
        manifest = read_json(path / MANIFEST)
    except (OSError, StoreError):
        return None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        return None
    if not isinstance(manifest.get("files"), list):
        return None
    return manifest


def _untrue_files(path: Path, manifest: Json) -> list[str]:
    """Name the manifest's files that are absent or differ from what it says."""
    untrue = []
    for file in manifest["files"]:
        local = path / file["name"]
        if (
            not local.is_file()
            or local.stat().st_size != file["size"]
            or sha256_of(local) != file["sha256"]
        ):
            untrue.append(str(file["name"]))
    return untrue


def _list_files(path: Path) -> list[Json]:
    names = [
        name
        for name in files_below(path)
        if name not in _VOLATILE
        and not is_hidden(name)
        and not name.startswith(f"{CHECKPOINTS}/")
    ]
    return [
        {
            "name": name,
            "size": (path / name).stat().st_size,
            "sha256": sha256_of(path / name),
        }
        for name in names
    ]


def _restore_parts(remote: Storage, path: Path) -> None:
    """Fetch what an attempt on another machine left in the store."""
    for name in remote.names():
        newer = name.startswith(f"{CHECKPOINTS}/")
        if newer or (name not in _VOLATILE and not (path / name).exists()):
            remote.download(name, path / name)


def _versions() -> dict[str, str]:
    """List what the result was made with; of libraries, those in use."""
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _LIBRARIES:
        module = sys.modules.get(name)
        if module is not None:
            versions[name] = str(getattr(module, "__version__", "unknown"))
    return versions
