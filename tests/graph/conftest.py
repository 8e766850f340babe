"""Every recipe compiled for every target, with images of a fixed, made-up name."""

from pathlib import Path

import pytest
import yaml

from pipelines.compile import compile_recipe
from pipelines.images import Images
from pipelines.settings import Settings
from pipelines.targets import COMPILED
from tenfold.challenges import challenge_names, find_challenge

RECIPES = [
    (challenge, recipe)
    for challenge in challenge_names()
    for recipe in find_challenge(challenge).recipes()
]
FILES = [(*names, target) for names in RECIPES for target in COMPILED]
IMAGES = Images("registry.example/tenfold", "0123456789abcdef")
#: What a user's own settings look like; every one of them leaves a trace in a file.
SETTINGS = Settings.model_validate(
    {
        "images": IMAGES.prefix,
        "weights": "gs://weights",
        "vertex": {
            "project": "a-project",
            "location": "us-central1",
            "pipeline_root": "gs://a-project-pipelines/kfp",
            "service_account": "runner@a-project.iam.gserviceaccount.com",
            "experiment": "an-experiment",
            "tensorboard": "projects/1/locations/us-central1/tensorboards/2",
            "labels": {"team": "kelp"},
        },
        "kubeflow": {
            "store_secret": "store-keys",
            "s3_endpoint": "http://store.example:8333",
            "gpu_label": "cloud.google.com/gke-accelerator",
        },
    }
)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Path of a recipe's file for a target, by (challenge, recipe, target)."""
    directory = tmp_path_factory.mktemp("build")
    return {
        (challenge, recipe, written.target): written.path
        for challenge, recipe in RECIPES
        for written in compile_recipe(
            challenge, recipe, COMPILED, (), SETTINGS, IMAGES, directory
        )
    }


class Graph:
    """A compiled file, read back for questions about it."""

    def __init__(self, path: Path) -> None:
        documents = list(yaml.safe_load_all(path.read_text("utf-8")))
        self.spec = documents[0]
        self.kubernetes = (
            documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
            if len(documents) > 1
            else {}
        )
        self.documents = len(documents)
        self.tasks = self.spec["root"]["dag"]["tasks"]

    def edges(self):
        """(upstream, task) pairs of the top level."""
        return {
            (source, name)
            for name, task in self.tasks.items()
            for source in task.get("dependentTasks", [])
        }

    def inner(self, task):
        """The tasks of a loop."""
        name = self.tasks[task]["componentRef"]["name"]
        return self.spec["components"][name]["dag"]["tasks"]

    def containers(self):
        """(executor, container) of every task."""
        executors = self.spec["deploymentSpec"]["executors"]
        return {name: value["container"] for name, value in executors.items()}

    def of_stage(self, stage):
        """Containers of a stage's tasks; the unrolled ones are numbered."""
        return {
            name: container
            for name, container in self.containers().items()
            if name.removeprefix("exec-").rstrip("0123456789").rstrip("-") == stage
        }

    def custom_jobs(self, stage):
        """Default job specs, by name, of a stage's tasks that launch custom jobs."""
        found = {}
        for name, component in self.spec["components"].items():
            if name.removeprefix("comp-").rstrip("0123456789").rstrip("-") != stage:
                continue
            given = component["inputDefinitions"]["parameters"]
            if "worker_pool_specs" in given:
                found[name] = {
                    key: value.get("defaultValue") for key, value in given.items()
                }
        return found


@pytest.fixture
def graph(compiled):
    """Read a compiled file: graph(challenge, recipe, target)."""
    return lambda *names: Graph(compiled[names])
