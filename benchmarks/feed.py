"""What it costs to bring tiles to a network: read, make channels, augment.

Ours is the training path: packed shards, `KelpTask.example`, the engine's batches,
`Preprocess`, `move`. The plain way decodes two GeoTIFFs a sample and copies the
whole batch for each index.
"""

from collections.abc import Callable, Iterator

import numpy as np
import rasterio
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks import plain
from benchmarks.sample import SEED, Sample, tiles
from benchmarks.table import Row, raced, row, script
from tenfold.challenges.kelp.model import KelpTask
from tenfold.challenges.kelp.network import Preprocess, valid_pixels
from tenfold.challenges.kelp.tiles import unpack_mask, unpack_tile
from tenfold.data.statistics import Statistics
from tenfold.training.augment import move
from tenfold.training.examples import EpochExamples, training_batches

TITLE = "Feeding tiles (tiles per CPU-second, one thread)"
#: As the published system trains, and the batch at which the plain way is fastest.
PUBLISHED_BATCH = 32
Moved = tuple[Tensor, Tensor]


class Ours:
    """The engine's own path from shards to augmented channels."""

    def __init__(self, sample: Sample, statistics: Statistics, batch: int) -> None:
        self._sample, self._batch = sample, batch
        self._task = KelpTask(sample.member)
        self._preprocess = Preprocess(sample.member.input, statistics)

    def read(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield raw tiles and masks."""
        for _, arrays in self._sample.dataset.samples(self._sample.ids):
            yield unpack_tile(arrays), unpack_mask(arrays)

    def batches(self) -> Iterator[dict[str, Tensor]]:
        """Yield the engine's training batches, in the order of the tiles."""
        ids = self._sample.ids
        order = np.arange(len(ids))
        examples = EpochExamples(
            self._task, self._sample.dataset, ids, order, (SEED,), 0
        )
        yield from training_batches(examples, self._batch, 0, workers=0)

    def channels(self) -> Iterator[Moved]:
        """Yield channels (N, 24, H, W) and masks (N, H, W)."""
        for batch in self.batches():
            yield self._preprocess(batch["raw"]), batch["mask"]

    def augmented(self) -> Iterator[Moved]:
        """Yield them moved, as a training step has them."""
        for batch in self.batches():
            raw, moves = batch["raw"], batch["moves"]
            channels = move(self._preprocess(raw), moves, interpolate=True)
            planes = [batch["mask"].float(), valid_pixels(raw).float()]
            flat = move(torch.stack(planes, dim=1), moves, interpolate=False)
            yield channels, flat[:, 0]


class Plain:
    """The way of the published system, on the same tiles in the same batches."""

    def __init__(self, sample: Sample, statistics: Statistics, batch: int) -> None:
        self._sample, self._indices = sample, sample.member.input.indices
        self._loader = DataLoader(plain.Tiles(sample.files), batch_size=batch)
        preprocess = Preprocess(sample.member.input, statistics)
        self._scale = plain.scale_of(preprocess)

    def read(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield raw tiles and masks."""
        for tile, mask in self._sample.files:
            with rasterio.open(tile) as image, rasterio.open(mask) as label:
                yield image.read(), label.read(1)

    def channels(self) -> Iterator[Moved]:
        """Yield channels (N, 24, H, W) and masks (N, H, W)."""
        for bands, mask in self._loader:
            yield self._scale(plain.add_indices(bands, self._indices)), mask

    def augmented(self, moves: Iterator[Tensor]) -> Iterator[Moved]:
        """Yield them moved."""
        for (channels, mask), some in zip(self.channels(), moves, strict=True):
            yield plain.augment(channels, mask, some)


def rows(quick: bool) -> list[Row]:
    """Measure; both ways are compared value by value first."""
    torch.set_num_threads(1)
    sample = tiles(8, 2) if quick else tiles(PUBLISHED_BATCH)
    batch = len(sample.ids)
    task = KelpTask(sample.member)
    statistics = sample.dataset.statistics(task.channels(), sample.ids)
    ours, theirs = (kind(sample, statistics, batch) for kind in (Ours, Plain))
    moves = [each["moves"] for each in ours.batches()]
    _agree(ours, theirs, moves)
    repeat = 1 if quick else 3
    rate = _Rates(len(sample.ids), repeat)
    found = [
        rate.row("read only", ours.read, theirs.read, "≥ 20"),
        rate.row(
            "read, 24 channels", ours.channels, theirs.channels, "≥ 6", _batches(batch)
        ),
    ]
    one, one_plain = (kind(sample, statistics, 1) for kind in (Ours, Plain))
    found += [
        rate.row(
            "read, 24 channels, tile by tile",
            one.channels,
            one_plain.channels,
            "",
            "batches of 1: the plain way at its best, all in the cache",
        ),
        rate.row(
            "read, 24 channels, augmented",
            ours.augmented,
            lambda: theirs.augmented(iter(moves)),
            "≥ 5",
            _batches(batch),
        ),
    ]
    return found if quick else [*found, _compiled(sample, statistics)]


def _batches(batch: int) -> str:
    return f"batches of {batch}"


class _Rates:
    """Makes rows of two generators that are run to their end."""

    def __init__(self, count: int, repeat: int) -> None:
        self._count, self._repeat = count, repeat

    def row(
        self,
        what: str,
        ours: Callable[[], Iterator[object]],
        theirs: Callable[[], Iterator[object]],
        bar: str,
        note: str = "",
    ) -> Row:
        pair = (lambda: _exhaust(ours()), lambda: _exhaust(theirs()))
        seconds, plain_seconds = raced(pair, self._repeat)
        rates = self._count / seconds, self._count / plain_seconds
        return row(what, *rates, plain_seconds / seconds, bar, note)


def _exhaust(values: Iterator[object]) -> None:
    for _ in values:
        pass


def _agree(ours: Ours, theirs: Plain, moves: list[Tensor]) -> None:
    """Check that both ways give the same numbers."""
    for (raw, mask), (image, label) in zip(ours.read(), theirs.read(), strict=True):
        assert np.array_equal(raw, image)
        assert np.array_equal(mask, label)
    pairs = [(ours.channels(), theirs.channels())]
    pairs += [(ours.augmented(), theirs.augmented(iter(moves)))]
    for one, other in pairs:
        for (a, mask), (b, label) in zip(one, other, strict=True):
            # Rotated corners may fall on either side of a border pixel.
            assert ((a - b).abs() > 1e-3).float().mean() < 1e-4
            assert (mask != label).float().mean() < 1e-4


def _compiled(sample: Sample, statistics: Statistics) -> Row:
    """Say what a compiled kernel adds to making channels in eager mode."""
    what = "24 channels, torch.compile"
    eager = Preprocess(sample.member.input, statistics)
    arrays = (arrays for _, arrays in sample.dataset.samples(sample.ids[:8]))
    raw = torch.from_numpy(np.stack([unpack_tile(each) for each in arrays]))
    compiled = torch.compile(eager, dynamic=False)
    try:
        made = compiled(raw)
    except Exception as error:  # a compiler fails in many ways
        return row(what, None, None, None, "", f"did not compile: {error!s:.80}")
    assert torch.allclose(made, eager(raw), atol=1e-5)
    seconds, eager_seconds = raced((lambda: compiled(raw), lambda: eager(raw)), 5)
    rates = len(raw) / seconds, len(raw) / eager_seconds
    note = "plain is ours in eager mode; batches of 8"
    return row(what, *rates, eager_seconds / seconds, "", note)


if __name__ == "__main__":
    script(rows, TITLE)
