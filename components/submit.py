"""The submit component."""

from typing import List

from kfp.dsl import HTML, Artifact, Dataset, Input, Markdown, Metrics, Output


def submit(
    store: str,
    recipe: str,
    tags: str,
    dataset: Input[Dataset],
    predictions: Input[List[Artifact]],
    submission: Output[Artifact],
    metrics: Output[Metrics],
    report: Output[HTML],
    summary: Output[Markdown],
) -> None:
    """Write the competition's own files and check them by reading them back."""
    from components.outputs import publish
    from tenfold.stages import submit as stage
    from tenfold.stages.context import Context, read_reference

    context = Context.of(recipe, store)
    parts = [read_reference(part.path) for part in predictions]
    done = stage.run(context, read_reference(dataset.path), parts)
    publish(
        context,
        done,
        submission,
        tags=tags,
        report=report,
        metrics=metrics,
        summary=summary,
    )
