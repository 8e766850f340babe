"""The preview component."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output


def preview(
    store: str,
    recipe: str,
    tags: str,
    dataset: Input[Dataset],
    submission: Input[Artifact],
    gallery: Output[Artifact],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Show predictions worth a look, and say what seems odd."""
    from components.outputs import publish
    from tenfold.stages import preview as stage
    from tenfold.stages.context import Context, read_reference

    context = Context.of(recipe, store)
    data, submitted = read_reference(dataset.path), read_reference(submission.path)
    done = stage.run(context, data, submitted)
    publish(context, done, gallery, tags=tags, report=report, metrics=metrics)
