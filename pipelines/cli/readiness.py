"""The verb that says whether a recipe can run on a target."""

from typing import Annotated

import typer

from pipelines.options import (
    ChallengeName,
    Digests,
    Host,
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
from tenfold.cli.shared import Overrides, RecipeName


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

    Example: tenfold doctor --target vertex --recipe winning
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
