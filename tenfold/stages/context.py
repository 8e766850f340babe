"""What every stage is given, and how it finds or makes its store entry."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tenfold.challenges import Challenge, find_challenge, recipe_from_json
from tenfold.codeversion import code_version
from tenfold.data.files import read_json, write_json
from tenfold.errors import RecipeError, StoreError
from tenfold.recipe import Recipe
from tenfold.store import Entry, Key, Store, Work
from tenfold.training.engines import backend_of

OK, FAILED = "ok", "failed"
#: A reference stays a small file, which is how others find it.
_MOST_REASON = 2000


@dataclass(frozen=True)
class Reference:
    """What travels between tasks: the name of a store entry.

    Attributes:
        stage: that made it.
        address: `<stage>/<digest>`; empty if the stage failed and may.
        uri: where it lies, for a person.
        recipe: digest of the run's recipe; tasks refuse another's.
        status: ok, or failed with a `reason`.
        reused: it was there already.
        seconds: this task took, looking and working.
        label: what a person calls the task.
    """

    stage: str
    address: str
    uri: str
    recipe: str
    status: str = OK
    reason: str = ""
    reused: bool = False
    seconds: float = 0.0
    label: str = ""

    def write(self, path: str | Path) -> None:
        """Write the reference as the content of an artifact."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_json(Path(path), asdict(self))


def read_reference(path: str | Path, stage: str | None = None) -> Reference:
    """Read a reference from an artifact.

    Args:
        path: of the file.
        stage: that should have made it, for the sentence if it is none at all.
    """
    cure = f"name the file that {f'`tenfold {stage}`' if stage else 'a stage'} wrote"
    try:
        return Reference(**read_json(Path(path), cure))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{path} does not exist; {cure}") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}); {cure}") from None
    except TypeError:
        raise StoreError(
            f"{path} is not a reference to a store entry; {cure}"
        ) from None


def open_entry(store: Store, reference: Reference, stage: str | None = None) -> Entry:
    """Open what a reference names, whatever recipe it was made with.

    Args:
        store: that holds it.
        reference: to it.
        stage: that must have made it; none: any.

    Raises:
        StoreError: if another stage made it, it failed, is missing or incomplete.
    """
    _check_stage(reference, stage)
    if reference.status != OK:
        raise StoreError(f"{reference.label} failed: {reference.reason}")
    return store.open(reference.address)


def _check_stage(reference: Reference, stage: str | None) -> None:
    if stage is not None and reference.stage != stage:
        raise StoreError(
            f"{reference.label or reference.stage} is not what {stage} made; name the"
            f" file that `tenfold {stage}` wrote"
        )


@dataclass(frozen=True)
class Context:
    """One task's surroundings."""

    recipe: Recipe
    store: Store

    @classmethod
    def of(cls, recipe_json: str, store_uri: str) -> "Context":
        """Build from what travels through the graph."""
        return cls(recipe_from_json(recipe_json), Store(store_uri))

    @property
    def challenge(self) -> Challenge:
        """The recipe's challenge."""
        return find_challenge(self.recipe.challenge)

    def entry(self, reference: Reference, stage: str | None = None) -> Entry:
        """Open what a reference names.

        Args:
            reference: to an entry.
            stage: that must have made it; none: any.

        Raises:
            RecipeError: if it was made for a run of another recipe.
            StoreError: if another stage made it, it failed, is missing or incomplete.
        """
        _check_stage(reference, stage)
        if reference.recipe != self.recipe.digest():
            raise RecipeError(
                f"{reference.label or reference.stage} was made with another recipe"
                f" than {self.recipe.name}; compile the graph again and run it whole,"
                " or give the same --recipe and --set as for the stages before"
            )
        return open_entry(self.store, reference)

    def build(
        self,
        stage: str,
        label: str,
        inputs: Mapping[str, str],
        section: Any,
        parts: Sequence[str],
        work: Work,
        *,
        engines: Iterable[str] = (),
    ) -> Reference:
        """Find the stage's entry, or make it.

        Args:
            stage: name; its code is `tenfold.stages.<stage>`.
            label: what a person calls the task.
            inputs: name → address of the entries it reads.
            section: the part of the recipe it reads, as plain data.
            parts: of the challenge whose code it runs.
            work: makes the entry.
            engines: of the members that it trains or runs.
        """
        started = time.monotonic()
        challenge = self.challenge
        modules = [f"tenfold.stages.{stage}", *(challenge.module(p) for p in parts)]
        modules += [backend_of(engine) for engine in engines]
        key = Key(
            stage,
            inputs,
            {"challenge": challenge.name, "options": section},
            code_version(modules),
        )
        made = False

        def note_and_work(workspace: Any) -> None:
            nonlocal made
            made = True
            work(workspace)

        recipe = self.recipe.model_dump(mode="json")
        entry = self.store.build(key, label, recipe, note_and_work)
        return self.reference(entry, label, not made, time.monotonic() - started)

    def reference(
        self, entry: Entry, label: str, reused: bool, seconds: float
    ) -> Reference:
        """Name an entry for the tasks that follow."""
        return Reference(
            stage=entry.stage,
            address=entry.address,
            uri=f"{self.store.uri}/{entry.address}",
            recipe=self.recipe.digest(),
            reused=reused,
            seconds=round(seconds, 2),
            label=label,
        )

    def failed(self, stage: str, label: str, reason: str, seconds: float) -> Reference:
        """Record a failure that the recipe allows; nothing is stored."""
        return Reference(
            stage=stage,
            address="",
            uri="",
            recipe=self.recipe.digest(),
            status=FAILED,
            reason=_shortened(reason),
            seconds=round(seconds, 2),
            label=label,
        )


def _shortened(reason: str) -> str:
    """Cut a reason to what it may take as JSON, where a letter may be six."""
    kept = reason[:_MOST_REASON]
    while len(json.dumps(kept)) > _MOST_REASON:
        kept = kept[:-50]
    return reason if kept == reason else f"{kept}…"


def section(options: Any) -> Any:
    """Turn a recipe section into plain data for a key."""
    return options.model_dump(mode="json")
