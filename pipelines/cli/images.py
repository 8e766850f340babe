"""Verbs about the images."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.options import (
    Digests,
    Prefix,
    SettingsFile,
    own_settings,
)
from tenfold.cli.app import family

images = family("images", "Name and build the images.")


@images.command("tag")
def images_tag() -> None:
    """Print the tag of this tree: the same files, the same tag.

    Example: tenfold images tag
    """
    from pipelines.images import content_tag

    typer.echo(content_tag())


@images.command("names")
def images_names(
    prefix: Prefix = None, digests: Digests = None, settings: SettingsFile = None
) -> None:
    """Print the images of this tree, one a line.

    Example: tenfold images names --images
    europe-west4-docker.pkg.dev/my-project/tenfold
    """
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
    """Build the images of this tree with a Docker engine, and weigh them.

    Example: tenfold images build --kind cpu --kind torch
    """
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
    """Push the images of this tree, and write down their digests.

    Example: tenfold images push --images
    europe-west4-docker.pkg.dev/my-project/tenfold
    """
    from pipelines.build_images import push
    from pipelines.images import KINDS

    push(own_settings(settings, images=prefix).images, KINDS, digests)
    typer.echo(str(digests))
