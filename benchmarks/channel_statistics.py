"""What the statistics of the published model's 24 channels cost, a tile in memory.

Ours reduces a tile to partials that add up: moments, extremes and a histogram
of each channel a member uses. The plain way is the published one: all 66 channels
of the registry, and two quantiles of each by sorting.
"""

import numpy as np
import torch
from torch import Tensor

from benchmarks import plain
from benchmarks.sample import Sample, tiles
from benchmarks.table import Row, raced, row, script
from tenfold.challenges.kelp.channels import reduce_tile
from tenfold.challenges.kelp.indices import FORMULAS
from tenfold.challenges.kelp.model import KelpTask
from tenfold.challenges.kelp.tiles import unpack_tile
from tenfold.data.statistics import BINS, Axis, Channels, Partials, StatisticsSum

TITLE = "Statistics of channels (tiles per CPU-second, one thread)"


def plain_statistics(bands: Tensor) -> dict[str, Tensor]:
    """Return figures of all 66 channels of a tile, (66,) each.

    Args:
        bands: (7, H, W) in the model's order, missing NaN.
    """
    values = plain.add_indices(bands[None], tuple(FORMULAS))[0].flatten(1)
    return {
        "low": values.amin(1),
        "high": values.amax(1),
        "sum": values.nansum(1),
        "squares": values.square().nansum(1),
        "q01": values.nanquantile(0.01, dim=1),
        "q99": values.nanquantile(0.99, dim=1),
    }


def rows(quick: bool) -> list[Row]:
    """Measure; quantiles are compared to the width of a bin first."""
    torch.set_num_threads(1)
    sample = tiles(8)
    count = 1 if quick else len(sample.ids)
    channels = KelpTask(sample.member).channels()
    packed = sample.dataset.samples(sample.ids[:count])
    raws = [unpack_tile(arrays) for _, arrays in packed]
    decoded = [plain.read_tile(tile) for tile, _ in sample.files[:count]]
    for raw, bands in zip(raws[:2], decoded, strict=False):
        _agree(sample, channels, reduce_tile(raw, channels), bands)
    seconds, plain_seconds = raced(
        [
            lambda: [reduce_tile(raw, channels) for raw in raws],
            lambda: [plain_statistics(bands) for bands in decoded],
        ],
        1 if quick else 3,
    )
    rates = count / seconds, count / plain_seconds
    note = "both from a decoded tile; plain: all 66 channels, as published"
    return [row("24 channels", *rates, plain_seconds / seconds, "≥ 20", note)]


def _agree(
    sample: Sample, channels: Channels, partials: Partials, bands: Tensor
) -> None:
    """Check that a tile's quantiles agree to the width of the bins around them."""
    total = StatisticsSum(channels)
    fields = Partials.__dataclass_fields__
    total.add(Partials(**{n: getattr(partials, n)[None] for n in fields}), [0])
    ours, theirs = total.result(), plain_statistics(bands)
    names = (*plain.ORDER, *FORMULAS)
    masking = sample.member.input.masking
    for name in sample.member.input.channels:
        key = masking.key(name)
        if key not in channels.axes:
            continue
        for figure in ("q01", "q99"):
            found = getattr(ours, figure)[key]
            expected = float(theirs[figure][names.index(name)])
            assert abs(found - expected) <= 2 * _width(channels.axes[key], expected)


def _width(axis: Axis, value: float) -> float:
    """Return the width of the bin that holds a value."""
    edges = axis.edges()
    place = int(np.clip(np.searchsorted(edges, value) - 1, 0, BINS - 1))
    return float(edges[place + 1] - edges[place])


if __name__ == "__main__":
    script(rows, TITLE)
