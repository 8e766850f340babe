"""What explore draws of the kelp catalogue, and the statistics of any channel."""

from collections.abc import Mapping
from typing import cast

from tenfold.challenges.kelp.bands import BANDS, SIZE
from tenfold.challenges.kelp.channels import axis, reduce_tile
from tenfold.challenges.kelp.indices import FORMULAS
from tenfold.challenges.kelp.options import KelpRecipe
from tenfold.challenges.kelp.tiles import unpack_tile
from tenfold.data.arrays import Arrays
from tenfold.data.statistics import Channels, Partials
from tenfold.recipe import Recipe

#: Pixels and shares say the same of a column; the one that reads better is drawn.
COLUMNS: Mapping[str, str] = {
    "kelp_pixels": "kelp, pixels",
    "dem_nan_pixels": "no DEM, pixels",
    "dem_zero_pixels_pct": "DEM of 0, share",
    "water_pixels_pct": "DEM of 0 or none, share",
    "qa_corrupted_pixels_pct": "marked by QA, share",
    "valid_pixels_pct": "all bands present, share",
    "has_kelp": "has kelp",
    "high_kelp_pixels_pct": "more than 40 % kelp",
    "dem_has_nans": "DEM has gaps",
    "almost_all_water": "more than 98 % water",
    "qa_ok": "QA marks nothing",
    "high_corrupted_pixels_pct": "QA marks more than 40 %",
}

LEGEND = (
    "After an @, what an index leaves out: q what QA marks, w land, u open sea without"
    " DEM too. Bands leave out missing pixels only, and so do QA, DEMWM, NDVIWM and"
    " NDWIWM, which models take as 0 to 1 whatever stands here."
)


def channels(recipe: Recipe, every: bool) -> Channels:
    """Name the channels of a recipe's members, or all bands and indices.

    Unlike those that ingest counts, masks of 0 and 1 are among them: a model takes
    them as they are, but a person may ask how much of them is 1.

    Args:
        recipe: whose members' masking applies.
        every: all 7 bands and 59 indices instead of the members' own.
    """
    axes = {}
    for member in cast(KelpRecipe, recipe).members:
        names = (*BANDS, *FORMULAS) if every else member.input.channels
        for name in names:
            axes[member.input.masking.key(name)] = axis(name)
    return Channels(axes)


def partials(arrays: Arrays, channels: Channels) -> Partials:
    """Reduce a packed tile to partials of channels named as `channels` does."""
    return reduce_tile(unpack_tile(arrays), channels)


def pixels(arrays: Arrays) -> int:
    """Return how many values a channel of a tile has, present or not."""
    del arrays
    return SIZE * SIZE
