"""The trial component."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output


def trial(
    source: str,
    store: str,
    recipe: str,
    tags: str,
    plan: str,
    number: int,
    dataset: Input[Dataset],
    folds: Input[Artifact],
    result: Output[Artifact],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Train and score one choice of a sweep, from its checkpoint if there is one."""
    from components.outputs import publish
    from tenfold.stages import trial as stage
    from tenfold.stages.context import Context, read_reference
    from tenfold.sweep import plan_from_json

    context, sweep = Context.of(recipe, store), plan_from_json(plan)
    data, split = read_reference(dataset.path), read_reference(folds.path)
    done = stage.run(context, data, split, source, sweep, number)
    publish(context, done, result, tags=tags, report=report, metrics=metrics)
