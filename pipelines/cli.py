"""The `tenfold` command: the library's verbs, and those that need the graph."""

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pipelines.options import (
    ChallengeName,
    Digests,
    Directory,
    DryRun,
    Experiment,
    Host,
    Location,
    PipelineRoot,
    Prefix,
    Project,
    ServiceAccount,
    SettingsFile,
    Source,
    StoreUri,
    Wait,
    Weights,
    own_settings,
)
from tenfold.cli import app, run_app
from tenfold.cli.shared import Challenge, Overrides, RecipeName

GRAPH, IMAGES = "The whole graph", "Images"

images = typer.Typer(
    help="Name and build the images.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(images, name="images")
prices = typer.Typer(
    help="What machines cost.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(prices, name="prices")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's error is one sentence and exit code 2."""
    run_app(app, arguments)


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
    """Try a recipe's options on one fold, in many ways, and rank them."""
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


@app.command("launch", rich_help_panel=GRAPH)
def launch_verb(
    context: typer.Context,
    challenge: ChallengeName = "kelp",
    recipe: RecipeName = "winning",
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="kubeflow or vertex")
    ] = None,
    compiled: Annotated[
        str | None,
        typer.Option(
            help="file, gs:// address or data: of a graph, instead of compiling one"
        ),
    ] = None,
    earlier: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="as `tenfold resume RUN` does"),
    ] = None,
    source: Source = None,
    store: StoreUri = None,
    tags: Annotated[
        str, typer.Option(help="your own words for the run; part of no result")
    ] = "",
    settings: SettingsFile = None,
    prefix: Prefix = None,
    digests: Digests = None,
    weights: Weights = None,
    project: Project = None,
    location: Location = None,
    pipeline_root: PipelineRoot = None,
    service_account: ServiceAccount = None,
    experiment: Experiment = None,
    host: Host = None,
    directory: Directory = Path("build"),
    dry_run: DryRun = False,
    wait: Wait = False,
    overrides: Overrides = None,
) -> None:
    """Send a recipe's graph to Kubeflow or Vertex AI, once for equal content.

    Every image must be in its registry, and goes by its digest. What the store holds
    is not done again.
    """
    from pipelines import submit, vertex
    from pipelines.compile import compile_recipe
    from pipelines.images import tree_images

    if earlier is not None:
        honoured = {"earlier", *inspect.signature(resume_verb).parameters}
        other = [
            max(option.opts, key=len)
            for option in context.command.params
            if option.name not in honoured and _is_given(context, str(option.name))
        ]
        if other:
            raise submit.LaunchError(
                f"--resume sends what the run had, so leave out {', '.join(other)}; or"
                " launch anew, without --resume"
            )
        resume_verb(
            earlier,
            target,
            settings,
            project,
            location,
            experiment,
            host,
            dry_run,
            wait,
        )
        return
    documents = submit.read_graph(compiled) if compiled else ()
    flags = {
        "images": prefix,
        "source": source,
        "store": store,
        "weights": weights,
        "vertex.project": project,
        "vertex.location": location,
        "vertex.pipeline_root": pipeline_root,
        "vertex.service_account": service_account,
        "vertex.experiment": experiment,
        "kubeflow.experiment": experiment,
        "kubeflow.host": host,
    }
    asked = vertex.settings_in(documents[0]) if documents else {}
    given = {name: value for name, value in flags.items() if value is not None}
    own = own_settings(settings, **asked | given)
    platform = submit.find_platform(target, own)
    if target is not None and not documents:
        named = tree_images(own.images, digests)
        written = compile_recipe(
            challenge, recipe, [target], overrides or (), own, named, directory
        )
        documents = submit.read_graph(str(written[0].path))
    graph = submit.graph_of(documents, own, tags)
    submit.launch(platform, graph, dry_run, wait)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@app.command("resume", rich_help_panel=GRAPH)
def resume_verb(
    run: Annotated[
        str,
        typer.Argument(
            help="id of a run on Vertex AI or Kubeflow, or the folder of a run here"
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", help="where it ran, if its id does not tell"),
    ] = None,
    settings: SettingsFile = None,
    project: Project = None,
    location: Location = None,
    experiment: Experiment = None,
    host: Host = None,
    dry_run: DryRun = False,
    wait: Wait = False,
) -> None:
    """Run a run's inputs again: the store has what was done, so only the rest is."""
    from pipelines import submit

    if Path(run).is_dir() or target in ("local", "docker"):
        if dry_run:
            raise submit.LaunchError(
                f"{run} is of this machine; a dry run is for Kubeflow and Vertex AI"
            )
        submit.resume_local(Path(run), target)
        return
    where = target or submit.target_of(run)
    own = own_settings(
        settings,
        vertex__project=project,
        vertex__location=location,
        vertex__experiment=experiment,
        kubeflow__experiment=experiment,
        kubeflow__host=host,
    )
    submit.resume(submit.find_platform(where, own), run, dry_run, wait)


@app.command("doctor", rich_help_panel=GRAPH)
def doctor_verb(
    target: Annotated[
        str,
        typer.Option("--target", "-t", help="local, docker, kubeflow or vertex"),
    ] = "local",
    challenge: ChallengeName = "kelp",
    recipe: RecipeName = "smoke",
    source: Source = None,
    store: StoreUri = None,
    settings: SettingsFile = None,
    prefix: Prefix = None,
    digests: Digests = None,
    weights: Weights = None,
    project: Project = None,
    location: Location = None,
    pipeline_root: PipelineRoot = None,
    service_account: ServiceAccount = None,
    host: Host = None,
    overrides: Overrides = None,
) -> None:
    """Find out whether a recipe can run on a target, and what would mend it.

    Nothing is written anywhere. The exit code is 1 if something fails.
    """
    from pipelines.doctor import Patient, examine
    from pipelines.images import tree_images
    from tenfold.challenges import load_recipe

    own = own_settings(
        settings,
        images=prefix,
        source=source,
        store=store,
        weights=weights,
        vertex__project=project,
        vertex__location=location,
        vertex__pipeline_root=pipeline_root,
        vertex__service_account=service_account,
        kubeflow__host=host,
    )
    loaded = load_recipe(challenge, recipe, overrides or ())
    failed = False
    for name, finding in examine(
        Patient(target, loaded, own, tree_images(own.images, digests))
    ):
        typer.echo(f"{finding.status:7}  {name}: {finding.what}")
        if finding.fix:
            typer.echo(f"{'':7}  → {finding.fix}")
        failed = failed or finding.status == "FAIL"
    raise typer.Exit(int(failed))


@prices.command("fetch")
def prices_fetch(
    region: Annotated[str, typer.Option(help="of Vertex AI, e.g. europe-west4")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="file that gets the table")
    ] = Path("prices.yaml"),
    currency: Annotated[str, typer.Option(help="three letters")] = "USD",
) -> None:
    """Fetch list prices of a region's training machines, for the plan's estimate.

    An API key is taken from TENFOLD_BILLING_KEY, or else your login is used.
    """
    from pipelines.prices import fetch_prices, write_prices

    write_prices(fetch_prices(region, currency), out)
    typer.echo(str(out))


@images.command("tag")
def images_tag() -> None:
    """Print the tag of this tree: the same files, the same tag."""
    from pipelines.images import content_tag

    typer.echo(content_tag())


@images.command("names")
def images_names(
    prefix: Prefix = None, digests: Digests = None, settings: SettingsFile = None
) -> None:
    """Print the images of this tree, one a line."""
    from pipelines.images import KINDS, tree_images

    found = tree_images(own_settings(settings, images=prefix).images, digests)
    for kind in KINDS:
        typer.echo(found.reference(kind))


@images.command("build")
def images_build(
    kind: Annotated[
        list[str] | None,
        typer.Option(help="cpu, torch or tensorflow; repeatable; all if not given"),
    ] = None,
    prefix: Prefix = None,
    base: Annotated[
        str | None,
        typer.Option(
            envvar="BASE_IMAGE", help="image to build on, instead of the pinned one"
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            envvar="BUILD_NETWORK", help="network of the build's steps, e.g. host"
        ),
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option(
            envvar="BUILD_CA", help="file of your network's certificate authorities"
        ),
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Build the images of this tree with a Docker engine, and weigh them."""
    from pipelines.build_images import Network, build
    from pipelines.images import KINDS

    own = own_settings(settings, images=prefix)
    for line in build(kind or KINDS, own.images, base, Network(network, authority)):
        typer.echo(line)


@images.command("push")
def images_push(
    prefix: Prefix = None,
    digests: Annotated[
        Path, typer.Option(help="file that gets the digests, for compile and submit")
    ] = Path("build/digests.json"),
    settings: SettingsFile = None,
) -> None:
    """Push the images of this tree, and write down their digests."""
    from pipelines.build_images import push
    from pipelines.images import KINDS

    push(own_settings(settings, images=prefix).images, KINDS, digests)
    typer.echo(str(digests))


if __name__ == "__main__":
    main(sys.argv[1:])
