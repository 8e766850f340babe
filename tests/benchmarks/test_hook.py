"""The hook notes when a process ran and what its imports took, and changes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import benchmarks
from benchmarks.spans import seconds

HOOK = Path(benchmarks.__file__).parent / "hook"
PROGRAM = "import slow, slow.inner; from slow import VALUE; print(VALUE)"


def run(tmp_path, program, **environment):
    slow = tmp_path / "slow"
    slow.mkdir(exist_ok=True)
    (slow / "__init__.py").write_text("import time; time.sleep(0.2); VALUE = 5\n")
    (slow / "inner.py").write_text("import time; time.sleep(0.1)\n")
    path = os.pathsep.join([str(HOOK), str(tmp_path)])
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_process_leaves_a_note(tmp_path):
    times = tmp_path / "times"
    times.mkdir()
    program = f"import time; time.sleep(0.3); {PROGRAM}"
    assert run(tmp_path, program, TENFOLD_TIMES=str(times)) == "5\n"
    (file,) = times.iterdir()
    note = json.loads(file.read_text())
    assert file.stem == str(note["pid"])
    assert note["command"][-1] == program
    imported = seconds([tuple(span) for span in note["imports"]])
    whole = note["ended"] - note["started"]
    assert 0.3 <= imported <= whole - 0.3


def test_a_forked_child_leaves_none_in_its_name(tmp_path):
    times = tmp_path / "times"
    times.mkdir()
    program = "import os\npid = os.fork()\nif pid: os.wait()"
    run(tmp_path, program, TENFOLD_TIMES=str(times))
    assert len(list(times.iterdir())) == 1


def test_without_a_folder_for_notes_imports_are_left_alone(tmp_path):
    program = "import builtins; print(builtins.__import__)"
    assert "built-in" in run(tmp_path, program)
