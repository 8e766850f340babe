"""statistics: what every channel holds, over some samples of a data set.

Ingest keeps partial statistics of the channels that its recipe used. Partials of any
other channel are made from the shards once, and kept in the store; a table over the
training samples of a fold, or of all folds, only adds them up.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from tenfold.challenges import ExploringPart
from tenfold.data.arrays import Float64Array
from tenfold.data.dataset import PARTIALS, SHARDS, Dataset
from tenfold.data.files import atomic_path
from tenfold.data.statistics import (
    Channels,
    StatisticsSum,
    load_partials,
    save_partials,
)
from tenfold.errors import RecipeError
from tenfold.recipe import Json
from tenfold.stages.context import Context, Reference, open_entry
from tenfold.stages.explore import open_dataset
from tenfold.stages.proof import open_folds
from tenfold.store import Entry, Workspace

PARTS = ("exploring",)
_FIELDS = ("mean", "std", "min", "max", "q01", "q99")


@dataclass(frozen=True)
class Measured:
    """Statistics of channels over some samples.

    Attributes:
        rows: one a channel: channel, count, mean, std, min, max, q01, q99 (None where
            nothing counts; else finite) and share_missing, of all its values.
        samples: how many they are over.
        legend: what the names of channels mean.
    """

    rows: list[Json]
    samples: int
    legend: str


def run(
    context: Context,
    dataset: Reference,
    folds: Reference | None = None,
    fold: int | None = None,
    every: bool = False,
) -> Measured:
    """Measure the channels of the recipe's members, each under its own masking.

    Args:
        context: recipe and store.
        dataset: from ingest, by whatever recipe.
        folds: from split, of the same data set.
        fold: over the samples that its models train on; none: over all of train.
        every: all channels that the challenge has instead of the members' own.

    Raises:
        RecipeError: the challenge has no channels, or there is no such fold.
    """
    part = context.challenge.exploring
    if part is None:
        raise RecipeError(f"{context.recipe.challenge} has no statistics of channels")
    if (folds is None) != (fold is None):
        raise RecipeError("a fold's statistics need both --folds and --fold")
    data = open_dataset(context.store, context.recipe.challenge, dataset)
    split = open_entry(context.store, folds, "split") if folds else None
    source = Dataset(data.path)
    ids = source.rows("train")["id"].to_list()
    if split is not None:
        table = open_folds(split, data)
        table.check(fold)
        ids = table.training(int(fold or 0))
    wanted = part.channels(context.recipe, every)
    counted = _add_up(_places(context, part, data, wanted), source, ids)
    pixels = sum(part.pixels(source.sample(id_)) for id_ in ids)
    rows = [_row(name, counted[name], pixels) for name in wanted.names]
    return Measured(rows, len(ids), part.LEGEND)


#: Some channels, and where the partials of a shard's samples are.
_Place = tuple[Channels, Callable[[str], Path]]


def _places(
    context: Context, part: ExploringPart, data: Entry, wanted: Channels
) -> list[_Place]:
    """Find the partials of all channels, making those that nobody has made yet."""
    kept: Mapping[str, list[float]] = (
        data.manifest["section"]["options"]["channels"] or {}
    )
    as_wanted = wanted.to_json()
    there = {n: a for n, a in wanted.axes.items() if kept.get(n) == as_wanted[n]}
    places: list[_Place] = []
    if there:
        of_ingest = data.path / SHARDS
        places.append((Channels(there), lambda shard: of_ingest / shard / PARTIALS))
    lacking = Channels({n: a for n, a in wanted.axes.items() if n not in there})
    if lacking.names:
        made = _make(context, part, data, lacking)
        places.append((lacking, lambda shard: made / f"{shard}.npz"))
    return places


def _make(
    context: Context, part: ExploringPart, data: Entry, channels: Channels
) -> Path:
    """Return the folder with the partials of every train sample, by shard."""

    def work(workspace: Workspace) -> None:
        dataset, done = Dataset(data.path), 0
        train = dataset.rows("train")
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for name in train["shard"].unique().sort().to_list():
                rows = train.filter(pl.col("shard") == name).sort("row")
                file = workspace.path / f"{name}.npz"
                if not file.exists():
                    samples = [dataset.sample(id_) for id_ in rows["id"].to_list()]
                    found = pool.map(lambda s: part.partials(s, channels), samples)
                    with atomic_path(file) as temporary:
                        save_partials(temporary, channels.names, found)
                    workspace.persist(file.name)
                done += len(rows)
                workspace.progress.update(done, len(train), "samples")

    made = context.build(
        "statistics",
        "statistics",
        {"dataset": data.address},
        channels.to_json(),
        PARTS,
        work,
    )
    return context.entry(made).path


def _add_up(
    places: Sequence[_Place], dataset: Dataset, ids: Sequence[str]
) -> dict[str, Json]:
    """Return the statistics and the count of each channel over some samples."""
    chosen = dataset.catalogue.filter(pl.col("id").is_in(list(ids)))
    shards = {
        str(name): part["row"].sort().to_list()
        for (name,), part in chosen.group_by("shard")
    }
    found: dict[str, Json] = {}
    for channels, file_of in places:
        total = StatisticsSum(channels)
        counts: Float64Array = np.zeros(len(channels.names))
        for shard in sorted(shards):
            partials = load_partials(file_of(shard), channels)
            total.add(partials, shards[shard])
            counts += partials.count[shards[shard]].sum(0)
        figures = total.result()
        for name, count in zip(channels.names, counts, strict=True):
            found[name] = {
                "count": int(count),
                "mean": figures.mean[name],
                "std": figures.std[name],
                "min": figures.low[name],
                "max": figures.high[name],
                "q01": figures.q01[name],
                "q99": figures.q99[name],
            }
    return found


def _row(name: str, found: Json, pixels: int) -> Json:
    # What was never seen has stand-ins for a model, which mean nothing to a person.
    seen = {f: found[f] if found["count"] else None for f in _FIELDS}
    missing = 1 - found["count"] / pixels if pixels else None
    return {
        "channel": name,
        "count": found["count"],
        **seen,
        "share_missing": missing,
    }
