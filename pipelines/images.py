"""Names of the images: the same tree gives the same tag."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenfold.errors import TenfoldError
from tenfold.recipe import Recipe

ROOT = Path(__file__).resolve().parent.parent
#: From small to large; each holds what the stages it runs import, and no more.
KINDS = ("cpu", "torch", "tensorflow")
#: Engine → image. Trees train where PyTorch does, so that an ensemble has one image.
ENGINES = {"torch": "torch", "trees": "torch", "keras": "tensorflow"}
#: Stages that need the engine of the recipe's members.
ENGINE_STAGES = ("train", "predict", "trial")
CODE = ("tenfold", "components", "pipelines")
_RECIPE_OF_IMAGES = (
    "containers/Dockerfile",
    "containers/build.txt",
    "containers/check_weights.py",
    "containers/kfp.txt",
    *(f"containers/{kind}/requirements.txt" for kind in KINDS),
    "containers/weights/SHA256SUMS",
)
_TAG = re.compile(r"[0-9a-f]{16}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ImageError(TenfoldError):
    """An image is missing, or its name may mean another one tomorrow."""


@dataclass(frozen=True)
class Images:
    """The images that a graph is compiled with.

    Attributes:
        prefix: of their names, e.g. a registry's path.
        tag: of all of them.
        digests: kind → `sha256:…`; where there is one it replaces the tag.
    """

    prefix: str
    tag: str
    digests: Mapping[str, str] = field(default_factory=dict)

    def reference(self, kind: str) -> str:
        """Return the name that a platform pulls.

        kfp.local asks for "python" in an image's name, or warns at every task.
        """
        name = f"{self.prefix}/tenfold-python-{kind}"
        digest = self.digests.get(kind)
        return f"{name}@{digest}" if digest else f"{name}:{self.tag}"

    def of_stage(self, recipe: Recipe, stage: str) -> str:
        """Return the image a stage runs in: its engine's, or the small one."""
        return self.reference(kind_of(recipe, stage))


def kind_of(recipe: Recipe, stage: str) -> str:
    """Return which of the images a stage of a recipe needs."""
    if stage in ENGINE_STAGES:
        engines = sorted({member.engine for member in recipe.members})
        kinds = {ENGINES[engine] for engine in engines}
        if len(kinds) > 1:
            raise ImageError(
                f"recipe {recipe.name} has members of {' and '.join(engines)}; one"
                " run has one framework"
            )
        return kinds.pop()
    search = recipe.groups.embedding
    # Of the images only torch's has FAISS, which these two indices are of.
    indexed = search.enabled and search.index in ("exact", "approximate")
    if stage == "group" and (recipe.groups.needs_network or indexed):
        return "torch"
    return "cpu"


def tree_images(prefix: str, digests: Path | None = None) -> Images:
    """Return the images of this checkout.

    Args:
        prefix: of their names.
        digests: JSON file, kind → `sha256:…`, as a push writes it.
    """
    return Images(prefix, content_tag(), _read_digests(digests) if digests else {})


def content_tag() -> str:
    """Return a tag over the files that go into the images and how they are built."""
    digest = hashlib.sha256()
    for path in sorted(_files()):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()[:16]


def pins() -> dict[str, str]:
    """Read the pinned names and versions of what comes from outside."""
    lines = (ROOT / "containers" / "pins.env").read_text("utf-8").splitlines()
    pairs = [line.split("=", 1) for line in lines if line and line[0] != "#"]
    return {name.strip(): value.strip() for name, value in pairs}


def is_pinned(reference: str) -> bool:
    """Tell whether a name can mean one image only: a digest or a content tag."""
    _, at, digest = reference.partition("@")
    if at:
        return bool(_DIGEST.fullmatch(digest))
    return bool(_TAG.fullmatch(reference.rpartition("/")[2].partition(":")[2]))


def _files() -> list[Path]:
    code = [
        path
        for name in CODE
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return code + [ROOT / name for name in _RECIPE_OF_IMAGES]


def _read_digests(path: Path) -> dict[str, str]:
    try:
        found: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot read digests from {path}: {error}") from None
    good = isinstance(found, dict) and all(
        kind in KINDS and isinstance(value, str) and _DIGEST.fullmatch(value)
        for kind, value in found.items()
    )
    if not good:
        raise ImageError(f"{path} is not a map of {', '.join(KINDS)} to sha256:…")
    return dict(found)
