"""Room on the disk, and sizes as people say them."""

import errno
import shutil
from pathlib import Path

from tenfold.errors import SourceError


def said(size: float) -> str:
    """Return a number of bytes in words, e.g. `7.3 GB` (powers of 1000)."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def free(folder: Path) -> int:
    """Return the bytes free on the disk of a folder, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_room(size: int, folder: Path, what: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        SourceError: fewer than `size` bytes are free.
    """
    there = free(folder)
    if size > there:
        raise SourceError(
            f"{what} needs {said(size)}, and {said(there)} are free on the disk of"
            f" {folder}; free some, or choose another --out"
        )


def is_full(error: BaseException | None) -> bool:
    """Tell whether an error, or what caused it, is that the disk is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def full(folder: Path) -> SourceError:
    """Return the error of a disk that filled up under a fetch."""
    return SourceError(
        f"the disk of {folder} is full; free some and run the same command again: what"
        " has arrived is kept"
    )
