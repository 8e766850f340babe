"""The select component."""

from typing import List

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output


def select(
    store: str,
    recipe: str,
    tags: str,
    dataset: Input[Dataset],
    predictions: Input[List[Artifact]],
    labels: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Make pseudo-labels of the predictions that are sure enough."""
    from components.outputs import publish
    from tenfold.stages import select as stage
    from tenfold.stages.context import Context, read_reference

    context = Context.of(recipe, store)
    parts = [read_reference(part.path) for part in predictions]
    done = stage.run(context, read_reference(dataset.path), parts)
    publish(context, done, labels, tags=tags, report=report, metrics=metrics)
