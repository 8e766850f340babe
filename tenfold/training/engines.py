"""What stages know of an engine: it fits a member, and runs a fitted one.

A framework is imported by its own backend only, when a member asks for it.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import polars as pl

from tenfold.data.arrays import Arrays
from tenfold.data.dataset import Dataset, Samples
from tenfold.errors import RecipeError
from tenfold.recipe import Json, Member, Precision
from tenfold.store import Workspace

Resume = Literal["auto", "must", "never"]
_BACKENDS = {
    "torch": "tenfold.training.torch_backend",
    "trees": "tenfold.training.trees_backend",
    "keras": "tenfold.training.keras.backend",
}
#: Runs a fitted member: (samples, ids, batch) to (id, compact outputs), in order.
Runner = Callable[[Samples, Sequence[str], int], Iterator[tuple[str, Arrays]]]
#: Told the history after each epoch; True ends the training there.
AfterEpoch = Callable[[Sequence[Mapping[str, float]]], bool]


class Scorer(Protocol):
    """The part of a challenge's scoring that validation needs."""

    MONITOR: str

    def tally(self, outputs: Arrays, arrays: Arrays) -> Any:
        """Count one sample; counts add up."""

    def metrics(self, tally: Any) -> dict[str, float]:
        """Turn counts into figures."""


@dataclass(frozen=True)
class Order:
    """One member on one fold, as a stage asks for it.

    Attributes:
        task: the challenge's, for the member's engine.
        catalogue: of the samples to learn from; `held_out_ids` are not among them.
        pictured_ids: held-out samples whose outputs are kept at chosen epochs.
        seed: of everything that is drawn.
        weights: folder that gets a file for each kind of weights.
        after_epoch: asked before the epoch's checkpoint is written.
    """

    task: Any
    member: Member
    dataset: Dataset
    scorer: Scorer
    catalogue: pl.DataFrame
    held_out_ids: Sequence[str]
    pictured_ids: Sequence[str]
    seed: tuple[int, ...]
    weights: Path
    after_epoch: AfterEpoch | None = None


@dataclass(frozen=True)
class Finished:
    """What fitting leaves.

    Attributes:
        description: of the model, for `Engine.load`.
        files: kind of weights (last, best, ema, swa) to file.
        history: one row an epoch, published names.
    """

    description: Json
    files: Mapping[str, Path]
    history: list[dict[str, float]]


class Engine(Protocol):
    """A backend module."""

    def fit(self, order: Order, workspace: Workspace, resume: Resume) -> Finished:
        """Train to the end, going on from a checkpoint as `resume` says."""

    def load(
        self,
        task: Any,
        description: Json,
        weights: Path,
        precision: Precision,
        threads: int | None = None,
    ) -> Runner:
        """Build a fitted member from its description and its weights.

        Args:
            task: the challenge's, for the member.
            description: of the model, as `fit` gave it.
            weights: file of one kind.
            precision: of inference.
            threads: CPU threads of this process; none: as they are.
        """

    def has_gpu(self) -> bool:
        """Tell whether the framework sees a GPU."""


def backend_of(name: str) -> str:
    """Return the module of an engine's backend.

    Its code is part of the version of what it makes. Since it is looked up, and not
    imported here, an edit of one engine leaves the members of the others as they are;
    stages name the engines of theirs (`Context.build`).

    Raises:
        RecipeError: for an engine that there is no backend of.
    """
    if name not in _BACKENDS:
        known = ", ".join(_BACKENDS)
        raise RecipeError(f"there is no engine {name!r}; there are {known}")
    return _BACKENDS[name]


def find_engine(name: str) -> Engine:
    """Return the backend of an engine.

    Raises:
        RecipeError: for an engine that there is no backend of.
    """
    return cast(Engine, importlib.import_module(backend_of(name)))
