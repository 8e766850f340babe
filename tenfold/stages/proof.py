"""Opens folds, and refuses those that leak or belong to other data."""

import polars as pl

from tenfold.errors import LeakError, StoreError
from tenfold.folds import FoldTable
from tenfold.stages.entries import FOLDS, PROOF, SUMMARY
from tenfold.store import Entry


def open_folds(entry: Entry, dataset: Entry) -> FoldTable:
    """Read folds and check their proof against the data set they are used on.

    Raises:
        StoreError: if they are of another data set.
        LeakError: if the proof does not hold.
    """
    proof = entry.json(PROOF)
    fingerprint = dataset.json(SUMMARY)["fingerprint"]
    if proof["fingerprint"] != fingerprint:
        raise StoreError(
            f"the folds are of data set {proof['fingerprint']}, this one is"
            f" {fingerprint}; run split on it"
        )
    if entry.inputs["dataset"] != dataset.address:
        raise StoreError("the folds were made from another ingest; run split again")
    table = pl.read_parquet(entry.path / FOLDS)
    folds = FoldTable(table, proof["k"], proof["fingerprint"])
    folds.check()
    if folds.proof() != proof:
        raise LeakError("the fold table is not the one its proof is about; run split")
    return folds
