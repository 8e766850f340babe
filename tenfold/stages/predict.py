"""predict: every member over a range of the test samples, fused on the way.

Each shard is read once, and the outputs of its members are averaged in place.
Members stay in memory up to a limit and are cycled shard by shard above it. A
finished shard is kept, so a killed worker goes on with the next.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tenfold.challenges import DecisionPart
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
from tenfold.recipe import Json
from tenfold.stages.context import Context, Reference, section
from tenfold.stages.device import check_device
from tenfold.stages.entries import DECISION, MODEL
from tenfold.store import Entry, Workspace
from tenfold.training.engines import Runner, find_engine

PARTS = ("model", "decision")


@dataclass(frozen=True)
class EnsembleMember:
    """One trained fold that takes part.

    Attributes:
        weight: in the mean of its model's folds.
        weights: file of other weights than those in use, where that is asked for.
    """

    entry: Entry
    model: str
    role: str
    weight: float
    weights: Path | None = None


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
        StoreError: naming a member whose files are not what its manifest says, or if
            the models were trained on another data set.
    """
    options = context.recipe.predict
    if not 0 <= worker < options.workers:
        raise RecipeError(f"no worker {worker}; predict.workers is {options.workers}")
    data, tuned = context.entry(dataset, "ingest"), context.entry(decision, "tune")
    # A second round is told from the first by whose decision it follows.
    label = tuned.manifest["label"].replace("tune", "predict", 1)
    label += f", worker {worker + 1} of {options.workers}"
    engines = {member.engine for member in context.recipe.members}
    check_device(context.recipe.profile("predict"), label, engines)
    if tuned.inputs["dataset"] != data.address:
        raise StoreError(
            f"the decision's models were trained on {tuned.inputs['dataset']}, and"
            f" these samples are {data.address}; give predict the data set of its run,"
            " or predict single files with --model"
        )
    decided = tuned.json(DECISION)

    def work(workspace: Workspace) -> None:
        members = open_members(context, decided)
        ensemble = Ensemble(context, members, decided["choice"])
        predictor = Predictor(ensemble, Dataset(data.path))
        predictor.run(worker, options.workers, workspace)

    inputs = {"dataset": data.address, "decision": tuned.address}
    used = section(options) | {"worker": worker}
    del used["resident"]
    return context.build("predict", label, inputs, used, PARTS, work, engines=engines)


def open_members(context: Context, decided: Json) -> list[EnsembleMember]:
    """Open every trained fold that the decision gives a weight above 0.

    Folds of one model come one after the other.
    """
    part, choice = context.challenge.decision, decided["choice"]
    members = []
    for row in decided["members"]:
        if part.model_weight(choice, row["model"]) <= 0:
            continue
        for fold, address in sorted(row["folds"].items(), key=lambda i: int(i[0])):
            weight = part.fold_weight(choice, row["model"], int(fold))
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


class Ensemble:
    """Members that decide together, each loaded when its turn comes.

    Outputs are averaged over the folds of a model, and what a model concludes from
    that over the models of a role: two sums a sample, however many members there are.

    Args:
        context: recipe and store.
        members: with their weights; those of one model follow each other.
        choice: the challenge's part of the decision.
    """

    def __init__(
        self, context: Context, members: Sequence[EnsembleMember], choice: Json
    ) -> None:
        self._context, self._choice = context, choice
        self.members = members
        self._loaded: dict[str, Runner] = {}

    def predict(
        self, samples: Samples, ids: Sequence[str], tell: Callable[[], None]
    ) -> Iterator[tuple[str, Arrays]]:
        """Yield the prediction of each sample, in order.

        Args:
            samples: fit in memory, as do the averages of their outputs.
            ids: of all of them.
            tell: called after each member × sample.
        """
        averages: dict[str, dict[str, Average]] = {id_: {} for id_ in ids}
        for model, members in itertools.groupby(self.members, lambda m: m.model):
            folds = list(members)
            means = self._means(folds, samples, ids, tell)
            weight = self._part.model_weight(self._choice, model)
            for id_ in ids:
                average = averages[id_].setdefault(folds[0].role, Average())
                mean = means.pop(id_).result()
                average.add(self._part.conclude(mean, model, self._choice), weight)
        for id_ in ids:
            yield id_, self._decide(samples.sample(id_), averages.pop(id_))

    def _means(
        self,
        members: Sequence[EnsembleMember],
        samples: Samples,
        ids: Sequence[str],
        tell: Callable[[], None],
    ) -> dict[str, Average]:
        """Return the mean of a model's folds, a sample each."""
        means = {id_: Average() for id_ in ids}
        for member in members:
            for id_, outputs in self._outputs(member, samples, ids):
                contribution = self._part.contribute(outputs, self._choice)
                means[id_].add(contribution, member.weight)
                tell()
        return means

    def alone(
        self, member: EnsembleMember, samples: Samples, ids: Sequence[str]
    ) -> Iterator[tuple[str, Arrays]]:
        """Yield the prediction of each sample, in order, by one member only."""
        for id_, outputs in self._outputs(member, samples, ids):
            contribution = self._part.contribute(outputs, self._choice)
            average = Average()
            average.add(
                self._part.conclude(contribution, member.model, self._choice), 1.0
            )
            yield id_, self._decide(samples.sample(id_), {member.role: average})

    def describe(self, prediction: Arrays, arrays: Arrays) -> Mapping[str, float]:
        """Summarise the prediction of a sample as numbers."""
        return self._part.describe(prediction, arrays, self._choice)

    @property
    def _part(self) -> DecisionPart:
        return self._context.challenge.decision

    def _decide(self, arrays: Arrays, averages: Mapping[str, Average]) -> Arrays:
        """Return the prediction of a sample from the averages of each role."""
        means = {role: average.result() for role, average in averages.items()}
        return self._part.decide(means, arrays, self._choice)

    def _outputs(
        self, member: EnsembleMember, samples: Samples, ids: Sequence[str]
    ) -> Iterator[tuple[str, Arrays]]:
        """Yield a member's outputs of some samples, in order."""
        yield from self._load(member)(samples, ids, self._context.recipe.predict.batch)

    def _load(self, member: EnsembleMember) -> Runner:
        """Return a member ready on the device, from memory if it is there."""
        address = member.entry.address
        if address not in self._loaded:
            runner = load_member(self._context, member)
            if len(self.members) > self._context.recipe.predict.resident:
                self._loaded.clear()
            self._loaded[address] = runner
        return self._loaded[address]


class Predictor:
    """An ensemble over the test shards of a data set.

    Args:
        ensemble: of members with their weights.
        dataset: its test samples are predicted.
    """

    def __init__(self, ensemble: Ensemble, dataset: Dataset) -> None:
        self._ensemble, self._dataset = ensemble, dataset

    def run(self, worker: int, workers: int, workspace: Workspace) -> None:
        """Predict every `workers`-th shard, from `worker` on."""
        test = self._dataset.rows("test")
        shards = test["shard"].unique().sort().to_list()
        mine = test.filter(pl.col("shard").is_in(shards[worker::workers]))
        members = len(self._ensemble.members)
        total = len(mine) * members
        done, rows = 0, []
        for (name,), part in mine.group_by("shard", maintain_order=True):
            ids = part["id"].sort().to_list()
            directory = workspace.path / SHARDS / str(name)
            if not is_whole(directory):
                self._shard(str(name), ids, workspace, done, total)
            done += len(ids) * members
            rows += read_json(directory / ROWS)["rows"]
        table = pl.DataFrame(rows, infer_schema_length=None) if rows else _no_rows()
        write_table(workspace.path / CATALOGUE, table)

    def _shard(
        self, name: str, ids: list[str], workspace: Workspace, done: int, total: int
    ) -> None:
        samples = InMemory(self._dataset, ids)
        count = itertools.count(done + 1)

        def tell() -> None:
            workspace.progress.update(next(count), total, "member × sample")

        predictions, rows = [], []
        predicted = self._ensemble.predict(samples, ids, tell)
        for row, (id_, prediction) in enumerate(predicted):
            predictions.append(prediction)
            facts = self._ensemble.describe(prediction, samples.sample(id_))
            rows.append(
                {"id": id_, "split": "test", "shard": name, "row": row, **facts}
            )
        directory = workspace.path / SHARDS / name
        write_shard(directory, predictions, {"rows": rows})
        files = shard_files(directory)
        workspace.persist(*(f.relative_to(workspace.path).as_posix() for f in files))


def load_member(context: Context, member: EnsembleMember) -> Runner:
    """Build a member from its `model.json` and weights, as it ran in training."""
    recipe_member = context.recipe.member(member.model)
    training, inference = recipe_member.training, recipe_member.inference
    description = member.entry.json(MODEL)
    return find_engine(recipe_member.engine).load(
        context.challenge.model.task(context.recipe, recipe_member),
        description,
        member.weights or member.entry.path / description["weights"],
        inference.precision or training.precision,
    )


def _no_rows() -> pl.DataFrame:
    columns = {"id": pl.String, "split": pl.String, "shard": pl.String, "row": pl.Int64}
    return pl.DataFrame(schema=columns)
