"""Rows, tables, and processes that answer for themselves."""

import json

import numpy as np
import pytest

from benchmarks import table
from benchmarks.__main__ import BEGIN, END, machine, replaced
from benchmarks.table import COLUMNS, alone, markdown, raced, row, script, timed


def use(megabytes):
    """Be measured in a process of its own."""
    return float(np.ones(megabytes * 1_000_000, np.uint8).sum())


def fail():
    raise ValueError("on purpose")


def test_a_row_has_the_shared_columns_and_three_digits():
    found = row("read", 1234.5, 0.00123456, 20.04, "≥ 20", "a note")
    assert tuple(found) == COLUMNS
    assert list(found.values()) == ["read", 1230, 0.00123, 20, "≥ 20", "a note"]
    assert row("share", 0.5, "", None)["ratio"] is None


def test_a_table_is_markdown():
    text = markdown([row("read", 1234.5, 2.0, 617.0, "≥ 20")], "Title")
    lines = text.splitlines()
    assert lines[0] == "### Title"
    assert lines[2] == "| what | ours | plain | ratio | bar | note |"
    assert lines[4] == "| read | 1,230 | 2 | 617 | ≥ 20 |  |"
    assert {line.count("|") for line in lines[2:5]} == {7}


def test_functions_take_turns_and_the_best_counts(monkeypatch):
    called, clock = [], 0.0
    costs = {
        "first": iter([3.0, 1.0]),
        "second": iter([2.0, 5.0]),
        "third": iter([0.5]),
    }

    def call(name):
        nonlocal clock
        called.append(name)
        clock += next(costs[name])

    monkeypatch.setattr("time.process_time", lambda: clock)
    found = raced([lambda: call("first"), lambda: call("second")], 2)
    assert called == ["first", "second", "first", "second"]
    assert found == [1.0, 2.0]
    assert timed(lambda: call("third"), 1) == 0.5


def test_a_function_runs_in_a_process_of_its_own():
    held = np.ones(400_000_000, np.uint8)
    small, large = (alone(use, megabytes=m) for m in (1, 200))
    assert (small.value, large.value) == (1e6, 2e8)
    # The memory is that process's alone, whatever this one holds.
    assert small.peak_mb < held.nbytes / 1e6
    assert 150 < large.peak_mb - small.peak_mb < 250


def test_what_fails_in_a_process_says_why():
    with pytest.raises(RuntimeError, match=r"fail failed:(?s:.)*on purpose"):
        alone(fail)


def test_a_script_prints_and_writes_its_rows(tmp_path, capsys, monkeypatch):
    asked = []
    rows = [row("read", 3.0, 2.0, 1.5)]
    file = tmp_path / "rows.json"
    monkeypatch.setattr("sys.argv", ["feed", "--quick", "--json", str(file)])
    script(lambda quick: asked.append(quick) or rows, "Title")
    assert asked == [True]
    assert "| read | 3 | 2 | 1.5 |" in capsys.readouterr().out
    assert json.loads(file.read_text()) == rows


def test_only_what_was_measured_is_replaced():
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert replaced(text, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_the_machine_is_described():
    text = "\n".join(machine())
    for word in ("cores", "GB", "Python", "torch", "numpy", "load"):
        assert word in text
    assert table.ROOT.joinpath("benchmarks", "README.md").is_file()
