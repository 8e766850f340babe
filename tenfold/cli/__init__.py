"""The library's verbs on the command line.

A verb of a stage is the function its component calls, on files that name store
entries. Libraries are imported inside a verb, so that `--help` is quick. Importing a
module here adds its verbs to the app, in the order of the help.
"""

from collections.abc import Sequence

from tenfold.cli import bench, data, explore, fetch, recipes, results, runs, stages
from tenfold.cli.app import app, run_app

__all__ = [
    "app",
    "bench",
    "data",
    "explore",
    "fetch",
    "recipes",
    "results",
    "run_app",
    "runs",
    "stages",
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's error is one sentence and exit code 2."""
    run_app(app, arguments)
