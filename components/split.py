"""The split component."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output


def split(
    store: str,
    recipe: str,
    tags: str,
    dataset: Input[Dataset],
    groups: Input[Artifact],
    folds: Output[Artifact],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Make folds that no group crosses, with the proof."""
    from components.outputs import publish
    from tenfold.stages import split as stage
    from tenfold.stages.context import Context, read_reference

    context = Context.of(recipe, store)
    data, grouped = read_reference(dataset.path), read_reference(groups.path)
    done = stage.run(context, data, grouped)
    publish(context, done, folds, tags=tags, report=report, metrics=metrics)
