"""The whole kelp model: a raw tile in, logits of background and kelp out."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tenfold.challenges.kelp.architectures import build_net, multiple_of
from tenfold.challenges.kelp.bands import MISSING
from tenfold.challenges.kelp.channels import planes
from tenfold.challenges.kelp.choices import BY_TILE
from tenfold.challenges.kelp.fitting import Fit
from tenfold.challenges.kelp.masking import BINARY
from tenfold.challenges.kelp.network_options import KelpNet
from tenfold.challenges.kelp.options import KelpInput
from tenfold.challenges.kelp.scaling import scale_by_tile
from tenfold.data.statistics import Statistics

_EPS = 1e-10
#: Pixels that are made at once on a CPU: a tile's.
_CPU_PIXELS = 350 * 350


class Preprocess(nn.Module):
    """Raw tiles (N, 7, H, W) int32 to channels (N, C, H, W) float32.

    A channel is a band or an index; then what is missing, masked or not finite
    becomes the channel's minimum (+inf its maximum), then it is scaled. Constants
    are buffers of the module, so they live in its weights file. Masks travel as NaN
    that is added: on a CPU a sum is twenty times as fast as a choice by a mask.

    Args:
        options: channels, masking, normalisation.
        statistics: of the fold's training tiles; None to be loaded later.
    """

    low: Tensor
    high: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, options: KelpInput, statistics: Statistics | None) -> None:
        super().__init__()
        self.options = options
        columns = [_constants(name, options, statistics) for name in options.channels]
        for position, name in enumerate(("low", "high", "shift", "scale")):
            values = torch.tensor([column[position] for column in columns])
            self.register_buffer(name, values.float())
        self._copy_to_host()
        after_loading: Any = self.register_load_state_dict_post_hook
        after_loading(self._copy_to_host)

    def forward(self, raw: Tensor) -> Tensor:
        """Return normalised channels; all finite."""
        if self.options.missing == "zero":
            raw = raw.masked_fill(raw == MISSING, 0)
        if torch.compiler.is_compiling():
            return torch.stack(list(self._channels(raw)), dim=1)
        height, width = raw.shape[-2:]
        size = (raw.shape[0], len(self.options.channels), height, width)
        channels = torch.empty(size, device=raw.device)
        # A GPU wants few kernels; a CPU wants planes that stay in its cache.
        tiles = max(1, len(raw) if raw.is_cuda else _CPU_PIXELS // (height * width))
        parts = zip(torch.split(raw, tiles), torch.split(channels, tiles), strict=True)
        for some, made in parts:
            for c, channel in enumerate(self._channels(some)):
                made[:, c] = channel
        return channels

    def _channels(self, raw: Tensor) -> Iterator[Tensor]:
        """Yield the channels (N, H, W) of some tiles."""
        counted, hole = None, torch.empty(0)
        made = planes(
            raw,
            self.options.channels,
            self.options.masking,
            torch,
            lambda plane: plane.to(torch.float32),
        )
        for c, (values, counts) in enumerate(made):
            # Most channels share the mask of the one before.
            if counts is not counted:
                counted, hole = counts, _hole(counts)
            yield self._finish(values + hole, c)

    def _finish(self, channel: Tensor, c: int) -> Tensor:
        """Fill and scale a channel (N, H, W) in place; NaN is what is missing."""
        by = self.options.normalise
        if by in BY_TILE and self.options.channels[c] not in BINARY:
            return scale_by_tile(channel, by)
        low, high, shift, scale = self._numbers[c]
        channel.nan_to_num_(low, high, low).sub_(shift).mul_(scale)
        return channel if by == "z-score" else channel.clamp_(0, 1)

    def _copy_to_host(self, *_: object) -> None:
        """Keep the constants as plain numbers too: no step waits for a device."""
        constants = (self.low, self.high, self.shift, self.scale)
        self._numbers: list[list[float]] = torch.stack(constants, dim=1).tolist()


def _hole(counts: Tensor) -> Tensor:
    """Return 0 where pixels count and NaN, which is 0/0, elsewhere."""
    share = counts.to(torch.float32)
    return torch.zeros_like(share).div_(share)


def _constants(
    name: str, options: KelpInput, statistics: Statistics | None
) -> tuple[float, float, float, float]:
    """Return (minimum, maximum, shift, scale) of one channel."""
    by_tile = options.normalise in BY_TILE
    if name in BINARY or by_tile or statistics is None:
        return 0.0, 1.0, 0.0, 1.0
    key = options.masking.key(name)
    low, high = statistics.low[key], statistics.high[key]
    if options.normalise == "quantile":
        q01, q99 = statistics.q01[key], statistics.q99[key]
        return low, high, q01, 1 / (q99 - q01 + _EPS)
    if options.normalise == "min-max":
        return low, high, low, 1 / (high - low + _EPS)
    # A constant channel carries nothing; it must not become infinite either.
    return low, high, statistics.mean[key], 1 / max(statistics.std[key], _EPS)


class KelpModel(nn.Module):
    """`Preprocess`, fitting to what the network accepts, the network, and back.

    Args:
        options: from raw tile to channels.
        net: architecture and encoder.
        statistics: of the fold's training tiles.
    """

    def __init__(
        self, options: KelpInput, net: KelpNet, statistics: Statistics | None
    ) -> None:
        super().__init__()
        self.preprocess = Preprocess(options, statistics)
        self.net = build_net(net, len(options.channels))
        self.fit = Fit(options, multiple_of(net, self.net, options.size))

    def forward(self, raw: Tensor) -> Tensor:
        """Return logits (N, classes, H, W) of raw tiles (N, 7, H, W)."""
        return self.logits(self.preprocess(raw))

    def logits(self, channels: Tensor) -> Tensor:
        """Return logits of normalised channels, at their size."""
        return self.fit.back(self.scores(channels), *channels.shape[-2:])

    def scores(self, channels: Tensor) -> Tensor:
        """Return logits at the size that the loss is taken at: a resize's, if any.

        Padding is added and taken off in here, so it never meets a loss or a
        metric.
        """
        padded, inside = self.fit.pad(self.fit.image(channels))
        logits: Tensor = self.net(padded)
        return logits[..., *inside]


def valid_pixels(raw: Tensor) -> Tensor:
    """Return where all five spectral bands are present, (N, H, W) bool."""
    return (raw[:, :5] != MISSING).all(dim=1)
