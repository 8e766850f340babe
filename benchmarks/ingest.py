"""What it costs to take in a source: check, pack, tabulate, and count statistics.

Ours decodes each tile once. The plain way is the published one: a pass for the table
of tiles, a pass for the statistics, and tiles stay as they are.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
import torch

from benchmarks import plain
from benchmarks.channel_statistics import plain_statistics
from benchmarks.sample import tiles
from benchmarks.table import Row, raced, row, script
from tenfold.challenges import SourceSample, load_recipe
from tenfold.challenges.kelp import reader
from tenfold.data.shards import write_shard
from tenfold.data.statistics import save_partials
from tenfold.recipe import DataOptions

TITLE = "Taking in a source (tiles per CPU-second, one thread)"


def ours(sources: Sequence[SourceSample], folder: Path) -> list[dict[str, object]]:
    """Pack tiles into a shard as the stage does; return their columns."""
    channels = reader.channels(load_recipe("kelp", "winning"))
    assert channels is not None
    options = DataOptions()
    packed = [reader.pack(source, channels, options) for source in sources]
    partials = [each.partials for each in packed if each.partials is not None]
    names = channels.names
    write_shard(
        folder / "shard",
        [each.arrays for each in packed],
        {},
        lambda shard: save_partials(shard / "partials.npz", names, partials),
    )
    return [dict(each.columns) for each in packed]


def theirs(files: Sequence[tuple[Path, Path]]) -> list[dict[str, object]]:
    """Pass twice over all files; return what the first pass tabulates."""
    rows = [_columns(tile, mask) for tile, mask in files]
    for tile, _ in files:
        plain_statistics(plain.read_tile(tile))
    return rows


def _columns(tile: Path, mask: Path) -> dict[str, object]:
    with rasterio.open(tile) as file, rasterio.open(mask) as label:
        raw, kelp = file.read(), label.read(1)
    quality, height = raw[5], raw[6]
    return {
        "kelp_pixels": int(kelp.sum()),
        "dem_nan_pixels": int((height < 0).sum()),
        "dem_zero_pixels": int((height == 0).sum()),
        "water_pixels": int((height <= 0).sum()),
        "qa_corrupted_pixels": int(quality.sum()),
        "qa_ok": bool((quality == 0).all()),
        "almost_all_water": bool(np.mean(height <= 0) > 0.98),
    }


def rows(quick: bool) -> list[Row]:
    """Measure; both tables are compared first."""
    torch.set_num_threads(1)
    sample = tiles(8)
    count = 1 if quick else len(sample.ids)
    sources, files = sample.sources[:count], sample.files[:count]
    with tempfile.TemporaryDirectory(prefix="tenfold-benchmark-") as place:
        folder = Path(place)
        for one, other in zip(ours(sources, folder), theirs(files), strict=True):
            assert {name: one[name] for name in other} == other
        pair = (lambda: ours(sources, folder), lambda: theirs(files))
        seconds, plain_seconds = raced(pair, 1 if quick else 3)
    rates = count / seconds, count / plain_seconds
    note = "24 channels and packing; plain: 66 channels, nothing packed"
    return [row("table and statistics", *rates, plain_seconds / seconds, "", note)]


if __name__ == "__main__":
    script(rows, TITLE)
