"""ingest: raw files into checked, packed samples and a catalogue."""

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tenfold.challenges import Packed, ReaderPart, Scan, SourceSample
from tenfold.data.dataset import CATALOGUE, PARTIALS, QUARANTINE, SHARDS, write_table
from tenfold.data.files import read_json, sha256_of_source, write_json
from tenfold.data.records import RecordOptions
from tenfold.data.shards import ROWS, is_whole, shard_files, write_shard
from tenfold.data.sources import fingerprint, localise
from tenfold.data.statistics import Channels, save_partials
from tenfold.errors import Rejected, SourceError
from tenfold.recipe import DataOptions, Json, digest_of
from tenfold.stages.context import Context, Reference, section
from tenfold.stages.entries import SUMMARY
from tenfold.store import Workspace

PARTS = ("reader",)
#: Shards in memory.
_SHARDS_AT_ONCE = 2
_FAULTS = {"file": pl.String, "reason": pl.String}


def run(context: Context, source: str, strict: bool = False) -> Reference:
    """Read a source into the store.

    Args:
        context: recipe and store.
        source: folder, archive or gs:// address of the raw data.
        strict: an unusable sample is an error, whatever the recipe says.

    Raises:
        SourceError: for no data, unusable test samples, or any unusable sample
            when strict.
    """
    recipe = context.recipe
    channels = context.challenge.reader.channels(recipe)
    options = section(recipe.data) | {"strict": strict or recipe.data.strict}
    options["channels"] = channels.to_json() if channels else None

    def work(workspace: Workspace) -> None:
        with _source_folder(source, recipe.data, workspace) as folder:
            reader = _Reader(context.challenge.reader, channels, recipe.data)
            _ingest(reader, folder, options, workspace)

    inputs = {"source": fingerprint(source, recipe.data.reads)}
    return context.build("ingest", "ingest", inputs, options, PARTS, work)


@contextlib.contextmanager
def _source_folder(
    source: str, options: DataOptions, workspace: Workspace
) -> Iterator[Path]:
    """Give a local folder with the source's files."""
    scratch = workspace.path.with_name(f".{workspace.path.name}.scratch")
    yield localise(source, scratch, reads=options.reads)
    # Kept after a failure: what is downloaded need not be downloaded again.
    shutil.rmtree(scratch, ignore_errors=True)


@dataclass(frozen=True)
class _Reader:
    """A challenge's reader, and what the recipe tells it."""

    part: ReaderPart
    channels: Channels | None
    options: DataOptions

    def pack(self, sample: SourceSample) -> Packed | Rejected:
        """Read and check a sample; a fault is a result like another."""
        try:
            return self.part.pack(sample, self.channels, self.options)
        except Rejected as fault:
            return fault


def _ingest(reader: _Reader, folder: Path, options: Json, workspace: Workspace) -> None:
    scan = reader.part.scan(folder, reader.options)
    rejected = list(scan.rejected)
    shards = list(_plan(scan, options["shard_samples"]))
    done = 0
    for (_, samples), rows in zip(
        shards, _shards(reader, shards, workspace), strict=True
    ):
        rejected += [
            Rejected(fault["file"], fault["reason"]) for fault in rows["faults"]
        ]
        done += len(samples)
        workspace.progress.update(done, len(scan.samples), "samples")
    _refuse(rejected, scan, shards, workspace, bool(options["strict"]))
    catalogue = _catalogue(workspace.path, [name for name, _ in shards])
    write_table(workspace.path / CATALOGUE, catalogue)
    faults = [{"file": r.file, "reason": r.reason} for r in rejected]
    write_table(workspace.path / QUARANTINE, pl.DataFrame(faults, schema=_FAULTS))
    write_json(workspace.path / SUMMARY, _summary(catalogue, faults))


def _plan(scan: Scan, size: int) -> Iterator[tuple[str, Sequence[SourceSample]]]:
    """Yield (shard name, samples); a shard holds one split."""
    for split, group in itertools.groupby(
        sorted(scan.samples, key=lambda sample: (sample.split, sample.id)),
        key=lambda sample: sample.split,
    ):
        for number, chunk in enumerate(_chunks(group, size)):
            yield f"{split}-{number:05d}", chunk


def _chunks(
    samples: Iterable[SourceSample], size: int
) -> Iterator[Sequence[SourceSample]]:
    iterator = iter(samples)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _shards(
    reader: _Reader,
    shards: Sequence[tuple[str, Sequence[SourceSample]]],
    workspace: Workspace,
) -> Iterator[Json]:
    """Yield the rows of each shard, in order; the next is packed while one is written.

    A fault ends what has not begun; shards that are done stay.
    """

    def make(shard: tuple[str, Sequence[SourceSample]]) -> Json:
        name, samples = shard
        return _shard(reader, name, samples, workspace)

    pool = ThreadPoolExecutor(_SHARDS_AT_ONCE)
    try:
        yield from pool.map(make, shards)
    finally:
        pool.shutdown(cancel_futures=True)


def _shard(
    reader: _Reader,
    name: str,
    samples: Sequence[SourceSample],
    workspace: Workspace,
) -> Json:
    """Pack one shard, unless an earlier attempt did, and return its rows."""
    directory = workspace.path / SHARDS / name
    if is_whole(directory):
        return dict(read_json(directory / ROWS))
    rows: list[Json] = []
    faults: list[Json] = []
    packed: list[Packed] = []
    for sample, outcome in _pack_all(reader, samples):
        if isinstance(outcome, Rejected):
            fault = {"file": outcome.file, "reason": outcome.reason}
            faults.append(fault | {"id": sample.id})
            workspace.progress.log("rejected", **fault)
            continue
        rows.append(_row(sample, name, len(packed), outcome))
        packed.append(outcome)
    content: Json = {"rows": rows, "faults": faults}
    partials = [p.partials for p in packed if p.partials is not None]

    def save(folder: Path) -> None:
        if reader.channels is not None and partials:
            save_partials(folder / PARTIALS, reader.channels.names, partials)

    records = _record_options(reader.options, [row["id"] for row in rows])
    write_shard(directory, [p.arrays for p in packed], content, save, records)
    workspace.persist(
        *(f.relative_to(workspace.path).as_posix() for f in shard_files(directory))
    )
    return content


def _record_options(options: DataOptions, ids: Sequence[str]) -> RecordOptions | None:
    """Return how a challenge's samples become records, where they do."""
    if options.FORMAT == "arrays":
        return None
    return RecordOptions(ids, options.deflated)


def _pack_all(
    reader: _Reader, samples: Sequence[SourceSample]
) -> Iterator[tuple[SourceSample, Packed | Rejected]]:
    """Pack in threads: decompression and array arithmetic release the lock."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield from zip(samples, pool.map(reader.pack, samples), strict=True)


def _row(sample: SourceSample, shard: str, row: int, packed: Packed) -> Json:
    content = {role: sha256_of_source(path) for role, path in sample.files.items()}
    return {
        "id": sample.id,
        "split": sample.split,
        "shard": shard,
        "row": row,
        "source": sample.name,
        "checksum": digest_of(content | dict(sample.labels)),
        **packed.columns,
    }


def _refuse(
    rejected: Sequence[Rejected],
    scan: Scan,
    shards: Sequence[tuple[str, Sequence[SourceSample]]],
    workspace: Workspace,
    strict: bool,
) -> None:
    """Stop where a quarantine entry will not do."""
    unusable = [fault for fault in rejected if not fault.meant]
    if strict and unusable:
        first = unusable[0]
        raise SourceError(
            f"{len(unusable)} unusable files, the first: {first}; without strict they"
            " are set aside and counted"
        )
    contents = [read_json(workspace.path / SHARDS / name / ROWS) for name, _ in shards]
    packed = {row["id"] for content in contents for row in content["rows"]}
    if not any(s.split == "train" and s.id in packed for s in scan.samples):
        raise SourceError(f"no train sample is usable; the first fault: {rejected[0]}")
    lost = [s for s in scan.samples if s.split == "test" and s.id not in packed]
    if lost:
        faults = [fault for content in contents for fault in content["faults"]]
        fault = next(fault for fault in faults if fault["id"] == lost[0].id)
        raise SourceError(
            f"test file {fault['file']}: {fault['reason']}; a submission needs every"
            " test sample, so fetch it again"
        )


def _catalogue(path: Path, shards: Sequence[str]) -> pl.DataFrame:
    rows = [row for s in shards for row in read_json(path / SHARDS / s / ROWS)["rows"]]
    return pl.DataFrame(rows, infer_schema_length=None).sort("split", "id")


def _summary(catalogue: pl.DataFrame, faults: Sequence[Json]) -> Json:
    """Count what was read; the fingerprint names the data set by its content."""
    counts = catalogue.group_by("split").len().sort("split")
    content = catalogue.select("id", "split", "checksum").sort("id").rows()
    return {
        "fingerprint": digest_of([list(row) for row in content])[:24],
        "samples": dict(counts.iter_rows()),
        "quarantined": len(faults),
    }
