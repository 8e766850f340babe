"""judge: the submission, and every member alone, against truth kept aside.

No part of the graph reads truth. This is for synthetic data, and for anyone
who held test samples back: it says what averaging was worth.
"""

import shutil
from pathlib import Path

import polars as pl

from tenfold.data.dataset import Dataset
from tenfold.data.files import write_json
from tenfold.data.sources import fingerprint
from tenfold.errors import StoreError
from tenfold.grouping.recall import judge_overlaps
from tenfold.recipe import Json
from tenfold.stages.context import Context, Reference
from tenfold.stages.entries import DECISION, EDGES, METRICS, SCORES
from tenfold.stages.predict import Ensemble, open_members
from tenfold.store import Entry, Workspace

_OVERLAPS = "overlaps.csv"

PARTS = ("model", "decision", "submission", "scoring")


def run(
    context: Context,
    dataset: Reference,
    groups: Reference,
    decision: Reference,
    submission: Reference,
    truth: Path,
) -> Reference:
    """Score the submission and its members.

    Args:
        context: recipe and store.
        dataset: from ingest.
        groups: from group; judged too if truth holds `overlaps.csv`.
        decision: from tune.
        submission: from submit.
        truth: folder the challenge's `score` understands.

    Raises:
        StoreError: the submission follows another decision.
    """
    data, tuned = context.entry(dataset, "ingest"), context.entry(decision, "tune")
    submitted = context.entry(submission, "submit")
    grouped = context.entry(groups, "group")
    if submitted.inputs.get("decision") != tuned.address:
        raise StoreError(
            f"{submitted.address} does not follow {tuned.address}; name the decision"
            " that it was predicted by (of two rounds the last's), or submit again"
        )
    part = context.challenge.submission

    def work(workspace: Workspace) -> None:
        choice = tuned.json(DECISION)
        members = open_members(context, choice)
        predictor = Ensemble(context, members, choice["choice"])
        samples = Dataset(data.path)
        ids = samples.rows("test")["id"].to_list()
        rows = []
        # A member of one role among several predicts nothing by itself.
        single = members if len({m.role for m in members}) == 1 else []
        for done, member in enumerate(single, 1):
            path = workspace.path / ".member"
            path.mkdir(exist_ok=True)
            part.write(predictor.alone(member, samples, ids), path)
            scores = part.score(path / part.FILE, truth)
            metrics = member.entry.json(METRICS)
            rows.append({"model": member.model, "fold": metrics["fold"], **scores})
            workspace.progress.update(done, len(members), "members")
        shutil.rmtree(workspace.path / ".member", ignore_errors=True)
        ensemble = part.score(submitted.path / part.FILE, truth)
        summary = _summary(ensemble, rows, context)
        summary["overlaps"] = _overlaps(Dataset(data.path), grouped, truth)
        write_json(workspace.path / SCORES, summary)

    inputs = {
        "dataset": data.address,
        "groups": grouped.address,
        "decision": tuned.address,
        "submission": submitted.address,
        "truth": fingerprint(truth),
    }
    engines = {member.engine for member in context.recipe.members}
    return context.build("judge", "judge", inputs, {}, PARTS, work, engines=engines)


def _overlaps(dataset: Dataset, grouped: Entry, truth: Path) -> Json | None:
    """Judge the search for near-duplicates, where their truth is known."""
    file = truth / _OVERLAPS
    if not file.is_file():
        return None
    edges = pl.read_parquet(grouped.path / EDGES).filter(pl.col("kind") == "overlap")
    ids = dataset.catalogue["id"].to_list()
    return judge_overlaps(edges, pl.read_csv(file), ids)


def _summary(ensemble: Json, members: list[Json], context: Context) -> Json:
    monitor = context.challenge.scoring.MONITOR
    scores = [float(row[monitor]) for row in members]
    return {
        "ensemble": ensemble,
        "members": members,
        "score": ensemble[monitor],
        "member_mean": sum(scores) / len(scores) if scores else None,
        "member_best": max(scores, default=None),
        "member_worst": min(scores, default=None),
    }
