"""A toy data set, and trainings of it in processes that may be killed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


@pytest.fixture(autouse=True)
def _leave_torch_alone():
    """Do nothing, in place of the fixture for tests with torch: there is none here."""


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Give the folder of the toy data set."""
    import keras_toy

    folder = tmp_path_factory.mktemp("keras-toy") / "data"
    keras_toy.write_data(folder)
    return folder


@pytest.fixture(scope="session")
def server():
    """Start `keras_toy.py`: it imports once and forks a process for each job."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "keras_toy.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.stdin.close()
    process.wait(timeout=20)
    process.stdout.close()


@pytest.fixture(scope="session")
def launch(data, server):
    """Give a function that runs a job in its own process and returns its exit code.

    As in `subprocess`, a negative code is the signal that killed it.
    """

    def run(work, folder, **request):
        request |= {"work": work, "folder": str(folder), "data": str(data)}
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, "keras_toy.py died"
        return json.loads(answer)

    return run
