"""A tile's channels: bands and indices, with what is masked out of each.

Written once over NumPy and torch, so that statistics and the model's own
preprocessing cannot disagree.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tenfold.challenges.kelp.bands import BAND_INDEX, BANDS, MISSING, SPECTRAL
from tenfold.challenges.kelp.indices import FORMULAS, Planes
from tenfold.data.statistics import Axis, Channels

#: Published rule: these count as 0/1, whatever they hold, so that the quantile
#: clamp turns metres of elevation into land or water.
BINARY = ("QA", "DEMWM", "NDVIWM", "NDWIWM")
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


@dataclass(frozen=True)
class Masking:
    """Where indices are left out; bands never are.

    Attributes:
        qa: leave out pixels that QA marks.
        water: leave out land, i.e. an elevation above 0.
        unknown_is_land: treat open sea without DEM as land. A slip of the
            published system (a comparison with NaN), kept for its recipe only.
    """

    qa: bool = True
    water: bool = True
    unknown_is_land: bool = False

    def suffix(self) -> str:
        """Return a short name, to tell one index's statistics under two masks."""
        letters = "q" * self.qa + "w" * self.water + "u" * self.unknown_is_land
        return f"@{letters}" if letters else ""

    def key(self, channel: str) -> str:
        """Return the name under which a channel's statistics are kept."""
        masked = channel not in BANDS and channel not in BINARY
        return channel + self.suffix() if masked else channel


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
    valid = raw[..., 0, :, :] != MISSING
    for band in range(1, len(SPECTRAL)):
        valid = valid & (raw[..., band, :, :] != MISSING)
    return valid


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
    dem_known = raw[..., BAND_INDEX["DEM"], :, :] != MISSING
    valid = spectral_valid(raw)
    index_counts = valid
    if masking.qa:
        index_counts = index_counts & (bands["QA"] == 0)
    if masking.water:
        sea = bands["DEM"] <= 0
        index_counts = index_counts & (
            sea & dem_known if masking.unknown_is_land else sea
        )
    S, N, R, G, B = (bands[name] for name in SPECTRAL)
    source = Planes(S, N, R, G, B, bands["DEM"], xp)
    for name in names:
        if name in BAND_INDEX:
            yield bands[name], raw[..., BAND_INDEX[name], :, :] != MISSING
        elif name == "DEMWM":
            yield FORMULAS[name](source), dem_known
        else:
            counts = valid if name in BINARY else index_counts
            yield FORMULAS[name](source), counts
