"""A file of which a part has arrived, and what that is a part of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenfold.data.files import read_json, write_json
from tenfold.errors import StoreError


class Partial:
    """The bytes of a file in `NAME.part`, their version in `NAME.part.json`."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.path = path.with_name(f"{path.name}.part")
        self._note = path.with_name(f"{path.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def is_whole(self) -> bool:
        """Tell whether only the last rename is missing."""
        whole = self._read().get("bytes")
        return whole is not None and self.path.exists() and self.size == whole

    def conditions(self) -> dict[str, str]:
        """Return the headers that ask for the rest; bytes of no known version go."""
        note = self._read()
        version = note.get("etag") or note.get("last_modified")
        if not self.size or not version:
            self.discard()
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": version}

    def is_of_another(self, total: int | None, headers: Mapping[str, str]) -> bool:
        """Tell whether a range is of another version than the bytes here.

        Some servers send a range whatever version they were asked for.
        """
        note, now = self._read(), {"bytes": total, **_version(headers)}
        return any(now[key] not in (None, note.get(key)) for key in now)

    def begin(self, start: int, total: int | None, headers: Mapping[str, str]) -> None:
        """Note what the bytes to come are a part of."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not start:
            # First, so that no crash leaves old bytes beside the new note.
            self.path.unlink(missing_ok=True)
            write_json(self._note, {"bytes": total, **_version(headers)})

    def discard(self) -> None:
        """Forget what is here."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, path: Path) -> None:
        """Give the bytes their name."""
        self.path.replace(path)
        self._note.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            note = read_json(self._note)
        except (FileNotFoundError, StoreError):
            return {}
        return note if isinstance(note, dict) else {}


def _version(headers: Mapping[str, str]) -> dict[str, str | None]:
    etag = headers.get("ETag", "")
    # A weak one does not promise equal bytes, so If-Range takes none.
    strong = None if etag.startswith("W/") else etag
    return {"etag": strong or None, "last_modified": headers.get("Last-Modified")}
