"""Measures functions and processes, and prints the rows of a benchmark as a table."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenfold.training.memory import peak_bytes

Row = dict[str, object]
Rows = Callable[[bool], list[Row]]
COLUMNS = ("what", "ours", "plain", "ratio", "bar", "note")
ROOT = Path(__file__).parents[1]
#: What a process of its own prints before its answer, whatever libraries print.
_MARK = "answer: "


@dataclass(frozen=True)
class Answer:
    """What a function gave in a process of its own.

    Attributes:
        value: what it returned, through JSON.
        peak_mb: largest resident memory of the process, in 10^6 bytes.
        cpu: CPU seconds of the function, all threads, without the imports.
        wall: seconds of the function.
    """

    value: Any
    peak_mb: float
    cpu: float
    wall: float


def timed(function: Callable[[], object], repeat: int = 3) -> float:
    """Return the CPU seconds of a call, all threads together; best of `repeat`.

    CPU time counts what the work costs, also where others share the machine.
    """
    return raced([function], repeat)[0]


def raced(functions: Sequence[Callable[[], object]], repeat: int = 3) -> list[float]:
    """Time several functions in turns, so that a busy moment hits all of them.

    Returns:
        CPU seconds of each, best of `repeat`.
    """
    best = [float("inf")] * len(functions)
    for _ in range(repeat):
        for place, function in enumerate(functions):
            before = time.process_time()
            function()
            best[place] = min(best[place], time.process_time() - before)
    return best


def alone(function: Callable[..., Any], **arguments: object) -> Answer:
    """Call a function in a process of its own, on one thread.

    Args:
        function: of a module of this package.
        arguments: plain data; what it returns must be plain data too.
    """
    # Not `__module__`, which is `__main__` in a script.
    spec = sys.modules[function.__module__].__spec__
    name = f"{spec.name if spec else function.__module__}:{function.__qualname__}"
    command = [sys.executable, "-m", "benchmarks.table", name, json.dumps(arguments)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode != 0 or not lines:
        raise RuntimeError(f"{name} failed: {done.stderr.strip()}")
    return Answer(**json.loads(lines[-1].removeprefix(_MARK)))


def _answer(name: str, arguments: str) -> None:
    """Be the process of `alone`."""
    import importlib

    module, _, function = name.partition(":")
    called = getattr(importlib.import_module(module), function)
    cpu, wall = time.process_time(), time.monotonic()
    value = called(**json.loads(arguments))
    seconds = time.process_time() - cpu, time.monotonic() - wall
    answer = Answer(value, peak_bytes() / 1e6, *seconds)
    print(_MARK + json.dumps(answer.__dict__))


def row(
    what: str,
    ours: object,
    plain: object,
    ratio: float | None,
    bar: str = "",
    note: str = "",
) -> Row:
    """Make a row; numbers are rounded to three digits.

    Args:
        what: is measured, with its unit.
        ours: figure of Tenfold.
        plain: figure of the plain way.
        ratio: how many times better ours is; none where it says nothing.
        bar: what the ratio has to reach, in words.
        note: what a reader has to know.
    """
    shown = None if ratio is None else _rounded(ratio)
    values = (what, _rounded(ours), _rounded(plain), shown, bar, note)
    return dict(zip(COLUMNS, values, strict=True))


def _rounded(value: object) -> object:
    return float(f"{value:.3g}") if isinstance(value, float) else value


def show(rows: Sequence[Row], title: str) -> None:
    """Print rows as a Markdown table."""
    print(markdown(rows, title))


def markdown(rows: Sequence[Row], title: str) -> str:
    """Return rows as a Markdown table under a heading."""
    lines = [f"### {title}", "", "| " + " | ".join(COLUMNS) + " |"]
    lines.append("|---|" + "---:|" * 3 + "---|---|")
    for each in rows:
        cells = ("" if each[name] is None else _shown(each[name]) for name in COLUMNS)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:g}"
    return str(value)


def script(rows: Rows, title: str) -> None:
    """Be the command line of one benchmark."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="small, to see it work")
    parser.add_argument("--json", type=Path, help="file that gets the rows")
    options = parser.parse_args()
    measured = rows(options.quick)
    show(measured, title)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    _answer(*sys.argv[1:3])
