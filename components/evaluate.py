"""The evaluate component."""

from typing import List, Optional

from kfp.dsl import (
    HTML,
    Artifact,
    ClassificationMetrics,
    Dataset,
    Input,
    Metrics,
    Model,
    Output,
)


def evaluate(
    store: str,
    recipe: str,
    tags: str,
    member: str,
    dataset: Input[Dataset],
    folds: Input[Artifact],
    models: Input[List[Model]],
    leaderboard: Output[Artifact],
    metrics: Output[Metrics],
    report: Output[HTML],
    confusion: Output[ClassificationMetrics],
    earlier: Optional[Input[Artifact]] = None,
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
    publish(
        context,
        done,
        leaderboard,
        tags=tags,
        report=report,
        metrics=metrics,
        confusion=confusion,
    )
