"""The graph: one function for any challenge, recipe and target.

Models are unrolled, since each may need its own image and machine; folds and
predict workers are loops whose outputs are gathered.
"""

from typing import Any

from kfp import dsl

from components.factory import component_for
from pipelines.targets import Target, image_of, parallel_folds, profile_of
from tenfold.recipe import Member, Recipe


def display_name(recipe: Recipe) -> str:
    """Return the pipeline's name, as consoles show it."""
    return f"tenfold-{recipe.challenge}-{recipe.name}"


def build(recipe: Recipe, target: Target, images: str, tag: str) -> Any:
    """Return the pipeline function of a recipe on a target.

    Args:
        recipe: frozen into the graph as one constant.
        target: decides resources.
        images: prefix of the images.
        tag: of the images.
    """
    tasks = _Tasks(recipe, target, images, tag)

    @dsl.pipeline(  # type: ignore[untyped-decorator]
        name=display_name(recipe), description=recipe.about
    )
    def graph(source: str, store: str) -> None:
        tasks.store = store
        ingest = tasks.add("ingest", "Ingest", source=source)
        dataset = ingest.outputs["dataset"]
        group = tasks.add("group", "Group near-duplicates", dataset=dataset)
        split = tasks.add(
            "split",
            "Split into folds",
            dataset=dataset,
            groups=group.outputs["groups"],
        )
        data = {"dataset": dataset, "folds": split.outputs["folds"]}
        board = None
        for member in recipe.members:
            board = _model(tasks, recipe, member, data, board)
        tune = tasks.add("tune", "Tune out-of-fold", leaderboard=board, **data)
        with dsl.ParallelFor(list(range(recipe.predict.workers))) as worker:
            predict = tasks.add(
                "predict",
                "Predict",
                worker=worker,
                dataset=dataset,
                decision=tune.outputs["decision"],
            )
        submit = tasks.add(
            "submit",
            "Write submission",
            dataset=dataset,
            predictions=dsl.Collected(predict.outputs["predictions"]),
        )
        tasks.add(
            "preview",
            "Preview",
            dataset=dataset,
            submission=submit.outputs["submission"],
        )

    return graph


def _model(
    tasks: "_Tasks", recipe: Recipe, member: Member, data: Any, board: Any
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


class _Tasks:
    """Adds tasks to the graph with what all of them share."""

    store: Any

    def __init__(self, recipe: Recipe, target: Target, images: str, tag: str) -> None:
        self._recipe, self.target = recipe, target
        self._images, self._tag = images, tag

    def add(
        self, stage: str, title: str, of_member: str | None = None, **inputs: Any
    ) -> Any:
        image = image_of(self._recipe, stage, self._images, self._tag)
        component = component_for(stage, image)
        task = component(store=self.store, recipe=self._recipe.to_json(), **inputs)
        task.set_display_name(title)
        # The store knows what is done; KFP's cache cannot see code or data that
        # changed behind a path.
        task.set_caching_options(False)
        self.target.place(task, profile_of(self._recipe, stage, of_member))
        return task
