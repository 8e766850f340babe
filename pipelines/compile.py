"""Writes the graph of a recipe as the file each platform takes."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.images import Images, tree_images
from pipelines.settings import Settings
from pipelines.targets import COMPILED, TargetError, find_target
from tenfold.challenges import load_recipe
from tenfold.errors import TenfoldError
from tenfold.recipe import Recipe

BUILD = Path("build")


@dataclass(frozen=True)
class Compiled:
    """A graph as a file.

    Attributes:
        recipe: frozen into it.
        target: that takes it.
        images: that its tasks run in.
        path: of the YAML file.
    """

    recipe: Recipe
    target: str
    images: Images
    path: Path


def compile_recipe(
    challenge: str = "kelp",
    recipe: str = "winning",
    targets: Sequence[str] = COMPILED,
    overrides: Sequence[str] = (),
    settings: Settings | None = None,
    images: Images | None = None,
    directory: Path = BUILD,
) -> list[Compiled]:
    """Compile a recipe for some targets.

    Args:
        challenge: name of a challenge.
        recipe: preset or YAML file.
        targets: that run from a compiled file.
        overrides: such as `split.k=5`.
        settings: the user's own cloud and cluster.
        images: to run in; none: those of this checkout.
        directory: receives `<challenge>-<recipe>-<target>.yaml`.

    Returns:
        What was written.
    """
    loaded = load_recipe(challenge, recipe, overrides)
    own = settings or Settings()
    pinned = images or tree_images(own.images)
    return [compile_graph(loaded, name, own, pinned, directory) for name in targets]


def compile_graph(
    recipe: Recipe, target: str, settings: Settings, images: Images, directory: Path
) -> Compiled:
    """Compile a recipe for one target; the file is there whole or not at all."""
    from kfp import compiler

    from pipelines.dag import build
    from tenfold.data.files import atomic_path

    place = find_target(target, settings)
    if not place.compiled:
        raise TargetError(
            f"target {target} runs from this checkout:"
            f" tenfold run {recipe.challenge} --recipe {recipe.name} --target {target}"
        )
    path = directory / f"{recipe.challenge}-{recipe.name}-{target}.yaml"
    graph = build(recipe, place, images)
    with atomic_path(path) as temporary:
        compiler.Compiler().compile(graph, str(temporary))
    return Compiled(recipe, target, images, path)


def absent_images(compiled: Compiled) -> list[str]:
    """Return a sentence on each image of a graph that is not where it should be.

    Names without a registry are looked for in this machine's engine.
    """
    from pipelines.containers import missing_images
    from pipelines.plan import images_of
    from pipelines.registry import Name, find_digest

    try:
        if not Name.of(compiled.images.reference("cpu")).registry:
            missing = missing_images(compiled.recipe, compiled.images)
            return [f"no image {name} here yet: make images" for name in missing]
        return [
            f"no image {name} in its registry yet: make images, tenfold images push"
            for name in images_of(compiled.recipe, compiled.images)
            if find_digest(name) is None
        ]
    except TenfoldError as error:
        return [f"images were not looked up: {error}"]


if __name__ == "__main__":
    from pipelines.cli import main

    main(["compile", *sys.argv[1:]])
