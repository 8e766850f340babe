"""Checkpoints that are whole or absent.

Each is written under a new name; a pointer that names it and its digest is
renamed into place last. A run killed at any instant finds the last pointer.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from tenfold.data.files import atomic_path, read_json, sha256_of, write_json
from tenfold.errors import TrainingError
from tenfold.store import CHECKPOINTS, Workspace
from tenfold.training.engines import Resume

State = dict[str, Any]
SCHEMA = 3
_POINTER = "latest.json"


class Checkpoints(ABC):
    """The checkpoints of one training job, in its store entry.

    Args:
        workspace: of the entry that is being made.
    """

    #: Of the files that a framework's states are written to.
    SUFFIX: ClassVar[str]

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._folder = workspace.path / CHECKPOINTS
        self._folder.mkdir(exist_ok=True)

    def save(self, name: str, state: State) -> None:
        """Write a state and point to it; older ones go afterwards.

        Args:
            name: never used twice in a run, e.g. the number of the step.
            state: tensors and plain Python values only.
        """
        file = self._folder / f"{name}{self.SUFFIX}"
        with atomic_path(file) as temporary:
            self._write(temporary, state)
        pointer = {"schema": SCHEMA, "file": file.name, "sha256": sha256_of(file)}
        self._workspace.persist(f"{CHECKPOINTS}/{file.name}")
        write_json(self._folder / _POINTER, pointer)
        self._workspace.persist(f"{CHECKPOINTS}/{_POINTER}")
        for old in self._folder.glob(f"*{self.SUFFIX}"):
            if old != file:
                old.unlink()
                self._workspace.discard(f"{CHECKPOINTS}/{old.name}")

    def load(self, resume: Resume) -> State | None:
        """Return the last state, or None to start from the beginning.

        Args:
            resume: `never` starts over; `auto` goes on from what is there; `must`
                refuses to start over.
        """
        state = None if resume == "never" else self._latest()
        if state is None and resume == "must":
            raise TrainingError(
                f"no usable checkpoint in {self._folder}; resume=must will not start"
                " over (use auto)"
            )
        return state

    def _latest(self) -> State | None:
        try:
            pointer = read_json(self._folder / _POINTER)
        except FileNotFoundError:
            return None
        file = self._folder / str(pointer["file"])
        if not file.is_file() or sha256_of(file) != pointer["sha256"]:
            return None
        return self._read(file)

    @abstractmethod
    def _write(self, path: Path, state: State) -> None:
        """Write a state to a file."""

    @abstractmethod
    def _read(self, path: Path) -> State:
        """Read a state; nothing in a file is ever executed."""
