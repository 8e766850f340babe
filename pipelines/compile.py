"""Writes the graph of a recipe as the file each platform takes."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tenfold.challenges import load_recipe

BUILD = Path("build")


def compile_recipe(
    challenge: str = "kelp",
    recipe: str = "winning",
    targets: Sequence[str] = ("kubeflow", "vertex"),
    settings: Sequence[str] = (),
    images: str = "tenfold",
    directory: Path = BUILD,
) -> list[Path]:
    """Compile a recipe for some targets.

    Args:
        challenge: name of a challenge.
        recipe: preset or YAML file.
        targets: that run from a compiled file.
        settings: overrides such as `split.k=5`.
        images: prefix of the images' names.
        directory: receives `<challenge>-<recipe>-<target>.yaml`.

    Returns:
        The files written.
    """
    from kfp import compiler

    from pipelines.dag import build
    from pipelines.images import content_tag
    from pipelines.targets import TargetError, find_target

    loaded = load_recipe(challenge, recipe, settings)
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name in targets:
        target = find_target(name)
        if not target.compiled:
            raise TargetError(f"target {name} runs from this checkout: `tenfold run`")
        path = directory / f"{challenge}-{loaded.name}-{name}.yaml"
        graph = build(loaded, target, images, content_tag())
        compiler.Compiler().compile(graph, str(path))
        written.append(path)
    return written


if __name__ == "__main__":
    from pipelines.cli import main

    main(["compile", *sys.argv[1:]])
