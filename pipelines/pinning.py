"""The images in what is sent: each means one image, and each is there."""

from collections.abc import Mapping
from typing import Any

import typer

from pipelines.images import ImageError, is_pinned
from pipelines.registry import Name, find_digest
from tenfold.recipe import Json

#: What Google's converter starts custom jobs with; its tags are versions.
LAUNCHER = "gcr.io/ml-pipeline/google-cloud-pipeline-components:2.22.0"

_IMAGE_KEYS = ("image", "image_uri", "imageUri")


def images_of(value: Any) -> set[str]:
    """Find the images in a body, those inside the specs of custom jobs too."""
    if isinstance(value, list):
        return set().union(*map(images_of, value))
    if not isinstance(value, Mapping):
        return set()
    named = {value[key] for key in _IMAGE_KEYS if isinstance(value.get(key), str)}
    return named.union(*map(images_of, value.values()))


def check_images(body: Json, nodes_hold_images: bool) -> list[str]:
    """Return a body's own images, if their names will do; no registry is asked.

    Args:
        body: what is to be sent.
        nodes_hold_images: let names without a registry be.

    Raises:
        ImageError: naming the image that may change, or that nobody can pull.
    """
    images = sorted(images_of(body) - {LAUNCHER})
    for image in images:
        if not is_pinned(image):
            raise ImageError(
                f"image {image} may be another one tomorrow; compile the graph with"
                " the tag of this tree or with --digests"
            )
        if not Name.of(image).registry and not nodes_hold_images:
            raise ImageError(
                f"image {image} is in no registry; give one as --images, e.g."
                " europe-west4-docker.pkg.dev/PROJECT/REPOSITORY"
            )
    return images


def pinned(body: Json, nodes_hold_images: bool) -> Json:
    """Return a body whose images are all there, each by its digest.

    Raises:
        ImageError: as of `check_images`, or naming the image that is missing.
    """
    digests = {}
    for image in check_images(body, nodes_hold_images):
        name = Name.of(image)
        if name.registry:
            digests[image] = f"{name.unversioned}@{_digest(image)}"
        else:
            typer.echo(f"not checked, since it is in no registry: {image}", err=True)
    replaced: Json = _replace(body, digests)
    return replaced


def _digest(image: str) -> str:
    digest = find_digest(image)
    if digest is None:
        prefix, _, _ = Name.of(image).unversioned.rpartition("/")
        raise ImageError(
            f"image {image} is not in its registry: tenfold images push --images"
            f" {prefix}"
        )
    return digest


def _replace(value: Any, images: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _replace(inner, images) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replace(inner, images) for inner in value]
    return images.get(value, value) if isinstance(value, str) else value
