"""From brightness temperatures to the packed frames: ash false colour, or any bands."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tenfold.challenges.contrails.options import BandRange
from tenfold.data.arrays import Float32Array

PackedDtype = Literal["uint8", "float16"]
_TOP = 255


def select_frames(band: NDArray[Any], times: range) -> Float32Array:
    """Cut the wanted frames out of a band, with time first.

    Args:
        band: (H, W, T), kelvin, as the source has it.
        times: places of neighbouring frames.

    Returns:
        (len(times), H, W), kelvin. No other frame is touched.
    """
    wanted = band[..., times.start : times.stop]
    return np.ascontiguousarray(wanted.transpose(2, 0, 1), np.float32)


def pack_channels(
    frames: Mapping[int, Float32Array],
    channels: Sequence[BandRange],
    dtype: PackedDtype,
) -> NDArray[np.uint8] | NDArray[np.float16]:
    """Make the channels of a recipe from its bands.

    Args:
        frames: band → (T, H, W), kelvin, finite, all of one shape.
        channels: in their order.
        dtype: uint8 holds 255 times a channel, rounded to the nearest; float16 holds
            the channel itself.

    Returns:
        (T, H, W, channels).
    """
    shape = next(iter(frames.values())).shape
    packed = np.empty((*shape, len(channels)), dtype)
    for place, channel in enumerate(channels):
        value = scale(frames, channel)
        if dtype == "uint8":
            # Assigning to integers cuts the fraction off.
            value *= _TOP
            value += 0.5
        packed[..., place] = value
    return packed


def scale(frames: Mapping[int, Float32Array], channel: BandRange) -> Float32Array:
    """Return clip((band - less - low) / (high - low), 0, 1) in float32: (T, H, W)."""
    offset = np.float32(channel.low)
    if channel.less is None:
        value = frames[channel.band] - offset
    else:
        value = frames[channel.band] - frames[channel.less]
        value -= offset
    value /= np.float32(channel.high - channel.low)
    return np.clip(value, 0, 1, out=value)
