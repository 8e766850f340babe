"""tune: the decision, chosen on out-of-fold outputs and on nothing else."""

from collections.abc import Iterator, Mapping, Sequence

from tenfold.challenges import DecisionPart
from tenfold.data.arrays import Arrays
from tenfold.data.dataset import Dataset
from tenfold.data.files import write_json
from tenfold.ensembling.average import Average
from tenfold.errors import LeakError, RecipeError, TrainingError
from tenfold.folds import FoldTable
from tenfold.recipe import Json, Recipe
from tenfold.stages.context import Context, Reference, section
from tenfold.stages.entries import (
    DECISION,
    LEADERBOARD,
    METRICS,
    OUT_OF_FOLD,
    SCORES,
)
from tenfold.stages.proof import open_folds
from tenfold.store import Entry, Store, Workspace

PARTS = ("decision", "scoring")
_LABEL = "tune, round {}"
#: What the decision is called that pseudo-labels are made by.
FIRST_DECISION = _LABEL.format(1)
#: Of one sample, by model.
Outputs = Mapping[str, Arrays]


def run(
    context: Context,
    dataset: Reference,
    folds: Reference,
    leaderboard: Reference,
    round_number: int = 1,
) -> Reference:
    """Choose how the models' outputs become predictions.

    Args:
        context: recipe and store.
        dataset: from ingest.
        folds: from split; their proof is checked.
        leaderboard: from the last evaluate; it names every trained fold.
        round_number: 2 decides again, with what was trained on pseudo-labels.
    """
    recipe = context.recipe
    data, split = context.entry(dataset, "ingest"), context.entry(folds, "split")
    board = context.entry(leaderboard, "evaluate")
    rows = _of_round(recipe, board.json(LEADERBOARD), round_number)
    table = open_folds(split, data)
    options = section(getattr(recipe, "tune"))  # noqa: B009

    def work(workspace: Workspace) -> None:
        held_out = HeldOut(context.store, Dataset(data.path), table, rows)
        result = context.challenge.decision.tune(
            recipe,
            held_out,
            lambda done: workspace.progress.update(done, len(held_out), "samples"),
        )
        _write(workspace, result, rows)

    inputs = {
        "dataset": data.address,
        "folds": split.address,
        "leaderboard": board.address,
    }
    label = "tune" if len(recipe.rounds) == 1 else _LABEL.format(round_number)
    options["members"] = sorted(row["model"] for row in rows)
    return context.build("tune", label, inputs, options, PARTS, work)


def _of_round(recipe: Recipe, board: Sequence[Json], number: int) -> list[Json]:
    """Return the rows of the members that decide in a round.

    Raises:
        RecipeError: there is no such round.
        TrainingError: a member is missing.
    """
    if number not in recipe.rounds:
        raise RecipeError(
            f"recipe {recipe.name} has no round {number}; it has {len(recipe.rounds)}"
        )
    if len(recipe.rounds) == 1:
        return list(board)
    by_model = {row["model"]: row for row in board}
    names = [member.name for member in recipe.of_round(number)]
    missing = [name for name in names if name not in by_model]
    if missing:
        raise TrainingError(
            f"{missing[0]} is not on the leaderboard; give tune that of the last"
            " evaluate"
        )
    return [by_model[name] for name in names]


def _write(workspace: Workspace, result: Json, board: Sequence[Json]) -> None:
    members = [
        {"model": row["model"], "role": row["role"], "folds": row["folds"]}
        for row in sorted(board, key=lambda row: str(row["model"]))
    ]
    decision = {
        "members": members,
        "choice": result["decision"],
        "statement": result["statement"],
        "score": result["honest"],
    }
    write_json(workspace.path / DECISION, decision)
    shown = ("honest", "naive", "baseline", "curves", "effects", "examples")
    scores = {name: result[name] for name in shown}
    for reason in ("selected_on_fold", "pseudo_labelled"):
        scores[reason] = [row["model"] for row in board if row[reason]]
    # Boards of an earlier version do not say; their folds had none.
    scores["leaks"] = [row["model"] for row in board if row.get("leaks")]
    write_json(workspace.path / SCORES, scores)


class HeldOut:
    """Out-of-fold outputs of every model, joined by sample.

    Each sample's outputs come from the one fold that held it out; it is checked
    against the folds, so an output of a sample that was trained on cannot get in.

    Args:
        store: holds the trained folds.
        dataset: the samples.
        folds: checked.
        board: rows of the leaderboard.
    """

    def __init__(
        self,
        store: Store,
        dataset: Dataset,
        folds: FoldTable,
        board: Sequence[Mapping[str, object]],
    ) -> None:
        self._dataset, self._folds = dataset, folds
        self._rows = {str(row["model"]): dict(row) for row in board}
        self.models = tuple(sorted(self._rows))
        # A fold that failed for one model is left out for all: weights over
        # models need every model's opinion of a sample.
        common = set.intersection(*(set(r["folds"]) for r in self._rows.values()))  # type: ignore[call-overload]
        self.folds = tuple(sorted(int(fold) for fold in common))
        if not self.folds:
            raise TrainingError("the models have no trained fold in common")
        self._outputs = {
            (model, fold): self._open(store.open(row["folds"][str(fold)]), fold)  # type: ignore[index]
            for model, row in self._rows.items()
            for fold in self.folds
        }

    def _open(self, entry: Entry, fold: int) -> Dataset:
        outputs = Dataset(entry.path / OUT_OF_FOLD)
        expected = self._folds.held_out(fold)
        found = outputs.catalogue["id"].sort().to_list()
        if entry.json(METRICS)["fold"] != fold or found != expected:
            raise LeakError(
                f"{entry.address} does not hold the outputs of fold {fold}'s held-out"
                " samples, and of those only; train it again"
            )
        return outputs

    def __len__(self) -> int:
        return sum(len(self._folds.held_out(fold)) for fold in self.folds)

    def samples(self) -> Iterator[tuple[str, int, Arrays, Mapping[str, Arrays]]]:
        """Yield (id, fold, sample, outputs by model), each sample once."""
        for fold in self.folds:
            for id_ in self._folds.held_out(fold):
                outputs = {m: self._outputs[m, fold].sample(id_) for m in self.models}
                yield id_, fold, self._dataset.sample(id_), outputs

    def scores(self, model: str) -> dict[int, float]:
        """Return the monitored score of each of a model's folds."""
        scores: Mapping[str, float] = self._rows[model]["fold_scores"]  # type: ignore[assignment]
        return {int(fold): float(score) for fold, score in scores.items()}


def decide(
    part: DecisionPart, decided: Json, outputs: Outputs, arrays: Arrays
) -> Arrays:
    """Return the prediction of a sample by models that have not seen it.

    Args:
        part: the challenge's.
        decided: what tune wrote (`decision.json`).
        outputs: by model, out-of-fold.
        arrays: the sample.
    """
    averages = {r: a.result() for r, a in averages_of(part, decided, outputs).items()}
    return part.decide(averages, arrays, decided["choice"])


def averages_of(
    part: DecisionPart, decided: Json, outputs: Outputs
) -> dict[str, Average]:
    """Return, by role, the averages of what models conclude from one fold each."""
    choice = decided["choice"]
    sums: dict[str, Average] = {}
    for row in decided["members"]:
        model = row["model"]
        weight = part.model_weight(choice, model)
        if weight > 0:
            contribution = part.contribute(outputs[model], choice)
            average = sums.setdefault(row["role"], Average())
            average.add(part.conclude(contribution, model, choice), weight)
    return sums
