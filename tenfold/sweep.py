"""Sweeps: one recipe's options tried in many ways on one fold.

A sweep is a YAML file. What it tries is a pure function of it: the same file gives the
same trials, and a random sweep that asks for more keeps those it had.
"""

import itertools
import math
import random
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Discriminator, Field, Tag, model_validator

from tenfold.challenges import FOLDER, find_challenge, load_recipe
from tenfold.errors import RecipeError
from tenfold.recipe import Recipe, Section, read_yaml, validate

#: As many as one loop of a graph gathers (a limit of Vertex AI).
MOST_TRIALS = 100
_DRAWS_A_TRIAL = 100
_DIGITS = 4


class EarlyStop(Section):
    """When a trial ends before its last epoch (tenfold.training.rivals)."""

    rule: Literal["median", "none"] = "median"
    warmup_epochs: int = Field(1, ge=1, description="epochs that every trial gets")
    min_trials: int = Field(
        3, ge=1, description="others that came as far, before any is ended"
    )


class Range(Section):
    """Numbers to draw from, evenly or evenly in their logarithm."""

    uniform: tuple[float, float] | None = None
    log_uniform: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _is_one_range(self) -> "Range":
        if len(self._given) != 1 or not self._given[0][0] < self._given[0][1]:
            raise ValueError("give uniform or log_uniform, as [low, high]")
        if self.log_uniform is not None and self.log_uniform[0] <= 0:
            raise ValueError("log_uniform needs a low end above 0")
        return self

    @property
    def _given(self) -> list[tuple[float, float]]:
        return [ends for ends in (self.uniform, self.log_uniform) if ends is not None]

    def draw(self, rng: random.Random) -> float:
        """Draw a number that a person can read."""
        low, high = self._given[0]
        if self.log_uniform is None:
            value = rng.uniform(low, high)
        else:
            value = math.exp(rng.uniform(math.log(low), math.log(high)))
        return min(max(float(f"{value:.{_DIGITS}g}"), low), high)


def _kind_of_axis(value: Any) -> str:
    return "range" if isinstance(value, (dict, Range)) else "values"


# Told apart before they are read, so that a fault is said of the one that was meant.
Axis = Annotated[
    Annotated[tuple[Any, ...], Tag("values")] | Annotated[Range, Tag("range")],
    Discriminator(_kind_of_axis),
]


class Sweep(Section):
    """A sweep, as its file says it.

    An axis is an option of the recipe and its values. A value that is a mapping sets
    several options of that section together, and is called by the first.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    about: str = Field(description="one sentence a person reads in a list")
    recipe: str = Field(description="preset, or path of a YAML file")
    set: tuple[str, ...] = Field((), description="overrides of every trial")
    member: str | None = Field(None, description="model that is tried; the first")
    fold: int = Field(0, ge=0, description="held out, and scored on")
    method: Literal["grid", "random"]
    trials: int | None = Field(None, ge=1, description="of method random")
    seed: int = Field(42, description="of method random")
    axes: dict[str, Axis] = Field(min_length=1)
    early_stop: EarlyStop = EarlyStop()
    parallel: int = Field(2, ge=1, le=MOST_TRIALS, description="trials at once")

    @model_validator(mode="after")
    def _method_fits(self) -> "Sweep":
        if (self.method == "random") != (self.trials is not None):
            raise ValueError("trials goes with method random, and only with it")
        for option, axis in self.axes.items():
            if isinstance(axis, Range) and self.method == "grid":
                raise ValueError(f"axis {option} is a range, which needs method random")
            if not isinstance(axis, Range) and ({} in axis or not axis):
                raise ValueError(f"axis {option} has no value, or one that is empty")
        return self


class Trial(Section):
    """One choice on every axis.

    Attributes:
        label: what a person calls it; no two of a sweep share one.
        set: overrides of the sweep's recipe.
        values: axis by its short name → value, for tables.
    """

    label: str
    set: tuple[str, ...]
    values: dict[str, Any]


class Plan(Section):
    """A sweep with its trials, as it travels between tasks beside its recipe.

    Attributes:
        recipe: as the sweep's file names it; `set` are the overrides of all trials.
        trials: in the order of their numbers.
    """

    name: str
    about: str
    recipe: str
    set: tuple[str, ...]
    member: str
    fold: int
    early_stop: EarlyStop
    trials: tuple[Trial, ...]

    def command(self, challenge: str, trial: Trial) -> str:
        """Return the command that runs a trial's choice as a recipe, on all folds."""
        words = ["tenfold", "run", challenge, "--recipe", self.recipe]
        for setting in (*self.set, *trial.set):
            words += ["--set", setting]
        return shlex.join(words)


def sweep_names(challenge: str) -> list[str]:
    """Name the sweeps that come with a challenge."""
    return sorted(path.stem for path in (FOLDER / challenge / "sweeps").glob("*.yaml"))


def load_sweep(challenge: str, sweep: str) -> Sweep:
    """Read a preset by name, or any YAML file by path.

    Raises:
        RecipeError: naming each bad key or value.
    """
    found = find_challenge(challenge)
    path = Path(sweep)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / found.name / "sweeps" / f"{sweep}.yaml"
        if not path.is_file():
            known = ", ".join(sweep_names(challenge)) or "none"
            raise RecipeError(f"{challenge} has no sweep {sweep!r}; it has {known}")
    return validate(Sweep, read_yaml(path), f"sweep {path.name}")


def plan_sweep(
    challenge: str, sweep: Sweep, settings: Sequence[str] = ()
) -> tuple[Recipe, Plan]:
    """Return the recipe that all trials vary, and the trials.

    Args:
        challenge: name of the challenge.
        sweep: what is tried.
        settings: more overrides of every trial.

    Raises:
        RecipeError: naming the trial whose recipe is not valid.
    """
    fixed = (*sweep.set, *settings)
    together = f"parallel_folds={sweep.parallel}"
    recipe = load_recipe(challenge, sweep.recipe, (*fixed, together))
    plan = Plan(
        name=sweep.name,
        about=sweep.about,
        recipe=sweep.recipe,
        set=fixed,
        member=sweep.member or recipe.members[0].name,
        fold=sweep.fold,
        early_stop=sweep.early_stop,
        trials=tuple(expand(sweep)),
    )
    _check(recipe, plan)
    return recipe, plan


def plan_from_json(text: str) -> Plan:
    """Read a plan back from the JSON string that travels between tasks."""
    return Plan.model_validate_json(text)


def trial_recipe(recipe: Recipe, trial: Trial) -> Recipe:
    """Return the recipe of a trial.

    Raises:
        RecipeError: if an override does not fit the recipe.
    """
    try:
        return load_recipe(recipe.challenge, recipe.to_json(), trial.set)
    except RecipeError as error:
        raise RecipeError(f"{trial.label}: {error}") from None


def expand(sweep: Sweep) -> Iterator[Trial]:
    """Yield the trials of a sweep, each other than all before it.

    Raises:
        RecipeError: for more than a graph takes, or than there are.
    """
    names = _short([_called(option, axis) for option, axis in sweep.axes.items()])
    chosen = _grid(sweep) if sweep.method == "grid" else _random(sweep)
    for number, values in enumerate(chosen):
        shown = {name: _shown(value) for name, value in zip(names, values, strict=True)}
        said = ", ".join(f"{name}={value}" for name, value in shown.items())
        settings = [
            setting
            for option, value in zip(sweep.axes, values, strict=True)
            for setting in _settings(option, value)
        ]
        yield Trial(label=f"trial {number}: {said}", set=settings, values=shown)


def _grid(sweep: Sweep) -> list[tuple[Any, ...]]:
    axes = [axis for axis in sweep.axes.values() if not isinstance(axis, Range)]
    _check_count(sweep, math.prod(len(axis) for axis in axes))
    return list(itertools.product(*axes))


def _random(sweep: Sweep) -> list[tuple[Any, ...]]:
    wanted = sweep.trials or 0
    _check_count(sweep, wanted)
    rng = random.Random(sweep.seed)
    drawn: dict[str, tuple[Any, ...]] = {}
    for _ in range(_DRAWS_A_TRIAL * wanted):
        values = tuple(_draw(axis, rng) for axis in sweep.axes.values())
        drawn.setdefault(repr(values), values)
        if len(drawn) == wanted:
            return list(drawn.values())
    raise RecipeError(
        f"sweep {sweep.name} asks for {wanted} trials, but its axes have only"
        f" {len(drawn)} combinations; lower trials"
    )


def _draw(axis: Axis, rng: random.Random) -> Any:
    return axis.draw(rng) if isinstance(axis, Range) else rng.choice(axis)


def _check_count(sweep: Sweep, count: int) -> None:
    if count > MOST_TRIALS:
        raise RecipeError(
            f"sweep {sweep.name} has {count:,} trials, but a graph gathers at most"
            f" {MOST_TRIALS} outputs of one loop; leave values out, or draw some of"
            " them with method random"
        )


def _check(recipe: Recipe, plan: Plan) -> None:
    """Refuse trials that could not run, or of which two would be one training."""
    member = recipe.member(plan.member)
    machine = (member.engine, recipe.profile(member.profile))
    seen: dict[str, Trial] = {}
    for trial in plan.trials:
        own = trial_recipe(recipe, trial)
        tried = own.member(plan.member)
        if plan.fold >= own.split.k:
            raise RecipeError(
                f"{trial.label}: there is no fold {plan.fold}; folds are 0 …"
                f" {own.split.k - 1}"
            )
        if (tried.engine, own.profile(tried.profile)) != machine:
            raise RecipeError(
                f"{trial.label}: the trials of a sweep share one image and one machine;"
                " change engine, profile and profiles with the sweep's `set`"
            )
        first = seen.setdefault(repr(_read_by_trial(own, plan.member)), trial)
        if first is not trial:
            raise RecipeError(
                f"{first.label} and {trial.label} would be the same training; an axis"
                " is twice the same, or an option that no trial reads"
            )


def _read_by_trial(recipe: Recipe, member: str) -> list[Any]:
    read = (recipe.data, recipe.groups, recipe.split)
    parts = [part.model_dump(mode="json") for part in read]
    tried = recipe.member(member)
    inference = tried.inference.model_dump(mode="json")
    return [recipe.seed, *parts, tried.decisive(), inference]


def _settings(option: str, value: Any) -> list[str]:
    """Return the overrides of one choice."""
    if isinstance(value, Mapping):
        return [f"{option}.{key}={_text(inner)}" for key, inner in value.items()]
    return [f"{option}={_text(value)}"]


def _text(value: Any) -> str:
    """Write a value as the YAML that an override is read as."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=math.inf)
    return text.removesuffix("...\n").strip()


def _shown(value: Any) -> Any:
    first: Any = next(iter(value.values())) if isinstance(value, Mapping) else value
    return first if isinstance(first, (str, int, float)) else _text(first)


def _called(option: str, axis: Axis) -> str:
    """Return the option that an axis is called by."""
    if isinstance(axis, Range) or not isinstance(axis[0], Mapping):
        return option
    return f"{option}.{next(iter(axis[0]))}"


def _short(options: Sequence[str]) -> list[str]:
    """Return the shortest end of each option that no other option has."""
    names = []
    for option in options:
        parts = option.split(".")
        ends = [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]
        others = [other for other in options if other != option]
        own = (
            end
            for end in ends
            if not any(f".{other}".endswith(f".{end}") for other in others)
        )
        names.append(next(own, option))
    return names
