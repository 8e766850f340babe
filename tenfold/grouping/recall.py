"""What a search for overlaps found, against overlaps that are known."""

from collections.abc import Sequence

import polars as pl

from tenfold.recipe import Json

#: Pairs that share less land than this need not be found (share of a sample).
LAND_SHARE = 0.1
_OVERLAPS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
_SHIFTS = (0, 25, 50, 100, 150, 200)


def judge_overlaps(
    found: pl.DataFrame, known: pl.DataFrame, ids: Sequence[str]
) -> Json:
    """Return precision and recall of found pairs, and recall by kind of pair.

    Args:
        found: columns a, b; pairs of samples.
        known: columns tile_a, tile_b, row_shift, col_shift, overlap_share,
            land_share; every pair that overlaps at all.
        ids: samples that took part.

    Returns:
        `precision` (of all found pairs), `recall` (of pairs that share land on
        LAND_SHARE of a sample), `pairs`, `by_overlap` and `by_shift`; a figure
        over no pairs is None.
    """
    pair = pl.concat_str(
        pl.min_horizontal("a", "b"), pl.max_horizontal("a", "b"), separator=" "
    )
    known = known.rename({"tile_a": "a", "tile_b": "b"}).filter(
        pl.col("a").is_in(ids) & pl.col("b").is_in(ids)
    )
    known = known.with_columns(
        pair=pair,
        shift=pl.max_horizontal(pl.col("row_shift").abs(), pl.col("col_shift").abs()),
    )
    pairs = found.select(pair=pair).unique()["pair"]
    known = known.with_columns(found=pl.col("pair").is_in(pairs.to_list()))
    wanted = known.filter(pl.col("land_share") >= LAND_SHARE)
    right = pairs.is_in(known["pair"].to_list())
    return {
        "pairs": len(wanted),
        "precision": _share(right),
        "recall": _share(wanted["found"]),
        "by_overlap": _by(wanted, "overlap_share", _OVERLAPS),
        "by_shift": _by(wanted, "shift", _SHIFTS),
    }


def _by(wanted: pl.DataFrame, column: str, borders: Sequence[float]) -> list[Json]:
    """Return recall between borders; the last one takes what is beyond it."""
    rows = []
    for low, high in zip(borders, (*borders[1:], float("inf")), strict=True):
        part = wanted.filter((pl.col(column) >= low) & (pl.col(column) < high))
        if len(part):
            label = (
                f"{low:g} to {high:g}" if high < float("inf") else f"{low:g} or more"
            )
            rows.append(
                {column: label, "pairs": len(part), "recall": _share(part["found"])}
            )
    return rows


def _share(values: pl.Series) -> float | None:
    return float(values.sum()) / len(values) if len(values) else None
