"""Runs the stages of a recipe in this process, in the order of the graph."""

from dataclasses import dataclass, field

from tenfold.challenges import Challenge
from tenfold.stages import (
    evaluate,
    group,
    ingest,
    predict,
    preview,
    select,
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
    board, labels = None, None
    for number in recipe.rounds:
        last = number == len(recipe.rounds)
        early = "" if last else f"round {number} "
        for member in recipe.trained_in(number):
            board = _model(run, data, folds, member.name, board, labels)
        tuned = tune.run(context, data, folds, board, number)
        tasks[f"{early}tune"] = tuned
        parts = []
        for worker in range(recipe.predict.workers):
            done = predict.run(context, data, tuned, worker)
            tasks[f"{early}predict {worker}"] = done
            parts.append(done)
        if not last:
            labels = tasks["select"] = select.run(context, data, parts)
    tasks["submit"] = submit.run(context, data, parts)
    tasks["preview"] = preview.run(context, data, tasks["submit"])
    return run


def _model(run, data, folds, name, board, labels):
    trained = []
    for fold in range(run.context.recipe.split.k):
        done = train.run(run.context, data, folds, name, fold, pseudo=labels)
        run.tasks[f"train {name} {fold}"] = done
        trained.append(done)
    board = evaluate.run(run.context, data, folds, name, trained, board)
    run.tasks[f"evaluate {name}"] = board
    return board
