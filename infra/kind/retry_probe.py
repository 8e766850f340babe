"""Asks a cluster whether it runs a task again that ended with exit code 1.

KFP 2.17 sets a default for retries that may take the place of `set_retry`'s, in which
case an ordinary failure is final. The probe's one task fails the first time it runs
and succeeds the second; an object in the store is how it knows.
"""

from pathlib import Path
from typing import Annotated

import typer
from kfp import compiler, dsl

from pipelines.images import tree_images
from pipelines.settings import Settings, load_settings, require
from pipelines.targets import find_target
from tenfold.cli import run_app
from tenfold.errors import TenfoldError
from tenfold.recipe import Resources

app = typer.Typer(add_completion=False, rich_markup_mode=None)
NAME = "tenfold-retry-probe"
_TIMEOUT_S = 900


class ProbeError(TenfoldError):
    """The cluster does not retry, or the probe got no answer."""


def fail_once(store: str, run: str) -> None:
    """Leave a mark and exit with 1; where the mark is, succeed."""
    import sys

    from tenfold.data.storage import open_storage

    marks = open_storage(f"{store}/probe")
    if marks.exists(run):
        marks.delete(run)
        return
    marks.write_bytes(run, b"failed once")
    sys.exit(1)


def compile_probe(settings: Settings, path: Path) -> None:
    """Write the probe's graph: one task, one retry."""
    (store,) = require(settings, "store")
    image = tree_images(settings.images).reference("cpu")
    component = dsl.component(fail_once, base_image=image, install_kfp_package=False)

    @dsl.pipeline(name=NAME)  # type: ignore[untyped-decorator]
    def graph() -> None:
        task = component(store=store, run=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
        task.set_caching_options(False)
        task.set_retry(num_retries=1)
        find_target("kubeflow", settings).place(task, Resources(cpu=1, memory_gb=1))

    compiler.Compiler().compile(graph, str(path))


@app.command()
def probe(
    file: Annotated[Path, typer.Option(help="gets the compiled graph")],
    compile_only: Annotated[
        bool, typer.Option("--compile-only", help="do not run it")
    ] = False,
) -> None:
    """Run the probe and say what came of it."""
    settings = load_settings()
    compile_probe(settings, file)
    if compile_only:
        return
    from kfp import Client

    (host,) = require(settings, "kubeflow.host")
    own = settings.kubeflow
    client = Client(host=host, namespace=own.namespace)
    started = client.create_run_from_pipeline_package(
        str(file), run_name=NAME, experiment_name=own.experiment
    )
    state = client.wait_for_run_completion(started.run_id, _TIMEOUT_S).state
    if state != "SUCCEEDED":
        raise ProbeError(
            f"the run ended as {state}: a task that exits with 1 is not retried here;"
            " run a failed graph again instead, which goes on where it stopped"
        )
    typer.echo("a task that exits with 1 is retried here")


if __name__ == "__main__":
    run_app(app, None)
