"""The pages that follow from the code are those that the code would write now."""

import importlib.util
import inspect
import re

import pytest

from pipelines.settings import Settings
from tenfold import challenges
from tenfold.challenges import challenge_names, find_challenge
from tests.docs.pages import ROOT, name_of, pages, prose
from tests.docs.reader import VERBS


def _generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _generate()
#: How names of files end, which are no options.
FILES = ("py", "json", "parquet", "jsonl", "yaml")
ROOTS = [Settings, *(find_challenge(n).options.RECIPE for n in challenge_names())]
SECTIONS = list(dict.fromkeys(s for root in ROOTS for s in generate._sections(root)))


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_page_is_what_make_docs_would_write(name):
    found = (ROOT / "docs" / "reference" / name).read_text("utf-8")
    assert found == generate.PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_option_says_what_it_means(section):
    silent = [
        name for name in section.model_fields if not generate.meaning(section, name)
    ]
    assert silent == []


def test_every_section_says_what_it_is():
    assert [s.__name__ for s in SECTIONS if not (s.__doc__ or "").strip()] == []


def test_every_variable_of_the_environment_is_listed():
    read = set()
    for package in ("tenfold", "pipelines"):
        for file in (ROOT / package).rglob("*.py"):
            read |= set(re.findall(r"\"(TENFOLD_[A-Z_]+)\"", file.read_text("utf-8")))
    assert "TENFOLD_WEIGHTS" in read
    assert read <= set(generate.VARIABLES)


def test_the_page_on_challenges_names_all_that_a_part_defines():
    page = (ROOT / "docs" / "add-a-challenge.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)\.py`[^|]*\| ([^|]+) \|", page, re.MULTILINE))
    for name, part in inspect.getmembers(challenges, inspect.isclass):
        if name.endswith("Part"):
            members = {n for n, _ in inspect.getmembers(part, inspect.isfunction)}
            wanted = {n for n in members if not n.startswith("_")}
            row = rows.pop(name.removesuffix("Part").lower())
            values = {name for kind in part.__mro__ for name in _annotated(kind)}
            assert set(re.findall(r"`(\w+)`", row)) == wanted | values
    assert rows == {}


def _annotated(kind):
    return {n for n in inspect.get_annotations(kind) if not n.startswith("_")}


def paths(section, above=""):
    """Every option of a section and those below it, with dots."""
    for name, field in section.model_fields.items():
        yield f"{above}{name}"
        for inner in generate._kinds_in(field.annotation):
            yield from paths(inner, f"{above}{name}.")


def test_options_that_pages_name_are_options():
    known = set()
    for name in challenge_names():
        known |= set(paths(find_challenge(name).options.RECIPE))
    known |= {path.removeprefix("members.") for path in known}
    known |= {path.rpartition(".")[2] for path in known}
    sections = {path.partition(".")[0] for path in known if "." in path}
    for page in pages():
        for number, line in prose(page):
            for quoted in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)\b[^`(/]*`", line):
                section, _, last = quoted.partition(".")
                if section in sections and last not in FILES:
                    assert quoted in known, f"{name_of(page)}:{number}: {quoted}"


def test_every_verb_has_its_place_in_the_reference():
    page = generate.commands_page()
    assert page.count("\n### tenfold ") == len(VERBS)
    for verb in VERBS:
        assert f"\n### tenfold {verb}\n" in page
