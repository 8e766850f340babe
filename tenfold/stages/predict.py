"""predict: every member over a range of the test samples, fused on the way.

Each shard is read once, and the outputs of its members are averaged in place.
Members stay in memory up to a limit and are cycled shard by shard above it. A
finished shard is kept, so a killed worker goes on with the next.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from tenfold.data.arrays import Arrays
from tenfold.data.dataset import (
    CATALOGUE,
    SHARDS,
    Dataset,
    InMemory,
    Samples,
    write_table,
)
from tenfold.data.files import read_json
from tenfold.data.shards import ROWS, is_whole, shard_files, write_shard
from tenfold.ensembling.average import Average
from tenfold.errors import RecipeError, StoreError
from tenfold.recipe import Json, PredictOptions
from tenfold.stages.context import Context, Reference, section
from tenfold.stages.device import check_device
from tenfold.stages.entries import DECISION, MODEL
from tenfold.store import Entry, Workspace
from tenfold.training.engines import Runner, find_engine

PARTS = ("model", "decision")


@dataclass(frozen=True)
class EnsembleMember:
    """One trained fold that takes part, with its weight in its role's average."""

    entry: Entry
    model: str
    role: str
    weight: float


def run(
    context: Context, dataset: Reference, decision: Reference, worker: int
) -> Reference:
    """Predict this worker's share of the test shards.

    Args:
        context: recipe and store.
        dataset: from ingest.
        decision: from tune; it names the members.
        worker: 0 … predict.workers - 1.

    Raises:
        StoreError: naming a member whose files are not what its manifest says.
    """
    options = context.recipe.predict
    if not 0 <= worker < options.workers:
        raise RecipeError(f"no worker {worker}; predict.workers is {options.workers}")
    label = f"predict, worker {worker + 1} of {options.workers}"
    check_device(context.recipe.profile("predict"), label)
    data, tuned = context.entry(dataset), context.entry(decision)
    decided = tuned.json(DECISION)

    def work(workspace: Workspace) -> None:
        members = open_members(context, decided)
        predictor = Predictor(context, Dataset(data.path), members, decided["choice"])
        predictor.run(worker, options.workers, workspace)

    inputs = {"dataset": data.address, "decision": tuned.address}
    used = section(options) | {"worker": worker}
    del used["resident"]
    return context.build("predict", label, inputs, used, PARTS, work)


def open_members(context: Context, decided: Json) -> list[EnsembleMember]:
    """Open every trained fold that the decision gives a weight above 0."""
    weigh = context.challenge.decision.member_weight
    members = []
    for row in decided["members"]:
        for fold, address in sorted(row["folds"].items(), key=lambda i: int(i[0])):
            weight = weigh(decided["choice"], row["model"], int(fold))
            if weight <= 0:
                continue
            try:
                entry = context.store.open(address)
            except StoreError as error:
                raise StoreError(
                    f"member {row['model']}, fold {fold}, is not intact: {error}"
                ) from None
            members.append(EnsembleMember(entry, row["model"], row["role"], weight))
    return members


class Predictor:
    """The ensemble over shards of a data set.

    Args:
        context: recipe and store.
        dataset: its test samples are predicted.
        members: with their weights.
        choice: the challenge's part of the decision.
    """

    def __init__(
        self,
        context: Context,
        dataset: Dataset,
        members: Sequence[EnsembleMember],
        choice: Json,
    ) -> None:
        self._context, self._dataset, self._choice = context, dataset, choice
        self._members = members
        self._options: PredictOptions = context.recipe.predict
        self._loaded: dict[str, Runner] = {}

    def run(self, worker: int, workers: int, workspace: Workspace) -> None:
        """Predict every `workers`-th shard, from `worker` on."""
        test = self._dataset.rows("test")
        shards = test["shard"].unique().sort().to_list()
        mine = test.filter(pl.col("shard").is_in(shards[worker::workers]))
        total = len(mine) * len(self._members)
        done, rows = 0, []
        for (name,), part in mine.group_by("shard", maintain_order=True):
            ids = part["id"].sort().to_list()
            directory = workspace.path / SHARDS / str(name)
            if not is_whole(directory):
                self._shard(str(name), ids, workspace, done, total)
            done += len(ids) * len(self._members)
            rows += read_json(directory / ROWS)["rows"]
        table = pl.DataFrame(rows, infer_schema_length=None) if rows else _no_rows()
        write_table(workspace.path / CATALOGUE, table)

    def _shard(
        self, name: str, ids: list[str], workspace: Workspace, done: int, total: int
    ) -> None:
        samples = InMemory(self._dataset, ids)
        averages: dict[str, dict[str, Average]] = {id_: {} for id_ in ids}
        for member in self._members:
            for id_, outputs in self._outputs(member, samples, ids):
                average = averages[id_].setdefault(member.role, Average())
                average.add(self.contribution(outputs), member.weight)
                done += 1
                workspace.progress.update(done, total, "member × sample")
        predictions, rows = [], []
        describe = self._context.challenge.decision.describe
        for row, id_ in enumerate(ids):
            arrays = samples.sample(id_)
            prediction = self.decide(arrays, averages.pop(id_))
            predictions.append(prediction)
            facts = describe(prediction, arrays, self._choice)
            rows.append(
                {"id": id_, "split": "test", "shard": name, "row": row, **facts}
            )
        directory = workspace.path / SHARDS / name
        write_shard(directory, predictions, {"rows": rows})
        files = shard_files(directory)
        workspace.persist(*(f.relative_to(workspace.path).as_posix() for f in files))

    def contribution(self, outputs: Arrays) -> Arrays:
        """Return what a member's outputs of one sample add to the average."""
        return self._context.challenge.decision.contribute(outputs, self._choice)

    def decide(self, arrays: Arrays, averages: Mapping[str, Average]) -> Arrays:
        """Return the prediction of a sample from the averages of each role."""
        means = {role: average.result() for role, average in averages.items()}
        return self._context.challenge.decision.decide(means, arrays, self._choice)

    def alone(self, member: EnsembleMember) -> Iterator[tuple[str, Arrays]]:
        """Predict the test samples, in order of id, by one member only."""
        ids = self._dataset.rows("test")["id"].to_list()
        for id_, outputs in self._outputs(member, self._dataset, ids):
            average = Average()
            average.add(self.contribution(outputs), 1.0)
            yield id_, self.decide(self._dataset.sample(id_), {member.role: average})

    def _outputs(
        self, member: EnsembleMember, samples: Samples, ids: list[str]
    ) -> Iterator[tuple[str, Arrays]]:
        """Yield a member's outputs of some samples, in order."""
        yield from self._load(member)(samples, ids, self._options.batch)

    def _load(self, member: EnsembleMember) -> Runner:
        """Return a member ready on the device, from memory if it is there."""
        address = member.entry.address
        if address not in self._loaded:
            runner = load_member(self._context, member)
            if len(self._members) > self._options.resident:
                self._loaded.clear()
            self._loaded[address] = runner
        return self._loaded[address]


def load_member(context: Context, member: EnsembleMember) -> Runner:
    """Build a member from its `model.json` and weights, as it ran in training."""
    recipe_member = context.recipe.member(member.model)
    training, inference = recipe_member.training, recipe_member.inference
    description = member.entry.json(MODEL)
    return find_engine(recipe_member.engine).load(
        context.challenge.model.task(context.recipe, recipe_member),
        description,
        member.entry.path / description["weights"],
        inference.precision or training.precision,
    )


def _no_rows() -> pl.DataFrame:
    columns = {"id": pl.String, "split": pl.String, "shard": pl.String, "row": pl.Int64}
    return pl.DataFrame(schema=columns)
