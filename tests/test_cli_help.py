"""The help of every verb, as somebody reads it who has never seen the project."""

import shlex

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pipelines.cli import app
from tenfold.challenges import challenge_names, find_challenge
from tenfold.cli.app import PANELS, Verb

GROUP = get_command(app)


def verbs(group, *above):
    for name, command in group.commands.items():
        if isinstance(command, Verb):
            yield (*above, name), command
        else:
            yield from verbs(command, *above, name)


VERBS = {" ".join(path): command for path, command in verbs(GROUP)}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_shows_an_example_that_its_own_parser_takes(verb):
    examples = VERBS[verb].examples()
    assert examples
    for example in examples:
        program, *words = shlex.split(example)
        path = verb.split()
        assert [program, *words[: len(path)]] == ["tenfold", *path]
        parsed = VERBS[verb].make_context(verb, words[len(path) :]).params
        challenge = parsed.get("challenge", "kelp")
        assert challenge in challenge_names()
        recipe = str(parsed.get("recipe", "smoke"))
        known = find_challenge(challenge).recipes()
        assert recipe in known or recipe.endswith(".yaml")


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_explains_every_word_it_takes(verb):
    for parameter in VERBS[verb].params:
        assert getattr(parameter, "help", None), parameter.name
    shown = CliRunner().invoke(app, [*verb.split(), "--help"])
    assert shown.exit_code == 0
    sentence = VERBS[verb].help.strip().splitlines()[0]
    assert sentence.endswith(".")
    assert "Example" in shown.output
    for example in VERBS[verb].examples():
        assert f"\n  {example}\n" in shown.output


def test_the_list_of_verbs_is_under_headings():
    shown = CliRunner().invoke(app, ["--help"]).output
    places = [shown.index(f"{panel}:") for panel in PANELS]
    assert places == sorted(places)
    assert "\nCommands:" not in shown
    assert "tenfold run kelp" in shown


def test_help_of_a_narrow_terminal_keeps_examples_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    shown = CliRunner().invoke(app, ["train", "--help"], terminal_width=50).output
    assert f"  {VERBS['train'].examples()[0]}\n" in shown
