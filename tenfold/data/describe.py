"""Describe a catalogue: what its columns hold, by split and by fold.

Only a column's type decides how it is described: a number gets moments and quartiles,
a yes or no gets counts. Names that every catalogue has say who a sample is, not what it
is like, and are left out.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from tenfold.data.arrays import BoolArray, Float64Array

#: Columns of any catalogue, and those that groups and folds add.
IDENTITY = ("id", "split", "group", "group_size", "fold", "shard", "row")
_ORIGIN = ("source", "checksum")
ALL = "all"


def numbers(table: pl.DataFrame) -> list[str]:
    """Name the columns of numbers."""
    return [n for n, kind in table.schema.items() if kind.is_numeric() and _says(n)]


def flags(table: pl.DataFrame) -> list[str]:
    """Name the columns of yes or no."""
    return [n for n, kind in table.schema.items() if kind == pl.Boolean and _says(n)]


def _says(name: str) -> bool:
    return name not in IDENTITY and name not in _ORIGIN


def _parts(table: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Return the splits in order of name, then all samples."""
    names = table["split"].unique().sort().to_list()
    parts = [(name, table.filter(pl.col("split") == name)) for name in names]
    return [*parts, (ALL, table)]


def splits(table: pl.DataFrame) -> pl.DataFrame:
    """Count the samples of each split: split, samples, share."""
    counts = table.group_by("split").len(name="samples").sort("split")
    return counts.with_columns(share=pl.col("samples") / len(table))


def description(table: pl.DataFrame) -> pl.DataFrame:
    """Describe every column of numbers, by split and over all samples.

    Returns:
        column, split, count, missing, mean, std (of the sample, n - 1), min, 25%, 50%,
        75% (linear between neighbours), max; null where nothing is known.
    """
    rows = [
        {"column": name, "split": split, **_moments(part[name])}
        for name in numbers(table)
        for split, part in _parts(table)
    ]
    schema = {"column": pl.String, "split": pl.String} | dict.fromkeys(
        ("count", "missing"), pl.Int64
    )
    figures = ("mean", "std", "min", "25%", "50%", "75%", "max")
    return pl.DataFrame(rows, schema=schema | dict.fromkeys(figures, pl.Float64))


def _moments(values: pl.Series) -> dict[str, float | int]:
    known = values.drop_nulls().cast(pl.Float64).to_numpy()
    known = known[np.isfinite(known)]
    counts: dict[str, float | int] = {
        "count": len(known),
        "missing": len(values) - len(known),
    }
    if not len(known):
        return counts
    shares = {"min": 0.0, "25%": 0.25, "50%": 0.5, "75%": 0.75, "max": 1.0}
    quantiles = np.quantile(known, [*shares.values()])
    moments = {"mean": float(known.mean())}
    if len(known) > 1:
        moments["std"] = float(known.std(ddof=1))
    return counts | moments | dict(zip(shares, map(float, quantiles), strict=True))


def proportions(table: pl.DataFrame) -> pl.DataFrame:
    """Count every yes or no, by split and over all samples.

    Returns:
        column, split, yes, no, unknown, share_yes (of what is known, or null).
    """
    rows = []
    for name in flags(table):
        for split, part in _parts(table):
            yes, known = int(part[name].sum()), part[name].count()
            rows.append(
                {
                    "column": name,
                    "split": split,
                    "yes": yes,
                    "no": known - yes,
                    "unknown": len(part) - known,
                    "share_yes": yes / known if known else None,
                }
            )
    counts = dict.fromkeys(("yes", "no", "unknown"), pl.Int64)
    names = {"column": pl.String, "split": pl.String}
    return pl.DataFrame(rows, schema=names | counts | {"share_yes": pl.Float64})


def correlations(table: pl.DataFrame) -> pl.DataFrame:
    """Correlate all numbers and flags (as 0 and 1) with each other.

    Returns:
        column, then one column a name: Pearson's r over the samples where both are
        known; null where one of them does not vary.
    """
    names = [*numbers(table), *flags(table)]
    values = {n: table[n].cast(pl.Float64).to_numpy().astype(np.float64) for n in names}
    known = {name: np.isfinite(column) for name, column in values.items()}
    rows = [
        {
            "column": a,
            **{b: _pearson(values[a], values[b], known[a] & known[b]) for b in names},
        }
        for a in names
    ]
    return pl.DataFrame(rows, {"column": pl.String} | dict.fromkeys(names, pl.Float64))


def _pearson(a: Float64Array, b: Float64Array, both: BoolArray) -> float | None:
    x, y = a[both], b[both]
    if not x.size or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    x, y = x - x.mean(), y - y.mean()
    r = float((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()))
    return min(max(r, -1.0), 1.0)


def group_sizes(table: pl.DataFrame) -> pl.DataFrame:
    """Count groups by how many samples they have: size, groups, samples."""
    sizes = table.drop_nulls("group").unique("group")
    counts = sizes.group_by("group_size").len(name="groups").sort("group_size")
    return counts.select(
        pl.col("group_size").alias("size"),
        "groups",
        samples=pl.col("group_size") * pl.col("groups"),
    )


def fold_balance(table: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Say how even the folds are, a row a fold and one of all of them.

    Args:
        table: samples with their `group`, and their `fold` or null.
        columns: numbers, whose means are compared, and flags, whose shares are.

    Returns:
        fold ("all" in the last row), samples, groups, then one column a name.
    """
    used = table.drop_nulls("fold")
    means = [pl.col(name).cast(pl.Float64).mean() for name in columns]
    figures = [pl.len().alias("samples"), pl.col("group").n_unique().alias("groups")]
    by_fold = used.group_by("fold").agg(*figures, *means).sort("fold")
    whole = used.select(pl.lit(ALL).alias("fold"), *figures, *means)
    return pl.concat([by_fold.with_columns(pl.col("fold").cast(pl.String)), whole])
