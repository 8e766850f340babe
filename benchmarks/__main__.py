"""Runs all benchmarks and writes their tables into the README, with the machine."""

import argparse
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.table import Row, markdown

#: In the order of the README; each is a module of this package.
SUBJECTS = (
    *("feed", "channel_statistics", "ingest", "grouping", "predict"),
    *("codec", "clouds_ingest", "clouds_cascade", "contrails_records", "overhead"),
)
README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_LIBRARIES = (
    *("torch", "numpy", "rasterio", "pillow"),
    *("segmentation-models-pytorch", "tensorflow", "keras", "kfp"),
    "opencv-python-headless",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", help=f"of {', '.join(SUBJECTS)}")
    parser.add_argument("--quick", action="store_true", help="small, to see it work")
    parser.add_argument("--json", type=Path, help="file that gets all rows")
    parser.add_argument("--write", action="store_true", help="into the README")
    options = parser.parse_args(arguments)
    tables: dict[str, list[Row]] = {}
    texts = []
    for name in options.subjects or SUBJECTS:
        module = importlib.import_module(f"benchmarks.{name}")
        tables[name] = module.rows(options.quick)
        texts.append(markdown(tables[name], module.TITLE))
        print(texts[-1], flush=True)
    if options.json:
        options.json.write_text(json.dumps(tables, indent=2) + "\n", "utf-8")
    if options.write:
        command = shlex.join(["python", "-m", "benchmarks", *(sys.argv[1:])])
        measured = "\n".join([*machine(), f"- command: `{command}`", "", *texts])
        README.write_text(replaced(README.read_text("utf-8"), measured), "utf-8")


def machine() -> list[str]:
    """Describe what is measured on, and when."""
    cores, memory = len(os.sched_getaffinity(0)), os.sysconf("SC_PHYS_PAGES")
    gigabytes = memory * os.sysconf("SC_PAGE_SIZE") / 1e9
    libraries = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in _LIBRARIES)
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    return [
        f"- machine: {processor()}, {cores} cores, {gigabytes:.0f} GB; no GPU used",
        f"- Python {platform.python_version()}, {libraries}",
        f"- {today}, load at the end {os.getloadavg()[1]:.1f}",
    ]


def processor() -> str:
    """Return the model of the CPU."""
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def replaced(text: str, measured: str) -> str:
    """Return a text with something else between the two marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{measured}\n{END}{tail}"


if __name__ == "__main__":
    main()
