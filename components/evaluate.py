"""The evaluate component."""

from typing import List, Optional

from kfp import dsl


def evaluate(
    store: str,
    recipe: str,
    tags: str,
    member: str,
    dataset: dsl.Input[dsl.Dataset],
    folds: dsl.Input[dsl.Artifact],
    models: dsl.Input[List[dsl.Model]],
    leaderboard: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
    confusion: dsl.Output[dsl.ClassificationMetrics],
    earlier: Optional[dsl.Input[dsl.Artifact]] = None,
) -> None:
    """Join all folds of one model and add it to the leaderboard."""
    from components.outputs import publish
    from tenfold.stages import evaluate as stage
    from tenfold.stages.context import Context, read_reference

    context = Context.of(recipe, store)
    data, split = read_reference(dataset.path), read_reference(folds.path)
    trained = [read_reference(model.path) for model in models]
    board = read_reference(earlier.path) if earlier else None
    done = stage.run(context, data, split, member, trained, board)
    shown = {"report": report, "metrics": metrics, "confusion": confusion}
    publish(context, done, leaderboard, tags=tags, **shown)
