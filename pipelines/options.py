"""Options that several verbs of the command line share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipelines.settings import Settings

ChallengeName = Annotated[
    str, typer.Option("--challenge", "-c", help="name of a challenge")
]
Directory = Annotated[Path, typer.Option(help="folder that gets the compiled files")]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings", help="file of your own cloud and cluster; tenfold.yaml if there"
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option("--images", help="prefix of the images, e.g. a registry's path"),
]
Digests = Annotated[
    Path | None,
    typer.Option(help="JSON file of the images' digests, which replace the tag"),
]
Source = Annotated[
    str | None, typer.Option(help="raw data, as the tasks can reach them")
]
StoreUri = Annotated[
    str | None, typer.Option(help="gs:// or s3:// folder of all results")
]
Weights = Annotated[
    str | None, typer.Option(help="gs:// or s3:// mirror of pretrained weights")
]
Project = Annotated[str | None, typer.Option(help="Google Cloud project")]
Location = Annotated[str | None, typer.Option(help="region, e.g. europe-west4")]
PipelineRoot = Annotated[
    str | None, typer.Option(help="gs:// folder for what KFP keeps; it must exist")
]
ServiceAccount = Annotated[
    str | None, typer.Option(help="e-mail of the identity that tasks run as")
]
Experiment = Annotated[str | None, typer.Option(help="experiment of the runs")]
Host = Annotated[str | None, typer.Option(help="address of the KFP API")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="print what would be sent, and send nothing")
]
Wait = Annotated[
    bool, typer.Option("--wait", help="follow the run to its end; fail if it fails")
]


def own_settings(file: Path | None, **flags: Any) -> "Settings":
    """Read the settings file; flags named `vertex__project` go over it."""
    from pipelines.settings import load_settings

    dotted = {name.replace("__", "."): value for name, value in flags.items()}
    return load_settings(file, dotted)
