"""A whole run of contrails: TFRecord shards, a Keras network, a threshold of all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tenfold.stages.report import headline, read_run


@pytest.mark.slow
def test_the_smoke_recipe_beats_any_threshold_on_brightness(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "run", "contrails"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    record = read_run(tmp_path / "runs" / "contrails-smoke")
    found = headline(record)
    # The rule is given all records; the network, none of those it is scored on.
    assert found.honest > found.baseline + 0.2
    assert found.truth["score"] > found.baseline + 0.2
    again = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "run", "contrails"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "nothing to do" in again.stdout
