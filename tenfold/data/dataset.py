"""An ingested data set: its catalogue, its shards, and sets of outputs alike.

`catalogue.parquet` has one row a sample: id, split, shard, row, source,
checksum, and the challenge's columns. Out-of-fold outputs and predictions have
the same shape, so one reader serves all.
"""

import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tenfold.data.arrays import Arrays
from tenfold.data.files import atomic_path
from tenfold.data.shards import Shard
from tenfold.data.statistics import Channels, Statistics, StatisticsSum, load_partials
from tenfold.errors import StoreError

CATALOGUE = "catalogue.parquet"
QUARANTINE = "quarantine.parquet"
PARTIALS = "partials.npz"
SHARDS = "shards"
_OPEN_SHARDS = 64


class Samples(Protocol):
    """Anything that gives the arrays of a sample by its id."""

    def sample(self, id_: str, /) -> Arrays:
        """Return one sample's arrays."""


class InMemory:
    """A few samples, read once and kept.

    Args:
        dataset: where they are read.
        ids: which ones; as many as fit in memory, e.g. those of a shard.
    """

    def __init__(self, dataset: "Dataset", ids: Sequence[str]) -> None:
        self._arrays = dataset.copies(ids)

    def sample(self, id_: str) -> Arrays:
        """Return one sample's arrays."""
        return self._arrays[id_]


class Dataset:
    """Reads what ingest (or training, or predict) packed.

    Args:
        directory: folder with the catalogue and the shards.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.catalogue = pl.read_parquet(directory / CATALOGUE)
        places = self.catalogue.select("id", "shard", "row").iter_rows()
        self._place = {id_: (shard, row) for id_, shard, row in places}
        self._shard = lru_cache(_OPEN_SHARDS)(self._open)

    def _open(self, name: str) -> Shard:
        return Shard(self.directory / SHARDS / name)

    def __len__(self) -> int:
        return len(self.catalogue)

    def rows(self, split: str) -> pl.DataFrame:
        """Return the catalogue of one split, in order of id."""
        return self.catalogue.filter(pl.col("split") == split).sort("id")

    def sample(self, id_: str) -> dict[str, NDArray[Any]]:
        """Return one sample's arrays, as views of the memory map where possible."""
        shard, row = self._find(id_)
        return self._shard(shard).sample(row, id_)

    def _find(self, id_: str) -> tuple[str, int]:
        try:
            return self._place[id_]
        except KeyError:
            raise StoreError(f"sample {id_} is not in {self.directory}") from None

    def samples(self, ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield samples in the given order."""
        for id_ in ids:
            yield id_, self.sample(id_)

    def statistics(self, channels: Channels, ids: Sequence[str]) -> Statistics:
        """Merge the statistics of some samples, a shard at a time."""
        total = StatisticsSum(channels)
        for shard, rows in self._by_shard(ids):
            path = self.directory / SHARDS / shard / PARTIALS
            total.add(load_partials(path, channels), list(rows.values()))
        return total.result()

    def copies(self, ids: Sequence[str]) -> dict[str, Arrays]:
        """Read samples into memory, a shard at a time; none stays mapped.

        What is mapped counts as memory of the process until it is unmapped.
        """
        copies: dict[str, Arrays] = {}
        for shard, rows in self._by_shard(ids):
            opened = self._open(shard)
            for id_, row in rows.items():
                views = opened.sample(row, id_)
                copies[id_] = {name: np.array(view) for name, view in views.items()}
        return copies

    def _by_shard(self, ids: Sequence[str]) -> Iterator[tuple[str, dict[str, int]]]:
        """Yield each shard that holds some of the samples, and their rows by id."""
        rows: dict[str, dict[str, int]] = {}
        for id_ in sorted(ids):
            shard, row = self._find(id_)
            rows.setdefault(shard, {})[id_] = row
        yield from sorted(rows.items())


class Extended(Dataset):
    """A data set with pseudo-labelled samples beside it, to learn from.

    A sample that is in both is the labelled one; in the data set itself it is a test
    sample without a label. Statistics are of the data set's own samples alone.

    Args:
        directory: folder of the data set.
        extra: folder of the labelled samples.
        without: those of them that are not to be learnt from.
    """

    def __init__(self, directory: Path, extra: Path, without: Sequence[str]) -> None:
        super().__init__(directory)
        self._extra = Dataset(extra)
        taken = ~pl.col("id").is_in(list(without))
        self.labelled = frozenset(self._extra.catalogue.filter(taken)["id"])

    def rows(self, split: str) -> pl.DataFrame:
        """Return the catalogue of one split, in order of id."""
        own = super().rows(split)
        extra = self._extra.rows(split).filter(pl.col("id").is_in(list(self.labelled)))
        return pl.concat([own, extra], how="diagonal_relaxed").sort("id")

    def sample(self, id_: str) -> dict[str, NDArray[Any]]:
        """Return one sample's arrays, as views of the memory map where possible."""
        if id_ in self.labelled:
            return self._extra.sample(id_)
        return super().sample(id_)

    def statistics(self, channels: Channels, ids: Sequence[str]) -> Statistics:
        """Merge the statistics of some samples, but for those labelled here."""
        own = [id_ for id_ in ids if id_ not in self.labelled]
        return super().statistics(channels, own)

    def copies(self, ids: Sequence[str]) -> dict[str, Arrays]:
        """Read samples into memory."""
        labelled = [id_ for id_ in ids if id_ in self.labelled]
        own = [id_ for id_ in ids if id_ not in self.labelled]
        return super().copies(own) | self._extra.copies(labelled)


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a parquet file, all or nothing."""
    content = io.BytesIO()
    table.write_parquet(content)
    # Python's own write says what is wrong with a disk; polars's says "specification".
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getvalue())
