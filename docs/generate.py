"""Writes the reference pages that follow from the code: recipes, settings, commands.

    python docs/generate.py

A test fails when the pages differ from what this writes.
"""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from typer.main import get_command

from pipelines.cli import app
from pipelines.settings import Settings
from tenfold.challenges import challenge_names, find_challenge
from tenfold.cli.app import PANELS, Verb
from tenfold.recipe import Section

FOLDER = Path(__file__).parent / "reference"
_NOTE = (
    "<!-- Written by docs/generate.py from the code; `make docs` writes it anew. -->"
)
#: Variables of the environment that anything here reads, and what they say.
VARIABLES = {
    "TENFOLD_SETTINGS": "file of settings, instead of `tenfold.yaml`",
    "TENFOLD_WEIGHTS": "folder, `gs://` or `s3://` mirror of pretrained weights,"
    " instead of `weights/` ([weights](../weights.md))",
    "TENFOLD_CACHE": "folder for what is fetched from a bucket, instead of one below"
    " the system's temporary folder",
    "TENFOLD_TENSORBOARD": "folder or address that gets the curves of trainings"
    " ([sweeps](../sweep.md#curves-in-tensorboard))",
    "TENFOLD_FETCH_TOKEN": "token for `tenfold fetch` ([fetching](../fetch.md))",
    "TENFOLD_BILLING_KEY": "API key for `tenfold prices fetch`"
    " ([prices](../prices.md))",
    "BASE_IMAGE, BUILD_CA, BUILD_NETWORK": "of `tenfold images build`"
    " ([Docker](../docker.md))",
}
_SIGNS = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}


def recipes_page() -> str:
    """Describe every section and option of every challenge's recipes."""
    lines = [
        _NOTE,
        "# Recipes",
        "",
        "A recipe is a YAML file of these sections; a key that is not listed is"
        " refused. `tenfold recipes show kelp winning` prints one whole, and"
        " `--set section.option=value` overrides any option.",
    ]
    shared: list[type[Section]] = []
    for name in challenge_names():
        kind = find_challenge(name).options.RECIPE
        found = list(dict.fromkeys(_sections(kind)))
        own = [s for s in found if ".challenges." in s.__module__]
        linked = [above for s in own if (above := _narrowed(s)) is not None]
        others = [s for s in (*found, *linked) if s not in own]
        shared += [s for s in dict.fromkeys(others) if s not in shared]
        lines += ["", f"## {name.capitalize()}"]
        for section in own:
            lines += _section(section)
    lines += ["", "## Shared by all challenges"]
    for section in shared:
        lines += _section(section)
    return "\n".join(lines) + "\n"


def _sections(kind: type[Section]) -> Iterator[type[Section]]:
    """Yield a section and those below it, a parent before its children."""
    yield kind
    for field in kind.model_fields.values():
        for inner in _kinds_in(field.annotation):
            yield from _sections(inner)


def _kinds_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from _kinds_in(inner)


def _section(section: type[Section]) -> list[str]:
    about = " ".join((section.__doc__ or "").split())
    above = _narrowed(section)
    if above is not None:
        about += f" For options that are not listed see {_link(above)}."
    rows = [
        f"| `{name}` | {_type(field.annotation, field)} | {_default(field)} |"
        f" {_escape(meaning(section, name))} |"
        for name, field in section.model_fields.items()
        if above is None or name in section.__annotations__
    ]
    anchor = f'<a id="{section.__name__.lower()}"></a>'
    head = ["| option | value | default | meaning |", "|---|---|---|---|"]
    return ["", f"### {section.__name__} {anchor}", "", about, "", *head, *rows]


def _narrowed(section: type[Section]) -> type[Section] | None:
    """Return the section that this one only narrows, adding no option to it."""
    above = section.__mro__[1]
    if above is Section or set(above.model_fields) != set(section.model_fields):
        return None
    return above if above.__module__ == "tenfold.recipe" else None


def _link(section: type[Section]) -> str:
    return f"[{section.__name__}](#{section.__name__.lower()})"


def meaning(section: type[Section], option: str) -> str:
    """Say what an option is: its description, or what its section says of itself.

    A challenge that gives an option another default need not describe it again.
    """
    for kind in section.__mro__:
        field = getattr(kind, "model_fields", {}).get(option)
        if field is not None and field.description:
            return str(field.description)
    inner = next(_kinds_in(section.model_fields[option].annotation), None)
    return _first_sentence(inner) if inner else ""


def _first_sentence(section: type[Section]) -> str:
    text = " ".join((section.__doc__ or "").split())
    return text.partition(". ")[0].removesuffix(".")


def _type(annotation: Any, field: FieldInfo | None = None) -> str:
    """Say in words what an option takes."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is Annotated:
        bounds = _bounds(inner[1:])
        return f"{_type(inner[0])} {bounds}".strip()
    if origin in (Union, types.UnionType):
        return " or ".join(
            _type(part, field if part in (int, float) else None) for part in inner
        )
    if origin is tuple:
        if inner[-1] is not Ellipsis:
            return f"[{', '.join(_type(part) for part in inner)}]"
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"mapping of name to {_type(inner[1])}"
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return _link(annotation)
    names = {int: "whole number", float: "number", str: "text", bool: "true, false"}
    bounds = _bounds(field.metadata) if field else ""
    return (
        f"{names.get(annotation, getattr(annotation, '__name__', ''))} {bounds}".strip()
    )


def _bounds(metadata: Any) -> str:
    found = []
    for constraint in metadata:
        for inner in getattr(constraint, "metadata", [constraint]):
            if type(inner) in _SIGNS:
                sign, name = _SIGNS[type(inner)]
                found.append(f"{sign} {getattr(inner, name):g}")
    return ", ".join(found)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Section):
        return "as below"
    if isinstance(value, tuple | dict) and not value:
        return "none"
    if isinstance(value, tuple):
        return _escape(", ".join(f"`{v}`" for v in value))
    return (
        "null"
        if value is None
        else f"`{str(value).lower() if isinstance(value, bool) else value}`"
    )


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def settings_page() -> str:
    """Describe `tenfold.yaml`, and the variables of the environment."""
    lines = [
        _NOTE,
        "# Settings",
        "",
        "What is your own, in `tenfold.yaml` in the folder where a command is given;"
        " most have a flag too, which goes over the file. Nothing in it is a secret.",
    ]
    for section in dict.fromkeys(_sections(Settings)):
        lines += _section(section)
    rows = [f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items()]
    lines += ["", "## Environment", "", "| variable | says |", "|---|---|", *rows]
    lines += [
        "",
        "Cloud credentials are found as each cloud's own tools find them"
        " ([how results are kept](../store.md)).",
    ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Describe every verb: what it does, its words and options, an example."""
    lines = [
        _NOTE,
        "# The command line",
        "",
        "`tenfold VERB --help` says the same in a terminal.",
    ]
    group: Any = get_command(app)
    for panel in PANELS:
        lines += ["", f"## {panel}"]
        for name, command in group.commands.items():
            if command.rich_help_panel == panel:
                lines += _of_command(name, command)
    return "\n".join(lines) + "\n"


def _of_command(name: str, command: Any) -> list[str]:
    """Describe a verb, or each of a family."""
    if isinstance(command, Verb):
        return _verb(name, command)
    inner = command.commands.items()
    return [line for last, verb in inner for line in _verb(f"{name} {last}", verb)]


def _verb(name: str, verb: Verb) -> list[str]:
    body = [p for p in (verb.help or "").split("\n\n") if "Example: " not in p]
    rows = [
        f"| {_names(p)} | {_escape(str(getattr(p, 'help', '') or ''))} |"
        for p in verb.params
        if p.name != "help"
    ]
    lines = ["", f"### tenfold {name}", "", " ".join(" ".join(body).split()), ""]
    lines += ["```", *verb.examples(), "```"]
    return lines + (
        ["", "| word or option | meaning |", "|---|---|", *rows] if rows else []
    )


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{name}`" for name in parameter.opts)


PAGES = {
    "recipes.md": recipes_page,
    "commands.md": commands_page,
    "settings.md": settings_page,
}


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
