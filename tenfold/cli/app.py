"""The app that verbs are added to, and how it ends on a user's error."""

import sys
from collections.abc import Sequence

import typer

from tenfold.errors import TenfoldError

app = typer.Typer(
    name="tenfold",
    help="Raw competition imagery in, a checked submission out.",
    epilog="Start with `tenfold run kelp`; `tenfold VERB --help` explains each verb.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def run_app(command: typer.Typer, arguments: Sequence[str] | None) -> None:
    """Run an app, turning what a user can mend into one sentence."""
    try:
        command(args=list(arguments) if arguments is not None else None)
    except TenfoldError as error:
        _fail(str(error))
    except OSError as error:
        # A full disk or a lost mount: nothing that was stored is half-written.
        _fail(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))


def _fail(sentence: str) -> None:
    typer.secho(f"error: {sentence}", fg="red", err=True)
    sys.exit(2)
