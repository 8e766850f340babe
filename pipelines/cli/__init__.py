"""The `tenfold` command: the library's verbs, and those that need the graph.

Importing a module here adds its verbs to the app, in the order of the help.
"""

from collections.abc import Sequence

from pipelines.cli import graph, images, prices, readiness, sending
from tenfold.cli import app, run_app

__all__ = ["app", "graph", "images", "prices", "readiness", "sending"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's error is one sentence and exit code 2."""
    run_app(app, arguments)
