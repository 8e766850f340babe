"""Shows how much of a file has arrived: a bar on a terminal, else a line at times."""

import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from tenfold.data.fetching.room import said

_SECONDS_BETWEEN_LINES = 15.0


class Meter:
    """Shows one file's progress while it is entered.

    Args:
        name: of the file.
        stream: where to show it.
        pause: seconds between lines, where there is no terminal.
    """

    def __init__(
        self, name: str, stream: TextIO, pause: float = _SECONDS_BETWEEN_LINES
    ) -> None:
        self._name, self._pause = name, pause
        console = Console(file=stream, soft_wrap=True, markup=False, highlight=False)
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar = self._bars.add_task(name, total=None)
        self._said_at, self._said = time.monotonic(), 0

    def __enter__(self) -> Self:
        """Begin to show."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self._bars.stop()

    def show(self, done: int, total: int | None) -> None:
        """Show that so many bytes of a file are here."""
        self._bars.update(self._bar, completed=done, total=total)
        now = time.monotonic()
        if self._console.is_terminal or now - self._said_at < self._pause:
            return
        # What was here before this call did not arrive at any rate.
        rate = max(done - self._said, 0) / max(now - self._said_at, 1e-9)
        whole = f" of {said(total)}" if total is not None else ""
        speed = f", {said(rate)}/s" if self._said else ""
        self._console.print(f"{self._name}: {said(done)}{whole}{speed}")
        self._said_at, self._said = now, done
