"""What clouds folds are balanced by: the classes that an image has."""

from collections.abc import Mapping, Sequence

import polars as pl

from tenfold.challenges.clouds.classes import CLASSES
from tenfold.challenges.clouds.options import CloudsSplit
from tenfold.folds import label_sets

#: Column → the labels that it gives an image.
_LABELS = {"classes": pl.col("classes")} | {
    name.lower(): pl.when(pl.col(name.lower())).then(pl.lit(name)) for name in CLASSES
}
COLUMNS = tuple(_LABELS)


def strata(catalogue: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Join what the columns say of an image to one set of labels: "Fish Gravel".

    Args:
        catalogue: one row an image.
        columns: `classes`, which is all of them, or single ones such as `fish`.

    Raises:
        RecipeError: for a column that no folds can be balanced by.
    """
    return label_sets(catalogue, _LABELS, columns)


def keep(catalogue: pl.DataFrame, options: CloudsSplit) -> pl.Series:
    """Keep every image; those of `data.leave_out` are not in the catalogue."""
    del options
    return pl.Series("keep", [True] * len(catalogue), dtype=pl.Boolean)


def measures(catalogue: pl.DataFrame) -> Mapping[str, pl.Series]:
    """Return what should come out even over folds besides the number of images."""
    return {
        f"images with {name}": catalogue[name.lower()].cast(pl.Int64)
        for name in CLASSES
    }


def published(catalogue: pl.DataFrame) -> None:
    """Return None: the source holds none of its labelled images out."""
    del catalogue
