"""The ingest component."""

from kfp.dsl import HTML, Dataset, Metrics, Output


def ingest(
    source: str,
    store: str,
    recipe: str,
    dataset: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Read the raw data, check every file, and pack it for training."""
    from components.outputs import publish
    from tenfold.stages import ingest as stage
    from tenfold.stages.context import Context

    context = Context.of(recipe, store)
    publish(context, stage.run(context, source), dataset, report, metrics)
