"""A build takes weights that its list describes, and no others."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tenfold.data.storage import open_storage
from tenfold.data.weights import _sums

SCRIPT = Path(__file__).parents[2] / "containers" / "check_weights.py"
NAME = "net.safetensors"
DIGEST = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def check(tmp_path):
    """Run the script as a build does; give its exit code and what it says."""

    def run(sums, **files):
        (tmp_path / "SHA256SUMS").write_text(sums)
        for name, data in files.items():
            (tmp_path / f"{name}.safetensors").write_bytes(data)
        done = subprocess.run(
            [sys.executable, SCRIPT, tmp_path], capture_output=True, text=True
        )
        return done.returncode, done.stderr

    return run


def test_an_empty_list_and_no_weights_are_fine(check):
    assert check("") == (0, "")


@pytest.mark.parametrize(
    "line",
    [
        f"{DIGEST}  {NAME}\n",
        f"{DIGEST} *{NAME}\n",
        f"{DIGEST}  ./{NAME}\n",
        f"{DIGEST} *./{NAME}\n",
        f"\n{DIGEST}  {NAME}\n  \n",
    ],
)
def test_a_line_is_read_as_tasks_read_it(check, tmp_path, line):
    assert check(line, net=b"weights") == (0, "")
    assert _sums(open_storage(tmp_path)) == {NAME: DIGEST}


def test_a_file_that_is_missing_is_named(check):
    code, said = check(f"{DIGEST}  {NAME}\n")
    assert code == 1
    assert f"{NAME}: in SHA256SUMS, but not here" in said


def test_a_file_that_the_list_does_not_name_is_refused(check):
    code, said = check("", net=b"weights")
    assert code == 1
    assert f"{NAME}: not in SHA256SUMS; sha256sum *.safetensors > SHA256SUMS" in said


def test_another_file_under_the_name_is_refused(check):
    code, said = check(f"{DIGEST}  {NAME}\n", net=b"others")
    assert code == 1
    assert f"{NAME}: its SHA-256 is not the one in SHA256SUMS" in said


def test_a_list_of_something_else_is_one_sentence(check):
    code, said = check("words\n", net=b"weights")
    assert code == 1
    assert "SHA256SUMS is not what sha256sum writes" in said
    assert "Traceback" not in said
