"""The group component."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output


def group(
    store: str,
    recipe: str,
    tags: str,
    dataset: Input[Dataset],
    groups: Output[Artifact],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Find near-duplicates and put them into one group."""
    from components.outputs import publish
    from tenfold.stages import group as stage
    from tenfold.stages.context import Context, read_reference

    context = Context.of(recipe, store)
    done = stage.run(context, read_reference(dataset.path))
    publish(context, done, groups, tags=tags, report=report, metrics=metrics)
