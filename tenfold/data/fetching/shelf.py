"""The folder that fetched files go to, and the record of what it holds.

A file is worked on below `.downloads` and comes to its place by a rename. The record
says so before and after, so what a killed fetch was placing is known, and placed again.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field

from tenfold.data.fetching.listing import Download
from tenfold.data.files import (
    files_below,
    is_hidden,
    read_json,
    remove_directory,
    sha256_of,
    write_json,
)
from tenfold.errors import RecipeError, SourceError, StoreError
from tenfold.recipe import Section, validate

_WORK, _RECORD = ".downloads", ".fetched.json"


class Identity(Section):
    """What was fetched: the file itself, before it was unpacked."""

    size: int = Field(description="bytes")
    sha256: str
    md5: str

    def differs(self, download: Download) -> str | None:
        """Say in what this is not the listed file; none if in nothing."""
        for kind in ("size", "sha256", "md5"):
            found, listed = getattr(self, kind), getattr(download, kind)
            if listed is not None and found != listed:
                return f"its {kind} is {found}, the list says {listed}"
        return None


class Kept(Section):
    """A file that was fetched, and where it went.

    Attributes:
        placed: entries of the folder that came from it.
        files: how many files they hold, of so many bytes.
        done: whether all are in place.
    """

    identity: Identity
    placed: tuple[str, ...]
    files: int
    bytes: int
    done: bool


class _Record(Section):
    fetched: dict[str, Kept]


class Shelf:
    """The folder of a fetch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other fetches to the same folder away.

        Raises:
            SourceError: one is at work.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SourceError(
                    f"another fetch to {self.folder} is at work; wait for it to end"
                ) from None
            yield
        finally:
            os.close(handle)

    def desk(self, download: Download) -> Path:
        """Return where a file is worked on, for `tidy` to take away."""
        return self.folder / _WORK / download.name

    def tidy(self, download: Download) -> None:
        """Take away what a file was worked on with."""
        remove_directory(self.desk(download))
        work = self.folder / _WORK
        if work.is_dir() and not any(work.iterdir()):
            work.rmdir()

    def kept(self, download: Download) -> Kept | None:
        """Return what the record says of a file that is in place.

        Raises:
            SourceError: it is there, but not as it was fetched, or something else is.
        """
        kept = self._read().fetched.get(download.name)
        if kept is None or not kept.done:
            return None
        places = [self.folder / name for name in kept.placed]
        files, size = _census(*(place for place in places if place.exists()))
        if not files:
            return None
        where = ", ".join(str(place) for place in places[:3])
        if (files, size) != (kept.files, kept.bytes):
            raise SourceError(
                f"{where}: {files:,} files of {size:,} bytes, but {kept.files:,} of"
                f" {kept.bytes:,} were fetched; move them away to fetch them again"
            )
        changed = kept.identity.differs(download)
        if not download.unpack and sha256_of(places[0]) != kept.identity.sha256:
            changed = "it was changed"
        if changed:
            raise SourceError(
                f"{where} is not the listed {download.name} ({changed}); move it away"
                " to fetch it again"
            )
        return kept

    def place(self, download: Download, arrived: Path, identity: Identity) -> Kept:
        """Move a file, or the folder of what it unpacked to, where it belongs.

        Raises:
            SourceError: something is there that no fetch put there.
        """
        self._undo(download)
        moves = _moves(arrived, download.target)
        for name in moves:
            if (self.folder / name).exists():
                raise SourceError(
                    f"{self.folder / name} is there already, and not from a fetch; move"
                    " it away, or choose another --out"
                )
        files, size = _census(*moves.values())
        if not files:
            raise SourceError(f"{download.name} holds no data; see whether it should")
        kept = Kept(
            identity=identity,
            placed=tuple(moves),
            files=files,
            bytes=size,
            done=False,
        )
        self._write(download, kept)
        for name, path in moves.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            path.rename(self.folder / name)
        kept = kept.model_copy(update={"done": True})
        self._write(download, kept)
        return kept

    def _undo(self, download: Download) -> None:
        """Take away what a killed fetch had placed."""
        kept = self._read().fetched.get(download.name)
        for name in kept.placed if kept and not kept.done else ():
            place = self.folder / name
            if place.is_dir():
                remove_directory(place)
            else:
                place.unlink(missing_ok=True)

    def _read(self) -> _Record:
        path = self.folder / _RECORD
        try:
            return validate(_Record, {"fetched": read_json(path)}, str(path))
        except FileNotFoundError:
            return _Record(fetched={})
        except (StoreError, RecipeError) as error:
            raise SourceError(
                f"{error}; it is the record of a fetch: move {self.folder} away"
            ) from None

    def _write(self, download: Download, kept: Kept) -> None:
        fetched = {**self._read().fetched, download.name: kept}
        dump = {name: each.model_dump(mode="json") for name, each in fetched.items()}
        write_json(self.folder / _RECORD, dump)


def _moves(arrived: Path, target: str) -> dict[str, Path]:
    """Return what goes where, by the place's name in the folder.

    An archive often holds the one folder that its target is called; then that is it.
    What systems add to archives unasked (`__MACOSX`, `._x`) stays behind.
    """
    if arrived.is_file():
        return {target: arrived}
    entries = [p for p in sorted(arrived.iterdir()) if not is_hidden(p.name)]
    if target == ".":
        return {path.name: path for path in entries}
    inner = len(entries) == 1 and entries[0].name == target.rpartition("/")[2]
    return {target: entries[0] if inner and entries[0].is_dir() else arrived}


def _census(*places: Path) -> tuple[int, int]:
    """Count the files at and below some places, and their bytes; no hidden ones."""
    files = [place for place in places if not place.is_dir()]
    for place in places:
        if place.is_dir():
            files += [place / n for n in files_below(place) if not is_hidden(n)]
    return len(files), sum(file.stat().st_size for file in files)
