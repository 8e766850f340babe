"""The graph: one function for any challenge, recipe and target.

Models are unrolled, since each may need its own image and machine; folds and
predict workers are loops whose outputs are gathered.
"""

from collections.abc import Mapping
from typing import Any

from kfp import dsl

from components.factory import component_for
from pipelines.images import Images
from pipelines.targets import Target, TargetError, parallel_folds, profile_of
from tenfold.recipe import Member, Recipe

#: KFP tells a task its recipe in one argument, and Linux takes no longer one.
MOST_RECIPE_BYTES = 100_000


def display_name(recipe: Recipe) -> str:
    """Return the pipeline's name, as consoles show it."""
    return f"tenfold-{recipe.challenge}-{recipe.name}"


def build(recipe: Recipe, target: Target, images: Images) -> Any:
    """Return the pipeline function of a recipe on a target.

    Its run-time parameters are `source`, `store` and `tags`; all else is frozen.

    Args:
        recipe: frozen into the graph as one constant.
        target: decides resources.
        images: that tasks run in.

    Raises:
        TargetError: the graph is larger than the platforms take.
    """
    check_size(recipe)
    tasks = Tasks(recipe, target, images)

    @dsl.pipeline(  # type: ignore[untyped-decorator]
        name=display_name(recipe), description=recipe.about
    )
    def graph(source: str, store: str, tags: str = "") -> None:
        tasks.shared = {"store": store, "tags": tags}
        data = add_data(tasks, source)
        dataset = data["dataset"]
        board, predicted = _round(tasks, recipe, 1, data, None)
        if recipe.pseudo is not None:
            select = tasks.add(
                "select", "Select pseudo-labels", dataset=dataset, **predicted
            )
            labels = {"pseudo": select.outputs["labels"]}
            _, predicted = _round(tasks, recipe, 2, data, board, labels)
        submit = tasks.add("submit", "Write submission", dataset=dataset, **predicted)
        tasks.add(
            "preview",
            "Preview",
            dataset=dataset,
            submission=submit.outputs["submission"],
        )

    return graph


def add_data(tasks: "Tasks", source: Any) -> dict[str, Any]:
    """Add what comes before any training; return the data set and its folds."""
    ingest = tasks.add("ingest", "Ingest", source=source)
    dataset = ingest.outputs["dataset"]
    group = tasks.add("group", "Group near-duplicates", dataset=dataset)
    split = tasks.add(
        "split", "Split into folds", dataset=dataset, groups=group.outputs["groups"]
    )
    return {"dataset": dataset, "folds": split.outputs["folds"]}


def check_size(recipe: Recipe) -> None:
    """Refuse a graph that no platform would run to its end.

    Raises:
        TargetError: saying which number to lower.
    """
    size = len(recipe.to_json())
    if size > MOST_RECIPE_BYTES:
        raise TargetError(
            f"recipe {recipe.name} is {size:,} bytes, but a task takes at most"
            f" {MOST_RECIPE_BYTES:,}; leave members out"
        )


def _round(
    tasks: "Tasks",
    recipe: Recipe,
    number: int,
    data: Any,
    board: Any,
    labels: Mapping[str, Any] | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Add a round of training, tuning and predicting.

    Args:
        tasks: adds them.
        recipe: whose members they are of.
        number: 1, or 2 for what is trained on pseudo-labels.
        data: the data set and its folds.
        board: leaderboard of the round before.
        labels: that the members of the second round are given.

    Returns:
        The leaderboard, and the predictions of all workers as an input.
    """
    for member in recipe.trained_in(number):
        board = _model(tasks, recipe, member, data, board, labels or {})
    of_round = f", round {number}" if len(recipe.rounds) > 1 else ""
    tune = tasks.add(
        "tune",
        f"Tune out-of-fold{of_round}",
        round_number=number,
        leaderboard=board,
        **data,
    )
    with dsl.ParallelFor(list(range(recipe.predict.workers))) as worker:
        predict = tasks.add(
            "predict",
            f"Predict{of_round}",
            worker=worker,
            dataset=data["dataset"],
            decision=tune.outputs["decision"],
        )
    return board, {"predictions": dsl.Collected(predict.outputs["predictions"])}


def _model(
    tasks: "Tasks",
    recipe: Recipe,
    member: Member,
    data: Any,
    board: Any,
    labels: Mapping[str, Any],
) -> Any:
    """Add all folds of one model and its evaluation; return the leaderboard."""
    folds = list(range(recipe.split.k))
    at_once = parallel_folds(recipe, tasks.target, member.name)
    with dsl.ParallelFor(folds, parallelism=at_once) as fold:
        train = tasks.add(
            "train",
            f"Train {member.name}",
            member=member.name,
            fold=fold,
            of_member=member.name,
            **data,
            **labels,
        )
    earlier = {} if board is None else {"earlier": board}
    evaluate = tasks.add(
        "evaluate",
        f"Evaluate {member.name}",
        member=member.name,
        models=dsl.Collected(train.outputs["model"]),
        **data,
        **earlier,
    )
    return evaluate.outputs["leaderboard"]


class Tasks:
    """Adds tasks to the graph with what all of them share.

    Attributes:
        shared: inputs of every task, known once the graph's parameters are.
    """

    shared: dict[str, Any]

    def __init__(self, recipe: Recipe, target: Target, images: Images) -> None:
        self._recipe, self.target, self._images = recipe, target, images

    def add(
        self, stage: str, title: str, of_member: str | None = None, **inputs: Any
    ) -> Any:
        """Add a task of a stage, where the target wants it."""
        profile = profile_of(self._recipe, stage, of_member)
        image = self._images.of_stage(self._recipe, stage)
        component = component_for(stage, image)
        component = self.target.component(component, profile, title)
        task = component(recipe=self._recipe.to_json(), **self.shared, **inputs)
        task.set_display_name(title)
        # The store knows what is done; KFP's cache cannot see code or data that
        # changed behind a path.
        task.set_caching_options(False)
        self.target.place(task, profile)
        return task
