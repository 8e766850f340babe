"""Names of the files in each stage's entry."""

#: ingest, group, split, submit: counts for people and pages.
SUMMARY = "summary.json"
#: group
GROUPS, EDGES = "groups.parquet", "edges.parquet"
#: split
FOLDS, PROOF = "folds.parquet", "proof.json"
#: train; METRICS also evaluate, and with HISTORY trial
MODEL, METRICS, HISTORY = "model.json", "metrics.json", "history.parquet"
#: fit, train: the history again, for people and other programs
HISTORY_CSV = "history.csv"
OUT_OF_FOLD, PICTURES, WEIGHTS = "out_of_fold", "pictures", "weights"
#: evaluate
LEADERBOARD = "leaderboard.json"
#: tune; SCORES also judge
DECISION, SCORES = "decision.json", "scores.json"
#: rank
RANKING = "ranking.json"
#: submit, preview
PREDICTIONS = "predictions.parquet"
#: preview
GALLERY = "gallery.json"
