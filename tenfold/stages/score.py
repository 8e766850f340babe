"""score: predictions against truth, together and by sample; nothing is stored."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tenfold.challenges import Challenge
from tenfold.data.files import atomic_path, write_json
from tenfold.errors import SubmissionError
from tenfold.recipe import Json


@dataclass(frozen=True)
class Scored:
    """What predictions are worth.

    Attributes:
        figures: of all samples counted together.
        table: one row a sample: id, its counts, its figures.
    """

    figures: dict[str, float]
    table: pl.DataFrame


def score(
    challenge: Challenge, predictions: Path, truth: Path, threshold: float | None
) -> Scored:
    """Score a submission or a folder of predictions.

    Args:
        challenge: whose metric counts.
        predictions: file or folder.
        truth: folder of truth; samples are paired by id.
        threshold: for predictions that are probabilities.

    Raises:
        SubmissionError: naming what is missing, too much or not as it should be.
    """
    wanted = {predictions: "a submission or a folder of predictions"}
    for path, what in (wanted | {truth: "the folder with the truth"}).items():
        if not path.exists():
            raise SubmissionError(f"{path} does not exist; name {what}")
    scoring, rows, total = challenge.scoring, [], None
    for id_, tally in challenge.submission.tallies(predictions, truth, threshold):
        total = tally if total is None else total + tally
        rows.append({"id": id_, **tally.to_json(), **scoring.metrics(tally)})
    return Scored(scoring.metrics(total), pl.DataFrame(rows))


def write_figures(path: Path, scored: Scored, about: Json) -> None:
    """Write the figures of all samples as JSON, with what they are about."""
    content = {**about, "samples": len(scored.table), "figures": scored.figures}
    write_json(path, content)


def write_rows(path: Path, scored: Scored) -> None:
    """Write the row of every sample as CSV, in order of id."""
    with atomic_path(path) as temporary:
        scored.table.sort("id").write_csv(temporary)
