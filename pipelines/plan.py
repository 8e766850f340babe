"""What a graph will do, before it does it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.images import Images, is_pinned, kind_of
from pipelines.machines import check_region, end_of_support, machine_for
from pipelines.prices import DISK, Prices, PricesError, read_prices
from pipelines.settings import Settings
from pipelines.targets import find_target, parallel_folds, profile_of
from tenfold.recipe import Recipe, Resources

if TYPE_CHECKING:
    from pipelines.compile import Compiled

#: What the key of a stage's result in the store is made of, besides the stage's code.
KEYS = {
    "ingest": "source, data, channels",
    "group": "data set, groups, weights file",
    "split": "data set, groups found, split, seed",
    "train": "data set, folds, fold, this member, seed, weights file",
    "evaluate": "data set, folds, its trained folds, the leaderboard before",
    "tune": "data set, folds, leaderboard with all trained folds, tune",
    "predict": "data set, decision, predict, worker",
    "select": "data set, all predictions of the first round, pseudo",
    "submit": "data set, all predictions",
    "preview": "data set, submission, preview",
}


@dataclass(frozen=True)
class Step:
    """Tasks of a graph that differ in a number only.

    Attributes:
        stage: that they run.
        title: what a console calls them.
        count: how many there are.
        member: whose training or evaluation it is, if it is one.
    """

    stage: str
    title: str
    count: int = 1
    member: str | None = None


def steps_of(recipe: Recipe) -> tuple[Step, ...]:
    """Return the steps of a recipe's graph, in the order they can start in."""
    steps = [
        Step("ingest", "Ingest"),
        Step("group", "Group near-duplicates"),
        Step("split", "Split into folds"),
    ]
    for number in recipe.rounds:
        steps += _round(recipe, number)
        if number < len(recipe.rounds):
            steps.append(Step("select", "Select pseudo-labels"))
    return (
        *steps,
        Step("submit", "Write submission"),
        Step("preview", "Preview"),
    )


def _key(recipe: Recipe, step: Step) -> str:
    """Say what the key of a step's results is made of."""
    late = {member.name for member in recipe.trained_in(2)}
    learns = step.stage == "train" and step.member in late
    return KEYS[step.stage] + (", pseudo-labels" if learns else "")


def _round(recipe: Recipe, number: int) -> list[Step]:
    steps, of_round = [], f", round {number}" if len(recipe.rounds) > 1 else ""
    for member in recipe.trained_in(number):
        name = member.name
        steps.append(Step("train", f"Train {name}", recipe.split.k, name))
        steps.append(Step("evaluate", f"Evaluate {name}", 1, name))
    steps.append(Step("tune", f"Tune out-of-fold{of_round}"))
    steps.append(Step("predict", f"Predict{of_round}", recipe.predict.workers))
    return steps


def task_counts(recipe: Recipe) -> Counter[str]:
    """Return how many tasks of each stage a run has."""
    counts: Counter[str] = Counter()
    for step in steps_of(recipe):
        counts[step.stage] += step.count
    return counts


def images_of(recipe: Recipe, images: Images) -> list[str]:
    """Return the names of the images that a recipe's tasks run in."""
    kinds = {kind_of(recipe, step.stage) for step in steps_of(recipe)}
    return sorted(images.reference(kind) for kind in kinds)


@dataclass(frozen=True)
class _Hours:
    """How long the tasks of a step with a GPU take together.

    Attributes:
        profile: of each task.
        total: hours of machines; none if nobody knows.
        because: where that comes from, or why nobody knows.
    """

    profile: Resources
    total: float | None
    because: str


def prices_of(
    path: Path | None, targets: Iterable[str], settings: Settings
) -> Prices | None:
    """Read the table of prices that plans shall use, before anything is written.

    Raises:
        TenfoldError: it cannot be read, or is of another region than the runs.
    """
    if path is None:
        return None
    prices, region = read_prices(path), settings.vertex.location
    if "vertex" in targets and region not in (None, prices.region):
        raise PricesError(
            f"the prices are of {prices.region}, but the run is in {region}; fetch"
            f" them: tenfold prices fetch --region {region}"
        )
    return prices


def describe(compiled: "Compiled", settings: Settings, prices: Prices | None) -> str:
    """Return what a compiled graph will do and about what it costs.

    Nothing is asked of the store, so this does not tell what is done already.

    Args:
        compiled: the graph.
        settings: the user's own cloud and cluster.
        prices: table of the user's; without one no cost is named.
    """
    recipe, region = compiled.recipe, settings.vertex.location
    on_vertex = compiled.target == "vertex"
    where = f"{compiled.target}, {region}" if on_vertex and region else compiled.target
    tasks = sum(task_counts(recipe).values())
    hours = [_hours(recipe, step, profile) for step, profile in _with_gpu(recipe)]
    notes = {"GPU hours": _gpu_hours(hours)}
    if prices is not None:
        if on_vertex:
            notes["cost"] = _cost(hours, prices)
            if not hours:
                del notes["GPU hours"]
        else:
            notes["cost"] = "not named: prices are of machines on vertex"
    notes["kept"] = (
        "KFP's cache is off; the store decides: a result whose key is there is not made"
        " again. Every key holds the stage's code too"
    )
    notes["images"] = ", ".join(_images(compiled))
    if on_vertex:
        notes["note"] = "; ".join(_warnings(hours, region))
    return "\n".join(
        [
            f"{recipe.challenge} · {recipe.name} on {where}: {tasks} tasks",
            "",
            *_table(_rows(compiled, settings)),
            "",
            *(f"  {name:9}  {text}" for name, text in notes.items() if text),
        ]
    )


def _with_gpu(recipe: Recipe) -> Iterator[tuple[Step, Resources]]:
    for step in steps_of(recipe):
        profile = profile_of(recipe, step.stage, step.member)
        if profile.gpu is not None:
            yield step, profile


def _hours(recipe: Recipe, step: Step, profile: Resources) -> _Hours:
    member = recipe.member(step.member) if step.member else None
    took = member.took if member and step.stage == "train" else None
    if member is None or took is None:
        return _Hours(profile, None, f"{step.title}: no time is published")
    if (profile.gpu, profile.gpus) != (took.gpu, 1):
        because = f"{step.title}: published on one {took.gpu} ({took.source})"
        return _Hours(profile, None, because)
    # Other options change the time too; epochs are what people turn down first.
    each = took.hours_a_fold * member.training.epochs / took.epochs
    because = f"{step.title}: {step.count} × {each:.3g} h, {took.source}"
    return _Hours(profile, step.count * each, because)


def _gpu_hours(hours: Sequence[_Hours]) -> str:
    if not hours:
        return "none"
    known: dict[str, float] = {}
    for item in hours:
        gpu = str(item.profile.gpu)
        known[gpu] = known.get(gpu, 0.0) + (item.total or 0.0)
    unknown = [item.because for item in hours if item.total is None]
    parts = [f"{total:.3g} on {gpu}" for gpu, total in known.items() if total]
    if parts:
        reasons = "; ".join(item.because for item in hours if item.total is not None)
        parts = [f"{' and '.join(parts)}, an estimate ({reasons})"]
    if unknown:
        parts.append(f"unknown: {'; '.join(unknown)}")
    return "; ".join(parts)


def _cost(hours: Sequence[_Hours], prices: Prices) -> str:
    """Return the price of the hours that are known."""
    if not hours:
        return "no GPU hours; CPU tasks are not priced"
    if all(item.total is None for item in hours):
        return "unknown, as the hours are"
    total, missing = 0.0, set()
    for item in hours:
        if item.total is not None:
            profile = item.profile
            price, lacking = prices.hour(
                machine_for(profile), profile.disk_gb, profile.spot
            )
            total += price * item.total
            missing |= set(lacking)
    if missing:
        return f"unknown: the table has no price of {', '.join(sorted(missing))}"
    return (
        f"{prices.currency} {total:,.2f}, an estimate: those hours of machines with"
        f" {DISK} at the prices of {prices.date} ({prices.source}). Not in it: steps"
        " without a published time, hours that a spot machine repeats, storage and"
        " network, the fee of a pipeline run"
    )


def _images(compiled: "Compiled") -> Iterator[str]:
    for name in images_of(compiled.recipe, compiled.images):
        yield name if is_pinned(name) else f"{name} (not pinned)"


def _warnings(hours: Iterable[_Hours], region: str | None) -> Iterator[str]:
    profiles = {item.profile.gpu: item.profile for item in hours}
    for gpu, profile in profiles.items():
        found = [end_of_support(gpu)]
        if region is not None:
            found.append(check_region(profile, region))
        yield from (note for note in found if note)


def _rows(compiled: "Compiled", settings: Settings) -> Iterator[tuple[str, ...]]:
    yield "step", "tasks", "at once", "image", "machine", "made again after a change of"
    recipe = compiled.recipe
    place = find_target(compiled.target, settings)
    for step in steps_of(recipe):
        at_once = step.count
        if step.stage == "train" and step.member:
            at_once = min(at_once, parallel_folds(recipe, place, step.member))
        yield (
            step.title,
            str(step.count),
            str(at_once),
            kind_of(recipe, step.stage),
            machine_of(
                profile_of(recipe, step.stage, step.member), compiled.target == "vertex"
            ),
            _key(recipe, step),
        )


def machine_of(profile: Resources, on_vertex: bool) -> str:
    """Say what a task runs on."""
    if profile.gpu is None:
        return f"{profile.cpu} CPUs, {profile.memory_gb} GB"
    if on_vertex:
        return f"{machine_for(profile)}, {'spot' if profile.spot else 'on demand'}"
    return (
        f"{profile.cpu} CPUs, {profile.memory_gb} GB, {profile.gpus} × {profile.gpu},"
        f" {profile.shm_gb} GB shared"
    )


def _table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Align columns; numbers to the right."""
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if 0 < index < 3 else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
