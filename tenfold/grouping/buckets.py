"""Own rows kept on disk in buckets, so that what is sorted together fits in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.errors import TenfoldError

Rows = npt.NDArray[Any]


class Buckets:
    """Rows of one kind in numbered files, appended in pieces and read one file whole.

    Args:
        folder: takes the files; its owner removes it.
        kind: type of a row.
        count: number of files.
    """

    def __init__(self, folder: Path, kind: np.dtype[Any], count: int) -> None:
        folder.mkdir()
        self._folder, self._kind, self._count = folder, kind, count

    def add(self, rows: Rows, bucket: npt.NDArray[np.integer[Any]]) -> None:
        """Append rows, each to its bucket; those of one bucket keep their order.

        Args:
            rows: (R,) of the kind.
            bucket: (R,) numbers below the count.
        """
        order = np.argsort(bucket, kind="stable")
        ends = np.cumsum(np.bincount(bucket, minlength=self._count))
        for number, part in enumerate(np.split(rows[order], ends[:-1])):
            if len(part):
                file = self._file(number)
                with on_disk(self._folder), file.open("ab") as stream:
                    stream.write(part.tobytes())

    def read(self, bucket: int) -> Rows:
        """Read all rows of a bucket, in the order they were added."""
        file = self._file(bucket)
        if not file.exists():
            return np.zeros(0, dtype=self._kind)
        return np.fromfile(file, dtype=self._kind)

    def _file(self, bucket: int) -> Path:
        return self._folder / f"{bucket:06d}"


@contextmanager
def on_disk(folder: Path) -> Iterator[None]:
    """Say where temporary files did not fit, and what to do about it.

    Raises:
        TenfoldError: writing failed.
    """
    try:
        yield
    except OSError as error:
        raise TenfoldError(
            f"cannot write temporary files in {folder}: {error}; point TMPDIR to a"
            " folder on a disk with room"
        ) from error
