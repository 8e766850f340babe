"""Every command that a page tells its reader to type works, as far as it can here."""

import re

import pytest

from tests.docs.categories import NONE, RULES, rule_of
from tests.docs.pages import ROOT, blocks, commands, name_of, pages, prose
from tests.docs.reader import parsed, parts, typed, verb_of, words_of

COMMANDS = [command for page in pages() for command in commands(page)]
TYPED = [(command, part) for command in COMMANDS for part in parts(command)]
_INLINE = re.compile(r"`(tenfold [a-z][^`]*)`")


def of(how):
    """Commands of a category, each once, by its text."""
    found = {typed(part): part for _, part in TYPED if rule_of(typed(part)).how == how}
    return [pytest.param(text, id=name) for name, text in found.items()]


def pages_of(*hows):
    return [
        name
        for name in dict.fromkeys(command.page for command in COMMANDS)
        if any(c.page == name and rule_of(typed(p)).how in hows for c, p in TYPED)
    ]


def follow(reader, page, *hows):
    """Type all commands of a page that can be, in order."""
    for command, part in TYPED:
        rule = rule_of(typed(part))
        if command.page == page and rule.how in hows:
            try:
                _type(reader, part, rule)
            except AssertionError as error:
                raise AssertionError(
                    f"{command.page}:{command.line}: {error}"
                ) from None


def _type(reader, part, rule):
    if rule.how == "dry":
        said = reader.type(part.replace(" --wait", ""), rule.codes, "--dry-run")
        assert '"pipelineSpec"' in said or '"pipeline_spec"' in said, said[:500]
    else:
        reader.type(part, rule.codes)


@pytest.mark.parametrize("page", pages_of("executed", "dry"))
@pytest.mark.usefixtures("quick")
def test_the_commands_of_a_page_work_one_after_the_other(page, reader):
    follow(reader, page, "executed", "dry")


@pytest.mark.parametrize("text", of("parsed"))
def test_what_cannot_run_here_is_what_its_verb_takes(text):
    parsed(words_of(text))


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_of("slow"))
def test_the_long_commands_of_a_page_work(page, reader):
    follow(reader, page, "slow")


@pytest.mark.slow
def test_the_tutorial_works_with_the_real_graph_from_nothing(tmp_path, monkeypatch):
    from tests.docs.conftest import furnish
    from tests.docs.reader import Reader

    furnish(tmp_path)
    monkeypatch.delenv("TENFOLD_SETTINGS", raising=False)
    follow(Reader(tmp_path, monkeypatch), "docs/tutorial.md", "executed")


def test_every_command_is_in_a_category():
    assert [str(command) for command, p in TYPED if rule_of(typed(p)) is NONE] == []


def test_what_is_not_executed_says_why():
    assert [r.pattern for r in RULES if r.how != "executed" and not r.why] == []


def test_every_rule_is_of_a_command():
    used = {rule_of(typed(part)) for _, part in TYPED}
    assert [rule.pattern for rule in RULES if rule not in used] == []


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.how == "tested"])
def test_the_test_that_a_rule_names_is_there(rule):
    file, _, name = rule.why.partition("::")
    assert f"def {name or 'test_'}" in (ROOT / file).read_text("utf-8")


def test_every_target_of_make_that_a_page_names_is_there():
    named = {word for _, p in TYPED for word in re.findall(r"^make ([\w-]+)", typed(p))}
    inline = "\n".join(line for page in pages() for _, line in prose(page))
    named |= set(re.findall(r"`make ([\w-]+)", inline))
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert named <= set(re.findall(r"^([\w-]+):.* ## ", makefile, re.MULTILINE))


def test_commands_stand_in_blocks_that_are_tested():
    for page in pages():
        for block in blocks(page):
            assert block.language not in ("sh", "bash", "shell"), block
            if block.language == "console":
                assert block.lines[0].startswith("$ "), block


def test_what_a_sentence_quotes_is_a_verb_with_these_options():
    for page in pages():
        for number, line in prose(page):
            for quoted in _INLINE.findall(line):
                where = f"{name_of(page)}:{number}: {quoted}"
                words = quoted.replace("…", "").split()[1:]
                if words[0] == "VERB":
                    continue
                verb, rest = verb_of(words)
                known = {name for option in verb.params for name in option.opts}
                given = {w.partition("=")[0] for w in rest if w.startswith("-")}
                assert given <= known | {"--help"}, where
