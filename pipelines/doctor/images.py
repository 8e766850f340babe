"""Images in their registry, and the weights files that tasks read."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.doctor.findings import Finding, Patient
from pipelines.images import ROOT, is_pinned
from pipelines.pinning import pinned
from pipelines.plan import images_of
from pipelines.registry import Name
from tenfold.data.storage import open_storage
from tenfold.data.weights import DEFAULT_MIRROR, MIRROR_VARIABLE, SUMS
from tenfold.errors import StoreError
from tenfold.recipe import Recipe

_WEIGHTS = (".safetensors", ".keras", ".h5")


def in_registry(patient: Patient) -> Iterator[Finding]:
    """Ask the registry for each image of the recipe, by its digest or tag.

    Raises:
        ImageError: one is not pinned, not there, or may not be asked for.
    """
    for image in images_of(patient.recipe, patient.images):
        registry = Name.of(image).registry
        if is_pinned(image) and not registry and patient.target == "kubeflow":
            what = f"{image} is in no registry; the nodes must hold it"
            yield Finding("skipped", what)
        elif is_pinned(image) and registry and not patient.online:
            yield Finding("skipped", f"{image}: no network")
        elif is_pinned(image) and registry and "credentials" in patient.failed:
            yield Finding("skipped", f"{image}: needs what failed under credentials")
        else:
            pinned({"image": image}, nodes_hold_images=False)
            yield Finding("ok", image)


def weights(patient: Patient) -> Iterator[Finding]:
    """Look for the weights files that the recipe names, where its tasks will."""
    names = sorted(_named_files(patient.recipe))
    if not names:
        yield Finding("ok", "not used: the recipe names no weights file")
    for name in names:
        yield _find(patient, name)


def _find(patient: Patient, name: str) -> Finding:
    mirror = (
        os.environ.get(MIRROR_VARIABLE, DEFAULT_MIRROR)
        if patient.target == "local"
        else patient.settings.weights
    )
    # Containers here have no network, so theirs are in the images in any case.
    if mirror is None or patient.target == "docker":
        return _in_images(name)
    place = open_storage(mirror)
    if place.local_path is None and not patient.online:
        return Finding("skipped", f"{place.address(name)}: no network")
    try:
        found = place.exists(name)
    except StoreError as error:
        if patient.target == "local":
            raise
        # Whoever sends a run need not read what its tasks read.
        return Finding("skipped", f"{error}; the run's tasks must be able to read it")
    if found:
        return Finding("ok", place.address(name))
    other = f"set {MIRROR_VARIABLE}" if patient.target == "local" else "give --weights"
    return Finding(
        "FAIL",
        f"no {name} in {mirror}",
        f"put it there (docs/weights.md), or {other}",
    )


def _in_images(name: str) -> Finding:
    """Tell from what images of this tree are built with."""
    sums = (ROOT / "containers" / "weights" / SUMS).read_text("utf-8")
    if any(line.split()[-1:] == [name] for line in sums.splitlines()):
        return Finding("ok", f"{name} is in the images")
    return Finding(
        "FAIL",
        f"no {name} in the images",
        f"put it into containers/weights/, write its {SUMS} and make images; a cluster"
        " reads a bucket, too: --weights gs://… (docs/weights.md)",
    )


def _named_files(recipe: Recipe) -> set[str]:
    """Return the weights files that a recipe's options name."""
    embedding = recipe.groups.embedding
    used = recipe.model_dump(mode="json", exclude={"groups"})
    files = set(_weights_in(used))
    if recipe.groups.needs_network:
        files.add(embedding.weights or f"{embedding.network}.safetensors")
    return files


def _weights_in(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for inner in value:
            yield from _weights_in(inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            named = key == "weights" and isinstance(inner, str)
            if named and Path(inner).suffix in _WEIGHTS:
                yield inner
            else:
                yield from _weights_in(inner)
