"""Shows how far the tasks of a run are, from what they write into the store.

A task's own output goes through a pipe into a log, so its parent draws: bars
on a terminal, a plain line now and then elsewhere.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from tenfold.errors import StoreError
from tenfold.progress import PROGRESS_FILE, Reading, read_progress
from tenfold.stages.context import Reference, read_reference

_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_BETWEEN_LINES = 15.0
_SMALL = 4096


def references(root: Path) -> list[Reference]:
    """Read the references that finished tasks left below a pipeline's root."""
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.stat().st_size < _SMALL and not path.suffix:
            try:
                found.append(read_reference(path))
            except StoreError:
                continue
    return found


class Watch:
    """Follows a run until it ends.

    Args:
        store: local folder of the store.
        root: of the pipeline's artifacts.
        stream: where to show it.
    """

    def __init__(self, store: Path, root: Path, stream: TextIO = sys.stderr) -> None:
        self._store, self._root = store, root
        self._console = Console(file=stream)
        self._started = time.time()
        self._announced: set[str] = set()
        self._bars: dict[Path, TaskID] = {}
        self._line_at = time.time()

    def follow(self, running: Callable[[], bool]) -> None:
        """Show progress while `running()`."""
        columns = (
            TextColumn("{task.description:32}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        terminal = self._console.is_terminal
        bars = Progress(
            *columns, console=self._console, transient=True, disable=not terminal
        )
        with bars:
            while running():
                self._look(bars, terminal)
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            self._announce()

    def _look(self, bars: Progress, terminal: bool) -> None:
        self._announce()
        readings = self._readings()
        if terminal:
            self._draw(bars, readings)
        elif time.time() - self._line_at > _SECONDS_BETWEEN_LINES:
            self._line_at = time.time()
            for reading in readings.values():
                self._say(_line(reading))

    def _readings(self) -> dict[Path, Reading]:
        """Return the tasks at work now."""
        found = {}
        for file in self._store.glob(f"*/*/{PROGRESS_FILE}"):
            if file.stat().st_mtime >= self._started:
                reading = read_progress(file)
                if reading and not reading.finished and reading.stage != "page":
                    found[file] = reading
        return found

    def _draw(self, bars: Progress, readings: dict[Path, Reading]) -> None:
        for file in set(self._bars) - set(readings):
            bars.remove_task(self._bars.pop(file))
        for file, reading in readings.items():
            if file not in self._bars:
                self._bars[file] = bars.add_task(reading.label, note="")
            bars.update(
                self._bars[file],
                completed=reading.done,
                total=reading.total or None,
                note=f"{reading.unit} {reading.note}",
            )

    def _announce(self) -> None:
        """Say once of each task that it is done."""
        for reference in references(self._root):
            if reference.label in self._announced:
                continue
            self._announced.add(reference.label)
            if reference.status != "ok":
                self._say(f"failed  {reference.label}: {reference.reason}")
            elif reference.reused:
                self._say(f"kept    {reference.label}")
            else:
                self._say(f"done    {reference.label:32} {reference.seconds:6.1f} s")

    def _say(self, text: str) -> None:
        seconds = time.time() - self._started
        self._console.print(
            f"{seconds:6.0f} s  {text}", highlight=False, markup=False, soft_wrap=True
        )


def _line(reading: Reading) -> str:
    total = f"/{reading.total}" if reading.total else ""
    return (
        f"        {reading.label}: {reading.done}{total} {reading.unit} {reading.note}"
    )
