"""The train component."""

from typing import Optional

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output


def train(
    store: str,
    recipe: str,
    tags: str,
    member: str,
    fold: int,
    dataset: Input[Dataset],
    folds: Input[Artifact],
    model: Output[Model],
    metrics: Output[Metrics],
    report: Output[HTML],
    pseudo: Optional[Input[Dataset]] = None,
) -> None:
    """Train one model on all folds but one; go on from a checkpoint if there is one."""
    from components.outputs import publish
    from tenfold.stages import train as stage
    from tenfold.stages.context import Context, read_reference

    context = Context.of(recipe, store)
    data, split = read_reference(dataset.path), read_reference(folds.path)
    labels = read_reference(pseudo.path) if pseudo else None
    done = stage.run(context, data, split, member, fold, pseudo=labels)
    publish(context, done, model, tags=tags, report=report, metrics=metrics)
