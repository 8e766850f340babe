"""A folder as a reader has it who has made the first run, but smaller."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tenfold.data.files import write_json
from tenfold.stages import judge
from tests.contract.driver import run_stages
from tests.docs.pages import ROOT
from tests.docs.reader import Reader

#: What commands read of a checkout, beside the installed packages.
_CHECKOUT = ("Makefile", "pipelines", "infra", "containers", "docs")
_ARCHIVES = ("train_features", "train_labels", "test_features")
_DIGEST = "sha256:" + 64 * "0"
_IMAGES = "europe-west4-docker.pkg.dev/a-project/tenfold"
#: As docs/vertex.md and docs/gke.md have it.
_SETTINGS = {
    "images": _IMAGES,
    "source": "gs://a-project-data/kelp",
    "store": "gs://a-project-store/tenfold",
    "vertex": {
        "project": "a-project",
        "location": "europe-west4",
        "pipeline_root": "gs://a-project-pipelines/tenfold",
        "service_account": "runner@a-project.iam.gserviceaccount.com",
    },
    "kubeflow": {"host": "http://127.0.0.1:8888"},
}
_LINKS = (
    "metadata_a.csv",
    "train_features.tar",
    "train_labels.tar",
    "test_features.tar",
)


def in_process(order, context, _counts, folder, *_):
    """Run the stages of a graph here, in place of KFP's local runner."""
    place = {"target": "local", "images": ""}
    write_json(folder / "order.json", {"tags": "", **order, **place})
    done = run_stages(context, order["source"])
    tasks = sorted(done.tasks.values(), key=lambda task: (task.stage, task.label))
    return tuple(tasks)


def judged(record, _folder):
    """Judge a run here, in place of a process of its own."""
    stages = ("ingest", "group", "tune", "submit")
    given = [record.of(stage)[-1] for stage in stages]
    return judge.run(record.context, *given, Path(record.truth))


@pytest.fixture
def quick(monkeypatch):
    """Whole runs are made in this process; e2e and slow tests use the real graph.

    Pages are drawn for the first run, and by `tenfold report`.
    """
    monkeypatch.setattr("pipelines.run.execute", in_process)
    monkeypatch.setattr("pipelines.run._judge", judged)
    monkeypatch.setattr("pipelines.run.write_report", lambda *_: None)


def furnish(folder):
    """Put what a reader has at hand into a folder."""
    for name in _CHECKOUT:
        (folder / name).symlink_to(ROOT / name)
    (folder / "tenfold.yaml").write_text(json.dumps(_SETTINGS))
    digests = dict.fromkeys(("cpu", "torch", "tensorflow"), _DIGEST)
    write_json(folder / "build" / "digests.json", digests)
    links = "\n".join(f"https://links.example/{name}?signed" for name in _LINKS)
    (folder / "links.txt").write_text(links)
    for place in ("weights", "tmp/w"):
        (folder / place).mkdir(parents=True)
        (folder / place / "model.safetensors").write_bytes(b"no weights")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with the first run of the tutorial, and raw data as on the host."""
    folder = tmp_path_factory.mktemp("made")
    furnish(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.run.execute", in_process)
        patch.setattr("pipelines.run._judge", judged)
        Reader(folder, patch).type("make run")
    (synthetic,) = (folder / "runs" / "data").glob("*/data")
    shutil.copytree(synthetic, folder / "data" / "kelp", copy_function=os.link)
    return folder


@pytest.fixture
def reader(made, tmp_path, monkeypatch):
    """Somebody in a copy of that folder, with settings of their own.

    The store is one for all: what a page has made, no other page makes again.
    """
    folder = tmp_path / "checkout"
    shutil.copytree(
        made,
        folder,
        copy_function=os.link,
        symlinks=True,
        ignore=shutil.ignore_patterns("store"),
    )
    (folder / "runs" / "store").symlink_to(made / "runs" / "store")
    monkeypatch.delenv("TENFOLD_SETTINGS", raising=False)
    return Reader(folder, monkeypatch)
