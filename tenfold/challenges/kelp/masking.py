"""Which pixels an index leaves out, and under what name its statistics are kept."""

from dataclasses import dataclass

from tenfold.challenges.kelp.bands import BANDS

#: Published rule: these count as 0/1, whatever they hold, so that the quantile
#: clamp turns metres of elevation into land or water.
BINARY = ("QA", "DEMWM", "NDVIWM", "NDWIWM")


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
