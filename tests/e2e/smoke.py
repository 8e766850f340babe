"""Runs a challenge's smoke recipe as a user would, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path


def run_smoke(challenge, folder):
    """Return what the finished run printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "run", challenge],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
