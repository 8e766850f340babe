"""Every command of docs/explore.md, as written but for where it writes."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest

from tenfold.cli import main
from tests.stages.made_runs import make_run, synthesise

PAGE = Path(__file__).parents[1] / "docs" / "explore.md"
#: Whole runs are the business of tests/docs; two finished ones stand in for theirs.
COMMANDS = re.findall(
    r"^\$ \.venv/bin/tenfold (?!run )(.+)$", PAGE.read_text("utf-8"), re.M
)
SMALL = {
    "synth": ["--set", "synth.train=10", "--set", "synth.test=2"],
}
SHIFTS = {"unet-quantile": 1, "unet-z-score": 2}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Run the page's commands in order; return the folder and what each one said."""
    root = tmp_path_factory.mktemp("docs")
    source = synthesise(root / "raw")
    for name, shift in (("kelp-smoke", 0), ("half", 1)):
        shifts = {model: value + shift for model, value in SHIFTS.items()}
        make_run(root / "runs" / name, source, root / "runs" / "store", shifts)
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for command in COMMANDS:
            words = shlex.split(command.replace("/tmp/", f"{root}/"))
            said.append(run([*words, *SMALL.get(words[0], [])]))
    return root, dict(zip(COMMANDS, said, strict=True))


def run(words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code


def test_every_command_of_the_page_works(done):
    failed = {command for command, code in done[1].items() if code not in (0, None)}
    assert failed == set()
    assert {c.split()[0] for c in COMMANDS} >= {
        *("draw", "explore", "statistics", "runs", "compare"),
    }


def test_they_leave_what_the_page_says(done):
    folder = done[0] / "kelp-look"
    assert len(list((folder / "tiles").glob("*_ndvi.png"))) == 5
    assert json.loads((folder / "statistics.json").read_text())["fold"] == 0
    assert (folder / "comparison" / "index.html").is_file()
    with (folder / "runs.csv").open(newline="") as stream:
        rows = {row["run"]: row["status"] for row in csv.DictReader(stream)}
    assert rows == {"half": "finished", "kelp-smoke": "finished", "store": "no run"}


def test_samples_must_be_chosen_in_one_way(done, capsys):
    look = done[0] / "kelp-look"
    given = ["--dataset", str(look / "dataset.json"), "--out", str(look / "tiles")]
    given += ["--store", str(done[0] / "kelp-store")]
    for more in ([], ["--all", "--first", "2"], ["AB123456", "--all"]):
        assert run(["draw", "kelp", *given, *more]) == 2
        error = capsys.readouterr().err
        assert error == ("error: say which samples: their ids, --first N, or --all\n")


def test_a_log_of_damaged_runs_is_a_table_with_reasons(tmp_path, capsys):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    (tmp_path / "photos").mkdir()
    assert run(["runs", str(tmp_path)]) in (0, None)
    said = capsys.readouterr().out
    assert "bad  damaged" in said
    assert "is not valid JSON" in said
    assert "no run in: photos" in said


def test_no_runs_are_said_to_be_none(tmp_path, capsys):
    assert run(["runs", str(tmp_path)]) in (0, None)
    assert f"no runs below {tmp_path}" in capsys.readouterr().out
