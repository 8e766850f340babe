"""The compiled graph as data: who waits for whom, in what image, on what machine."""

import itertools
import json
import subprocess
import sys

import pytest
from google.cloud import aiplatform
from kfp import components

from pipelines.compile import compile_recipe
from pipelines.images import content_tag, kind_of
from pipelines.plan import steps_of
from pipelines.settings import Settings
from pipelines.targets import COMPILED
from tenfold.challenges import load_recipe, recipe_from_json
from tenfold.errors import TenfoldError
from tests.graph.conftest import FILES, IMAGES, RECIPES, SETTINGS

EVERY_FILE = pytest.mark.parametrize(("challenge", "recipe", "target"), FILES)
EVERY_RECIPE = pytest.mark.parametrize(("challenge", "recipe"), RECIPES)


@EVERY_FILE
def test_every_stage_waits_for_what_it_reads(graph, challenge, recipe, target):
    chosen = load_recipe(challenge, recipe)
    made = graph(challenge, recipe, target)
    loops = sorted(
        (name for name in made.tasks if name.startswith("for-loop")),
        key=lambda name: int(name.rpartition("-")[2]),
    )
    boards = [f"evaluate{end}" for end in numbered(len(chosen.members))]
    wanted = {("ingest", "group"), ("group", "split"), ("ingest", "split")}
    wanted |= set(itertools.pairwise(boards))
    for number, tune in zip(chosen.rounds, ("tune", "tune-2"), strict=False):
        for _ in chosen.trained_in(number):
            train, board = loops.pop(0), boards.pop(0)
            wanted |= {("ingest", train), ("split", train), (train, board)}
            wanted |= {("ingest", board), ("split", board)}
            if number == 2:
                wanted.add(("select", train))
        predict = loops.pop(0)
        wanted |= {(board, tune), ("ingest", tune), ("split", tune)}
        wanted |= {(tune, predict), ("ingest", predict)}
        follows = "submit" if number == len(chosen.rounds) else "select"
        wanted |= {(predict, follows), ("ingest", follows)}
    wanted |= {("submit", "preview"), ("ingest", "preview")}
    assert not loops
    assert made.edges() == wanted


def numbered(count):
    """What KFP appends to the names of tasks of one kind."""
    return ["", *(f"-{n}" for n in range(2, count + 1))]


@EVERY_FILE
def test_loops_are_over_folds_and_workers(graph, challenge, recipe, target):
    chosen = load_recipe(challenge, recipe)
    made = graph(challenge, recipe, target)
    loops = [
        (
            next(iter(made.inner(name))),
            json.loads(task["parameterIterator"]["items"]["raw"]),
            task.get("iteratorPolicy", {}).get("parallelismLimit"),
        )
        for name, task in made.tasks.items()
        if "parameterIterator" in task
    ]
    folds = list(range(chosen.split.k))
    members, rounds = len(chosen.members), len(chosen.rounds)
    wanted = [(f"train{n}", folds, chosen.parallel_folds) for n in numbered(members)]
    workers = list(range(chosen.predict.workers))
    wanted += [(f"predict{n}", workers, None) for n in numbered(rounds)]
    assert sorted(loops) == sorted(wanted)


@EVERY_FILE
def test_images_are_those_of_the_stages(graph, challenge, recipe, target):
    chosen = load_recipe(challenge, recipe)
    made = graph(challenge, recipe, target)
    for step in steps_of(chosen):
        wanted = IMAGES.reference(kind_of(chosen, step.stage))
        jobs = made.custom_jobs(step.stage).values()
        found = [job["worker_pool_specs"][0]["container_spec"] for job in jobs]
        images = {spec["image_uri"] for spec in found}
        if not jobs:
            images = {c["image"] for c in made.of_stage(step.stage).values()}
        assert images == {wanted}, step


def profile(recipe, stage, task=""):
    """What a stage's task asks for; trainings are numbered in the order they start."""
    name = "predict" if stage == "predict" else "cpu"
    if stage == "train":
        number = int(task.rpartition("-")[2]) if task[-1].isdigit() else 1
        rounds = [recipe.trained_in(each) for each in recipe.rounds]
        name = [*itertools.chain(*rounds)][number - 1].profile
    if stage == "group" and recipe.groups.needs_network:
        name = "group"
    return recipe.profile(name)


@EVERY_RECIPE
def test_a_cluster_gets_each_profile_whole(graph, challenge, recipe):
    chosen = load_recipe(challenge, recipe)
    made = graph(challenge, recipe, "kubeflow")
    for stage in {step.stage for step in steps_of(chosen)}:
        for name, container in made.of_stage(stage).items():
            asked = profile(chosen, stage, name)
            resources, pod = container["resources"], made.kubernetes[name]
            assert resources["resourceCpuLimit"] == str(asked.cpu)
            assert resources["resourceMemoryLimit"] == f"{asked.memory_gb}G"
            assert pod["activeDeadlineSeconds"] == str(int(asked.timeout_hours * 3600))
            assert pod["imagePullPolicy"] == "IfNotPresent"
            secret = pod["secretAsEnv"][0]
            assert secret["secretName"] == "store-keys"
            assert {item["envVar"] for item in secret["keyToEnv"]} == {
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
            }
            variables = {item["name"]: item["value"] for item in container["env"]}
            assert variables == {
                "AWS_ENDPOINT_URL_S3": "http://store.example:8333",
                "TENFOLD_WEIGHTS": "gs://weights",
            }
            if asked.gpu:
                assert resources["accelerator"]["resourceType"] == "nvidia.com/gpu"
                assert resources["accelerator"]["resourceCount"] == str(asked.gpus)
                assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"
                product = asked.gpu.lower().replace("_", "-")
                selector = pod["nodeSelector"]["labels"]
                assert selector == {"cloud.google.com/gke-accelerator": product}
            else:
                assert "accelerator" not in resources
                assert "tolerations" not in pod
            mounts = [m["sizeLimit"] for m in pod.get("emptyDirMounts", [])]
            assert mounts == ([f"{asked.shm_gb}G"] if asked.shm_gb else [])


#: Of the recipes' GPUs, in Google's tables of machine types: a T4 goes with an N1, and
#: the others only with machines of their own kind.
MACHINES = {
    "NVIDIA_TESLA_T4": "n1-standard-8",
    "NVIDIA_L4": "g2-standard-8",
    "NVIDIA_TESLA_A100": "a2-highgpu-1g",
}


@EVERY_RECIPE
def test_vertex_gets_a_custom_job_for_each_gpu_and_plain_tasks_else(
    graph, challenge, recipe
):
    chosen = load_recipe(challenge, recipe)
    made = graph(challenge, recipe, "vertex")
    for stage in {step.stage for step in steps_of(chosen)}:
        jobs = made.custom_jobs(stage)
        if not jobs:
            for name, container in made.of_stage(stage).items():
                asked = profile(chosen, stage, name)
                assert asked.gpu is None
                assert container["resources"]["cpuLimit"] == float(asked.cpu)
                assert container["resources"]["memoryLimit"] == float(asked.memory_gb)
                assert "accelerator" not in container["resources"]
            continue
        assert len(jobs) == len(made.of_stage(stage))
        if stage == "train":
            directories = {job["base_output_directory"] for job in jobs.values()}
            assert len(directories) == len(jobs)
        for name, job in jobs.items():
            asked = profile(chosen, stage, name)
            (pool,) = job["worker_pool_specs"]
            machine = pool["machine_spec"]
            assert machine["accelerator_type"] == asked.gpu
            assert machine["accelerator_count"] == asked.gpus
            assert machine["machine_type"] == MACHINES[asked.gpu]
            assert pool["disk_spec"]["boot_disk_size_gb"] == asked.disk_gb
            env = pool["container_spec"]["env"]
            assert env == [{"name": "TENFOLD_WEIGHTS", "value": "gs://weights"}]
            assert job["strategy"] == ("SPOT" if asked.spot else "STANDARD")
            assert job["restart_job_on_worker_restart"] is True
            assert job["timeout"] == f"{int(asked.timeout_hours * 3600)}s"
            assert job["service_account"] == SETTINGS.vertex.service_account
            # Only what writes curves, and apart from other runs and models.
            logs = job["base_output_directory"]
            if stage == "train":
                assert job["tensorboard"] == SETTINGS.vertex.tensorboard
                root = "gs://a-project-pipelines/kfp/tensorboard/"
                assert logs.startswith(root + "{{$.pipeline_job_uuid}}/train-")
            else:
                assert (job["tensorboard"], logs) == ("", "")
            assert job["labels"] == {"team": "kelp"}
            assert job["enable_web_access"] is False


@EVERY_FILE
def test_nothing_is_cached_by_kfp_or_installed_at_run_time(
    compiled, challenge, recipe, target
):
    text = compiled[challenge, recipe, target].read_text("utf-8")
    assert "enableCache: true" not in text
    assert "pip install" not in text


@EVERY_FILE
def test_no_file_holds_a_credential(compiled, challenge, recipe, target):
    text = compiled[challenge, recipe, target].read_text("utf-8")
    signs = ("PRIVATE KEY", "ya29.", "AIza", "AKIA", "password", "refresh_token")
    assert [sign for sign in signs if sign in text] == []


@EVERY_FILE
def test_each_file_loads_in_its_own_client(compiled, challenge, recipe, target):
    path = compiled[challenge, recipe, target]
    parameters = {"source": "gs://bucket/data", "store": "gs://bucket/store"}
    if target == "kubeflow":
        loaded = components.load_component_from_file(str(path))
        assert set(loaded.component_spec.inputs) == {*parameters, "tags"}
        return
    job = aiplatform.PipelineJob(
        display_name="test",
        template_path=str(path),
        pipeline_root="gs://bucket/kfp",
        parameter_values={**parameters, "tags": "trial"},
        project="project",
        location="us-central1",
        credentials=_anonymous(),
    )
    spec = job.to_dict()["pipelineSpec"]
    assert "ingest" in spec["root"]["dag"]["tasks"]


def _anonymous():
    from google.auth.credentials import AnonymousCredentials

    return AnonymousCredentials()


@EVERY_FILE
def test_run_time_parameters_are_three_and_tags_may_be_left_out(
    graph, challenge, recipe, target
):
    given = graph(challenge, recipe, target).spec["root"]["inputDefinitions"]
    parameters = given["parameters"]
    assert set(parameters) == {"source", "store", "tags"}
    optional = {k for k, v in parameters.items() if v.get("isOptional")}
    assert optional == {"tags"}


@EVERY_FILE
def test_consoles_show_names_a_person_understands(graph, challenge, recipe, target):
    chosen = load_recipe(challenge, recipe)
    made = graph(challenge, recipe, target)
    shown = {
        task["taskInfo"]["name"]
        for tasks in (made.tasks, *(made.inner(n) for n in made.tasks if "for-" in n))
        for name, task in tasks.items()
        if not name.startswith("for-loop")
    }
    assert shown == {step.title for step in steps_of(chosen)}
    assert made.spec["pipelineInfo"]["description"] == chosen.about


def test_a_component_says_what_it_does():
    from components.factory import STAGES, component_for

    for stage in STAGES:
        assert len(component_for(stage, "image:tag").description) > 30, stage


def test_vertex_gets_a_single_document(graph):
    for challenge, recipe in RECIPES:
        assert graph(challenge, recipe, "vertex").documents == 1


@EVERY_FILE
def test_the_recipe_travels_whole(graph, challenge, recipe, target):
    chosen = load_recipe(challenge, recipe)
    tasks = graph(challenge, recipe, target).tasks
    constant = tasks["ingest"]["inputs"]["parameters"]["recipe"]["runtimeValue"]
    assert recipe_from_json(constant["constant"]).digest() == chosen.digest()


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
    assert content_tag() in (tmp_path / "kelp-winning-vertex.yaml").read_text()


def test_digests_replace_tags(tmp_path):
    digest = "sha256:" + "ab" * 32
    digests = tmp_path / "digests.json"
    digests.write_text(json.dumps({"cpu": digest, "torch": digest}))
    script = ["pipelines/compile.py", "--directory", str(tmp_path), "--target"]
    options = ["vertex", "--digests", str(digests), "--images", "r.example/x"]
    subprocess.run([sys.executable, *script, *options], check=True, capture_output=True)
    text = (tmp_path / "kelp-winning-vertex.yaml").read_text("utf-8")
    assert f"r.example/x/tenfold-python-cpu@{digest}" in text
    assert f"r.example/x/tenfold-python-torch@{digest}" in text
    assert content_tag() not in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"targets": ["moon"]}, "unknown target 'moon'; there is local, docker"),
        ({"targets": ["docker"]}, "tenfold run kelp --recipe winning --target docker"),
        ({"overrides": ["split.k=101"]}, "at most 100"),
        ({"overrides": ["predict.workers=101"]}, "predict.workers"),
        (
            {"targets": ["vertex"], "overrides": ["profiles.train.gpu=NVIDIA_MOON"]},
            "NVIDIA_MOON",
        ),
    ],
)
def test_what_no_platform_runs_is_one_sentence(tmp_path, arguments, sentence):
    with pytest.raises(TenfoldError) as error:
        compile_recipe(directory=tmp_path, **arguments)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_logs_of_trainings_need_an_identity(tmp_path):
    own = {"vertex": {"tensorboard": "projects/1/locations/l/tensorboards/2"}}
    with pytest.raises(TenfoldError, match=r"missing vertex\.service_account"):
        compile_recipe(
            targets=["vertex"],
            settings=Settings.model_validate(own),
            directory=tmp_path,
        )


def test_every_target_that_is_compiled_is_tested():
    assert set(COMPILED) == {target for *_, target in FILES}
