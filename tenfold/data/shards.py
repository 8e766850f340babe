"""Shards: samples side by side in memory-mappable files of bounded size.

A shard is a folder with one `.npy` file a named array, (samples, ...), or with a record
a sample (tenfold.data.records). It is written beside its place and renamed, so a shard
is either whole or absent.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tenfold.data.arrays import Arrays
from tenfold.data.files import atomic_directory, remove_directory, write_json
from tenfold.data.records import (
    RecordOptions,
    RecordShard,
    holds_records,
    write_records,
)
from tenfold.recipe import Json

ROWS = "rows.json"


def write_shard(
    directory: Path,
    samples: Sequence[Arrays],
    rows: Json,
    beside: Callable[[Path], None] | None = None,
    records: RecordOptions | None = None,
) -> None:
    """Write a shard and what belongs to it, all or nothing.

    Args:
        directory: the shard's folder; replaced if it is there.
        samples: equal names, shapes and dtypes; may be empty.
        rows: plain data about the samples, e.g. their ids.
        beside: writes more files into the folder it is given.
        records: how samples become records; none: they become arrays.
    """
    remove_directory(directory)
    with atomic_directory(directory) as temporary:
        if records is None:
            _write_arrays(temporary, samples)
        else:
            write_records(temporary, samples, records)
        if beside is not None:
            beside(temporary)
        write_json(temporary / ROWS, rows)


def _write_arrays(directory: Path, samples: Sequence[Arrays]) -> None:
    for name in samples[0] if samples else ():
        stacked = np.stack([sample[name] for sample in samples])
        with (directory / f"{name}.npy").open("wb") as stream:
            np.save(_Plain(stream), stacked, allow_pickle=False)


class _Plain:
    """A stream that NumPy writes to through Python, whose errors say what is wrong.

    Of a full disk its own way says "1000 requested and 10 written", and no more.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.write = stream.write


def is_whole(directory: Path) -> bool:
    """Tell whether a shard is there; its rows are the last file to be fetched."""
    return (directory / ROWS).is_file()


def shard_files(directory: Path) -> list[Path]:
    """List a shard's files in the order in which they are to be copied."""
    return sorted(directory.iterdir(), key=lambda path: (path.name == ROWS, path.name))


class Shard:
    """One shard, read through memory maps; its files tell what format it has.

    Args:
        directory: the shard's folder.

    Raises:
        StoreError: a file of records is missing or damaged.
    """

    def __init__(self, directory: Path) -> None:
        self._records = RecordShard(directory) if holds_records(directory) else None
        self._arrays: Mapping[str, NDArray[Any]] = {
            path.stem: np.load(path, mmap_mode="r", allow_pickle=False)
            for path in sorted(directory.glob("*.npy"))
        }

    def sample(self, row: int, id_: str | None = None) -> dict[str, NDArray[Any]]:
        """Return one sample's arrays, as views where they are not compressed.

        Args:
            row: of the sample, from 0.
            id_: of the sample, which a record is checked to be of; arrays bear no ids.

        Raises:
            StoreError: the record is damaged, or of another sample.
        """
        if self._records is not None:
            return self._records.sample(row, id_)
        return {name: array[row] for name, array in self._arrays.items()}
