"""What kelp folds are balanced by, and which tiles stay out of them."""

from collections.abc import Mapping, Sequence

import polars as pl

from tenfold.challenges.kelp.options import KelpSplit
from tenfold.errors import RecipeError

#: Those with few values; shares and counts would make a stratum of every tile.
COLUMNS = (
    "has_kelp",
    "kelp_level",
    "high_kelp_pixels_pct",
    "dem_has_nans",
    "almost_all_water",
    "qa_ok",
    "high_corrupted_pixels_pct",
)


def strata(catalogue: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Join the named catalogue columns into one label a tile."""
    unknown = [name for name in columns if name not in catalogue.columns]
    if unknown:
        known = ", ".join(n for n, t in catalogue.schema.items() if t == pl.Boolean)
        raise RecipeError(f"split.strata: no column {unknown[0]!r}; there is {known}")
    if not columns:
        return pl.Series("stratum", ["all"] * len(catalogue))
    joined = pl.concat_str([pl.col(c).cast(pl.String) for c in columns], separator="|")
    return catalogue.select(joined.alias("stratum")).to_series()


def keep(catalogue: pl.DataFrame, options: KelpSplit) -> pl.Series:
    """Leave out tiles whose mask is almost all kelp: they are mislabelled."""
    share = pl.col("kelp_pixels_pct") <= options.max_kelp_share
    return catalogue.select(share.alias("keep")).to_series()


def measures(catalogue: pl.DataFrame) -> Mapping[str, pl.Series]:
    """Return what should come out even over folds besides the number of tiles."""
    return {
        "kelp pixels": catalogue["kelp_pixels"],
        "tiles with kelp": catalogue["has_kelp"].cast(pl.Int64),
    }


def published(catalogue: pl.DataFrame) -> None:
    """Return None: the source holds none of its labelled tiles out."""
    del catalogue
