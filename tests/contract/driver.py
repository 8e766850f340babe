"""Runs the stages of a recipe in this process, in the order of the graph."""

from dataclasses import dataclass, field

from tenfold.challenges import Challenge
from tenfold.stages import (
    evaluate,
    group,
    ingest,
    predict,
    preview,
    split,
    submit,
    train,
    tune,
)
from tenfold.stages.context import Context, Reference
from tenfold.store import Entry


@dataclass
class Finished:
    context: Context
    source: str
    tasks: dict[str, Reference] = field(default_factory=dict)

    def entry(self, task: str) -> Entry:
        return self.context.entry(self.tasks[task])

    @property
    def challenge(self) -> Challenge:
        return self.context.challenge

    @property
    def done(self) -> set[str]:
        return {name for name, task in self.tasks.items() if not task.reused}

    @property
    def addresses(self) -> dict[str, str]:
        return {name: task.address for name, task in self.tasks.items()}


def run_stages(context: Context, source: str) -> Finished:
    run = Finished(context, source)
    tasks, recipe = run.tasks, context.recipe
    data = tasks["ingest"] = ingest.run(context, source)
    tasks["group"] = group.run(context, data)
    folds = tasks["split"] = split.run(context, data, tasks["group"])
    board = None
    for member in recipe.members:
        trained = []
        for fold in range(recipe.split.k):
            done = train.run(context, data, folds, member.name, fold)
            tasks[f"train {member.name} {fold}"] = done
            trained.append(done)
        board = evaluate.run(context, data, folds, member.name, trained, board)
        tasks[f"evaluate {member.name}"] = board
    tasks["tune"] = tune.run(context, data, folds, board)
    parts = []
    for worker in range(recipe.predict.workers):
        done = predict.run(context, data, tasks["tune"], worker)
        tasks[f"predict {worker}"] = done
        parts.append(done)
    tasks["submit"] = submit.run(context, data, parts)
    tasks["preview"] = preview.run(context, data, tasks["submit"])
    return run
