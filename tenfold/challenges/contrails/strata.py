"""What contrails folds are balanced by: contrails, and the source's own parts."""

from collections.abc import Mapping, Sequence

import polars as pl

from tenfold.challenges.contrails.options import ContrailsSplit
from tenfold.folds import label_sets

_TRAIN, _VALIDATION = "train", "validation"
#: Column → the labels that it gives a record.
_LABELS = {
    "contrail": pl.when(pl.col("contrail")).then(pl.lit("contrail")),
    "part": pl.col("part"),
}
COLUMNS = tuple(_LABELS)


def strata(catalogue: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Join what the columns say of a record to one set of labels: "contrail train".

    Args:
        catalogue: one row a record.
        columns: of COLUMNS, in any order.

    Raises:
        RecipeError: for a column that no folds can be balanced by.
    """
    return label_sets(catalogue, _LABELS, columns)


def keep(catalogue: pl.DataFrame, options: ContrailsSplit) -> pl.Series:
    """Keep every record; what is unusable is not in the catalogue."""
    del options
    return pl.Series("keep", [True] * len(catalogue), dtype=pl.Boolean)


def measures(catalogue: pl.DataFrame) -> Mapping[str, pl.Series]:
    """Return what should come out even over folds besides the number of records."""
    amounts = {
        "records with contrails": catalogue["contrail"].cast(pl.Int64),
        "contrail pixels": catalogue["pixels"],
    }
    of_parts = {
        f"records of {part}": (catalogue["part"] == part).cast(pl.Int64)
        for part in (_TRAIN, _VALIDATION)
    }
    return amounts | of_parts


def published(catalogue: pl.DataFrame) -> pl.Series:
    """Return True for records of the competition's validation part."""
    return (catalogue["part"] == _VALIDATION).alias("published")
