"""split: folds that no group crosses, with the proof that later stages check."""

from collections.abc import Mapping

import polars as pl

from tenfold.challenges import Challenge
from tenfold.data.arrays import IntArray
from tenfold.data.dataset import Dataset, write_table
from tenfold.data.files import write_json
from tenfold.errors import LeakError, RecipeError, StoreError
from tenfold.folds import (
    ALWAYS,
    NO_FOLD,
    FoldTable,
    assign,
    leaked,
    published,
    random_leak,
)
from tenfold.grouping.statement import claims, leak, method
from tenfold.recipe import Json, SplitOptions
from tenfold.stages.context import Context, Reference, section
from tenfold.stages.entries import EDGES, FOLDS, GROUPS, PROOF, SUMMARY
from tenfold.store import Entry, Workspace

PARTS = ("strata",)


def run(context: Context, dataset: Reference, groups: Reference) -> Reference:
    """Assign folds to the train samples of a data set."""
    recipe = context.recipe
    data, grouped = context.entry(dataset, "ingest"), context.entry(groups, "group")
    if grouped.inputs["dataset"] != data.address:
        raise StoreError("these groups are of another data set; run group again")
    options = section(recipe.split) | {"seed": recipe.seed}

    def work(workspace: Workspace) -> None:
        _split(context.challenge, data, grouped, recipe.split, recipe.seed, workspace)

    inputs = {"dataset": data.address, "groups": grouped.address}
    return context.build("split", "split", inputs, options, PARTS, work)


def _split(
    challenge: Challenge,
    data: Entry,
    grouped: Entry,
    options: SplitOptions,
    seed: int,
    workspace: Workspace,
) -> None:
    catalogue = Dataset(data.path).rows("train")
    samples = _samples(challenge, catalogue, grouped, options)
    used = samples.filter("kept")
    placed = used.select("id").with_columns(
        fold=pl.Series(_folds(challenge, used, options, seed), dtype=pl.Int64)
    )
    table = samples.join(placed, on="id", how="left").sort("id")
    table = table.with_columns(pl.col("fold").fill_null(NO_FOLD))
    table = table.select("id", "stratum", "group", "fold")
    fingerprint = data.json(SUMMARY)["fingerprint"]
    folds = FoldTable(table, options.k, fingerprint)
    folds.check()
    write_table(workspace.path / FOLDS, table)
    write_json(workspace.path / PROOF, folds.proof())
    summary = _summarise(challenge, catalogue, folds)
    summary["random_split"] = _random_split(used, options, seed)
    summary["published_split"] = _published_split(used, grouped)
    summary["statement"] = _statement(folds, grouped, summary["published_split"])
    write_json(workspace.path / SUMMARY, summary)


def _samples(
    challenge: Challenge,
    catalogue: pl.DataFrame,
    grouped: Entry,
    options: SplitOptions,
) -> pl.DataFrame:
    """Return what folds are made from, a row a train sample.

    Returns:
        id, stratum, kept, group, and held_out: whether the source holds it out, null
        if it says so of none.
    """
    part = challenge.strata
    of_source = part.published(catalogue)
    table = catalogue.select("id").with_columns(
        stratum=part.strata(catalogue, options.strata),
        kept=part.keep(catalogue, options),
        held_out=pl.lit(None, pl.Boolean) if of_source is None else of_source,
    )
    groups = pl.read_parquet(grouped.path / GROUPS).select("id", "group")
    return table.join(groups, on="id", how="left").sort("id")


def _folds(
    challenge: Challenge, used: pl.DataFrame, options: SplitOptions, seed: int
) -> IntArray:
    """Return the fold of each sample that is used, by the recipe's method."""
    if options.method != "published":
        strata = used["stratum"].to_list()
        groups = used["group"].to_numpy()
        return assign(groups, strata, options.k, seed, options.method)
    if used["held_out"].is_null().any():
        raise RecipeError(
            f"{challenge.name} has no published split: its source holds no labelled"
            " samples out; set split.method to stratified and split.k to 2 or more"
        )
    return published(used["held_out"].to_numpy())


def _summarise(challenge: Challenge, catalogue: pl.DataFrame, folds: FoldTable) -> Json:
    """Say how even the folds came out, in samples and in what matters."""
    measures = dict(challenge.strata.measures(catalogue))
    joined = catalogue.select("id").with_columns(**measures)
    joined = joined.join(folds.table, on="id")

    def amounts(fold: int) -> Json:
        part = joined.filter(pl.col("fold") == fold)
        counts = {"samples": len(part), "groups": part["group"].n_unique()}
        return counts | {name: int(part[name].sum()) for name in measures}

    left_out = joined.filter(pl.col("fold") == NO_FOLD)["id"].to_list()
    return {
        "folds": [{"fold": fold} | amounts(fold) for fold in range(folds.k)],
        "always": amounts(ALWAYS) if folds.published else None,
        "left_out": sorted(left_out),
    }


def _random_split(
    used: pl.DataFrame, options: SplitOptions, seed: int
) -> Mapping[str, float] | None:
    """Say what folds that ignore groups would leak; nothing, of one fold."""
    if options.method == "published":
        return None
    strata, groups = used["stratum"].to_list(), used["group"].to_numpy()
    return random_leak(groups, strata, options.k, seed, options.method)


def _published_split(used: pl.DataFrame, grouped: Entry) -> Json | None:
    """Say what the source's own split leaks, whatever the folds of the recipe are.

    Returns:
        Samples that are `held_out`, those `leaked`, which share a group with training,
        and of these the `direct` near-duplicates of a training sample; None if the
        source has no such split.
    """
    held_out = used["held_out"]
    if not held_out.any() or held_out.all():
        return None
    table = used.with_columns(fold=pl.when("held_out").then(0).otherwise(ALWAYS))
    crossing = _crossing(_pairs(table, grouped))
    ends = pl.concat([crossing.select(id="a"), crossing.select(id="b")]).unique()
    direct = table.filter(pl.col("fold") == 0).join(ends, on="id", how="semi")
    return {
        "held_out": int(held_out.sum()),
        "leaked": len(leaked(table, 0)),
        "direct": len(direct),
    }


def _statement(folds: FoldTable, grouped: Entry, of_source: Json | None) -> Json:
    """Say what the proof means, given how near-duplicates were looked for.

    The proof is about groups; this goes back to the pairs they were made of.

    Returns:
        `pairs` between samples in folds, `crossing` (0, but for the published split),
        the `searches` that found them, and what that proves, as sentences (`claims`;
        where the published split leaks, how much, and how it was looked for).

    Raises:
        LeakError: if a pair crosses folds that are not the published split.
    """
    pairs = _pairs(folds.table, grouped)
    crossing = _crossing(pairs)
    if len(crossing) and not folds.published:
        a, b = crossing.select("a", "b").row(0)
        raise LeakError(
            f"{a} and {b} are near-duplicates in two folds; run group and split again"
        )
    searches = grouped.json(SUMMARY)["searches"]
    said = claims(searches)
    if folds.published and of_source is not None and of_source["leaked"]:
        said = [leak(of_source, searches), *map(method, searches)]
    return {
        "pairs": len(pairs),
        "crossing": len(crossing),
        "searches": searches,
        "claims": said,
    }


def _pairs(table: pl.DataFrame, grouped: Entry) -> pl.DataFrame:
    """Return the near-duplicates among samples in folds: a, b, fold, fold_b."""
    fold = table.filter(pl.col("fold") != NO_FOLD).select("id", "fold")
    pairs = pl.read_parquet(grouped.path / EDGES).select("a", "b")
    pairs = pairs.join(fold, left_on="a", right_on="id")
    return pairs.join(fold, left_on="b", right_on="id", suffix="_b")


def _crossing(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.filter(pl.col("fold") != pl.col("fold_b"))
