"""The compiled graph as data: who waits for whom, in what image, on what machine."""

import subprocess
import sys

import pytest
import yaml
from google.cloud import aiplatform
from kfp import components

from pipelines.compile import compile_recipe
from pipelines.images import content_tag
from tenfold.challenges import challenge_names, find_challenge, load_recipe
from tenfold.errors import TenfoldError

RECIPES = [
    (challenge, recipe)
    for challenge in challenge_names()
    for recipe in find_challenge(challenge).recipes()
]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    directory = tmp_path_factory.mktemp("build")
    files = {}
    for challenge, recipe in RECIPES:
        paths = compile_recipe(challenge, recipe, directory=directory)
        files[challenge, recipe] = dict(zip(("kubeflow", "vertex"), paths, strict=True))
    return files


def spec(path):
    return next(iter(yaml.safe_load_all(path.read_text("utf-8"))))


def edges(tasks):
    """(upstream, task) pairs of one level of the graph."""
    return {
        (source, name)
        for name, task in tasks.items()
        for source in task.get("dependentTasks", [])
    }


def executors_of(graph, stage):
    kinds = graph["deploymentSpec"]["executors"]
    return [v["container"] for k, v in kinds.items() if k.startswith(f"exec-{stage}")]


@pytest.mark.parametrize(("challenge", "recipe"), RECIPES)
def test_every_stage_waits_for_what_it_reads(compiled, challenge, recipe):
    members = load_recipe(challenge, recipe).members
    tasks = spec(compiled[challenge, recipe]["vertex"])["root"]["dag"]["tasks"]
    found = edges(tasks)
    loops = sorted(name for name in tasks if name.startswith("for-loop"))
    trains, predicts = loops[: len(members)], loops[len(members) :]
    assert len(predicts) == 1
    assert {("ingest", "group"), ("group", "split"), ("ingest", "split")} <= found
    for train in trains:
        assert {("ingest", train), ("split", train)} <= found
        assert any(a == train and b.startswith("evaluate") for a, b in found)
    last = "evaluate" if len(members) == 1 else f"evaluate-{len(members)}"
    assert {(last, "tune"), ("tune", predicts[0]), (predicts[0], "submit")} <= found
    assert ("submit", "preview") in found


@pytest.mark.parametrize(("challenge", "recipe"), RECIPES)
def test_folds_are_a_loop_of_train_tasks(compiled, challenge, recipe):
    graph = spec(compiled[challenge, recipe]["vertex"])
    k = load_recipe(challenge, recipe).split.k
    loops = [
        task["parameterIterator"]["items"]["raw"]
        for task in graph["root"]["dag"]["tasks"].values()
        if "parameterIterator" in task
    ]
    assert [str(list(range(k)))] == sorted(set(loops), key=len)[-1:]


def test_models_are_unrolled_and_share_one_leaderboard(compiled):
    tasks = spec(compiled["kelp", "smoke"]["vertex"])["root"]["dag"]["tasks"]
    second = tasks["evaluate-2"]["inputs"]["artifacts"]["earlier"]
    assert second["taskOutputArtifact"]["producerTask"] == "evaluate"


@pytest.mark.parametrize(("challenge", "recipe"), RECIPES)
def test_nothing_is_cached_by_kfp_or_installed_at_run_time(compiled, challenge, recipe):
    for target, path in compiled[challenge, recipe].items():
        text = path.read_text("utf-8")
        assert "enableCache: true" not in text, target
        assert "pip install" not in text, target


@pytest.mark.parametrize(("challenge", "recipe"), RECIPES)
def test_each_file_loads_in_its_own_client(compiled, challenge, recipe):
    files = compiled[challenge, recipe]
    loaded = components.load_component_from_file(str(files["kubeflow"]))
    assert set(loaded.component_spec.inputs) == {"source", "store"}
    job = aiplatform.PipelineJob(
        display_name="test",
        template_path=str(files["vertex"]),
        pipeline_root="gs://bucket/root",
        parameter_values={"source": "gs://bucket/data", "store": "gs://bucket/store"},
        project="project",
        location="us-central1",
        credentials=_anonymous(),
    )
    root = job.to_dict()["pipelineSpec"]["root"]
    assert "ingest" in root["dag"]["tasks"]


def _anonymous():
    from google.auth.credentials import AnonymousCredentials

    return AnonymousCredentials()


def test_training_of_the_published_system_asks_for_its_machine(compiled):
    profile = load_recipe("kelp", "winning").profile("train")
    vertex = spec(compiled["kelp", "winning"]["vertex"])
    for container in executors_of(vertex, "train"):
        resources = container["resources"]
        assert resources["cpuLimit"] == float(profile.cpu)
        assert resources["accelerator"]["type"] == profile.gpu
        assert resources["accelerator"]["count"] == str(profile.gpus)
        assert "torch" in container["image"]
    kubeflow = spec(compiled["kelp", "winning"]["kubeflow"])
    for container in executors_of(kubeflow, "train"):
        assert container["resources"]["accelerator"]["type"] == "nvidia.com/gpu"
    for stage in ("ingest", "split", "tune", "submit", "preview"):
        for container in executors_of(vertex, stage):
            assert "accelerator" not in container.get("resources", {})
            assert "-cpu:" in container["image"]


def test_kubernetes_gets_shared_memory_and_tolerations(compiled):
    documents = list(
        yaml.safe_load_all(compiled["kelp", "winning"]["kubeflow"].read_text("utf-8"))
    )
    kubernetes = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    train = next(v for k, v in kubernetes.items() if k.startswith("exec-train"))
    shm = load_recipe("kelp", "winning").profile("train").shm_gb
    assert train["emptyDirMounts"][0]["sizeLimit"] == f"{shm}Gi"
    assert train["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_vertex_gets_a_single_document(compiled):
    for files in compiled.values():
        assert len(list(yaml.safe_load_all(files["vertex"].read_text("utf-8")))) == 1


def test_the_recipe_travels_whole(compiled):
    from tenfold.challenges import recipe_from_json

    recipe = load_recipe("kelp", "winning")
    tasks = spec(compiled["kelp", "winning"]["vertex"])["root"]["dag"]["tasks"]
    constant = tasks["ingest"]["inputs"]["parameters"]["recipe"]["runtimeValue"]
    assert recipe_from_json(constant["constant"]).digest() == recipe.digest()


def test_images_of_one_tree_have_one_tag(compiled):
    graph = spec(compiled["kelp", "winning"]["vertex"])
    images = {
        executor["container"]["image"]
        for executor in graph["deploymentSpec"]["executors"].values()
    }
    assert {image.rpartition(":")[2] for image in images} == {content_tag()}


def test_compiling_needs_no_framework(tmp_path):
    code = (
        "import sys; from pathlib import Path;"
        "from pipelines.compile import compile_recipe;"
        f"compile_recipe(directory=Path({str(tmp_path)!r}));"
        "assert not {'torch', 'tensorflow', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_script_form_writes_both_files_of_the_published_system(tmp_path):
    script = ["pipelines/compile.py", "--directory", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *script], check=True, capture_output=True, text=True
    )
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["kelp-winning-kubeflow.yaml", "kelp-winning-vertex.yaml"]
    assert all(name in done.stdout for name in names)


def test_an_unknown_target_is_named(tmp_path):
    with pytest.raises(TenfoldError, match="unknown target 'moon'"):
        compile_recipe(targets=["moon"], directory=tmp_path)
