"""Which predictions to look at, and where they look unlike the training labels.

Test records have no labels, so nothing here is a score; what out-of-fold predictions
got right and wrong is among tune's examples.
"""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

# Beyond these a warning is given. They are ours: what a good submission predicts on
# the real test records is not published.
_FAR_TIMES, _FAR_EMPTY = 2.0, 0.25


def choose(table: pl.DataFrame, count: int) -> Mapping[str, list[str]]:
    """Pick records that tell most: extremes, doubts, and some at random.

    Args:
        table: with what `describe` says of each prediction.
        count: most records of a kind.
    """

    def top(
        column: str, of: pl.DataFrame = table, descending: bool = True
    ) -> list[str]:
        order = of.sort([column, "id"], descending=[descending, False])
        return order["id"].head(count).to_list()

    some = table.filter(pl.col("contrail_pixels") > 0)
    none = table.filter(pl.col("contrail_pixels") == 0)
    return {
        "most contrail": top("contrail_pixels"),
        "least contrail, but some": top("contrail_pixels", some, descending=False),
        "most pieces": top("pieces"),
        "nothing found, most uncertain": top("uncertainty", none),
        "nearest the threshold": top("near_threshold"),
        "at random": table.sample(min(count, len(table)), seed=0)["id"].to_list(),
    }


def comparison(test: pl.DataFrame, train: pl.DataFrame) -> list[dict[str, Any]]:
    """Compare what is predicted with the labels of training records."""
    found, labelled = test["contrail_pixels"], train["pixels"]
    rows: dict[str, tuple[float | None, float | None]] = {
        "contrail pixels a record, mean": (_mean(found), _mean(labelled)),
        "records without contrail": (_mean(found == 0), _mean(labelled == 0)),
        "contrail pixels where there are any, median": (
            _median(found),
            _median(labelled),
        ),
        "most contrail pixels in a record": (_most(found), _most(labelled)),
        "contrail, share of all pixels": (_mean(test["contrail_share"]), None),
        "separate pieces a record, mean": (_mean(test["pieces"]), None),
    }
    return [
        {"what": what, "predicted, test": predicted, "labelled, train": known}
        for what, (predicted, known) in rows.items()
    ]


def warnings(test: pl.DataFrame, train: pl.DataFrame) -> list[str]:
    """Compare predictions with the labels of training records, in words."""
    found, labelled = test["contrail_pixels"], train["pixels"]
    pixels, usual = _mean(found), _mean(labelled)
    empty, usual_empty = _mean(found == 0), _mean(labelled == 0)
    most = _most(labelled)
    more = int((found > most).sum())
    checks: list[tuple[bool, Callable[[], str]]] = [
        (
            pixels > _FAR_TIMES * usual or pixels < usual / _FAR_TIMES,
            lambda: (
                f"{pixels:.1f} pixels of a test record are predicted contrail on"
                f" average; {usual:.1f} of a training record are labelled. Is the"
                " threshold right?"
            ),
        ),
        (
            abs(empty - usual_empty) > _FAR_EMPTY,
            lambda: (
                f"{empty:.0%} of the test records have no contrail at all;"
                f" {usual_empty:.0%} of the training records have none."
            ),
        ),
        (
            more > 0,
            lambda: (
                f"{more} test records are predicted to have more contrail than any"
                f" training record has, {most:.0f} pixels."
            ),
        ),
    ]
    return [words() for wrong, words in checks if wrong]


def _mean(values: pl.Series) -> float:
    return float(values.cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]


def _most(values: pl.Series) -> float:
    return float(values.cast(pl.Float64).max() or 0.0)  # type: ignore[arg-type]


def _median(values: pl.Series) -> float | None:
    """Return the median of what is above 0; none if nothing is."""
    some = values.filter(values > 0).cast(pl.Float64)
    return float(some.median()) if len(some) else None  # type: ignore[arg-type]
