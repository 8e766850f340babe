"""A toy data set, and trainings of it in processes that may be killed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


@pytest.fixture(autouse=True)
def _leave_torch_alone():
    """Undo what a training in this process sets for the whole process."""
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Give the folder of the toy data set."""
    import toy

    folder = tmp_path_factory.mktemp("toy") / "data"
    toy.write_data(folder)
    return folder


@pytest.fixture(scope="session")
def server():
    """Start `toy.py serve`: it imports once and forks a process for each job."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "toy.py"), "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.stdin.close()
    process.wait(timeout=20)
    process.stdout.close()


@pytest.fixture(scope="session")
def launch(server):
    """Give a function that runs a job in its own process and returns its exit code.

    As in `subprocess`, a negative code is the signal that killed it.
    """

    def run(**request):
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, "toy.py serve died"
        return json.loads(answer)

    return run


@pytest.fixture(scope="session")
def train(data, launch):
    """Give a function that trains in a process of its own; returns its exit code."""

    def run(folder, **request):
        return launch(work="train", data=str(data), folder=str(folder), **request)

    return run


@pytest.fixture
def groups():
    """Collect the options of each step that an optimiser takes: rate, betas, …"""
    taken = []
    handle = register_optimizer_step_pre_hook(
        lambda optimiser, *_: taken.append(
            {k: v for k, v in optimiser.param_groups[0].items() if k != "params"}
        )
    )
    yield taken
    handle.remove()


@pytest.fixture
def rates(groups):
    """Give a function that lists the rate of every step so far."""
    return lambda: [group["lr"] for group in groups]
