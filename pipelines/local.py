"""Runs the graph as local processes through kfp.local; one process a task."""

import json
import sys
from pathlib import Path

from kfp import local

from pipelines.dag import build
from pipelines.targets import find_target
from tenfold.challenges import recipe_from_json


def main() -> None:
    """Run the graph described by the JSON file named on the command line."""
    order = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    recipe = recipe_from_json(order["recipe"])
    # One environment for all tasks: this one.
    local.init(
        runner=local.SubprocessRunner(use_venv=False), pipeline_root=order["root"]
    )
    # kfp.local wants an image name with "python" in it and then ignores it.
    graph = build(recipe, find_target("local"), "local", "tree")
    graph(source=order["source"], store=order["store"])


if __name__ == "__main__":
    main()
