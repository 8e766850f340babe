"""bench: how fast a recipe's members train and predict on this machine.

Nothing is stored. Pretrained weights are left out: random ones are as fast.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenfold.data.dataset import Dataset
from tenfold.errors import RecipeError, TrainingError
from tenfold.recipe import Json, Member, Recipe
from tenfold.stages import ingest
from tenfold.stages.context import Context, Reference
from tenfold.stages.device import check_device
from tenfold.stages.explore import open_dataset
from tenfold.store import Store
from tenfold.training.engines import Order
from tenfold.training.measured import Measured, Timing
from tenfold.training.measures import find_measure, takes_steps

#: What a synthetic set has at most, where its options say so.
_SMALL = {"train": 24, "test": 1, "coasts": 6, "twins": 4}
_WEIGHTS_FILES = (".safetensors", ".h5")


@dataclass(frozen=True)
class Bench:
    """What was measured of one member.

    Attributes:
        member: its name.
        measured: by its engine.
        hours_a_fold: that its training steps take, validation not counted; None where
            the number of samples is not known.
    """

    member: str
    measured: Measured
    hours_a_fold: float | None

    def rows(self) -> list[Json]:
        """Return a row a pass, as plain data; rates are of samples and their pixels."""
        found = self.measured
        return [
            self._row("training", found.training, found.pixels)
            | {"hours_a_fold": self.hours_a_fold},
            self._row("one batch again", found.repeated, found.pixels),
            self._row("inference", found.inference, found.whole_pixels),
        ]

    def _row(self, name: str, timing: Timing, pixels: int) -> Json:
        rate = timing.samples / timing.seconds
        return {
            "member": self.member,
            "pass": name,
            "samples_per_second": rate,
            "megapixels_per_second": rate * pixels / 1e6,
            "milliseconds_per_step": 1000 * timing.seconds / timing.steps,
            "waiting_share": timing.waited,
            "device_share": timing.used,
            "peak_gb": timing.peak_bytes / 1e9,
            "hours_a_fold": None,
            "device": self.measured.device,
            "parameters": self.measured.parameters,
        }


def run(
    context: Context,
    dataset: Reference | None,
    names: Sequence[str],
    steps: int,
    any_device: bool,
    tell: Callable[[str], None],
) -> list[Bench]:
    """Measure members.

    Args:
        context: recipe and store.
        dataset: from ingest; none: a small set is synthesised.
        names: of members; none: all.
        steps: that are timed, of each kind.
        any_device: measure here even if a member's profile asks for a GPU that is not.
        tell: gets a word on what is being done.

    Raises:
        TrainingError: a member's profile asks for a GPU, and there is none.
        RecipeError: there is no such member, or nothing to time it with.
    """
    members = _members(context.recipe, names, tell)
    if not any_device:
        for member in members:
            _check_device(context.recipe, member)
    found = []
    with _data(context, dataset, tell) as data:
        for member in members:
            tell(
                f"{member.name}: {steps} steps, as many of one batch, and of inference"
            )
            measured = _measure(context, data, _unpretrained(member), steps)
            samples = _samples(context.recipe, member, data if dataset else None)
            rate = measured.training.samples / measured.training.seconds
            hours = None if samples is None else samples / rate / 3600
            found.append(Bench(member.name, measured, hours))
    return found


def _members(
    recipe: Recipe, names: Sequence[str], tell: Callable[[str], None]
) -> list[Member]:
    """Return the members that can be measured."""
    chosen = [recipe.member(name) for name in names] or list(recipe.members)
    for member in chosen:
        if not takes_steps(member.engine):
            tell(
                f"{member.name}: left out, engine {member.engine} has no steps to time"
            )
    found = [member for member in chosen if takes_steps(member.engine)]
    if not found:
        raise RecipeError("nothing to measure: no member's engine takes steps")
    return found


def _samples(recipe: Recipe, member: Member, data: Dataset | None) -> int | None:
    """Return how many examples all epochs of a fold have."""
    training = member.training
    if training.samples_per_epoch is not None:
        return training.epochs * training.samples_per_epoch
    k = recipe.split.k
    # Of the published split's one fold, only the folds themselves know how large it is.
    if data is None or k == 1:
        return None
    return training.epochs * (len(data.rows("train")) * (k - 1) // k)


def _check_device(recipe: Recipe, member: Member) -> None:
    try:
        check_device(recipe.profile(member.profile), member.name, [member.engine])
    except TrainingError:
        gpu = recipe.profile(member.profile).gpu
        raise TrainingError(
            f"{member.name}: its profile asks for {gpu}, and this machine has no GPU;"
            " measure where there is one, or with --device cpu, which says nothing of"
            " that GPU"
        ) from None


@contextmanager
def _data(
    context: Context, dataset: Reference | None, tell: Callable[[str], None]
) -> Iterator[Dataset]:
    """Open a data set, or make a small one that is gone afterwards."""
    if dataset is not None:
        yield Dataset(open_dataset(context.store, context.challenge.name, dataset).path)
        return
    options: Any = getattr(context.recipe, "synth", None)
    if options is None:
        raise RecipeError(
            f"{context.challenge.name} makes no data of its own; name some with"
            " --dataset and --store"
        )
    known = type(options).model_fields
    small = options.model_copy(
        update={name: most for name, most in _SMALL.items() if name in known}
    )
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as folder:
        tell("synthesising and packing a small set")
        raw = Path(folder) / "raw"
        context.challenge.synth.synthesise(raw, small)
        own = Context(context.recipe, Store(Path(folder) / "store"))
        made = ingest.run(own, str(raw / "data"))
        yield Dataset(own.entry(made).path)


def _unpretrained(member: Member) -> Member:
    """Return a member that starts from random weights."""
    return type(member).model_validate(_without_files(member.model_dump(mode="json")))


def _without_files(value: Any) -> Any:
    """Copy plain data; names of files with weights become null."""
    if isinstance(value, dict):
        return {key: _without_files(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_files(inner) for inner in value]
    named = isinstance(value, str) and value.endswith(_WEIGHTS_FILES)
    return None if named else value


def _measure(context: Context, data: Dataset, member: Member, steps: int) -> Measured:
    recipe = context.recipe
    order = Order(
        task=context.challenge.model.task(recipe, member),
        member=member,
        dataset=data,
        scorer=context.challenge.scoring.of_role(member.role),
        catalogue=data.rows("train"),
        held_out_ids=(),
        pictured_ids=(),
        seed=(recipe.seed, member.seed, 0),
        weights=Path(),
    )
    return find_measure(member.engine)(order, steps, recipe.predict.batch)
