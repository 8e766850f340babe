"""A tile's channels: bands and indices, with what is masked out of each.

Written once over NumPy and torch, so that statistics and the model's own
preprocessing cannot disagree.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import and_
from typing import Any

import numpy as np

from tenfold.challenges.kelp.bands import BAND_INDEX, BANDS, MISSING, SPECTRAL
from tenfold.challenges.kelp.indices import FORMULAS, Planes
from tenfold.challenges.kelp.masking import BINARY, Masking
from tenfold.challenges.kelp.tiles import TileArray
from tenfold.data.statistics import Axis, Channels, Partials, Reduction

_BAND_AXIS = Axis(8000.0, 2000.0, 57_536.0)
_NUMBER_AXIS = Axis(0.0, 50.0, 1e6)
_RATIO_AXIS = Axis(0.0, 0.05, 1e5)
#: Indices in Landsat numbers or metres; the others are ratios.
_IN_NUMBERS = frozenset(
    (
        *("DEMWM", "AVI", "IPVI", "MCARI", "AFRI1600", "GDVI", "DVIMSS", "I"),
        *("MSAVI", "EVI", "CDOM", "DOC", "WATERCOLOR"),
    )
)


def axis(channel: str) -> Axis:
    """Return the bins of a channel's histogram."""
    if channel in SPECTRAL:
        return _BAND_AXIS
    if channel == "DEM" or channel in _IN_NUMBERS:
        return _NUMBER_AXIS
    return _RATIO_AXIS


def wanted(inputs: Sequence[tuple[Sequence[str], Masking]]) -> Channels:
    """Join the channels of several models, each under its own masking."""
    axes = {}
    for names, masking in inputs:
        for name in names:
            if name not in BINARY:
                axes[masking.key(name)] = axis(name)
    return Channels(axes)


def spectral_valid(raw: Any) -> Any:
    """Return where all five spectral bands are present, (..., H, W) bool.

    Args:
        raw: (..., 7, H, W) integers in file order.
    """
    return reduce(and_, (known(raw, name) for name in SPECTRAL))


def known(raw: Any, band: str) -> Any:
    """Return where a band is present, (..., H, W) bool."""
    return raw[..., BAND_INDEX[band], :, :] != MISSING


def planes(
    raw: Any, names: Sequence[str], masking: Masking, xp: Any, as_float: Any
) -> Iterator[tuple[Any, Any]]:
    """Yield (values, counts) of each channel in order; (..., H, W) both.

    Values where `counts` is false are arbitrary and may be infinite or NaN.

    Args:
        raw: (..., 7, H, W) integers in file order.
        names: bands or indices.
        masking: what is left out of indices.
        xp: numpy or torch.
        as_float: turns an integer plane into a new float32 one.
    """
    bands = {name: as_float(raw[..., BAND_INDEX[name], :, :]) for name in BANDS}
    present = {name: known(raw, name) for name in BANDS}
    valid = reduce(and_, (present[name] for name in SPECTRAL))
    index_counts = valid
    if masking.qa:
        index_counts = index_counts & (bands["QA"] == 0)
    if masking.water:
        sea = bands["DEM"] <= 0
        index_counts = index_counts & (
            sea & present["DEM"] if masking.unknown_is_land else sea
        )
    S, N, R, G, B = (bands[name] for name in SPECTRAL)
    source = Planes(S, N, R, G, B, bands["DEM"], xp)
    for name in names:
        if name in BAND_INDEX:
            yield bands[name], present[name]
        elif name == "DEMWM":
            yield FORMULAS[name](source), present["DEM"]
        else:
            counts = valid if name in BINARY else index_counts
            yield FORMULAS[name](source), counts


def reduce_tile(raw: TileArray, channels: Channels) -> Partials:
    """Return the partials of one tile; channels under one masking are made together.

    Args:
        raw: (7, H, W) in file order.
        channels: named as `Masking.key` does.
    """
    reduction = Reduction(channels)
    with np.errstate(all="ignore"):
        for masking, names in _by_masking(channels):
            made = planes(raw, names, masking, np, lambda p: p.astype(np.float32))
            for name, (values, counts) in zip(names, made, strict=True):
                reduction.add(masking.key(name), values, counts)
    return reduction.result()


def _by_masking(channels: Channels) -> list[tuple[Masking, list[str]]]:
    """Group channels as their names' suffixes say."""
    groups: dict[str, list[str]] = {}
    for key in channels.names:
        name, _, letters = key.partition("@")
        groups.setdefault(letters, []).append(name)
    return [
        (Masking("q" in letters, "w" in letters, "u" in letters), names)
        for letters, names in groups.items()
    ]
