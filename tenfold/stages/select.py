"""select: predictions of test samples that are sure enough to be learnt from."""

from collections import Counter
from collections.abc import Sequence

import polars as pl

from tenfold.challenges import PseudoPart
from tenfold.data.arrays import Arrays
from tenfold.data.dataset import CATALOGUE, SHARDS, Dataset, write_table
from tenfold.data.files import write_json
from tenfold.data.shards import write_shard
from tenfold.errors import RecipeError, StoreError
from tenfold.recipe import Json, PseudoOptions
from tenfold.stages.context import Context, Reference, section
from tenfold.stages.entries import SUMMARY
from tenfold.stages.submit import open_parts, open_predictions
from tenfold.stages.tune import FIRST_DECISION
from tenfold.store import Workspace

PARTS = ("pseudo",)


def run(
    context: Context, dataset: Reference, predictions: Sequence[Reference]
) -> Reference:
    """Make pseudo-labelled samples, as a data set beside the one they are from.

    Args:
        context: recipe and store.
        dataset: from ingest.
        predictions: of the first round, one reference a worker.

    Raises:
        RecipeError: the recipe has no second round, or the challenge none at all.
        SubmissionError: there are no predictions.
        StoreError: they are of another data set, or of two decisions.
    """
    options = context.recipe.pseudo
    if options is None:
        raise RecipeError(
            f"recipe {context.recipe.name} has no second round; it needs a section"
            " pseudo, and members that learn from it"
        )
    part, size = context.challenge.pseudo, context.recipe.data.shard_samples
    data = context.entry(dataset, "ingest")
    entries = open_parts(context, data, predictions)
    tuned = context.store.open(entries[0].inputs["decision"])
    if tuned.manifest["label"] != FIRST_DECISION:
        raise StoreError(
            f"these predictions follow {tuned.manifest['label']}; select takes those of"
            " the first round"
        )

    def work(workspace: Workspace) -> None:
        samples, place = Dataset(data.path), open_predictions(entries)
        _select(part, options, samples, place, size, workspace)

    inputs = {"dataset": data.address}
    inputs |= {f"worker_{i}": entry.address for i, entry in enumerate(entries)}
    used = {"pseudo": section(options), "shard_samples": size}
    return context.build("select", "select", inputs, used, PARTS, work)


def _select(
    part: PseudoPart,
    options: PseudoOptions,
    samples: Dataset,
    place: dict[str, Dataset],
    size: int,
    workspace: Workspace,
) -> None:
    test, packer = samples.rows("test"), _Packer(workspace, size)
    missing = [id_ for id_ in test["id"].to_list() if id_ not in place]
    if missing:
        raise StoreError(
            f"{len(missing)} test samples are not predicted, e.g. {missing[0]}; give"
            " select what every predict worker of the first round wrote"
        )
    for done, row in enumerate(test.iter_rows(named=True), 1):
        id_ = row["id"]
        labelled = part.select(place[id_].sample(id_), samples.sample(id_), options)
        if labelled is not None:
            packer.add(row | dict(part.columns(labelled)), labelled)
        workspace.progress.update(done, len(test), "samples")
    table = packer.close(test.schema)
    write_table(workspace.path / CATALOGUE, table)
    write_json(workspace.path / SUMMARY, {"samples": len(table), "of": len(test)})


class _Packer:
    """Packs labelled samples, a shard at a time."""

    def __init__(self, workspace: Workspace, size: int) -> None:
        self._folder, self._size = workspace.path / SHARDS, size
        self._rows: list[Json] = []
        self._waiting: list[Arrays] = []
        self._count: Counter[str] = Counter()

    def add(self, row: Json, arrays: Arrays) -> None:
        """Take in a sample, with its row of the catalogue."""
        name = f"pseudo-{len(self._rows) // self._size:05d}"
        place = {"split": "train", "shard": name, "row": self._count[name]}
        self._count[name] += 1
        self._rows.append(row | place)
        self._waiting.append({key: value.copy() for key, value in arrays.items()})
        if len(self._waiting) == self._size:
            self._flush()

    def close(self, schema: pl.Schema) -> pl.DataFrame:
        """Write what is left; return the catalogue, which may be empty."""
        if self._waiting:
            self._flush()
        if not self._rows:
            return pl.DataFrame(schema=schema)
        return pl.DataFrame(self._rows, infer_schema_length=None).sort("id")

    def _flush(self) -> None:
        name = str(self._rows[-1]["shard"])
        write_shard(self._folder / name, self._waiting, {})
        self._waiting = []
