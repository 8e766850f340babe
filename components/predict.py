"""The predict component."""

from kfp.dsl import Artifact, Dataset, Input, Output


def predict(
    store: str,
    recipe: str,
    tags: str,
    worker: int,
    dataset: Input[Dataset],
    decision: Input[Artifact],
    predictions: Output[Artifact],
) -> None:
    """Run the whole ensemble over this worker's share of the test samples."""
    from components.outputs import publish
    from tenfold.stages import predict as stage
    from tenfold.stages.context import Context, read_reference

    context = Context.of(recipe, store)
    data, tuned = read_reference(dataset.path), read_reference(decision.path)
    done = stage.run(context, data, tuned, worker)
    publish(context, done, predictions, tags=tags)
