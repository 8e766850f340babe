"""What it costs to make contrails' records, to keep them, and to read them.

Ours is what ingest and training do: the reader converts the frames that are wanted, a
shard holds them as bytes with ids and checksums, and the engine's pipeline reads them
into batches of bytes, which a step makes float32 from 0 to 1, on the device. The plain
way is the published one: tensors of float32, made of all frames.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from rasterio.crs import CRS

from benchmarks.table import Row, alone, raced, row, script
from tenfold.challenges import SourceSample
from tenfold.challenges.contrails import reader
from tenfold.challenges.contrails.metadata import Listed
from tenfold.challenges.contrails.options import ContrailsData
from tenfold.data.arrays import Arrays, Float32Array
from tenfold.data.dataset import CATALOGUE, SHARDS, Dataset
from tenfold.data.files import sha256_of
from tenfold.data.records import RECORDS, RecordOptions
from tenfold.data.shards import write_shard

TITLE = "Contrails' records (records per CPU-second, one thread)"
SEED = 7
FRAMES = (1, 5)
#: Reading goes over the records so many times: a pipeline's start is not what it costs.
PASSES = 8
#: What was measured of the published system itself, on two cores that others used, too:
#: frames → bytes of a record, records a second made, and read.
PUBLISHED = {1: (852_074, 70.0, 846.0), 5: (3_997_808, 27.0, 126.0)}
_ELSEWHERE = (
    "plain is the published system by the clock, measured elsewhere, not in this run"
)
_BAR = 3
_BANDS, _SIDE, _TIMES = (11, 14, 15), 256, 8
_BOX = (2_500_000.0, 512_000.0, -500_000.0, 512_000.0)


def rows(quick: bool) -> list[Row]:
    """Measure; what both ways make is compared first."""
    # On its own: TensorFlow and PyTorch, which other benchmarks use, stay apart.
    return list(alone(measure, quick=quick).value)


def measure(quick: bool) -> list[Row]:
    """Be the process that measures."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory(prefix="tenfold-benchmark-") as place:
        folder = Path(place)
        sources = make_sources(folder / "raw", 2 if quick else 32)
        repeat = 1 if quick else 5
        return [
            found
            for frames in FRAMES
            for found in _rows_of(frames, sources, folder / str(frames), repeat)
        ]


def make_sources(folder: Path, count: int) -> list[SourceSample]:
    """Write records in the competition's format, and return them as the reader's."""
    rng = np.random.default_rng(SEED)
    projection = CRS.from_proj4("+proj=geos +h=35786023 +lon_0=-75 +sweep=x")
    listed = Listed("train_metadata.json", "", 1_550_000_000, projection.to_wkt(), _BOX)
    labels = {"part": "train", **listed.to_labels()}
    sources = []
    for number in range(count):
        place = folder / str(10**18 + number)
        place.mkdir(parents=True)
        arrays = _record(rng)
        files = {name: place / f"{name}.npy" for name in arrays}
        for name, values in arrays.items():
            np.save(files[name], values)
        sources.append(SourceSample(place.name, "train", files, {}, labels))
    return sources


def _record(rng: np.random.Generator) -> dict[str, np.ndarray[Any, Any]]:
    """Return a scene with one contrail, which three of four annotators marked."""
    ground = _smooth(rng, 275, 8)
    arrays = {}
    for band, offset in zip(_BANDS, (-1.0, 0.0, -1.5), strict=True):
        noise = rng.normal(0, 0.3, (_SIDE, _SIDE, _TIMES))
        band_kelvin = ground + _smooth(rng, offset, 0.5) + noise
        arrays[f"band_{band}"] = band_kelvin.astype(np.float32)
    rows_, columns = np.indices((_SIDE, _SIDE))
    begin, slope = rng.uniform(20, 200), rng.uniform(-0.5, 0.5)
    marked = (abs(rows_ - begin - slope * columns) < 2) & (columns > begin)
    mask = marked[..., None].astype(np.int32)
    arrays["human_pixel_masks"] = mask
    arrays["human_individual_masks"] = np.stack([mask, mask, mask, 0 * mask], axis=-1)
    return arrays


def _smooth(rng: np.random.Generator, mean: float, spread: float) -> Float32Array:
    """Return a field of few waves: (H, W, 1)."""
    angles = np.linspace(0, 2 * np.pi, _SIDE)
    waves = np.exp(1j * np.outer(np.arange(6), angles))
    draws = rng.normal(size=(6, 6)) + 1j * rng.normal(size=(6, 6))
    found = (waves.T @ draws @ waves).real
    return (mean + spread * found / found.std()).astype(np.float32)[..., None]


class Ours:
    """Tenfold's way."""

    def __init__(
        self, sources: Sequence[SourceSample], options: ContrailsData, folder: Path
    ) -> None:
        self._sources, self._options, self._folder = sources, options, folder
        self._shard = folder / SHARDS / "train-00000"
        self._ids = [source.id for source in sources]

    def make(self) -> None:
        """Pack records into a shard, as the stage does."""
        packed = [reader.pack(each, None, self._options) for each in self._sources]
        arrays = [each.arrays for each in packed]
        records = RecordOptions(self._ids, self._options.deflated)
        write_shard(self._shard, arrays, {}, None, records)

    def make_and_name(self) -> None:
        """Do the same, with the digests of the source's files."""
        self.make()
        for source in self._sources:
            for file in source.files.values():
                sha256_of(file)

    def size(self) -> float:
        """Return the bytes of a record in its file."""
        return (self._shard / RECORDS).stat().st_size / len(self._ids)

    @cached_property
    def _dataset(self) -> Dataset:
        places = [
            {"id": id_, "split": "train", "shard": self._shard.name, "row": place}
            for place, id_ in enumerate(self._ids)
        ]
        pl.DataFrame(places).write_parquet(self._folder / CATALOGUE)
        return Dataset(self._folder)

    def batches(self) -> Iterator[Arrays]:
        """Yield frames and masks as training gets them."""
        from benchmarks.contrails_plain import BATCH
        from tenfold.training.keras.examples import whole_samples

        ids = self._ids * PASSES
        yield from whole_samples(_labelled, self._dataset, ids, BATCH)

    def floats(self) -> Iterator[tuple[Any, Any]]:
        """Yield the same with frames from 0 to 1, as a step makes them."""
        import tensorflow as tf

        from tenfold.challenges.contrails.model import scaled

        for batch in self.batches():
            yield scaled(tf.constant(batch["image"])), batch["label"]


def _labelled(arrays: Arrays) -> Arrays:
    return {name: arrays[name] for name in ("image", "label")}


class Plain:
    """The published way, on the same files."""

    def __init__(
        self, sources: Sequence[SourceSample], frames: int, folder: Path
    ) -> None:
        self._files = [source.files for source in sources]
        self._frames, self._folder = frames, folder
        self._paths: list[Path] = []

    def make(self) -> None:
        """Write records, 16 a file."""
        from benchmarks import contrails_plain

        self._folder.mkdir(parents=True, exist_ok=True)
        self._paths = contrails_plain.write(self._files, self._frames, self._folder)

    def size(self) -> float:
        """Return the bytes of a record in its file."""
        return sum(path.stat().st_size for path in self._paths) / len(self._files)

    def floats(self) -> Iterator[tuple[Any, Any]]:
        """Yield frames from 0 to 1 and masks."""
        from benchmarks import contrails_plain

        yield from contrails_plain.read(self._paths * PASSES)


def _agree(ours: Ours, plain: Plain) -> None:
    """Check that both ways read the same, but for what a byte rounds off."""
    for (x, y), (frames, masks) in zip(ours.floats(), plain.floats(), strict=True):
        assert x.dtype == frames.dtype
        assert np.abs(x.numpy() - frames.numpy()).max() <= 0.5 / 255 + 1e-6
        assert np.array_equal(y, masks.numpy()[..., 0])


def _rows_of(
    frames: int, sources: Sequence[SourceSample], folder: Path, repeat: int
) -> Iterator[Row]:
    """Measure records of so many frames."""
    kinds: Mapping[str, Literal["none", "zlib"]]
    kinds = {"": "none", ", frames deflated": "zlib"}
    ours = {
        kind: Ours(sources, ContrailsData(frames=frames, compression=how), folder / how)
        for kind, how in kinds.items()
    }
    plain = Plain(sources, frames, folder / "plain")
    packers = (plain.make, *(each.make for each in ours.values()))
    made = raced([*packers, ours[""].make_and_name], repeat)
    for each in ours.values():
        _agree(each, plain)
    ways = (plain.floats, *(each.batches for each in ours.values()), ours[""].floats)
    read = raced([partial(_exhaust, way) for way in ways], repeat)
    size, make_rate, read_rate = PUBLISHED[frames]
    name = f"{frames} frame" + "s" * (frames > 1)
    for kind, each in ours.items():
        yield _size_row(f"bytes a record, {name}{kind}", each, plain, size)
    rates = [len(sources) / cpu for cpu in made]
    note = "and a SHA-256 of each file, as ingest makes; the plain way has none"
    yield from _rate_rows(f"make, {name}", kinds, rates, make_rate, note)
    rates = [PASSES * len(sources) / cpu for cpu in read]
    note = "and made float32 on the CPU, which training leaves to the device"
    yield from _rate_rows(f"read, {name}", kinds, rates, read_rate, note)


def _exhaust(way: Callable[[], Iterator[object]]) -> None:
    for _ in way():
        pass


def _size_row(what: str, ours: Ours, plain: Plain, published: int) -> Row:
    same = round(plain.size()) == published
    note = f"plain is the published system's {published:,} to the byte" if same else ""
    share = ours.size() / plain.size()
    return row(what, ours.size(), plain.size(), share, "≤ 0.25", note)


def _rate_rows(
    what: str, kinds: Iterable[str], rates: Sequence[float], published: float, more: str
) -> Iterator[Row]:
    """Make the rows of rates: plain, each kind of ours, and ours with more to do."""
    plain, own, deflated, longest = rates
    _, kind = kinds
    yield row(what, own, plain, own / plain)
    yield row(what, own, published, own / published, f"≥ {_BAR}", _ELSEWHERE)
    yield row(what + kind, deflated, plain, deflated / plain)
    yield row(what, longest, plain, longest / plain, "", more)


if __name__ == "__main__":
    script(rows, TITLE)
