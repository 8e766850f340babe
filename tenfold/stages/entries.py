"""What each stage's entry holds, and how folds are opened by those who use them."""

import polars as pl

from tenfold.errors import LeakError, StoreError
from tenfold.folds import FoldTable
from tenfold.store import Entry

#: ingest, group, split, submit: counts for people and pages.
SUMMARY = "summary.json"
#: group
GROUPS, EDGES = "groups.parquet", "edges.parquet"
#: split
FOLDS, PROOF = "folds.parquet", "proof.json"
#: train; METRICS also evaluate
MODEL, METRICS, HISTORY = "model.json", "metrics.json", "history.parquet"
OUT_OF_FOLD, PICTURES, WEIGHTS = "out_of_fold", "pictures", "weights"
#: evaluate
LEADERBOARD = "leaderboard.json"
#: tune; SCORES also judge
DECISION, SCORES = "decision.json", "scores.json"
#: submit, preview
PREDICTIONS = "predictions.parquet"
#: preview
GALLERY = "gallery.json"


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
    table = pl.read_parquet(entry.path / FOLDS)
    folds = FoldTable(table, proof["k"], proof["fingerprint"])
    folds.check()
    if folds.proof() != proof:
        raise LeakError("the fold table is not the one its proof is about; run split")
    return folds
