"""The ingest component."""

from kfp.dsl import HTML, Dataset, Metrics, Output


def ingest(
    source: str,
    store: str,
    recipe: str,
    tags: str,
    dataset: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Read the raw data, check every file, and pack it for training."""
    from components.outputs import publish
    from tenfold.stages import ingest as stage
    from tenfold.stages.context import Context

    context = Context.of(recipe, store)
    done = stage.run(context, source)
    publish(context, done, dataset, tags=tags, report=report, metrics=metrics)
