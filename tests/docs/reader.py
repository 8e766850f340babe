"""Types the commands of a page as its reader would, in this process where it can."""

import contextlib
import glob
import io
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from pipelines.cli import app, main
from tenfold.challenges import find_challenge, load_recipe
from tenfold.cli.app import Verb
from tenfold.sweep import load_sweep
from tests.docs.pages import ROOT, Command

_BEFORE = re.compile(r"((?P<name>[A-Z_]+)=(?P<value>\S+) +)")
_OURS = ("tenfold", "python")
#: Places of a reader, below the folder where commands are typed here.
_PLACES = ("/data/", "/tmp/")


def typed(text: str) -> str:
    """Return a command as rules know it: without its place and its environment."""
    while before := _BEFORE.match(text):
        text = text[before.end() :]
    return text.removeprefix(".venv/bin/")


def parts(command: Command) -> list[str]:
    """Split what is typed on one line, unless the shell's folder matters."""
    whole = command.text
    return whole.split(" && ") if typed(whole).startswith(_OURS) else [whole]


def verb_of(words: list[str]) -> tuple[Verb, list[str]]:
    """Return the verb that words after `tenfold` name, and the words after it."""
    group, rest = get_command(app), list(words)
    while not isinstance(group, Verb):
        assert rest[0] in group.commands, f"there is no verb {rest[0]}"
        group = group.commands[rest.pop(0)]
    return group, rest


def parsed(words: list[str]) -> dict:
    """Let the verb's own parser take words after `tenfold`; load what it names."""
    verb, rest = verb_of(words)
    found = verb.make_context(str(verb.name), rest).params
    challenge, recipe = found.get("challenge"), found.get("recipe")
    if challenge is not None:
        find_challenge(challenge)
    if recipe is not None and challenge is not None:
        load_recipe(challenge, recipe, found.get("overrides") or ())
    return found


def words_of(text: str) -> list[str]:
    """Return what comes after `tenfold`, for a script of pipelines/ too."""
    words = shlex.split(typed(text))
    if words[0] == "python":
        script = {"submit.py": "launch"}.get(Path(words[1]).name, Path(words[1]).stem)
        return [script, *words[2:]]
    return words[1:]


def smaller(words: list[str]) -> list[str]:
    """Return overrides that make a small run of one on smoke's data, if it is one."""
    if words[0].startswith("-") or "--model" in words:
        return []
    verb, rest = verb_of(words)
    takes = {parameter.name for parameter in verb.params}
    if "overrides" not in takes:
        return []
    found = verb.make_context(str(verb.name), rest).params
    recipe = found.get("recipe")
    if "sweep" in takes:
        recipe = load_sweep(found["challenge"], found["sweep"]).recipe
    if recipe != "smoke" and not str(recipe).endswith(".yaml"):
        return []
    return [word for setting in _small(recipe) for word in ("--set", setting)]


def _small(recipe: str) -> list[str]:
    settings = ["split.k=2", "synth.train=8", "synth.test=2", "synth.coasts=4"]
    settings += ["synth.bad_files=false"]
    for member in load_recipe("kelp", recipe).members:
        training = {"epochs": 2}
        if member.engine == "torch":
            training |= {"samples_per_epoch": 8, "batch": 4, "picture_epochs": []}
        settings += [
            f"members.{member.name}.training.{name}={value}"
            for name, value in training.items()
        ]
    return settings


def _verbs(group, *above):
    for name, command in group.commands.items():
        if isinstance(command, Verb):
            yield " ".join((*above, name))
        else:
            yield from _verbs(command, *above, name)


#: All verbs, by the words that name them.
VERBS = tuple(_verbs(get_command(app)))


class Reader:
    """Somebody who types commands in a folder.

    Args:
        folder: has what a checkout has, and what earlier pages made.
        patch: of the environment.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, patch
        patch.chdir(folder)

    def type(self, text: str, codes: tuple[int, ...] = (0,), *more: str) -> str:
        """Type one command; return what it says."""
        with pytest.MonkeyPatch.context() as patch:
            while before := _BEFORE.match(text):
                patch.setenv(before["name"], self._place(before["value"]))
                text = text[before.end() :]
            code, said = self._run(text.removeprefix(".venv/bin/"), more)
        assert code in codes, f"{text}: ended with {code}\n{said}"
        return said

    def _run(self, text: str, more: tuple[str, ...]) -> tuple[int, str]:
        program = text.split()[0]
        if program == "export":
            for name, value in _BEFORE_ALL.findall(text.removeprefix("export ")):
                self._patch.setenv(name, self._place(value))
            return 0, ""
        if text == "make run":
            return self._run(_of_make("run"), more)
        if program not in _OURS:
            return self._shell(text)
        text, _, file = text.partition(" > ")
        words = [w for word in shlex.split(text) for w in self._expand(word)]
        code, said = _here(words, more)
        if file:
            Path(self._place(file.strip())).write_text(said, "utf-8")
        return code, said

    def _place(self, word: str) -> str:
        for place in _PLACES:
            if word.startswith(place):
                return f"{self.folder}{word}"
        return word

    def _expand(self, word: str) -> list[str]:
        word = self._place(word)
        found = sorted(glob.glob(word)) if "*" in word else []  # noqa: PTH207
        return found or [word]

    def _shell(self, text: str) -> tuple[int, str]:
        for place in _PLACES:
            text = re.sub(rf"(?<=\s){place}", f"{self.folder}{place}", text)
        done = subprocess.run(
            ["bash", "-euc", text],
            input="what is pasted\n",
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


_BEFORE_ALL = re.compile(r"([A-Z_]+)=(\S+)")


def _of_make(target: str) -> str:
    """Return the last command of a target of the Makefile, as make prints it.

    The tests may be running under make themselves; the inner one would then say which
    folder it enters and leaves.
    """
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1].removeprefix(".venv/bin/")


def _here(words: list[str], more: tuple[str, ...]) -> tuple[int, str]:
    """Run one of our programs in this process; return its code and what it says."""
    program, *rest = words
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(sys.stdout):
        try:
            if program == "tenfold":
                at = len(rest) - len(verb_of(rest)[1]) if rest[0] != "--help" else 0
                main([*rest[:at], *smaller(rest), *rest[at:], *more])
            else:
                script, *rest = rest
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr("sys.argv", [script, *rest, *more])
                    runpy.run_path(str(ROOT / script), run_name="__main__")
        except SystemExit as ended:
            return int(ended.code or 0), said.getvalue()
    return 0, said.getvalue()
