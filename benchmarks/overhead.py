"""How much of a whole run is neither a stage's own work nor importing libraries.

A task's process occupies a slot from its start to its end; two trainings occupy two.
What counts is all time of occupied slots, and the time in which none is occupied. Of
it, work is from a stage's first line in its log to its last, less what it imports
meanwhile, and imports are whatever a task's process imports. All else is overhead:
starting processes, KFP, looking into the store, the report, and every import of the
run's own two processes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.spans import Span, seconds, within, without
from benchmarks.table import Row, row, script
from pipelines.run import RUNS, synthesise
from tenfold.challenges import load_recipe
from tenfold.progress import LOG_FILE

TITLE = "The whole smoke run (shares of occupied slots)"
_HOOK = Path(__file__).parent / "hook"
_TINY = (
    *("synth.train=12", "synth.test=2", "synth.coasts=5", "split.k=2"),
    *(
        f"members.{name}.training.{setting}"
        for name in ("unet-quantile", "unet-z-score")
        for setting in ("epochs=1", "samples_per_epoch=8", "picture_epochs=[]")
    ),
)


@dataclass(frozen=True)
class Process:
    """A process of a run.

    Attributes:
        whole: from its start to its end.
        imports: when it imported.
        work: when it made store entries; none if it is no task.
    """

    whole: Span
    imports: Sequence[Span]
    work: Sequence[Span]


@dataclass(frozen=True)
class Account:
    """Seconds of occupied slots, and of none, by what they were spent on."""

    work: float
    imports: float
    between_tasks: float
    inside_tasks: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.work + self.imports + self.between_tasks + self.inside_tasks

    @property
    def overhead(self) -> float:
        """The share that is neither work nor imports."""
        return (self.between_tasks + self.inside_tasks) / self.total


def account(run: Span, processes: Sequence[Process]) -> Account:
    """Add up the time of a run.

    Args:
        run: from its start to its end.
        processes: those that did no work are not tasks.
    """
    tasks = [process for process in processes if process.work]
    work = imports = inside = 0.0
    for task in tasks:
        imported = within(task.imports, task.whole)
        worked = without(within(task.work, task.whole), imported)
        work, imports = work + seconds(worked), imports + seconds(imported)
        inside += seconds(without([task.whole], [*imported, *worked]))
    empty = seconds(without([run], [task.whole for task in tasks]))
    return Account(work, imports, empty, inside)


def read_processes(times: Path, store: Path) -> list[Process]:
    """Read the notes of a run's tasks, and from the store's logs what they made."""
    work = _work_by_process(store)
    found = []
    for file in sorted(times.glob("*.json")):
        note = json.loads(file.read_text("utf-8"))
        if any(word.startswith("pipelines.") for word in note["command"]):
            continue  # The run's own two processes are no tasks.
        whole = (note["started"], note["ended"])
        imports = [(begin, end) for begin, end in note["imports"]]
        found.append(Process(whole, imports, work.get(note["pid"], [])))
    return found


def _work_by_process(store: Path) -> Mapping[int, list[Span]]:
    work: dict[int, list[Span]] = {}
    for log in store.glob(f"*/*/{LOG_FILE}"):
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        starts = [line for line in lines if line["event"] == "start"]
        span = (starts[-1]["time"], lines[-1]["time"])
        work.setdefault(starts[-1]["pid"], []).append(span)
    return work


def measure(settings: Sequence[str]) -> tuple[Account, float]:
    """Run the smoke recipe on data made before; return the account and the wall."""
    options = [word for setting in settings for word in ("--set", setting)]
    with tempfile.TemporaryDirectory(prefix="tenfold-benchmark-") as place:
        folder = Path(place)
        times, runs = folder / "times", folder / RUNS
        times.mkdir()
        recipe = load_recipe("kelp", "smoke", settings)
        synthesise(recipe, runs / "data")
        started = time.time()
        _run(folder, times, options)
        run = (started, time.time())
        found = account(run, read_processes(times, runs / "store"))
        return found, run[1] - run[0]


def _run(folder: Path, times: Path, options: Sequence[str]) -> None:
    hook = {"PYTHONPATH": str(_HOOK), "TENFOLD_TIMES": str(times)}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.run", "kelp", *options],
        cwd=folder,
        env=os.environ | hook,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the run failed: {done.stderr.strip()[-2000:]}")


def rows(quick: bool) -> list[Row]:
    """Measure; a quick run has less work in as many kinds of tasks."""
    found, wall = measure(_TINY if quick else ())
    load = os.getloadavg()[1]
    note = (
        f"of {found.total:.0f} s ({wall:.0f} s on the clock): work {found.work:.0f},"
        f" inside tasks {found.inside_tasks:.1f}, between tasks"
        f" {found.between_tasks:.1f}; load of the machine {load:.1f}"
    )
    imports = found.imports / found.total
    return [
        row("neither work nor imports", found.overhead, None, None, "≤ 0.10", note),
        row("imports", imports, None, None, "", f"{found.imports:.0f} s"),
    ]


if __name__ == "__main__":
    script(rows, TITLE)
