"""The tune component."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Markdown, Metrics, Output


def tune(
    store: str,
    recipe: str,
    tags: str,
    round_number: int,
    dataset: Input[Dataset],
    folds: Input[Artifact],
    leaderboard: Input[Artifact],
    decision: Output[Artifact],
    metrics: Output[Metrics],
    report: Output[HTML],
    summary: Output[Markdown],
) -> None:
    """Choose weights and thresholds on out-of-fold predictions alone."""
    from components.outputs import publish
    from tenfold.stages import tune as stage
    from tenfold.stages.context import Context, read_reference

    context = Context.of(recipe, store)
    data, split = read_reference(dataset.path), read_reference(folds.path)
    board = read_reference(leaderboard.path)
    done = stage.run(context, data, split, board, round_number)
    publish(
        context,
        done,
        decision,
        tags=tags,
        report=report,
        metrics=metrics,
        summary=summary,
    )
