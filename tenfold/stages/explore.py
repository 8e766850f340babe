"""explore: what a data set holds, as tables for people, notebooks and spreadsheets."""

from dataclasses import dataclass

import polars as pl

from tenfold.challenges import Challenge
from tenfold.data import describe
from tenfold.data.dataset import QUARANTINE, Dataset, write_table
from tenfold.data.files import atomic_path, write_json
from tenfold.errors import StoreError
from tenfold.recipe import Json
from tenfold.stages.context import Context, Reference, open_entry
from tenfold.stages.entries import GROUPS, SUMMARY
from tenfold.stages.proof import open_folds
from tenfold.store import Entry, Store, Workspace

#: Every table is there as NAME.parquet and as NAME.csv.
SAMPLES, DESCRIPTION, SPLITS = "samples", "description", "splits"
PROPORTIONS, CORRELATIONS = "proportions", "correlations"
GROUP_SIZES, FOLD_BALANCE, SET_ASIDE = "group_sizes", "fold_balance", "quarantine"


def run(
    context: Context,
    dataset: Reference,
    groups: Reference | None = None,
    folds: Reference | None = None,
) -> Reference:
    """Tabulate a data set. No part of the recipe decides on it but the challenge.

    Args:
        context: recipe and store.
        dataset: from ingest, by whatever recipe.
        groups: from group, of the same data set.
        folds: from split, of the same data set; their proof is checked.

    Raises:
        StoreError: something is missing, or of another data set.
        LeakError: the folds do not hold.
    """
    opened = _open(context.store, context.challenge, dataset, groups, folds)
    found = context.challenge.exploring
    drawn = dict(found.COLUMNS) if found else None

    def work(workspace: Workspace) -> None:
        _explore(opened, drawn, workspace)

    parts = ("exploring",) if found else ()
    return context.build("explore", "explore", opened.addresses, {}, parts, work)


@dataclass(frozen=True)
class _Opened:
    """What is explored: the entries of ingest and, where given, group and split."""

    data: Entry
    groups: Entry | None
    folds: Entry | None

    @property
    def addresses(self) -> dict[str, str]:
        entries = {"dataset": self.data, "groups": self.groups, "folds": self.folds}
        return {name: entry.address for name, entry in entries.items() if entry}


def open_dataset(store: Store, challenge: str, dataset: Reference) -> Entry:
    """Open a data set by whatever recipe it was ingested.

    Raises:
        StoreError: it is not there, no data set, or another challenge's.
    """
    entry = open_entry(store, dataset, "ingest")
    found = entry.manifest["section"]["challenge"]
    if found != challenge:
        raise StoreError(f"{entry.address} is a data set of {found}, not {challenge}")
    return entry


def _open(
    store: Store,
    challenge: Challenge,
    dataset: Reference,
    groups: Reference | None,
    folds: Reference | None,
) -> _Opened:
    data = open_dataset(store, challenge.name, dataset)
    grouped = open_entry(store, groups, "group") if groups else None
    split = open_entry(store, folds, "split") if folds else None
    if grouped is not None and grouped.inputs["dataset"] != data.address:
        raise StoreError("these groups are of another data set; run group again")
    if split is not None:
        open_folds(split, data)
        made_with = split.inputs["groups"]
        if grouped is not None and made_with != grouped.address:
            raise StoreError("the folds were made with other groups; run split again")
        grouped = grouped or store.open(made_with)
    return _Opened(data, grouped, split)


def _explore(opened: _Opened, drawn: Json | None, workspace: Workspace) -> None:
    samples = _samples(opened)
    every = (*describe.numbers(samples), *describe.flags(samples))
    drawn = drawn or {name: name for name in every}
    lacking = [name for name in drawn if name not in samples.columns]
    if lacking:
        raise StoreError(
            f"{opened.data.address} has no column {lacking[0]}; run ingest again"
        )
    tables = {
        SAMPLES: samples,
        DESCRIPTION: describe.description(samples),
        SPLITS: describe.splits(samples),
        PROPORTIONS: describe.proportions(samples),
        CORRELATIONS: describe.correlations(samples),
        SET_ASIDE: pl.read_parquet(opened.data.path / QUARANTINE),
    }
    if opened.groups:
        tables[GROUP_SIZES] = describe.group_sizes(samples)
    if opened.folds:
        tables[FOLD_BALANCE] = describe.fold_balance(samples, list(drawn))
    for name, table in tables.items():
        _write(workspace, name, table)
    summary = {
        "fingerprint": opened.data.json(SUMMARY)["fingerprint"],
        # Pairs, since the order is for people.
        "drawn": list(drawn.items()),
        "tables": sorted(tables),
    }
    write_json(workspace.path / SUMMARY, summary)


def _samples(opened: _Opened) -> pl.DataFrame:
    """Return the catalogue with each sample's group and fold, where they are known."""
    table = Dataset(opened.data.path).catalogue.drop("shard", "row")
    added = []
    if opened.groups:
        groups = pl.read_parquet(opened.groups.path / GROUPS)
        table = table.join(groups.rename({"size": "group_size"}), on="id", how="left")
        added += ["group", "group_size"]
    if opened.folds:
        folds = open_folds(opened.folds, opened.data).table.select("id", "fold")
        in_one = folds.filter(pl.col("fold") >= 0)
        table = table.join(in_one, on="id", how="left")
        added.append("fold")
    first = ["id", "split", *added]
    last = ["source", "checksum"]
    middle = [name for name in table.columns if name not in (*first, *last)]
    return table.select(*first, *middle, *last).sort("split", "id")


def _write(workspace: Workspace, name: str, table: pl.DataFrame) -> None:
    write_table(workspace.path / f"{name}.parquet", table)
    with atomic_path(workspace.path / f"{name}.csv") as temporary:
        table.write_csv(temporary)
