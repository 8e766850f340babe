"""The rank component."""

from typing import List

from kfp.dsl import HTML, Artifact, Input, Markdown, Metrics, Output


def rank(
    store: str,
    recipe: str,
    tags: str,
    plan: str,
    trials: Input[List[Artifact]],
    ranking: Output[Artifact],
    metrics: Output[Metrics],
    report: Output[HTML],
    summary: Output[Markdown],
) -> None:
    """Rank the trials of a sweep, and say how to run the best as a recipe."""
    from components.outputs import publish
    from tenfold.stages import rank as stage
    from tenfold.stages.context import Context, read_reference
    from tenfold.sweep import plan_from_json

    context = Context.of(recipe, store)
    done = stage.run(
        context, plan_from_json(plan), [read_reference(trial.path) for trial in trials]
    )
    publish(
        context,
        done,
        ranking,
        tags=tags,
        report=report,
        metrics=metrics,
        summary=summary,
    )
