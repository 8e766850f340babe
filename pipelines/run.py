"""Runs a challenge on this machine, from raw data to report."""

import contextlib
import fcntl
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

import typer

from pipelines.containers import Containers
from pipelines.plan import task_counts
from pipelines.targets import TargetError, find_target
from pipelines.watch import Watch, references
from tenfold.challenges import find_challenge, load_recipe
from tenfold.codeversion import code_version
from tenfold.data.files import (
    atomic_directory,
    locked,
    remove_directory,
    write_json,
)
from tenfold.data.sources import fingerprint
from tenfold.data.storage import open_storage
from tenfold.errors import StoreError, TenfoldError
from tenfold.recipe import Json, Recipe, digest_of
from tenfold.stages.context import OK, Context, Reference, read_reference
from tenfold.stages.report import (
    SITE,
    RunRecord,
    headline,
    read_run,
    run_code,
    times,
    write_report,
)

RUNS = Path("runs")
_REASON = re.compile(r"(?:tenfold\.[\w.]+|\w+)(?:Error|Rejected|Exception): .+")


class RunError(TenfoldError):
    """A task of the graph failed."""


def run(
    challenge: str,
    recipe: str = "smoke",
    source: str | None = None,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    store: str | None = None,
    target: str = "local",
    images: str = "tenfold",
    truth: str | None = None,
) -> RunRecord:
    """Run a challenge, doing only what is not in the store yet.

    Args:
        challenge: name of a challenge.
        recipe: preset, or path of a YAML file.
        source: raw data; none: a synthetic set is made.
        out: folder of the run; `runs/<challenge>-<recipe>`.
        overrides: such as `split.k=5`.
        store: folder or address of an object store; `runs/store`.
        target: local (processes) or docker (containers of this checkout's images).
        images: prefix of the images' names.
        truth: folder of truth kept aside, which no stage reads; that of a synthetic
            set is its own.

    Raises:
        RunError: naming what went wrong and where the log is.
    """
    started = time.monotonic()
    loaded = load_recipe(challenge, recipe, overrides)
    engine = Containers(images) if find_local(target) == "docker" else None
    folder = (out or RUNS / f"{challenge}-{loaded.name}").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    address = from_anywhere(store or RUNS / "store")
    if source is None:
        made = synthesise(loaded, RUNS.absolute() / "data")
        source, truth = str(made / "data"), str(made / "truth")
    source = from_anywhere(source)
    if engine is not None:
        engine.check(source, address)
    record = RunRecord(
        recipe=loaded.to_json(),
        source=source,
        fingerprint=fingerprint(source, loaded.data.reads),
        store=address,
        code=run_code(challenge),
        tasks=(),
        truth=truth,
    )
    with alone(folder) as lock:
        finished = _finished_before(record, folder)
        if finished is None:
            if engine is not None:
                engine.prepare(loaded, source, address)
            finished = _work(record, folder, engine, lock, started)
    typer.echo(summary(finished, folder, time.monotonic() - started))
    return finished


def from_anywhere(place: str | Path) -> str:
    """Return a place as tasks find it, wherever they start: paths are absolute."""
    return str(open_storage(place).local_path or place)


def find_local(target: str) -> str:
    """Return a target's name, or say why it does not run here."""
    if find_target(target).compiled:
        raise TargetError(
            f"target {target} runs from a compiled file:"
            f" python pipelines/submit.py --target {target}"
        )
    return target


def synthesise(recipe: Recipe, directory: Path) -> Path:
    """Return a folder with the recipe's synthetic data, making it if need be."""
    challenge = find_challenge(recipe.challenge)
    options = getattr(recipe, "synth", None)
    content = [
        options.model_dump(mode="json") if options else None,
        code_version([challenge.module("synth")]),
    ]
    folder = directory / f"{recipe.challenge}-{digest_of(content)[:12]}"
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / f".{folder.name}.lock"):
        if not folder.exists():
            typer.echo(f"synthesising data in {folder}", err=True)
            with atomic_directory(folder) as temporary:
                challenge.synth.synthesise(temporary, options)
    return folder


def _finished_before(record: RunRecord, folder: Path) -> RunRecord | None:
    """Return the run that did all this already, if its results are intact."""
    try:
        earlier = read_run(folder)
    except StoreError:
        return None
    same = replace(earlier, tasks=(), judged=None, seconds=0.0) == record
    context = earlier.context
    wanted = [*earlier.tasks, *([earlier.judged] if earlier.judged else [])]
    if not same or any(task.status != OK for task in wanted):
        return None
    if any(context.store.find(task.address) is None for task in wanted):
        return None
    kept = tuple(replace(task, reused=True) for task in earlier.tasks)
    finished = replace(earlier, tasks=kept)
    # The store holds the results; what was copied out of it may be gone.
    if not (folder / SITE / "index.html").is_file():
        write_report(finished, folder)
    if not (folder / context.challenge.submission.FILE).is_file():
        _bring_submission(finished, folder)
    return finished


def _work(
    record: RunRecord,
    folder: Path,
    engine: Containers | None,
    lock: int,
    started: float,
) -> RunRecord:
    """Run the graph, judge and report."""
    order = {
        "recipe": record.recipe,
        "source": record.source,
        "store": record.store,
        "truth": record.truth,
    }
    context = record.context
    tasks = execute(order, context, task_counts(context.recipe), folder, engine, lock)
    record = replace(record, tasks=tasks)
    if record.truth is not None:
        record = replace(record, judged=_judge(record, folder))
    record = replace(record, seconds=round(time.monotonic() - started, 1))
    write_report(record, folder)
    _bring_submission(record, folder)
    record.write(folder)
    return record


def execute(
    order: Json,
    context: Context,
    counts: Mapping[str, int],
    folder: Path,
    engine: Containers | None,
    lock: int,
) -> tuple[Reference, ...]:
    """Run a graph here; return all its tasks, in order.

    Args:
        order: recipe, source and store of the run, and the plan of a sweep.
        context: recipe and store.
        counts: stage → tasks that the graph has of it.
        folder: of the run.
        engine: for containers instead of processes.
        lock: of `alone`.

    Raises:
        RunError: naming what failed, or left nothing.
    """
    root, file = folder / "pipeline", folder / "order.json"
    place = {
        "target": "local" if engine is None else "docker",
        "images": "" if engine is None else engine.prefix,
        "root": str(root),
    }
    write_json(file, {"tags": "", **order, **place})
    with _signals_raise():
        with engine.lent(root) if engine else _own(root):
            watch = Watch(context.store.root, root)
            _run_graph(file, folder / "run.log", watch, lock)
        return _complete(references(root), counts, context, folder)


def _complete(
    tasks: Sequence[Reference],
    counts: Mapping[str, int],
    context: Context,
    folder: Path,
) -> tuple[Reference, ...]:
    """Check that all tasks of a graph left a result, and that the store has it.

    An engine may call a container done that was killed (kfp issue 13332), so what
    counts is what a task left, not what became of it.

    Raises:
        RunError: naming what is not there.
    """
    found = Counter(task.stage for task in tasks)
    for stage, count in counts.items():
        if found[stage] != count:
            raise RunError(
                f"{stage}: {found[stage]} of {count} tasks left a result (log:"
                f" {folder / 'run.log'}); run again: what is done is kept"
            )
    for task in tasks:
        if task.status == OK:
            context.entry(task)
    return tuple(sorted(tasks, key=lambda task: (task.stage, task.label)))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[int]:
    """Wait until nobody is at work in a run's folder; lend the lock's number.

    Whoever inherits the lock holds it too: the graph goes on when this process is
    killed, and the next run waits for it instead of working beside it.
    """
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            typer.echo(f"a run is at work in {folder}: waiting for it", err=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


@contextlib.contextmanager
def _own(root: Path) -> Iterator[None]:
    """Make an empty folder for what KFP keeps of a run."""
    remove_directory(root)
    root.mkdir(parents=True)
    yield


def _run_graph(order: Path, log: Path, watch: Watch, lock: int) -> None:
    command = [sys.executable, "-m", "pipelines.local", str(order)]
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock],
        )
        try:
            watch.follow(lambda: process.poll() is None)
        except BaseException:
            typer.echo("stopping: tasks save what they have", err=True)
            # The group is all of them.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    if process.returncode != 0:
        raise RunError(
            f"{_reason(log)} (log: {log}); mend it and run again: what is done is kept"
        )


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Let a lost terminal or a polite kill end the run as Ctrl-C does.

    The first one counts; others would cut the clean-up short.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, _: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    previous = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)


def _reason(log: Path) -> str:
    """Find the sentence with which the failed task ended."""
    text = log.read_text("utf-8", errors="replace")
    found = [line.strip() for line in text.splitlines() if _REASON.match(line.strip())]
    own = [line for line in found if line.startswith("tenfold.")]
    if own:
        return own[-1].partition(": ")[2]
    return found[0] if found else "a task ended without saying why"


def _judge(record: RunRecord, folder: Path) -> Reference:
    """Score against truth, in a process of its own since it loads a framework."""
    name = record.context.recipe.challenge
    recipe, out = folder / "recipe.yaml", folder / "judged.json"
    recipe.write_text(record.recipe, "utf-8")
    inputs = {
        "dataset": "ingest",
        "groups": "group",
        "decision": "tune",
        "submission": "submit",
    }
    command = [sys.executable, "-m", "tenfold", "judge", name, str(record.truth)]
    command += ["--recipe", str(recipe), "--store", record.store, "--out", str(out)]
    for option, stage in inputs.items():
        file = folder / "pipeline" / f"{option}.json"
        record.of(stage)[-1].write(file)
        command += [f"--{option}", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise RunError(f"judging against {record.truth}: {done.stderr.strip()}")
    return read_reference(out)


def _bring_submission(record: RunRecord, folder: Path) -> None:
    """Copy the submission to where people look for it."""
    context: Context = record.context
    file = context.challenge.submission.FILE
    for task in record.of("submit"):
        shutil.copyfile(context.entry(task).path / file, folder / file)


def summary(record: RunRecord, folder: Path, seconds: float) -> str:
    """Return what a person wants to know of a run, on one screen."""
    context, found = record.context, headline(record)
    recipe = context.recipe
    kept = sum(task.reused for task in record.tasks)
    work = (
        "nothing to do: everything was there already"
        if kept == len(record.tasks)
        else f"{len(record.tasks)} tasks, {kept} of them kept from before"
    )
    lines = [
        "",
        f"{recipe.challenge} · {recipe.name}: {work}, {_duration(seconds)}",
        "",
        f"  {found.monitor} out-of-fold, honest   {found.honest:.4f}"
        f"   (naive {found.naive:.4f})",
        *([f"    {found.optimistic}"] if found.optimistic else []),
        f"  best simple rule, honest         {found.baseline:.4f}"
        f"   ({found.honest - found.baseline:+.4f}; {found.rule})",
    ]
    if found.truth:
        mean = found.truth["member_mean"]
        beside = "" if mean is None else f"   (members {mean:.4f} on average)"
        lines.append(
            f"  on truth no stage has read       {found.truth['score']:.4f}{beside}"
        )
    lines += ["", f"  {'stage':10} {'tasks':>5} {'kept':>5} {'seconds':>8}"]
    lines += [
        f"  {row['stage']:10} {row['tasks']:>5} {row['kept']:>5} {row['seconds']:>8.1f}"
        for row in times(record, context)
    ]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    if peak > 0.01 and kept < len(record.tasks):
        lines += ["", f"  largest process {peak:.1f} GB"]
    lines += [
        "",
        f"  submission  {folder / context.challenge.submission.FILE}",
        f"  report      {folder / SITE / 'index.html'}",
    ]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


if __name__ == "__main__":
    from pipelines.cli import main

    main(["run", *sys.argv[1:]])
