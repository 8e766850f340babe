"""The app that verbs are added to: its help, and how it ends on a user's error."""

import errno
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from tenfold.errors import TenfoldError

F = TypeVar("F", bound=Callable[..., Any])
_EXAMPLE = "Example: "
_ROOM = "make room there and run the same command again: it goes on from what is whole"
_RIGHTS = "let this user write there, or name another folder"
#: What to do about an error of the system.
_NEXT = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "its disk or this user may hold no file as large; name another folder",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "it cannot be written; name a folder that can",
    errno.ENOENT: "name one that is there",
    errno.ENOTDIR: "a file has the name of a folder in it; name another place",
    errno.EEXIST: "something else has that name; name another place",
    errno.EISDIR: "name a file, not a folder",
}
#: Headings of the list of verbs, in order; a verb names its own.
PANELS = (
    GRAPH := "The whole graph",
    DATA := "Data",
    STAGES := "One stage at a time",
    OUTSIDE := "Outside the graph",
    RESULTS := "Results",
    ABOUT := "Recipes, images, prices",
)


class Verb(TyperCommand):
    """A verb whose help ends with examples that can be copied whole.

    A paragraph of the docstring that begins with "Example: " is one.
    """

    def format_help_text(self, _ctx: Any, formatter: Any) -> None:
        """Write the sentences, wrapped."""
        text = "\n\n".join(p for p in self._paragraphs() if not _is_example(p))
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text)

    def format_epilog(self, _ctx: Any, formatter: Any) -> None:
        """Write the examples, one a line however long it is."""
        examples = self.examples()
        if examples:
            formatter.write_paragraph()
            formatter.write("Examples:\n" if len(examples) > 1 else "Example:\n")
            for example in examples:
                formatter.write(f"  {example}\n")

    def examples(self) -> list[str]:
        """Return the commands that the help shows."""
        paragraphs = [p for p in self._paragraphs() if _is_example(p)]
        return [" ".join(p.removeprefix(_EXAMPLE).split()) for p in paragraphs]

    def _paragraphs(self) -> list[str]:
        return (self.help or "").strip().split("\n\n")


def _is_example(paragraph: str) -> bool:
    return paragraph.startswith(_EXAMPLE)


class Verbs(TyperGroup):
    """A group whose help lists its verbs under headings."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each heading's verbs, with what they do."""
        verbs = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        width = formatter.width - 6 - max(len(name) for name, _ in verbs)
        for panel in (*PANELS, None):
            rows = [
                (name, verb.get_short_help_str(width))
                for name, verb in verbs
                if (_panel_of(verb) if _panel_of(verb) in PANELS else None) == panel
            ]
            if rows:
                with formatter.section(panel or "Commands"):
                    formatter.write_dl(rows)


def _panel_of(verb: Any) -> str | None:
    panel = getattr(verb, "rich_help_panel", None)
    return panel if isinstance(panel, str) else None


class App(typer.Typer):
    """Typer, with `Verb` as the class of verbs."""

    def command(  # type: ignore[override]  # the options that verbs here use
        self, name: str | None = None, rich_help_panel: str | None = None
    ) -> Callable[[F], F]:
        """Add a verb to the list under a heading."""
        return super().command(name, cls=Verb, rich_help_panel=rich_help_panel)


app = App(
    name="tenfold",
    cls=Verbs,
    help="Raw competition imagery in, a checked submission out.",
    epilog="Start with `tenfold run kelp`; `tenfold VERB --help` explains each verb.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def family(name: str, help_text: str) -> App:
    """Add a family of verbs, such as `recipes list` and `recipes show`."""
    verbs = App(help=help_text, no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(verbs, name=name, rich_help_panel=ABOUT)
    return verbs


def run_app(command: typer.Typer, arguments: Sequence[str] | None) -> None:
    """Run an app, turning what a user can mend into one sentence."""
    try:
        command(args=list(arguments) if arguments is not None else None)
    except TenfoldError as error:
        _fail(str(error))
    except OSError as error:
        # A full disk or a lost mount: nothing that was stored is half-written.
        place = f": {error.filename}" if error.filename else ""
        cure = f"; {_NEXT[error.errno]}" if error.errno in _NEXT else ""
        _fail(f"{error.strerror or error}{place}{cure}")


def _fail(sentence: str) -> None:
    typer.secho(f"error: {sentence}", fg="red", err=True)
    sys.exit(2)
