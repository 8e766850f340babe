"""The page of explore: what the data hold, in counts, distributions and pictures."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from tenfold.data import describe
from tenfold.data.dataset import Dataset
from tenfold.reports import figures
from tenfold.reports.page import Page, Picture
from tenfold.stages.context import Context
from tenfold.stages.entries import SUMMARY
from tenfold.stages.explore import (
    CORRELATIONS,
    DESCRIPTION,
    FOLD_BALANCE,
    GROUP_SIZES,
    PROPORTIONS,
    SAMPLES,
    SET_ASIDE,
    SPLITS,
)
from tenfold.stages.pages import Shown
from tenfold.store import Entry

#: The published exploration draws as many bins.
_BINS, _GROUP_BINS = 50, 35
_DWARFS = 10
_AT_RANDOM, _SEED = 3, 0
_FIGURES = ("mean", "std", "min", "25%", "50%", "75%", "max")


def show(context: Context, entry: Entry) -> Shown:
    """Describe a data set."""
    summary, samples = entry.json(SUMMARY), _table(entry, SAMPLES)
    drawn = dict(summary["drawn"])
    numbers = {n: words for n, words in drawn.items() if n in describe.numbers(samples)}
    flags = {n: words for n, words in drawn.items() if n in describe.flags(samples)}
    page = Page("Exploration", "What the data hold.", "explore")
    _facts(page, entry, samples)
    _counts(page, entry, flags)
    _distributions(page, entry, samples, numbers)
    _correlations(page, entry, drawn)
    if GROUP_SIZES in summary["tables"]:
        _groups(page, entry, samples)
    if FOLD_BALANCE in summary["tables"]:
        _folds(page, entry, numbers, flags)
    _gallery(page, context, entry, samples, numbers)
    _set_aside(page, entry)
    page.section("Tables")
    names = ", ".join(f"{name}.csv" for name in summary["tables"])
    page.text(
        f"In {entry.address} of the store, also as parquet: {names}. They are of data"
        f" set {summary['fingerprint']}."
    )
    line = f"{len(samples)} samples, {len(samples.columns)} columns"
    return Shown(page, line, {"samples": float(len(samples))})


def _table(entry: Entry, name: str) -> pl.DataFrame:
    return pl.read_parquet(entry.path / f"{name}.parquet")


def _facts(page: Page, entry: Entry, samples: pl.DataFrame) -> None:
    facts: dict[str, str | int] = {
        f"{row['split']} samples": row["samples"]
        for row in _table(entry, SPLITS).iter_rows(named=True)
    }
    if "group" in samples.columns:
        facts["groups"] = samples["group"].drop_nulls().n_unique()
    if "fold" in samples.columns:
        facts["folds"] = samples["fold"].drop_nulls().n_unique()
    facts["set aside"] = len(_table(entry, SET_ASIDE))
    page.facts(facts)


def _counts(page: Page, entry: Entry, flags: Mapping[str, str]) -> None:
    """Count samples by split and by each yes or no."""
    page.section("Counts")
    splits = _table(entry, SPLITS)
    by_split = dict(zip(splits["split"], splits["samples"], strict=True))
    page.figure(figures.bars(by_split, "samples"), "Samples by split.")
    proportions = _table(entry, PROPORTIONS)
    page.text("A label is unknown where there is none, as in test.")
    whole = proportions.filter(pl.col("split") == describe.ALL)
    answers = ["yes", "no", *(["unknown"] if whole["unknown"].sum() else [])]
    counts = dict(zip(whole["column"], whole.select(answers).to_dicts(), strict=True))
    names, half = list(flags), math.ceil(len(flags) / 2)
    for part in filter(None, (names[:half], names[half:])):
        shown = {flags[name]: counts[name] for name in part}
        page.figure(
            figures.grouped_bars(shown, "samples"), alt=f"Counts of {', '.join(shown)}."
        )
    page.table(_named(proportions, flags), "Shares of what is known, by split.")


def _named(table: pl.DataFrame, names: Mapping[str, str]) -> list[dict[str, object]]:
    """Return the rows of some columns, in their order, called by what they measure."""
    rows = table.rows_by_key("column", named=True)
    return [
        {"column": names[name], **row} for name in names for row in rows.get(name, [])
    ]


def _distributions(
    page: Page, entry: Entry, samples: pl.DataFrame, numbers: Mapping[str, str]
) -> None:
    page.section("Distributions", "Training against test samples.")
    for name, words in numbers.items():
        parts = [
            samples.filter(pl.col("split") == split)[name].drop_nulls().to_list()
            for split in ("train", "test")
        ]
        page.figure(
            figures.histogram(
                parts[0],
                x_label=words,
                log_y=_lopsided(parts[0]),
                second=parts[1] or None,
                labels=("train", "test") if parts[1] else ("", ""),
                bins=_BINS,
                y_label="samples",
            ),
            alt=f"Histogram of {words}.",
        )
    description = _table(entry, DESCRIPTION)
    # Shares and amounts side by side would round each other away.
    large = {n for n in numbers if (description.filter(column=n)["max"].max() or 0) > 1}  # type: ignore[operator]
    for kind, chosen in (("Amounts", large), ("Shares", set(numbers) - large)):
        rows = _named(description, {n: numbers[n] for n in numbers if n in chosen})
        if rows:
            page.table(rows, f"{kind}, a row a split.")
    page.details("Every column", _every_column(description))


def _lopsided(values: Sequence[float]) -> bool:
    """Tell whether one bin would dwarf the others."""
    counts = np.histogram(values, _BINS)[0] if values else np.zeros(1)
    return bool(counts.max() > _DWARFS * max(counts.mean(), 1))


def _every_column(description: pl.DataFrame) -> list[dict[str, object]]:
    """Return all rows, each number written by its own size."""
    return [
        {
            **row,
            **{f: None if row[f] is None else f"{row[f]:.4g}" for f in _FIGURES},
        }
        for row in description.iter_rows(named=True)
    ]


def _correlations(page: Page, entry: Entry, drawn: Mapping[str, str]) -> None:
    page.section(
        "Correlations",
        "Pearson's r over all samples, in hundredths; yes is 1 and no 0.",
    )
    table = _table(entry, CORRELATIONS)
    names = [n for n in drawn if n in table.columns]
    rows = {row["column"]: row for row in table.iter_rows(named=True)}
    values = [[_number(rows[a][b]) for b in names] for a in names]
    labels = [drawn[name] for name in names]
    page.figure(
        figures.matrix(values, labels, labels),
        "A dash where one of the two does not vary.",
        "Correlation matrix of the columns.",
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else round(100 * value)


def _groups(page: Page, entry: Entry, samples: pl.DataFrame) -> None:
    page.section("Groups", "Train samples that show the same place share one.")
    sizes = samples.drop_nulls("group").unique("group")["group_size"]
    several = sizes.filter(sizes > 1)
    page.facts(
        {
            "groups": len(sizes),
            "of one sample": len(sizes) - len(several),
            "largest": int(sizes.to_numpy().max()),
        }
    )
    for caption, values in (
        ("Groups by size.", sizes),
        ("Groups by size, without those of one sample.", several),
    ):
        top = int(values.max() or 1)  # type: ignore[arg-type]
        # Bins as wide as whole sizes, so that none straddles two.
        width = math.ceil(top / _GROUP_BINS)
        edges = 0.5 + width * np.arange(math.ceil(top / width) + 1)
        page.figure(
            figures.histogram(
                np.histogram(values, edges)[0],
                x_label="samples in the group",
                log_y=_lopsided(values.to_list()),
                edges=edges,
                y_label="groups",
            ),
            caption,
        )
    page.details("Groups by size", _table(entry, GROUP_SIZES).to_dicts())


def _folds(
    page: Page, entry: Entry, numbers: Mapping[str, str], flags: Mapping[str, str]
) -> None:
    page.section("Folds", "How even they are: counts, shares of yes, and means.")
    balance = _table(entry, FOLD_BALANCE)
    folds = balance.filter(pl.col("fold") != describe.ALL)
    counts = {f"fold {f}": n for f, n in folds.select("fold", "samples").iter_rows()}
    page.figure(figures.bars(counts, "samples"), "Samples held out in each fold.")
    for caption, chosen in (("Shares of yes.", flags), ("Means.", numbers)):
        columns = ["fold", "samples", "groups"] if chosen is flags else ["fold"]
        rows = balance.select(*columns, *chosen).rename(dict(chosen))
        page.table(rows.to_dicts(), caption, highlight=len(rows) - 1)


def _gallery(
    page: Page,
    context: Context,
    entry: Entry,
    samples: pl.DataFrame,
    numbers: Mapping[str, str],
) -> None:
    page.section("Samples", "Some at random, and the extreme of each column.")
    dataset = Dataset(context.store.open(entry.inputs["dataset"]).path)
    pictures = [
        Picture(pixels, name, f"{id_}: {why}")
        for id_, why in chosen(samples, numbers).items()
        for name, pixels in context.challenge.drawing.views(dataset.sample(id_)).items()
    ]
    page.pictures(pictures)


def chosen(samples: pl.DataFrame, numbers: Mapping[str, str]) -> dict[str, str]:
    """Return sample → why it is shown; equals are ordered by id.

    Args:
        samples: at least one.
        numbers: columns whose largest value is shown, in words.
    """
    found: dict[str, list[str]] = {}
    for split in samples["split"].unique().sort(descending=True).to_list():
        part = samples.filter(pl.col("split") == split).sort("id")
        picked = part.sample(min(_AT_RANDOM, len(part)), seed=_SEED)["id"].to_list()
        for id_ in picked[: _AT_RANDOM if split == "train" else 1]:
            found.setdefault(id_, []).append(f"{split}, at random")
    for name, words in numbers.items():
        known = samples.drop_nulls(name)
        order = known.sort([name, "id"], descending=[True, False])
        if len(order) and order[name][0] != order[name][-1]:
            found.setdefault(order["id"][0], []).append(f"most {words}")
    return {id_: "; ".join(why) for id_, why in found.items()}


def _set_aside(page: Page, entry: Entry) -> None:
    page.section("Set aside")
    faults: Sequence[dict[str, object]] = _table(entry, SET_ASIDE).to_dicts()
    if not faults:
        page.note("good", "Every file was usable.")
        return
    page.note("warning", f"{len(faults)} files were unusable and take no part.")
    page.table(faults)
