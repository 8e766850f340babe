"""draw: samples as pictures in a folder, one overview sheet or chosen views of each."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from tenfold.challenges import find_challenge
from tenfold.data.dataset import Dataset
from tenfold.errors import StoreError
from tenfold.reports.page import ReportError
from tenfold.reports.panels import panels, write_png
from tenfold.store import Entry

#: Another process is worth its start only for this many samples.
_WORTH_A_PROCESS = 32
_NOTE = "grey or black: no data"


@dataclass(frozen=True)
class Drawn:
    """What became of the samples that were asked for.

    Attributes:
        written: files written now.
        kept: samples whose files were there already.
        lacking: samples that have no such view, as a test sample has no label.
    """

    written: int
    kept: int
    lacking: int


@dataclass(frozen=True)
class _Job:
    """One sample, and what is drawn of it; travels between processes."""

    challenge: str
    directory: Path
    id: str
    split: str
    folder: Path
    composites: tuple[str, ...]

    def files(self) -> list[Path]:
        """Return the files that the job writes, if the sample has all views."""
        if not self.composites:
            return [self.folder / f"{self.id}.png"]
        return [self.folder / f"{self.id}_{name}.png" for name in self.composites]


def draw(
    data: Entry,
    challenge: str,
    ids: Sequence[str],
    folder: Path,
    composites: Sequence[str] = (),
    force: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Drawn:
    """Draw samples into a folder, going on where an earlier call stopped.

    Args:
        data: entry of ingest.
        challenge: its name.
        ids: of the samples.
        folder: gets `<id>.png`, or `<id>_<composite>.png` for every composite.
        composites: views to write at their own resolution instead of an overview
            sheet, such as `false-colour`; see `composites_of`.
        force: draw again what is there.
        on_progress: called with (samples done, samples to draw).

    Raises:
        StoreError: a sample is not in the data set.
        ReportError: there is no such composite.
    """
    dataset = Dataset(data.path)
    split_of = dict(dataset.catalogue.select("id", "split").iter_rows())
    for id_ in ids:
        if id_ not in split_of:
            raise StoreError(f"no sample {id_} in {data.address}; see its catalogue")
    wanted = tuple(dict.fromkeys(composites))
    if wanted:
        _check(wanted, composites_of(dataset, challenge))
    jobs = [_Job(challenge, data.path, i, split_of[i], folder, wanted) for i in ids]
    to_do = [j for j in jobs if force or not all(f.exists() for f in j.files())]
    written = lacking = 0
    for done, count in enumerate(_work_on(to_do), 1):
        written += count
        lacking += count < len(to_do[done - 1].files())
        if on_progress is not None:
            on_progress(done, len(to_do))
    return Drawn(written, len(jobs) - len(to_do), lacking)


def composites_of(dataset: Dataset, challenge: str) -> list[str]:
    """Name the views that can be written alone, as the command line spells them."""
    first = dataset.rows("train")["id"][0]
    views = find_challenge(challenge).drawing.views(dataset.sample(first))
    return [_spelt(name) for name in views]


def _check(wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            raise ReportError(f"no composite {name!r}; there is {', '.join(known)}")


def _spelt(name: str) -> str:
    return name.lower().replace(" ", "-")


def _work_on(jobs: Sequence[_Job]) -> Iterator[int]:
    """Do jobs in as many processes as pay; yield the files each one wrote, in order.

    Processes, since encoding a PNG holds the interpreter's lock; started afresh,
    since a fork would copy polars' threads in whatever state they are.
    """
    cores = len(os.sched_getaffinity(0))
    count = min(cores, math.ceil(len(jobs) / _WORTH_A_PROCESS))
    if count < 2:
        yield from map(_do, jobs)
        return
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        yield from pool.map(_do, jobs, chunksize=4)


@cache
def _dataset(directory: Path) -> Dataset:
    return Dataset(directory)


def _do(job: _Job) -> int:
    """Draw one sample and return how many files were written."""
    dataset, drawing = _dataset(job.directory), find_challenge(job.challenge).drawing
    arrays = dataset.sample(job.id)
    views = drawing.views(arrays)
    if job.composites:
        pictures = {_spelt(name): pixels for name, pixels in views.items()}
        files = dict(zip(job.composites, job.files(), strict=True))
        present = [name for name in job.composites if name in pictures]
        for name in present:
            write_png(files[name], pictures[name])
        return len(present)
    title = f"{job.id} · {job.split}"
    write_png(job.files()[0], panels(views, title, drawing.scales(arrays), _NOTE))
    return 1
