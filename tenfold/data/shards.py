"""Shards: samples side by side in memory-mappable arrays of bounded size.

A shard is a folder with one `.npy` file a named array, (samples, ...). It is
written beside its place and renamed, so a shard is either whole or absent.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tenfold.data.arrays import Arrays
from tenfold.data.files import atomic_directory, remove_directory, write_json
from tenfold.recipe import Json

ROWS = "rows.json"


def write_shard(
    directory: Path,
    samples: Sequence[Arrays],
    rows: Json,
    beside: Callable[[Path], None] | None = None,
) -> None:
    """Write a shard and what belongs to it, all or nothing.

    Args:
        directory: the shard's folder; replaced if it is there.
        samples: equal names, shapes and dtypes; may be empty.
        rows: plain data about the samples, e.g. their ids.
        beside: writes more files into the folder it is given.
    """
    remove_directory(directory)
    with atomic_directory(directory) as temporary:
        for name in samples[0] if samples else ():
            stacked = np.stack([sample[name] for sample in samples])
            with (temporary / f"{name}.npy").open("wb") as stream:
                np.save(_Plain(stream), stacked, allow_pickle=False)
        if beside is not None:
            beside(temporary)
        write_json(temporary / ROWS, rows)


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
    """One shard, read through memory maps.

    Args:
        directory: the shard's folder.
    """

    def __init__(self, directory: Path) -> None:
        self._arrays: Mapping[str, NDArray[Any]] = {
            path.stem: np.load(path, mmap_mode="r", allow_pickle=False)
            for path in sorted(directory.glob("*.npy"))
        }

    def sample(self, row: int) -> dict[str, NDArray[Any]]:
        """Return one sample's arrays as views; nothing is read until used."""
        return {name: array[row] for name, array in self._arrays.items()}
