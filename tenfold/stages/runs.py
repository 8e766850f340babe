"""runs: a log of all runs below a folder, whatever state they are in.

A run is read without its store being verified or fetched, so that a listing is quick:
its scores from entries that lie on this machine, its seconds from their manifests.
"""

import fcntl
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from tenfold.data.files import atomic_path, read_json
from tenfold.errors import RecipeError, StoreError
from tenfold.recipe import Json, digest_of
from tenfold.stages.context import OK, Reference
from tenfold.stages.entries import SCORES
from tenfold.stages.report import RECORD, RunRecord, optimism, read_run
from tenfold.store import MANIFEST, Entry, Store

#: Written when a run starts; `run.json` when it is done.
ORDER, LOCK = "order.json", ".lock"
#: The end of a sweep, which leaves no record.
SWEEP_PAGE = "report.html"
FINISHED, AT_WORK, UNFINISHED = "finished", "at work", "unfinished"
DAMAGED, FOREIGN = "damaged", "no run"
_DEPTH = 3
_DIGEST = 12


@dataclass(frozen=True)
class LoggedRun:
    """One folder, as a row of the log; None where something is not known.

    Attributes:
        run: folder, relative to the one that was searched.
        status: finished, at work, unfinished, damaged, or no run.
        when: end of a finished run, start of another, UTC, to the second.
        recipe_digest: first digits; equal for equal recipes.
        honest: out-of-fold score, each fold left out of the choice.
        naive: out-of-fold score of the choice itself.
        rule: honest score of the simple rule.
        truth: score on truth kept aside.
        trained: models × folds.
        wall_s: of the run that did the work.
        work_s: of all tasks when they were done, here or in an earlier run.
        code: version of all code that could decide a result.
        source: fingerprint of the raw data.
        remark: why something is not known.
    """

    run: str
    status: str
    when: str | None = None
    challenge: str | None = None
    recipe: str | None = None
    recipe_digest: str | None = None
    honest: float | None = None
    naive: float | None = None
    rule: float | None = None
    truth: float | None = None
    trained: str | None = None
    wall_s: float | None = None
    work_s: float | None = None
    code: str | None = None
    source: str | None = None
    seed: int | None = None
    remark: str = ""


COLUMNS = tuple(LoggedRun.__dataclass_fields__)


def find_runs(folder: Path) -> list[LoggedRun]:
    """List the runs below a folder, latest first; then folders that hold none.

    Raises:
        StoreError: there is no such folder.
    """
    if not folder.is_dir():
        raise StoreError(f"no folder {folder}; `tenfold run` makes one with its runs")
    places = _places(folder)
    rows = [_read(place, place.relative_to(folder).as_posix()) for place in places]
    rows.sort(key=lambda row: (row.when or "", row.run), reverse=True)
    reason = f"neither {RECORD} nor {ORDER} in it"
    return rows + [
        LoggedRun(n, FOREIGN, remark=reason) for n in _strange(folder, places)
    ]


def _places(folder: Path) -> list[Path]:
    """Find folders that a run wrote into; a run's own subfolders hold no others."""
    found: list[Path] = []
    for depth in range(_DEPTH + 1):
        for name in (RECORD, ORDER):
            for file in sorted(folder.glob("*/" * depth + name)):
                if not any(place in found for place in (file.parent, *file.parents)):
                    found.append(file.parent)
    return found


def _strange(folder: Path, places: Sequence[Path]) -> list[str]:
    """Name the folders in which no run was found; those of a run are its own."""
    if folder in places:
        return []
    used = {part for place in places for part in (place, *place.parents)}
    others = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    return [p.name for p in others if p not in used and not p.name.startswith(".")]


def _read(place: Path, name: str) -> LoggedRun:
    """Read a run; what cannot be read is said, and never ends the listing."""
    row = LoggedRun(name or ".", DAMAGED)
    try:
        if (place / RECORD).is_file():
            return _finished(place, row)
        return _started(place, row)
    except StoreError as error:
        return replace(row, remark=str(error))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        return replace(row, remark=f"not what a run writes ({reason})")


def _started(place: Path, row: LoggedRun) -> LoggedRun:
    order = read_json(place / ORDER)
    row = _with_recipe(row, json.loads(order["recipe"]))
    when, status = _time(place / ORDER), UNFINISHED
    if _is_locked(place / LOCK):
        status = AT_WORK
    elif "plan" in order and (place / SWEEP_PAGE).is_file():
        when, status = _time(place / SWEEP_PAGE), FINISHED
    remark = f"a sweep; its ranking is {SWEEP_PAGE}" if "plan" in order else ""
    return replace(row, status=status, when=when, remark=remark)


def _is_locked(file: Path) -> bool:
    """Tell whether somebody is at work in a run's folder."""
    if not file.is_file():
        return False
    with file.open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _finished(place: Path, row: LoggedRun) -> LoggedRun:
    record = read_run(place)
    row = replace(
        _with_recipe(row, json.loads(record.recipe)),
        status=FINISHED,
        when=_time(place / RECORD),
        wall_s=record.seconds,
        code=record.code,
        source=record.fingerprint,
    )
    store = _nearby(record)
    tuned = _scores(store, record.of("tune"))
    judged = _scores(store, [record.judged] if record.judged else [])
    work = seconds_of_work(record)
    lacking = [
        what
        for what, value in (("scores", tuned), ("seconds of work", work))
        if value is None
    ]
    remarks = [f"no {' and '.join(lacking)}: not in {record.store}"] if lacking else []
    if tuned and optimism(tuned):
        remarks.append(optimism(tuned))
    return replace(
        row,
        honest=tuned["honest"] if tuned else None,
        naive=tuned["naive"] if tuned else None,
        rule=tuned["baseline"]["honest"] if tuned else None,
        truth=judged["score"] if judged else None,
        work_s=None if work is None else round(sum(work.values()), 1),
        remark="; ".join(remarks),
    )


def _with_recipe(row: LoggedRun, recipe: Json) -> LoggedRun:
    # As it was written: a newer code's defaults would change the digest.
    return replace(
        row,
        challenge=str(recipe["challenge"]),
        recipe=str(recipe["name"]),
        recipe_digest=digest_of(recipe)[:_DIGEST],
        trained=f"{len(recipe['members'])} × {recipe['split']['k']}",
        seed=int(recipe["seed"]),
    )


def _time(file: Path) -> str:
    moment = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _nearby(record: RunRecord) -> Store:
    """Return what this machine has of a run's store; nothing is fetched."""
    return Store(Store(record.store).root)


def _scores(store: Store, references: Sequence[Reference]) -> Json | None:
    found: Entry | None = None
    for reference in references:
        found = store.find(reference.address)
    return found.json(SCORES) if found else None


def seconds_of_work(record: RunRecord) -> dict[str, float] | None:
    """Return stage → seconds of its tasks when they were done.

    An entry that several tasks share, or that a task made on the way, counts once.

    Returns:
        None if a manifest is not on this machine.
    """
    root = _nearby(record).root
    seconds: dict[str, float] = {}
    seen: set[str] = set()
    for task in record.tasks:
        waiting = [task.address] if task.status == OK else []
        while waiting:
            address = waiting.pop()
            if address in seen:
                continue
            seen.add(address)
            manifest = _manifest(root / address)
            if manifest is None:
                return None
            worked = float(manifest["seconds"])
            seconds[task.stage] = seconds.get(task.stage, 0.0) + worked
            waiting += _made_on_the_way(manifest)
    return seconds


def _made_on_the_way(manifest: Mapping[str, Any]) -> list[str]:
    """Name the training behind an entry of predictions; no task names it."""
    return [manifest["inputs"]["fit"]] if "fit" in manifest["inputs"] else []


def _manifest(entry: Path) -> Json | None:
    file = entry / MANIFEST
    return dict(read_json(file)) if file.is_file() else None


def sort_runs(runs: Sequence[LoggedRun], column: str) -> list[LoggedRun]:
    """Sort by a column: numbers highest first, text by the alphabet, unknown last.

    Raises:
        RecipeError: there is no such column.
    """
    if column not in COLUMNS:
        raise RecipeError(f"no column {column!r}; there is {', '.join(COLUMNS)}")
    known = [run for run in runs if getattr(run, column) is not None]
    unknown = [run for run in runs if getattr(run, column) is None]
    of_numbers = not any(isinstance(getattr(run, column), str) for run in known)
    known.sort(key=lambda run: getattr(run, column), reverse=of_numbers)
    return known + unknown


def write_log(runs: Sequence[LoggedRun], file: Path) -> None:
    """Write all columns of all runs as CSV."""
    table = pl.DataFrame(
        [asdict(run) for run in runs],
        schema=dict.fromkeys(COLUMNS, pl.String)
        | dict.fromkeys(("honest", "naive", "rule", "truth"), pl.Float64)
        | dict.fromkeys(("wall_s", "work_s"), pl.Float64)
        | {"seed": pl.Int64},
    )
    with atomic_path(file) as temporary:
        table.write_csv(temporary)
