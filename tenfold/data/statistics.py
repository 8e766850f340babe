"""Statistics of channels as partials that add up over samples.

Ingest stores one partial a sample; a fold merges those of its training
samples, so no statistic ever sees a sample it should not. Moments and extremes
are exact (Chan, Golub and LeVeque 1979); quantiles are exact to the width of a
bin. Every figure is finite, whatever the data.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tenfold.data.arrays import BoolArray, Float32Array, Float64Array, IntArray
from tenfold.errors import StoreError
from tenfold.recipe import Json

BINS = 1024


@dataclass(frozen=True)
class Axis:
    """Bins that are fine near `centre` and wider away from it.

    Bin borders are equidistant in asinh((x - centre) / scale), out to `reach`
    on both sides; what lies further falls in the outermost bins.
    """

    centre: float
    scale: float
    reach: float

    def _limit(self) -> float:
        return float(np.arcsinh(self.reach / self.scale))

    def bins(self, values: Float32Array) -> IntArray:
        """Return the bin of each value, 0 … BINS - 1."""
        position = np.arcsinh((values - self.centre) / self.scale) / self._limit()
        place = np.clip((position + 1) * (BINS / 2), 0, BINS - 1)
        bins: IntArray = place.astype(np.int64)
        return bins

    def edges(self) -> Float64Array:
        """Return the BINS + 1 borders."""
        position = np.linspace(-self._limit(), self._limit(), BINS + 1)
        return self.centre + self.scale * np.sinh(position)


@dataclass(frozen=True)
class Channels:
    """The channels whose statistics are wanted, each with the axis of its bins."""

    axes: Mapping[str, Axis]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(self.axes)

    def to_json(self) -> Json:
        """Return plain data, part of the key of whatever holds the partials."""
        return {k: [a.centre, a.scale, a.reach] for k, a in self.axes.items()}


@dataclass(frozen=True)
class Partials:
    """Counts of one or many samples' values, by channel.

    Attributes:
        count: (..., C) finite, valid values.
        mean: (..., C); 0 where there are none.
        m2: (..., C) sum of squared deviations from the mean.
        low: (..., C) smallest value; +inf where there are none.
        high: (..., C) largest value; -inf where there are none.
        histogram: (..., C, BINS) uint32.
    """

    count: Float64Array
    mean: Float64Array
    m2: Float64Array
    low: Float64Array
    high: Float64Array
    histogram: np.ndarray[tuple[int, ...], np.dtype[np.uint32]]


class Reduction:
    """Reduces one sample, a channel at a time, so that no two need be in memory.

    Args:
        channels: names and axes; those never added count as unseen.
    """

    def __init__(self, channels: Channels) -> None:
        size = len(channels.names)
        self._axes = channels.axes
        self._place = {name: place for place, name in enumerate(channels.names)}
        self._moments = np.zeros((3, size))
        self._low, self._high = np.full(size, np.inf), np.full(size, -np.inf)
        self._histogram = np.zeros((size, BINS), np.uint32)
        self._counted: BoolArray | None = None
        self._pixels = np.empty(0, np.intp)

    def add(self, name: str, plane: Float32Array, counts: BoolArray) -> None:
        """Count a channel.

        Args:
            name: of the channel.
            plane: (H, W) its values.
            counts: (H, W) which of them count; those not finite never do.
        """
        if counts is not self._counted:
            # Channels under one mask follow each other and share its pixels.
            self._counted, self._pixels = counts, np.flatnonzero(counts)
        kept = plane.take(self._pixels)
        finite = np.isfinite(kept)
        if not finite.all():
            kept = kept[finite]
        if not kept.size:
            return
        c = self._place[name]
        bins = self._axes[name].bins(kept)
        self._histogram[c] = np.bincount(bins, minlength=BINS)
        self._low[c], self._high[c] = kept.min(), kept.max()
        wide = kept.astype(np.float64)
        mean = wide.mean()
        wide -= mean
        self._moments[:, c] = kept.size, mean, np.square(wide, out=wide).sum()

    def result(self) -> Partials:
        """Return the partials (C,) of what was added."""
        count, mean, m2 = self._moments
        return Partials(count, mean, m2, self._low, self._high, self._histogram)


def partials_of(
    values: Mapping[str, tuple[Float32Array, BoolArray]], channels: Channels
) -> Partials:
    """Reduce one sample whose channels are all in memory.

    Args:
        values: channel → values (H, W) and which of them count.
        channels: names and axes; every name must be in `values`.
    """
    reduction = Reduction(channels)
    for name in channels.names:
        reduction.add(name, *values[name])
    return reduction.result()


@dataclass(frozen=True)
class Statistics:
    """Finite statistics by channel; a channel never seen is (0, 1, 0, 1, 0, 1)."""

    mean: Mapping[str, float]
    std: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    q01: Mapping[str, float]
    q99: Mapping[str, float]

    def to_json(self) -> Json:
        """Return plain data."""
        return {k: dict(v) for k, v in self.__dict__.items()}


class StatisticsSum:
    """Merges partials of any number of samples in the memory of one."""

    def __init__(self, channels: Channels) -> None:
        size = len(channels.names)
        self._channels = channels
        self._count, self._mean, self._m2 = np.zeros((3, size))
        self._low, self._high = np.full(size, np.inf), np.full(size, -np.inf)
        self._histogram = np.zeros((size, BINS), np.uint64)

    def add(self, partials: Partials, rows: Sequence[int]) -> None:
        """Add some samples of a stack of partials (N, C), C as in the channels."""
        rows = list(rows)
        if not rows:
            return
        count, mean = partials.count[rows], partials.mean[rows]
        total = count.sum(0)
        centre = _ratio((count * mean).sum(0), total)
        spread = partials.m2[rows].sum(0) + (count * (mean - centre) ** 2).sum(0)
        both = self._count + total
        delta = centre - self._mean
        self._m2 += spread + delta**2 * _ratio(self._count * total, both)
        self._mean += delta * _ratio(total, both)
        self._count = both
        self._low = np.minimum(self._low, partials.low[rows].min(0))
        self._high = np.maximum(self._high, partials.high[rows].max(0))
        self._histogram += partials.histogram[rows].sum(0, dtype=np.uint64)

    def result(self) -> Statistics:
        """Return the statistics of everything added."""
        names = self._channels.names
        seen = self._count > 0
        std = np.sqrt(_ratio(self._m2, self._count))
        q01, q99 = self._quantile(0.01), self._quantile(0.99)

        def table(values: Float64Array, unseen: float) -> dict[str, float]:
            finite = np.where(seen, values, unseen)
            return {name: float(v) for name, v in zip(names, finite, strict=True)}

        return Statistics(
            mean=table(self._mean, 0.0),
            std=table(std, 1.0),
            low=table(self._low, 0.0),
            high=table(self._high, 1.0),
            q01=table(q01, 0.0),
            q99=table(q99, 1.0),
        )

    def _quantile(self, share: float) -> Float64Array:
        """Read a quantile off the histogram, linear within a bin."""
        result = np.zeros(len(self._channels.names))
        for c, axis in enumerate(self._channels.axes.values()):
            counts = self._histogram[c].astype(np.float64)
            if counts.sum() == 0:
                continue
            below = np.concatenate([[0.0], np.cumsum(counts)])
            edges = np.clip(axis.edges(), self._low[c], self._high[c])
            target = share * below[-1]
            bin_of = int(np.searchsorted(below[1:], target))
            inside = (target - below[bin_of]) / max(counts[bin_of], 1.0)
            result[c] = edges[bin_of] + inside * (edges[bin_of + 1] - edges[bin_of])
        return result


def _ratio(top: Float64Array, bottom: Float64Array) -> Float64Array:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def save_partials(
    path: Path, names: Sequence[str], samples: Iterable[Partials]
) -> None:
    """Write the partials of a shard's samples, stacked; mostly zeros, compressed.

    Args:
        path: of the file.
        names: of the channels, in the order of the partials.
        samples: one partial a sample, at least one.
    """
    parts = list(samples)
    fields = {
        name: np.stack([getattr(part, name) for part in parts])
        for name in Partials.__dataclass_fields__
    }
    with path.open("wb") as stream:
        np.savez_compressed(
            stream, allow_pickle=False, names=np.array(list(names)), **fields
        )


def load_partials(path: Path, channels: Channels) -> Partials:
    """Read a shard's partials of some channels, (N, C) and (N, C, BINS).

    Raises:
        StoreError: if a channel was not asked for when the shard was written.
    """
    with np.load(path, allow_pickle=False) as stored:
        place = {str(name): c for c, name in enumerate(stored["names"])}
        lacking = [name for name in channels.names if name not in place]
        if lacking:
            raise StoreError(f"{path} has no statistics of {lacking[0]}; ingest again")
        columns = [place[name] for name in channels.names]
        return Partials(
            **{name: stored[name][:, columns] for name in Partials.__dataclass_fields__}
        )
