"""split: folds that no group crosses, with the proof that later stages check."""

import polars as pl

from tenfold.challenges import Challenge
from tenfold.data.dataset import Dataset, write_table
from tenfold.data.files import write_json
from tenfold.errors import LeakError, StoreError
from tenfold.folds import NO_FOLD, FoldTable, assign, random_leak
from tenfold.grouping.statement import claims
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
    groups = pl.read_parquet(grouped.path / GROUPS)
    strata = challenge.strata.strata(catalogue, options.strata)
    kept = challenge.strata.keep(catalogue, options)
    table = catalogue.select("id").with_columns(stratum=strata, kept=kept)
    table = table.join(groups, on="id", how="left").sort("id")
    used = table.filter("kept")
    group_of = used["group"].to_numpy()
    labels = used["stratum"].to_list()
    fold = assign(group_of, labels, options.k, seed, options.method)
    placed = used.select("id").with_columns(fold=pl.Series(fold))
    table = table.join(placed, on="id", how="left").sort("id")
    table = table.with_columns(pl.col("fold").fill_null(NO_FOLD)).drop("kept", "size")
    fingerprint = data.json(SUMMARY)["fingerprint"]
    folds = FoldTable(table, options.k, fingerprint)
    folds.check()
    write_table(workspace.path / FOLDS, table)
    write_json(workspace.path / PROOF, folds.proof())
    summary = _summarise(challenge, catalogue, table, options.k)
    summary["random_split"] = random_leak(
        group_of, labels, options.k, seed, options.method
    )
    summary["statement"] = _statement(table, grouped)
    write_json(workspace.path / SUMMARY, summary)


def _summarise(
    challenge: Challenge, catalogue: pl.DataFrame, table: pl.DataFrame, k: int
) -> Json:
    """Say how even the folds came out, in samples and in what matters."""
    measures = dict(challenge.strata.measures(catalogue))
    joined = catalogue.select("id").with_columns(**measures).join(table, on="id")
    rows = []
    for fold in range(k):
        part = joined.filter(pl.col("fold") == fold)
        row = {"fold": fold, "samples": len(part), "groups": part["group"].n_unique()}
        rows.append(row | {name: int(part[name].sum()) for name in measures})
    left_out = joined.filter(pl.col("fold") == NO_FOLD)["id"].to_list()
    return {"folds": rows, "left_out": sorted(left_out)}


def _statement(table: pl.DataFrame, grouped: Entry) -> Json:
    """Say what the proof means, given how near-duplicates were looked for.

    The proof is about groups; this goes back to the pairs they were made of.

    Returns:
        `pairs` between samples in folds, `crossing` (0), the `searches` that found
        them, and what that proves, as sentences (`claims`).

    Raises:
        LeakError: if a pair crosses folds.
    """
    fold = table.filter(pl.col("fold") != NO_FOLD).select("id", "fold")
    pairs = pl.read_parquet(grouped.path / EDGES).select("a", "b")
    pairs = pairs.join(fold, left_on="a", right_on="id")
    pairs = pairs.join(fold, left_on="b", right_on="id", suffix="_b")
    crossing = pairs.filter(pl.col("fold") != pl.col("fold_b"))
    if len(crossing):
        a, b = crossing.select("a", "b").row(0)
        raise LeakError(
            f"{a} and {b} are near-duplicates in two folds; run group and split again"
        )
    searches = grouped.json(SUMMARY)["searches"]
    return {
        "pairs": len(pairs),
        "crossing": len(crossing),
        "searches": searches,
        "claims": claims(searches),
    }
