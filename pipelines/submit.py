"""Sends compiled graphs to the platforms that run them, and resumes their runs."""

import base64
import gzip
import json
import re
import sys
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import typer
import yaml

from pipelines.pinning import check_images, pinned
from pipelines.settings import Settings, in_one_line
from pipelines.targets import TargetError, find_target
from tenfold.errors import TenfoldError
from tenfold.recipe import Json, digest_of

#: Between two looks at a run: Vertex AI counts requests by the minute.
POLL_SECONDS = 20.0

SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
ENDED = (SUCCEEDED, FAILED, CANCELLED)

_INLINE = "data:application/gzip;base64,"
_ATTEMPT = re.compile(r"(.+)-(\d{1,6})")
_VERTEX_RUN = re.compile(
    r"(projects/[^/]+/locations/[^/]+/pipelineJobs/)?tenfold-[a-z0-9-]+"
)
_KUBEFLOW_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class LaunchError(TenfoldError):
    """A run cannot be sent, watched or resumed, or it failed."""


@dataclass(frozen=True)
class Graph:
    """A compiled graph, and what it is to run on.

    Attributes:
        spec: of the pipeline.
        parameters: of the run.
        cluster: what only Kubeflow is told, the second document of its file.
    """

    spec: Json
    parameters: Json
    cluster: Json = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`tenfold-<challenge>-<recipe>`."""
        return str(self.spec["pipelineInfo"]["name"])


@dataclass(frozen=True)
class Task:
    """A task of a run, as its platform tells.

    Attributes:
        key: unique in the run.
        title: for a person; folds of one model share it.
        state: pending, running or one of `ENDED`, or the platform's own word.
        created: when it began to wait.
        started: when it began to work.
        ended: when it was done.
        error: why it failed.
    """

    key: str
    title: str
    state: str
    created: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    error: str = ""


@dataclass(frozen=True)
class Run:
    """A run of a graph, as its platform tells.

    Attributes:
        id: what `tenfold resume` takes.
        name: ends in the number of the attempt.
        state: as of a task.
        link: to its page.
        error: why it failed.
        tasks: those that exist so far.
    """

    id: str
    name: str
    state: str
    link: str
    error: str = ""
    tasks: tuple[Task, ...] = ()


class Platform(Protocol):
    """Where graphs run.

    Attributes:
        nodes_hold_images: whether an image may be there without a registry.
    """

    nodes_hold_images: bool

    def body(self, graph: Graph) -> Json:
        """Return what is sent, without the name of the run."""

    def stem(self, body: Json) -> str:
        """Return a run's name without its attempt: equal content, equal name."""

    def address(self, name: str) -> str:
        """Return where it is sent to."""

    def latest(self, stem: str) -> Run | None:
        """Return the last attempt of a stem."""

    def create(self, body: Json, name: str) -> Run:
        """Send a run, unless one of that name is there."""

    def enlist(self, run: Run) -> None:
        """Put a run into the settings' experiment, where creating does not."""

    def look(self, run: str) -> Run:
        """Return a run as it is now."""

    def recorded(self, run: str) -> Json:
        """Return what was sent for a run."""


def launch(
    platform: Platform, graph: Graph, dry_run: bool = False, wait: bool = False
) -> None:
    """Send a graph, unless a run of the same content is under way or done.

    Args:
        platform: that runs it.
        graph: what to send.
        dry_run: print what would be sent, and call nobody.
        wait: follow the run to its end.

    Raises:
        LaunchError: the platform refuses; or, waiting, the run fails.
        ImageError: an image is missing, or could be another one tomorrow.
    """
    body = platform.body(graph)
    stem = platform.stem(body)
    if dry_run:
        check_images(body, platform.nodes_hold_images)
        _show(platform, body, f"{stem}-1")
        return
    run = platform.latest(stem)
    if run is None:
        run = _create(platform, body, f"{stem}-1")
    elif run.state in (FAILED, CANCELLED):
        raise LaunchError(
            f"{run.name} {run.state} ({run.link}); go on with: tenfold resume {run.id}"
        )
    elif run.state == SUCCEEDED:
        typer.echo(
            f"{run.name} has succeeded already; if the data changed since: tenfold"
            f" resume {run.id}"
        )
    else:
        typer.echo(f"{run.name} is {run.state} already")
    _attend(platform, run, wait)


def resume(
    platform: Platform, earlier: str, dry_run: bool = False, wait: bool = False
) -> None:
    """Send a run's inputs again; what its store holds is not redone.

    Args:
        platform: that ran it.
        earlier: id of the run.
        dry_run: print what would be sent; the platform is asked, but told nothing.
        wait: follow the run to its end.

    Raises:
        LaunchError: it is still under way, or cannot be sent again.
    """
    run = platform.look(earlier)
    stem, _ = _attempt(run.name)
    run = platform.latest(stem) or run
    if run.state not in ENDED:
        raise LaunchError(
            f"{run.name} is still {run.state}: {run.link}; wait for it or cancel it"
        )
    name = f"{stem}-{_attempt(run.name)[1] + 1}"
    body = platform.recorded(earlier)
    if dry_run:
        _show(platform, body, name)
        return
    _attend(platform, _create(platform, body, name), wait)


def resume_local(folder: Path, target: str | None = None) -> None:
    """Run what a folder of a run on this machine has recorded.

    Args:
        folder: of the run.
        target: where somebody believes that it ran.

    Raises:
        LaunchError: it is no such folder, or ran elsewhere.
    """
    from pipelines.run import run
    from pipelines.sweep import run_sweep
    from tenfold.challenges import recipe_from_json
    from tenfold.data.files import read_json
    from tenfold.sweep import Plan

    try:
        order = read_json(folder / "order.json")
    except OSError:
        raise LaunchError(
            f"{folder} is not the folder of a run; give what a run had as --out"
        ) from None
    recipe = recipe_from_json(order["recipe"])
    ran = order.get("target", "local")
    if target not in (None, ran):
        raise LaunchError(f"{folder} ran with --target {ran}, not {target}")
    source = order["source"]
    place = (order["store"], ran, order.get("images") or "tenfold")
    if "plan" in order:
        plan = Plan.model_validate_json(order["plan"])
        run_sweep(plan, recipe, source, folder, *place)
    else:
        truth = order.get("truth")
        run(recipe.challenge, order["recipe"], source, folder, (), *place, truth)


def find_platform(target: str | None, settings: Settings) -> Platform:
    """Return where a target's graphs run.

    Raises:
        TargetError: there is no such target, or it runs on this machine.
        SettingsError: naming every setting that is missing.
    """
    if target is None:
        raise TargetError("say where to: --target kubeflow or --target vertex")
    if not find_target(target).compiled:
        raise TargetError(
            f"target {target} is this machine: tenfold run CHALLENGE --target {target}"
        )
    if target == "vertex":
        from pipelines.vertex import VertexRuns

        return VertexRuns(settings)
    from pipelines.kubeflow import KubeflowRuns

    return KubeflowRuns(settings)


def pause() -> None:
    """Wait before the next look at a run."""
    time.sleep(POLL_SECONDS)


def target_of(run: str) -> str:
    """Tell from the name of a run where it ran.

    Raises:
        LaunchError: it is no run's, with the folders of runs that there are.
    """
    if Path(run).is_dir():
        return "local"
    if _KUBEFLOW_RUN.fullmatch(run):
        return "kubeflow"
    if _VERTEX_RUN.fullmatch(run):
        return "vertex"
    folders = sorted(str(file.parent) for file in Path("runs").glob("*/order.json"))
    raise LaunchError(
        f"{run} is neither a folder nor the id of a run on Kubeflow or Vertex AI; runs"
        f" here: {', '.join(folders) or 'none'}"
    )


def read_graph(data: str) -> Sequence[Json]:
    """Read a compiled graph, or a request to Vertex AI with one in it.

    Args:
        data: path or gs:// address of a file, or `data:` and the text itself.

    Raises:
        LaunchError: it cannot be read, or is something else.
    """
    shown = data if len(data) < 200 else f"{data[:40]}…"
    try:
        documents = list(yaml.safe_load_all(_bytes_of(data)))
    except yaml.YAMLError as error:
        reason = f"cannot read a compiled graph from {shown}: {in_one_line(error)}"
        raise LaunchError(reason) from None
    except (OSError, ValueError, EOFError, zlib.error) as error:
        reason = f"cannot read a compiled graph from {shown}: {error}"
        raise LaunchError(reason) from None
    if not documents or not _is_graph(documents[0]):
        raise LaunchError(
            f"{shown} is not a compiled graph; make one with: python"
            " pipelines/compile.py"
        )
    return documents


def inline(document: Json) -> str:
    """Return a document as text that `read_graph` reads, for a command line."""
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    packed = gzip.compress(text.encode(), mtime=0)
    return _INLINE + base64.b64encode(packed).decode()


def graph_of(documents: Sequence[Json], settings: Settings, tags: str) -> Graph:
    """Return a compiled graph with the parameters of a run."""
    first, *others = documents
    parameters = dict(first.get("runtimeConfig", {}).get("parameterValues", {}))
    parameters |= {"source": settings.source, "store": settings.store}
    if tags:
        parameters["tags"] = tags
    spec = first.get("pipelineSpec", first)
    return Graph(spec, parameters, others[0] if others else {})


def stem_of(spec: Json, *others: Any) -> str:
    """Return the name of a run, without its attempt, after all it depends on."""
    lasting = {key: value for key, value in spec.items() if key != "sdkVersion"}
    name = str(spec["pipelineInfo"]["name"])[:80].rstrip("-")
    return f"{name}-{digest_of([lasting, *others])[:12]}"


def titles_of(spec: Json) -> dict[str, str]:
    """Return task → title of all tasks of a graph that are no loops."""
    components = spec.get("components", {})
    found = {}
    for graph in (spec.get("root", {}), *components.values()):
        for key, task in graph.get("dag", {}).get("tasks", {}).items():
            if "dag" not in components[task["componentRef"]["name"]]:
                found[key] = task.get("taskInfo", {}).get("name", key)
    return found


def require_addresses(settings: Settings, schemes: Sequence[str], where: str) -> None:
    """Refuse data and store that the tasks of a platform cannot reach.

    Raises:
        LaunchError: naming the setting.
    """
    for name, address in (("source", settings.source), ("store", settings.store)):
        if address and not address.startswith(tuple(schemes)):
            raise LaunchError(
                f"{name} {address} is out of reach of tasks on {where}; give an address"
                f" that starts with {' or '.join(schemes)}"
            )


def _show(platform: Platform, body: Json, name: str) -> None:
    typer.echo(f"POST {platform.address(name)}", err=True)
    typer.echo(json.dumps(body, indent=2))


def _create(platform: Platform, body: Json, name: str) -> Run:
    run = platform.create(pinned(body, platform.nodes_hold_images), name)
    typer.echo(f"{run.name}: sent")
    return run


def _attend(platform: Platform, run: Run, wait: bool) -> None:
    typer.echo(f"  page    {run.link}")
    typer.echo(f"  resume  tenfold resume {run.id}")
    platform.enlist(run)
    if wait:
        _follow(platform, run)


def _follow(platform: Platform, run: Run) -> None:
    """Show what changes until a run ends.

    Raises:
        LaunchError: it did not succeed; why, if the platform tells.
    """
    titles: dict[str, str] = {}
    states: dict[str, str] = {}
    same: Counter[str] = Counter()
    run = platform.look(run.id)
    while True:
        for task in run.tasks:
            if task.key not in titles:
                same[task.title] += 1
                number = f" #{same[task.title]}" if same[task.title] > 1 else ""
                titles[task.key] = task.title + number
            if states.get(task.key) != task.state:
                states[task.key] = task.state
                typer.echo(f"{titles[task.key]:32} {task.state:10} {_time_of(task)}")
        if run.state in ENDED:
            break
        pause()
        run = platform.look(run.id)
    if run.state != SUCCEEDED:
        failed = [task for task in run.tasks if task.state == FAILED]
        said = [f"{titles[task.key]}: {task.error}" for task in failed if task.error]
        reason = said[0] if said else run.error or "its page may say why"
        raise LaunchError(
            f"{run.name} {run.state}: {reason} ({run.link}); once that is mended:"
            f" tenfold resume {run.id}"
        )
    typer.echo(f"{run.name}: succeeded")


def _time_of(task: Task) -> str:
    """Say since when a task waits, how long it waited, or how long it worked."""
    if task.started is None:
        since = task.created
        return f"waits since {since:%H:%M:%S} UTC" if since else ""
    if task.ended is None:
        waited = (task.started - (task.created or task.started)).total_seconds()
        return f"after {waited:.0f} s of waiting"
    return f"{(task.ended - task.started).total_seconds():.0f} s"


def _attempt(name: str) -> tuple[str, int]:
    """Split a run's name into its stem and the number of the attempt."""
    found = _ATTEMPT.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, 0)


def _is_graph(document: Any) -> bool:
    try:
        spec = document.get("pipelineSpec", document)
        return str(spec["pipelineInfo"]["name"]).startswith("tenfold-")
    except (AttributeError, KeyError, TypeError):
        return False


def _bytes_of(data: str) -> bytes:
    if data.startswith("data:"):
        _, _, text = data.partition(",")
        return gzip.decompress(base64.b64decode(text, validate=True))
    if data.startswith("gs://"):
        from tenfold.data.storage import open_storage

        folder, _, name = data.rpartition("/")
        return open_storage(folder).read_bytes(name)
    return Path(data).read_bytes()


if __name__ == "__main__":
    from pipelines.cli import main

    main(["launch", *sys.argv[1:]])
