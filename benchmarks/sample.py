"""The data that the kelp benchmarks run on: synthetic tiles in the real format."""

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import polars as pl

from tenfold.challenges import SourceSample, load_recipe
from tenfold.challenges.kelp import reader
from tenfold.challenges.kelp.options import KelpMember, SynthOptions
from tenfold.challenges.kelp.synth import synthesise
from tenfold.data.dataset import CATALOGUE, PARTIALS, SHARDS, Dataset
from tenfold.data.shards import write_shard
from tenfold.data.statistics import save_partials
from tenfold.recipe import DataOptions

SEED = 7


@dataclass(frozen=True)
class Sample:
    """Some tiles, raw and packed.

    Attributes:
        member: the published model's options.
        files: (tile, mask) of each train tile, in the order of `ids`.
        sources: the same tiles, as the reader knows them.
        dataset: the train tiles, packed in one shard.
    """

    member: KelpMember
    ids: Sequence[str]
    files: Sequence[tuple[Path, Path]]
    sources: Sequence[SourceSample]
    dataset: Dataset


def tiles(count: int, used: int | None = None) -> Sample:
    """Return compressed and packed tiles; they live as long as the process.

    Args:
        count: that are made.
        used: of them; none: all.
    """
    made = _make(count)
    return replace(
        made,
        ids=made.ids[:used],
        files=made.files[:used],
        sources=made.sources[:used],
    )


@functools.cache
def _make(count: int) -> Sample:
    folder = tempfile.TemporaryDirectory(prefix="tenfold-benchmark-")
    _KEPT.append(folder)
    root = Path(folder.name)
    coasts = max(count // 4, 1)
    options = SynthOptions(
        train=count, test=1, coasts=coasts, bad_files=False, seed=SEED
    )
    synthesise(root / "set", options)
    found = reader.scan(root / "set" / "data", DataOptions()).samples
    sources = [sample for sample in found if sample.split == "train"]
    recipe = load_recipe("kelp", "winning")
    _pack(sources, root / "packed")
    return Sample(
        member=cast(KelpMember, recipe.members[0]),
        ids=[sample.id for sample in sources],
        files=[(s.files["satellite"], s.files["kelp"]) for s in sources],
        sources=sources,
        dataset=Dataset(root / "packed"),
    )


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def _pack(sources: Sequence[SourceSample], folder: Path) -> None:
    """Do what ingest does, with the statistics that the published model needs."""
    channels = reader.channels(load_recipe("kelp", "winning"))
    packed = [reader.pack(sample, channels, DataOptions()) for sample in sources]
    partials = [each.partials for each in packed if each.partials is not None]
    write_shard(
        folder / SHARDS / "train-00000",
        [each.arrays for each in packed],
        {},
        lambda shard: save_partials(shard / PARTIALS, channels.names, partials),
    )
    rows = [
        {"id": source.id, "split": "train", "shard": "train-00000", "row": row}
        for row, source in enumerate(sources)
    ]
    pl.DataFrame(rows).write_parquet(folder / CATALOGUE)
