"""The graph of a sweep: many trainings of one fold, ranked; compiled, or run here."""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from pipelines.compile import Compiled
from pipelines.containers import Containers
from pipelines.images import Images
from pipelines.plan import machine_of
from pipelines.run import (
    RUNS,
    alone,
    execute,
    find_local,
    from_anywhere,
    synthesise,
)
from pipelines.settings import Settings
from pipelines.targets import (
    Target,
    TargetError,
    find_target,
    parallel_folds,
    profile_of,
)
from tenfold.data.files import atomic_path
from tenfold.recipe import Json, Recipe
from tenfold.stages.context import Context, Reference
from tenfold.stages.entries import RANKING
from tenfold.stages.pages import page_path, show
from tenfold.stages.pages.rank import caveat
from tenfold.store import Store
from tenfold.sweep import Plan

PAGE = "report.html"


def build_sweep(plan: Plan, recipe: Recipe, target: Target, images: Images) -> Any:
    """Return the pipeline function of a sweep on a target.

    Its run-time parameters are those of a recipe's graph.

    Args:
        plan: the sweep with its trials.
        recipe: that all trials vary.
        target: decides resources; those of trials are the member's.
        images: that tasks run in.

    Raises:
        TargetError: the graph is larger than the platforms take.
    """
    from kfp import dsl

    from pipelines.dag import MOST_RECIPE_BYTES, Tasks, add_data

    text = plan.model_dump_json()
    size = len(text) + len(recipe.to_json())
    if size > MOST_RECIPE_BYTES:
        raise TargetError(
            f"sweep {plan.name} and its recipe are {size:,} bytes, but a task takes at"
            f" most {MOST_RECIPE_BYTES:,}; try fewer things at once"
        )
    tasks = Tasks(recipe, target, images)
    at_once = parallel_folds(recipe, target, plan.member)

    @dsl.pipeline(  # type: ignore[untyped-decorator]
        name=f"tenfold-{_name(plan, recipe)}", description=plan.about
    )
    def graph(source: str, store: str, tags: str = "") -> None:
        tasks.shared = {"store": store, "tags": tags}
        data = add_data(tasks, source)
        with dsl.ParallelFor(
            list(range(len(plan.trials))), parallelism=at_once
        ) as number:
            trial = tasks.add(
                "trial",
                f"Try {plan.member}",
                of_member=plan.member,
                source=source,
                plan=text,
                number=number,
                **data,
            )
        tasks.add(
            "rank",
            "Rank the trials",
            plan=text,
            trials=dsl.Collected(trial.outputs["result"]),
        )

    return graph


def compile_sweep(
    plan: Plan,
    recipe: Recipe,
    target: str,
    settings: Settings,
    images: Images,
    directory: Path,
) -> Compiled:
    """Compile a sweep for one target; the file is there whole or not at all."""
    from kfp import compiler

    path = directory / f"{_name(plan, recipe)}-{target}.yaml"
    graph = build_sweep(plan, recipe, find_target(target, settings), images)
    with atomic_path(path) as temporary:
        compiler.Compiler().compile(graph, str(temporary))
    return Compiled(recipe, target, images, path)


def describe_sweep(plan: Plan, compiled: Compiled) -> str:
    """Return what a compiled sweep will do."""
    recipe, trials = compiled.recipe, len(plan.trials)
    at_once = parallel_folds(recipe, find_target(compiled.target), plan.member)
    profile = profile_of(recipe, "trial", plan.member)
    lines = [
        f"{recipe.challenge} · sweep {plan.name} on {compiled.target}: {trials} trials"
        f" of {plan.member} on fold {plan.fold}, {min(at_once, trials)} at once",
        f"  image    {compiled.images.of_stage(recipe, 'trial')}",
        f"  machine  {machine_of(profile, compiled.target == 'vertex')}",
    ]
    return "\n".join(lines)


def sending(compiled: Compiled, settings: Settings, /, **flags: Any) -> str:
    """Return the command that sends a compiled sweep.

    Args:
        compiled: the sweep.
        settings: the user's own cloud and cluster.
        flags: that went over the settings file, and do so again.
    """
    for name in ("source", "store"):
        if not getattr(settings, name):
            flags[name] = name.upper()
    words = ["python", "pipelines/submit.py", "--target", compiled.target]
    words += ["--compiled", str(compiled.path)]
    for name, value in flags.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def run_sweep(
    plan: Plan,
    recipe: Recipe,
    source: str | None = None,
    out: Path | None = None,
    store: str | None = None,
    target: str = "local",
    images: str = "tenfold",
) -> Path:
    """Run a sweep on this machine, doing only what is not in the store yet.

    Args:
        plan: the sweep with its trials.
        recipe: that all trials vary.
        source: raw data; none: a synthetic set is made.
        out: folder of the run; `runs/<challenge>-sweep-<name>`.
        store: folder or address of an object store; `runs/store`.
        target: local (processes) or docker (containers of this checkout's images).
        images: prefix of the images' names.

    Returns:
        The report.
    """
    engine = Containers(images) if find_local(target) == "docker" else None
    folder = (out or RUNS / _name(plan, recipe)).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    place = from_anywhere(store or RUNS / "store")
    data = from_anywhere(source or synthesise(recipe, RUNS / "data") / "data")
    if engine is not None:
        engine.prepare(recipe, data, place)
    context = Context(recipe, Store(place))
    order: Json = {
        "recipe": recipe.to_json(),
        "source": data,
        "store": place,
        "plan": plan.model_dump_json(),
    }
    counts = {"ingest": 1, "group": 1, "split": 1, "trial": len(plan.trials), "rank": 1}
    with alone(folder) as lock:
        tasks = execute(order, context, counts, folder, engine, lock)
        return _report(tasks, context, folder)


def _report(tasks: Sequence[Reference], context: Context, folder: Path) -> Path:
    """Bring the ranking's page to where people look for it, and say what it says."""
    rank = next(task for task in tasks if task.stage == "rank")
    entry = context.entry(rank)
    ranking = entry.json(RANKING)
    role = context.recipe.member(ranking["member"]).role
    monitor = context.challenge.scoring.of_role(role).MONITOR
    lines = ["", f"  {monitor:>10}  epochs  trial"]
    for row in ranking["trials"]:
        ended = "ended early" if row["stopped"] else ""
        epochs = f"{row['epochs']}/{row['of_epochs']}"
        lines.append(f"  {row['score']:10.4f}  {epochs:>6}  {row['label']}  {ended}")
    for row in ranking["failed"]:
        lines.append(f"  {'failed':>10}  {'':>6}  {row['label']}: {row['reason']}")
    page = show(context, entry)
    report = folder / PAGE
    if page is not None:
        shutil.copyfile(page_path(page), report)
    lines += ["", f"  {caveat(ranking, monitor)}"]
    lines += [f"  {ranking['trials'][0]['command']}", "", f"  report  {report}"]
    typer.echo("\n".join(line.rstrip() for line in lines))
    return report


def _name(plan: Plan, recipe: Recipe) -> str:
    return f"{recipe.challenge}-sweep-{plan.name}"
