"""Checkpoints of boosted trees: the trees so far and their history, whole or absent.

As with networks, the trees are written under a new name, and a pointer that holds
their digest and the history is renamed into place last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tenfold.data.files import atomic_path, read_json, sha256_of, write_json
from tenfold.errors import TrainingError
from tenfold.recipe import Json
from tenfold.store import CHECKPOINTS, Workspace
from tenfold.training.engines import Resume

SCHEMA = 1
_POINTER = "latest.json"


@dataclass(frozen=True)
class Saved:
    """Where a training stands.

    Attributes:
        trees: in XGBoost's UBJSON; none before the first round.
        history: one row a round.
        finished: no round is to follow.
        table: facts about the rows that were learnt from.
        threads: of the process that saved.
    """

    trees: bytes | None
    history: Sequence[Mapping[str, float]]
    finished: bool
    table: Json
    threads: int


class TreesCheckpoints:
    """The checkpoints of one training, in its store entry.

    Args:
        workspace: of the entry that is being made.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._folder = workspace.path / CHECKPOINTS
        self._folder.mkdir(exist_ok=True)

    def save(self, saved: Saved) -> None:
        """Write a state and point to it; older trees go afterwards."""
        pointer: Json = {
            "schema": SCHEMA,
            "file": None,
            "sha256": None,
            "history": [dict(row) for row in saved.history],
            "finished": saved.finished,
            "table": saved.table,
            "threads": saved.threads,
        }
        if saved.trees is not None:
            file = self._folder / f"{len(saved.history):06d}.ubj"
            with atomic_path(file) as temporary:
                temporary.write_bytes(saved.trees)
            self._workspace.persist(f"{CHECKPOINTS}/{file.name}")
            pointer |= {"file": file.name, "sha256": sha256_of(file)}
        write_json(self._folder / _POINTER, pointer)
        self._workspace.persist(f"{CHECKPOINTS}/{_POINTER}")
        for old in self._folder.glob("*.ubj"):
            if old.name != pointer["file"]:
                old.unlink()
                self._workspace.discard(f"{CHECKPOINTS}/{old.name}")

    def load(self, resume: Resume) -> Saved | None:
        """Return the last state, or None to start from the beginning.

        Args:
            resume: `never` starts over; `auto` goes on from what is there; `must`
                refuses to start over.

        Raises:
            TrainingError: `must`, and there is nothing to go on from.
        """
        saved = None if resume == "never" else self._latest()
        if saved is None and resume == "must":
            raise TrainingError(
                f"no usable checkpoint in {self._folder}; resume=must will not start"
                " over (use auto)"
            )
        return saved

    def _latest(self) -> Saved | None:
        try:
            pointer = read_json(self._folder / _POINTER)
        except FileNotFoundError:
            return None
        if pointer.get("schema") != SCHEMA:
            raise TrainingError("the checkpoint is of another version; resume=never")
        trees = None
        if pointer["file"] is not None:
            file = self._folder / str(pointer["file"])
            if not file.is_file() or sha256_of(file) != pointer["sha256"]:
                return None
            trees = file.read_bytes()
        return Saved(
            trees,
            pointer["history"],
            pointer["finished"],
            pointer["table"],
            pointer["threads"],
        )
