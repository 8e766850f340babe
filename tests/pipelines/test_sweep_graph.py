"""A sweep's graph: what it waits for, where it runs, and the command that runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kfp import components

from pipelines.cli import main
from pipelines.images import Images
from pipelines.settings import Settings
from pipelines.sweep import build_sweep, compile_sweep
from pipelines.targets import COMPILED, TargetError, find_target
from tenfold.challenges import challenge_names, recipe_from_json
from tenfold.sweep import Sweep, load_sweep, plan_from_json, plan_sweep, sweep_names

IMAGES = Images("registry.example/tenfold", "0123456789abcdef")
PRESETS = [
    (challenge, name, target)
    for challenge in challenge_names()
    for name in sweep_names(challenge)
    for target in COMPILED
]
MEMBER = "members.unet-quantile"
RATE = f"{MEMBER}.training.learning_rate"


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """Return the documents of a compiled sweep: documents(challenge, name, target)."""
    directory = tmp_path_factory.mktemp("build")
    made = {}
    for challenge, name, target in PRESETS:
        recipe, plan = plan_sweep(challenge, load_sweep(challenge, name))
        path = compile_sweep(plan, recipe, target, Settings(), IMAGES, directory).path
        assert path.name == f"{challenge}-sweep-{name}-{target}.yaml"
        made[challenge, name, target] = list(yaml.safe_load_all(path.read_text()))
    return lambda *names: made[names]


def loop_of(graph):
    (name,) = (n for n in graph["root"]["dag"]["tasks"] if n.startswith("for-loop"))
    return name, graph["root"]["dag"]["tasks"][name]


def container(graph, stage):
    return graph["deploymentSpec"]["executors"][f"exec-{stage}"]["container"]


@pytest.mark.parametrize(("challenge", "name", "target"), PRESETS)
def test_trials_wait_for_the_folds_and_the_ranking_for_them(
    documents, challenge, name, target
):
    graph = documents(challenge, name, target)[0]
    recipe, plan = plan_sweep(challenge, load_sweep(challenge, name))
    tasks = graph["root"]["dag"]["tasks"]
    loop_name, loop = loop_of(graph)
    assert set(tasks) == {"ingest", "group", "split", loop_name, "rank"}
    assert set(loop["dependentTasks"]) == {"ingest", "split"}
    assert tasks["rank"]["dependentTasks"] == [loop_name]
    items = json.loads(loop["parameterIterator"]["items"]["raw"])
    assert items == list(range(len(plan.trials)))
    assert loop["iteratorPolicy"]["parallelismLimit"] == recipe.parallel_folds


@pytest.mark.parametrize(("challenge", "name", "target"), PRESETS)
def test_the_recipe_and_the_trials_travel_whole(documents, challenge, name, target):
    graph = documents(challenge, name, target)[0]
    recipe, plan = plan_sweep(challenge, load_sweep(challenge, name))
    given = graph["root"]["dag"]["tasks"]["rank"]["inputs"]["parameters"]
    sent = {n: given[n]["runtimeValue"]["constant"] for n in ("recipe", "plan")}
    assert recipe_from_json(sent["recipe"]).digest() == recipe.digest()
    assert plan_from_json(sent["plan"]) == plan
    assert set(graph["root"]["inputDefinitions"]["parameters"]) == {
        "source",
        "store",
        "tags",
    }


@pytest.mark.parametrize(("challenge", "name", "target"), PRESETS)
def test_each_file_suits_its_platform(documents, challenge, name, target):
    made = documents(challenge, name, target)
    text = yaml.safe_dump_all(made)
    assert "enableCache: true" not in text
    assert "pip install" not in text
    if target == "vertex":
        assert len(made) == 1
    else:
        loaded = components.load_component_from_text(text)
        assert set(loaded.component_spec.inputs) == {"source", "store", "tags"}


def test_the_published_trials_are_spot_jobs_of_their_members_machine(documents):
    graph = documents("kelp", "published", "vertex")[0]
    given = graph["components"]["comp-trial"]["inputDefinitions"]["parameters"]
    defaults = {name: value.get("defaultValue") for name, value in given.items()}
    assert defaults["strategy"] == "SPOT"
    (pool,) = defaults["worker_pool_specs"]
    machine = pool["machine_spec"]
    assert machine["accelerator_type"] == "NVIDIA_TESLA_T4"
    assert machine["accelerator_count"] == 1
    assert pool["container_spec"]["image_uri"] == IMAGES.reference("torch")
    assert container(graph, "rank")["image"] == IMAGES.reference("cpu")


def test_the_published_trials_are_gpu_pods_on_a_cluster(documents):
    graph, platform = documents("kelp", "published", "kubeflow")
    trial = container(graph, "trial")
    assert trial["image"] == IMAGES.reference("torch")
    assert trial["resources"]["accelerator"]["type"] == "nvidia.com/gpu"
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert pods["exec-trial"]["emptyDirMounts"][0]["mountPath"] == "/dev/shm"
    assert "emptyDirMounts" not in pods["exec-rank"]


def test_a_sweep_on_cpus_asks_for_no_gpu(documents):
    graph = documents("kelp", "smoke", "vertex")[0]
    assert "accelerator" not in container(graph, "trial")["resources"]


def test_more_text_than_a_task_takes_is_refused():
    content = {
        "name": "long",
        "about": "",
        "recipe": "smoke",
        "method": "grid",
        "axes": {
            f"{MEMBER}.net.weights": [f"{n}{'w' * 400}" for n in range(10)],
            f"{MEMBER}.seed": list(range(10)),
        },
    }
    recipe, plan = plan_sweep("kelp", Sweep.model_validate(content))
    with pytest.raises(TargetError, match="at most 100,000"):
        build_sweep(plan, recipe, find_target("vertex"), IMAGES)


# The command -----------------------------------------------------------------------


def sweep_file(folder, **change):
    content = {
        "name": "tiny",
        "about": "Two short trainings.",
        "recipe": "smoke",
        "set": [
            *("synth.train=12", "synth.test=2", "synth.coasts=5", "split.k=2"),
            f"{MEMBER}.training.epochs=2",
            f"{MEMBER}.training.samples_per_epoch=8",
            f"{MEMBER}.training.validate_every=1",
        ],
        "method": "grid",
        "axes": {RATE: [0.001, 0.002]},
        **change,
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "kelp", *arguments])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.parametrize("target", COMPILED)
def test_a_compiled_target_writes_a_file_and_runs_nothing(
    tmp_path, capsys, monkeypatch, target
):
    monkeypatch.chdir(tmp_path)
    arguments = ["sweep", "kelp", "--sweep", sweep_file(tmp_path), "-t", target]
    arguments += ["--set", f"{MEMBER}.training.epochs=5", "--source", "gs://data"]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code in (0, None)
    path = Path("build") / f"kelp-sweep-tiny-{target}.yaml"
    shown = capsys.readouterr()
    assert "2 trials of unet-quantile on fold 0, 2 at once" in shown.out
    assert f"\n{path}\n" in shown.out
    command = shown.out.strip().splitlines()[-1]
    wanted = f"--target {target} --compiled {path} --source gs://data --store STORE"
    assert command.endswith(f"pipelines/submit.py {wanted}")
    assert "warning: " in shown.err
    graph = next(yaml.safe_load_all(path.read_text()))
    given = graph["root"]["dag"]["tasks"]["ingest"]["inputs"]["parameters"]
    recipe = recipe_from_json(given["recipe"]["runtimeValue"]["constant"])
    assert recipe.members[0].training.epochs == 5
    assert not Path("runs").exists()


def test_trials_run_as_the_identity_that_is_given(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    account = "runner@a-project.iam.gserviceaccount.com"
    gpu = ("profiles.train.gpu=NVIDIA_L4", "profiles.train.gpus=1")
    gpu += ("profiles.train.disk_gb=100",)
    given = ["--location", "europe-west4", "--service-account", account]
    arguments = ["sweep", "kelp", "--sweep", sweep_file(tmp_path), "-t", "vertex"]
    with pytest.raises(SystemExit):
        main([*arguments, *given, *(word for g in gpu for word in ("--set", g))])
    assert " ".join(given) in capsys.readouterr().out
    graph = yaml.safe_load(Path("build/kelp-sweep-tiny-vertex.yaml").read_text())
    parameters = graph["components"]["comp-trial"]["inputDefinitions"]["parameters"]
    assert parameters["service_account"]["defaultValue"] == account


@pytest.mark.parametrize("target", ["local", *COMPILED])
def test_more_than_a_hundred_trials_are_refused(tmp_path, capsys, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    file = sweep_file(tmp_path, axes={f"{MEMBER}.seed": list(range(101))})
    sentence = fails(capsys, "--sweep", file, "--target", target)
    assert "101 trials" in sentence
    assert "at most 100" in sentence
    assert not Path("runs").exists()
    assert not Path("build").exists()


def test_bad_input_is_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no sweep 'best'; it has" in fails(capsys, "--sweep", "best")
    assert "unknown target 'moon'" in fails(capsys, "--target", "moon")
    bad = ("--set", "members.unet-quantile.training.epoch=3")
    assert "did you mean 'epochs'" in fails(capsys, *bad)


@pytest.mark.slow
def test_a_sweep_run_here_prints_its_ranking_and_does_nothing_twice(tmp_path):
    arguments = ["sweep", "kelp", "--sweep", sweep_file(tmp_path)]
    command = [sys.executable, "-m", "pipelines.cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    runs = [
        subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        for _ in range(2)
    ]
    for done in runs:
        assert done.returncode == 0, done.stderr
        assert "trial 0: learning_rate=0.001" in done.stdout
        assert "Chosen on fold 0" in done.stdout
        assert "tenfold run kelp --recipe smoke --set synth.train=12" in done.stdout
    report = tmp_path / "runs" / "kelp-sweep-tiny" / "report.html"
    assert str(report) in runs[0].stdout
    assert "learning_rate" in report.read_text("utf-8")
    assert "kept    trial 0: learning_rate=0.001" in runs[1].stderr
    assert "done " not in runs[1].stderr
    assert (
        len(list((tmp_path / "runs" / "store" / "trial").glob("*/manifest.json"))) == 2
    )
