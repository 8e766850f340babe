"""Verbs that send a graph to a platform, and send it again."""

import inspect
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
from tenfold.cli.app import GRAPH, app
from tenfold.cli.shared import Overrides, RecipeName


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

    Example: tenfold launch --recipe winning --target vertex --project my-project
    --location europe-west4 --pipeline-root gs://my-bucket/pipelines
    --service-account runner@my-project.iam.gserviceaccount.com
    --images europe-west4-docker.pkg.dev/my-project/tenfold
    --source gs://my-bucket/kelp --store gs://my-bucket/store --dry-run
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
    """Run a run's inputs again: the store has what was done, so only the rest is.

    Example: tenfold resume runs/kelp-smoke
    """
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
