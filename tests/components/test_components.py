"""Components as KFP runs them: how they start, and what they publish."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from kfp import dsl

from components import outputs
from components.factory import STAGES, component_for
from components.outputs import publish
from tenfold.stages.context import FAILED, Reference, read_reference


def test_every_component_says_what_it_does():
    for stage in STAGES:
        assert len(component_for(stage, "image:tag").description) > 30, stage


@pytest.mark.parametrize("stage", STAGES)
def test_a_task_gets_the_signals_its_container_gets(stage, tmp_path):
    """KFP's own command leaves the shell in front, which keeps SIGTERM to itself."""
    command = component_for(
        stage, "i:t"
    ).component_spec.implementation.container.command
    stub = tmp_path / "python3"
    stub.write_text("#!/bin/sh\nexec sleep 30\n")
    stub.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    process = subprocess.Popen(command, env=environment)
    try:
        running = Path(f"/proc/{process.pid}/comm")
        for _ in range(100):
            if running.read_text().strip() == "sleep":
                break
            time.sleep(0.05)
        assert running.read_text().strip() == "sleep"
        process.terminate()
        assert process.wait(5) == -signal.SIGTERM
    finally:
        process.kill()


@pytest.fixture
def artifacts(tmp_path):
    def artifact(kind, name):
        return kind(name=name, uri=str(tmp_path / name))

    return {
        "artifact": artifact(dsl.Artifact, "result"),
        "report": artifact(dsl.HTML, "report"),
        "metrics": artifact(dsl.Metrics, "metrics"),
        "summary": artifact(dsl.Markdown, "summary"),
        "confusion": artifact(dsl.ClassificationMetrics, "confusion"),
    }


class Entry:
    """A store entry with a page's files."""

    def __init__(self, path, files):
        self.path, self._files = path, files

    def json(self, name):
        return self._files[name]


@pytest.fixture
def context(tmp_path, monkeypatch):
    """A store that has one entry, whose page has a figure that is not finite."""
    counted = {"classes": ["sea", "kelp"], "confusion": [[90, 1], [2, 7]]}
    entry = Entry(tmp_path, {"metrics.json": counted})
    headline = {
        "summary": "dice 0.9 over all folds",
        "figures": {"dice": 0.9, "loss": float("nan")},
    }
    page = Entry(tmp_path, {"headline.json": headline})
    (tmp_path / "page.html").write_text("<h1>page</h1>")
    monkeypatch.setattr(outputs, "show", lambda *_: page)
    return SimpleNamespace(store=SimpleNamespace(open=lambda _: entry))


def test_a_result_is_named_shown_and_measured(context, artifacts):
    done = Reference("evaluate", "evaluate/1", "gs://s/evaluate/1", "r", label="eval m")
    publish(context, done, **artifacts, tags="second try")
    assert read_reference(artifacts["artifact"].path) == done
    shown = artifacts["artifact"].metadata
    assert shown["entry"] == "gs://s/evaluate/1"
    assert shown["tags"] == "second try"
    assert "<h1>page</h1>" in Path(artifacts["report"].path).read_text()
    # A figure that is not finite breaks the tasks that follow.
    assert artifacts["metrics"].metadata == {"dice": 0.9}
    text = Path(artifacts["summary"].path).read_text()
    assert "dice 0.9 over all folds" in text
    assert "| dice | 0.9 |" in text
    matrix = artifacts["confusion"].metadata["confusionMatrix"]
    assert [each["displayName"] for each in matrix["annotationSpecs"]] == [
        "sea",
        "kelp",
    ]
    assert matrix["rows"][1] == {"row": [2, 7]}
    json.dumps(matrix, allow_nan=False)


def test_a_failure_that_is_allowed_is_told_and_measures_nothing(context, artifacts):
    done = Reference(
        "train", "", "", "r", FAILED, "the loss is <not> finite", label="t"
    )
    publish(context, done, **artifacts, tags="")
    assert read_reference(artifacts["artifact"].path).status == FAILED
    assert (
        "the loss is &lt;not&gt; finite" in Path(artifacts["report"].path).read_text()
    )
    assert artifacts["metrics"].metadata == {}
