"""Runs the graph on this machine through kfp.local, as processes or containers."""

import json
import sys
from pathlib import Path
from typing import Any

from kfp import local

from pipelines.containers import container_arguments
from pipelines.dag import build
from pipelines.images import Images, tree_images
from pipelines.sweep import build_sweep
from pipelines.targets import find_target
from tenfold.challenges import recipe_from_json
from tenfold.sweep import plan_from_json


def main() -> None:
    """Run the graph described by the JSON file named on the command line."""
    order = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    recipe = recipe_from_json(order["recipe"])
    target = find_target(order["target"])
    if target.name == "docker":
        images = tree_images(order["images"])
        runner: Any = local.DockerRunner(**container_arguments(recipe, order))
    else:
        # One environment for all tasks, this one. kfp.local wants an image name with
        # "python" in it and then ignores it.
        images = Images("local", "tree")
        runner = local.SubprocessRunner(use_venv=False)
    local.init(runner=runner, pipeline_root=order["root"])
    plan = order.get("plan")
    graph = (
        build_sweep(plan_from_json(plan), recipe, target, images)
        if plan
        else build(recipe, target, images)
    )
    graph(source=order["source"], store=order["store"], tags=order["tags"])


if __name__ == "__main__":
    main()
