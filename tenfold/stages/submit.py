"""submit: predictions into the competition's own files, checked by reading back."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tenfold.challenges import SubmissionPart
from tenfold.data.arrays import Arrays
from tenfold.data.dataset import CATALOGUE, Dataset, write_table
from tenfold.data.files import sha256_of, write_json
from tenfold.errors import StoreError, SubmissionError
from tenfold.stages.context import Context, Reference
from tenfold.stages.entries import PREDICTIONS, SUMMARY
from tenfold.stages.tune import FIRST_DECISION
from tenfold.store import Entry, Workspace

PARTS = ("submission",)


def run(
    context: Context, dataset: Reference, predictions: Sequence[Reference]
) -> Reference:
    """Write and validate the submission.

    Args:
        context: recipe and store.
        dataset: from ingest; its test samples must all be there, once.
        predictions: one reference a worker.

    Raises:
        SubmissionError: naming what is missing, double or not as it was predicted.
        StoreError: they follow a decision that only pseudo-labels are made by.
    """
    data = context.entry(dataset, "ingest")
    parts = open_parts(context, data, predictions)
    tuned = context.store.open(parts[0].inputs["decision"]).manifest["label"]
    if len(context.recipe.rounds) > 1 and tuned == FIRST_DECISION:
        raise StoreError(
            f"these predictions follow {tuned}, which pseudo-labels are made by; submit"
            " takes those of the last round"
        )

    def work(workspace: Workspace) -> None:
        _submit(context.challenge.submission, Dataset(data.path), parts, workspace)

    inputs = {"dataset": data.address, "decision": parts[0].inputs["decision"]}
    inputs |= {f"worker_{i}": part.address for i, part in enumerate(parts)}
    return context.build("submit", "submit", inputs, {}, PARTS, work)


def open_parts(
    context: Context, data: Entry, predictions: Sequence[Reference]
) -> list[Entry]:
    """Open the shares of all workers, at least one.

    Raises:
        SubmissionError: there are none.
        StoreError: they are of another data set, or of two decisions.
    """
    parts = [context.entry(reference, "predict") for reference in predictions]
    if not parts:
        raise SubmissionError(
            "test samples are not predicted: name every predict's file"
        )
    for part in parts:
        if part.inputs["dataset"] != data.address:
            raise StoreError(f"{part.address} is of another data set; predict again")
        if part.inputs["decision"] != parts[0].inputs["decision"]:
            raise StoreError(
                f"{parts[0].address} and {part.address} follow two decisions,"
                f" {parts[0].inputs['decision']} and {part.inputs['decision']}; predict"
                " all shares by one"
            )
    return parts


def _submit(
    submission: SubmissionPart,
    dataset: Dataset,
    parts: Sequence[Entry],
    workspace: Workspace,
) -> None:
    predicted = [Dataset(part.path) for part in parts]
    place = {id_: p for p in predicted for id_ in p.catalogue["id"].to_list()}
    ids = dataset.rows("test")["id"].to_list()
    _check_ids(ids, [id_ for p in predicted for id_ in p.catalogue["id"].to_list()])

    def samples() -> Iterator[tuple[str, Arrays]]:
        for done, id_ in enumerate(ids, 1):
            yield id_, place[id_].sample(id_)
            workspace.progress.update(done, 2 * len(ids), "files")

    submission.write(samples(), workspace.path)
    file = workspace.path / submission.FILE
    read_back(submission, file, place, ids, workspace)
    table = pl.concat([p.catalogue for p in predicted], how="diagonal").sort("id")
    write_table(workspace.path / PREDICTIONS, table)
    summary = {
        "file": submission.FILE,
        "samples": len(ids),
        "bytes": file.stat().st_size,
        "sha256": sha256_of(file),
    }
    write_json(workspace.path / SUMMARY, summary)


def _check_ids(expected: Sequence[str], found: Sequence[str]) -> None:
    missing = sorted(set(expected) - set(found))
    if missing:
        raise SubmissionError(
            f"{len(missing)} samples not predicted, e.g. {missing[0]}"
        )
    if len(found) != len(expected):
        extra = sorted(set(found) - set(expected)) or ["one of them twice"]
        raise SubmissionError(f"predicted but not asked for: {extra[0]}")


def read_back(
    submission: SubmissionPart,
    file: Path,
    place: dict[str, Dataset],
    ids: Sequence[str],
    workspace: Workspace,
) -> None:
    """Compare the written submission with the predictions, sample by sample."""
    left = set(ids)
    for id_, said in submission.read(file):
        if id_ not in left:
            raise SubmissionError(f"{file.name}: {id_} is not a test sample, or twice")
        left.discard(id_)
        meant = place[id_].sample(id_)
        for name, values in said.items():
            if not np.array_equal(values, meant[name]):
                raise SubmissionError(f"{file.name}: {id_} is not as predicted")
        done = 2 * len(ids) - len(left)
        workspace.progress.update(done, 2 * len(ids), "files")
    if left:
        raise SubmissionError(
            f"{file.name}: {len(left)} samples missing, e.g. {min(left)}"
        )


def open_predictions(entries: Sequence[Entry]) -> dict[str, Dataset]:
    """Return id → where its prediction is, over all workers."""
    parts = [
        Dataset(entry.path) for entry in entries if (entry.path / CATALOGUE).exists()
    ]
    return {id_: part for part in parts for id_ in part.catalogue["id"].to_list()}
