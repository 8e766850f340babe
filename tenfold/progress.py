"""What a stage says while it works: a progress file and a JSON-lines log.

A stage runs as its own process, often in a container whose output nobody
sees, so it writes into its store entry and whoever started it reads there.
"""

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROGRESS_FILE = "progress.json"
LOG_FILE = "log.jsonl"
_SECONDS_BETWEEN_WRITES = 0.3


@dataclass(frozen=True)
class Reading:
    """How far a stage is.

    Attributes:
        label: what a person calls the task, e.g. `train unet, fold 2`.
        done: finished units out of `total`; a total of 0 means unknown.
        note: a short remark, e.g. the last score.
        started: seconds since the epoch, as `updated`.
    """

    stage: str
    label: str
    done: int
    total: int
    unit: str
    note: str
    started: float
    updated: float
    finished: bool


class Progress:
    """Writes one stage's progress; cheap enough to call every step."""

    def __init__(self, directory: Path, stage: str, label: str) -> None:
        self._file = directory / PROGRESS_FILE
        self._log = directory / LOG_FILE
        now = time.time()
        self._reading = Reading(stage, label, 0, 0, "", "", now, now, False)
        self._written = 0.0
        self.log("start", label=label, pid=os.getpid())

    def update(self, done: int, total: int, unit: str = "", note: str = "") -> None:
        """Say how far the stage is; written a few times a second at most."""
        old = self._reading
        self._reading = Reading(
            old.stage,
            old.label,
            done,
            total,
            unit or old.unit,
            note or old.note,
            old.started,
            time.time(),
            False,
        )
        if done >= total > 0 or time.time() - self._written > _SECONDS_BETWEEN_WRITES:
            self._write()

    def log(self, event: str, **fields: Any) -> None:
        """Append one line to the log: a time, an event, and its fields."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **fields})
        with self._log.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def finish(self) -> None:
        """Mark the stage as done."""
        values = asdict(self._reading) | {"finished": True, "updated": time.time()}
        self._reading = Reading(**values)
        self._write()
        self.log("finish", seconds=round(time.time() - self._reading.started, 2))

    def _write(self) -> None:
        self._written = time.time()
        # Progress may be lost in a crash, so no fsync; a reader never sees half.
        temporary = self._file.with_name(f".{PROGRESS_FILE}")
        temporary.write_text(json.dumps(asdict(self._reading)), encoding="utf-8")
        temporary.replace(self._file)


def read_progress(file: Path) -> Reading | None:
    """Read a progress file, or None while there is none to read."""
    try:
        return Reading(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
