"""Verbs that run or compile a whole graph."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.options import (
    ChallengeName,
    Digests,
    Directory,
    Location,
    PipelineRoot,
    Prefix,
    Project,
    ServiceAccount,
    SettingsFile,
    Source,
    StoreUri,
    Weights,
    own_settings,
)
from tenfold.cli.app import GRAPH, app
from tenfold.cli.shared import Challenge, Overrides, RecipeName


@app.command("run", rich_help_panel=GRAPH)
def run_verb(
    challenge: Challenge,
    recipe: RecipeName = "smoke",
    source: Annotated[
        str | None,
        typer.Option(
            help="folder, zip or tar archive, or address of the raw data;"
            " without it, synthetic data are made"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="folder of the run; runs/CHALLENGE-RECIPE"),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="folder or address of all results; runs/store"),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            "--target",
            "-t",
            help="local: processes; docker: containers of this tree's images",
        ),
    ] = "local",
    prefix: Prefix = None,
    settings: SettingsFile = None,
    overrides: Overrides = None,
) -> None:
    """Run a challenge on this machine, from raw data to submission and report.

    Only what is not in the store yet is done, so the same command goes on after
    any interruption, and does nothing when all is there.

    Example: tenfold run kelp --source /data/kelp --recipe baseline --out runs/baseline
    """
    from pipelines.run import run

    own = own_settings(settings, images=prefix)
    run(challenge, recipe, source, out, overrides or (), store, target, own.images)


@app.command("compile", rich_help_panel=GRAPH)
def compile_verb(
    challenge: ChallengeName = "kelp",
    recipe: RecipeName = "winning",
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target", "-t", help="kubeflow or vertex; repeatable; both if not given"
        ),
    ] = None,
    directory: Directory = Path("build"),
    prefix: Prefix = None,
    digests: Digests = None,
    prices: Annotated[
        Path | None, typer.Option(help="your table of prices, for the plan's cost")
    ] = None,
    settings: SettingsFile = None,
    weights: Weights = None,
    source: Source = None,
    store: StoreUri = None,
    project: Project = None,
    location: Location = None,
    pipeline_root: PipelineRoot = None,
    service_account: ServiceAccount = None,
    overrides: Overrides = None,
) -> None:
    """Write the graph of a recipe as the file each platform takes, and its plan.

    For Vertex AI also what curl and gcloud send, if tenfold.yaml or the options say
    where and as whom.

    Example: tenfold compile --recipe winning --target vertex --directory build
    """
    from pipelines.compile import absent_images, compile_recipe
    from pipelines.gcloud import missing, write_requests
    from pipelines.images import tree_images
    from pipelines.plan import describe, prices_of
    from pipelines.targets import COMPILED

    own = own_settings(
        settings,
        images=prefix,
        weights=weights,
        source=source,
        store=store,
        vertex__project=project,
        vertex__location=location,
        vertex__pipeline_root=pipeline_root,
        vertex__service_account=service_account,
    )
    table = prices_of(prices, target or COMPILED, own)
    compiled = compile_recipe(
        challenge,
        recipe,
        target or COMPILED,
        overrides or (),
        own,
        tree_images(own.images, digests),
        directory,
    )
    for written in compiled:
        typer.echo(describe(written, own, table) + "\n")
    for written in compiled:
        for path in (written.path, *write_requests(written, own, directory)):
            typer.echo(str(path))
    if any(written.target == "vertex" for written in compiled):
        lacking = missing(own)
        if lacking:
            typer.echo(f"for what curl and gcloud send: {lacking}", err=True)
    for sentence in absent_images(compiled[0]):
        typer.echo(f"warning: {sentence}", err=True)


@app.command("sweep", rich_help_panel=GRAPH)
def sweep_verb(
    challenge: Challenge,
    sweep: Annotated[
        str, typer.Option(help="preset, or path of a YAML file")
    ] = "smoke",
    target: Annotated[
        str,
        typer.Option(
            "--target",
            "-t",
            help="local or docker run it now; kubeflow or vertex write a file",
        ),
    ] = "local",
    source: Annotated[
        str | None,
        typer.Option(help="raw data; local and docker make synthetic data without it"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="folder of the run; runs/CHALLENGE-sweep-SWEEP"
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="folder or address of all results; local and docker: runs/store"
        ),
    ] = None,
    directory: Directory = Path("build"),
    prefix: Prefix = None,
    digests: Digests = None,
    settings: SettingsFile = None,
    weights: Weights = None,
    project: Project = None,
    location: Location = None,
    pipeline_root: PipelineRoot = None,
    service_account: ServiceAccount = None,
    overrides: Overrides = None,
) -> None:
    """Try a recipe's options on one fold, in many ways, and rank them.

    Example: tenfold sweep kelp --sweep smoke
    """
    from pipelines.compile import absent_images
    from pipelines.images import tree_images
    from pipelines.sweep import compile_sweep, describe_sweep, run_sweep, sending
    from pipelines.targets import COMPILED
    from tenfold.sweep import load_sweep, plan_sweep

    own = own_settings(
        settings,
        images=prefix,
        weights=weights,
        vertex__project=project,
        vertex__location=location,
        vertex__pipeline_root=pipeline_root,
        vertex__service_account=service_account,
    )
    recipe, plan = plan_sweep(challenge, load_sweep(challenge, sweep), overrides or ())
    if target not in COMPILED:
        run_sweep(plan, recipe, source, out, store, target, own.images)
        return
    named = tree_images(own.images, digests)
    written = compile_sweep(plan, recipe, target, own, named, directory)
    typer.echo(f"{describe_sweep(plan, written)}\n\n{written.path}")
    command = sending(
        written,
        own_settings(settings, source=source, store=store),
        settings=settings,
        source=source,
        store=store,
        project=project,
        location=location,
        pipeline_root=pipeline_root,
        service_account=service_account,
    )
    typer.echo(f"send it with: {command}")
    for sentence in absent_images(written):
        typer.echo(f"warning: {sentence}", err=True)
