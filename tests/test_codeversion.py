"""Editing code makes anew what that code makes, and nothing else.

A copy of the package is edited in a process of its own, where deep-learning
frameworks cannot be imported: a version is read off the source.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tenfold
from tenfold import challenges
from tenfold.codeversion import code_version
from tenfold.training.engines import backend_of

SOURCE = Path(tenfold.__file__).parent
#: The parts of a challenge, by the properties of its class.
CHALLENGE_PARTS = {
    name
    for name, value in vars(challenges.Challenge).items()
    if isinstance(value, property)
}
#: In the order the data flow.
FLOW = "ingest group split fit train evaluate tune predict submit preview"
STAGES = FLOW.split()
FRAMEWORKS = ("torch", "lightning", "timm", "segmentation_models_pytorch")

#: Imports in ways that the stages may or may not.
PROBE = """
from tenfold import folds as renamed

def later():
    import tenfold.training.engine
"""

#: What runs engines, without any engine's own code.
ENGINE_STAGES = ["tenfold.stages.fit", "tenfold.stages.train", "tenfold.stages.predict"]

SCRIPT = """
import ast, json, sys
from pathlib import Path

folder, job = Path(sys.argv[1]) / "tenfold", json.loads(sys.argv[2])

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in job["blocked"]:
            raise ModuleNotFoundError(f"no {name} here")

sys.meta_path.insert(0, Blocked())

def versions():
    # Modules read once are remembered, so each look needs a module of its own.
    sys.modules.pop("tenfold.codeversion", None)
    from tenfold.codeversion import code_version
    return {stage: code_version(names) for stage, names in job["modules"].items()}

def add_code(text):
    return text + "\\n_ADDED = 1\\n"

def reword(text):
    tree = ast.parse(text)
    for node in ast.walk(tree):
        kinds = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            node.body[0].value.value = "Quite other words."
    return "# A remark.\\n\\n\\n\\n" + ast.unparse(tree) + "  # And another."

def change_a_number(text):
    tree = ast.parse(text)
    numbers = (n for n in ast.walk(tree) if isinstance(n, ast.Constant))
    number = next(n for n in numbers if type(n.value) is int)
    number.value += 1
    return ast.unparse(tree)

import tenfold
result = {"before": versions()}
for label, edit, files in job["edits"]:
    texts = {folder / file: (folder / file).read_text() for file in files}
    for path, text in texts.items():
        path.write_text(globals()[edit](text))
    result[label] = versions()
    for path, text in texts.items():
        path.write_text(text)
result["after"] = versions()
heavy = sorted({name.partition(".")[0] for name in sys.modules} & set(job["heavy"]))
print(json.dumps({"file": tenfold.__file__, "versions": result, "heavy": heavy}))
"""


def stage_files():
    """List the stages: the modules that name the parts they run."""
    files = sorted((SOURCE / "stages").glob("*.py"))
    return [path.stem for path in files if "\nPARTS = " in path.read_text()]


def stage_tree(stage):
    return ast.parse((SOURCE / "stages" / f"{stage}.py").read_text())


def declared_parts(stage):
    """Read PARTS off a stage without importing it."""
    for node in stage_tree(stage).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PARTS":
            return ast.literal_eval(node.value)
    raise AssertionError(f"{stage} has no PARTS")


def used_parts(stage):
    """List the parts that a stage asks its challenge for."""
    return {
        node.attr
        for node in ast.walk(stage_tree(stage))
        if isinstance(node, ast.Attribute)
        and node.attr in CHALLENGE_PARTS
        and ast.unparse(node.value).split(".")[-1] in ("challenge", "_challenge")
    }


def names_engines(stage):
    """Tell whether a stage's key has the backends of its members' engines."""
    calls = (n for n in ast.walk(stage_tree(stage)) if isinstance(n, ast.Call))
    builds = (c for c in calls if ast.unparse(c.func).endswith(".build"))
    return any(word.arg == "engines" for call in builds for word in call.keywords)


def modules_of(stage, engine="torch"):
    parts = [f"tenfold.challenges.kelp.{part}" for part in declared_parts(stage)]
    backends = [backend_of(engine)] if names_engines(stage) else []
    return [f"tenfold.stages.{stage}", *parts, *backends]


def run_on_a_copy(folder, stages, edits=(), blocked=()):
    shutil.copytree(
        SOURCE, folder / "tenfold", ignore=shutil.ignore_patterns("__pycache__")
    )
    job = {
        "modules": {stage: modules_of(stage) for stage in stages}
        | {"probe": ["tenfold.probe"], "no engine": ENGINE_STAGES},
        "edits": edits,
        "blocked": blocked,
        "heavy": FRAMEWORKS,
    }
    (folder / "tenfold" / "probe.py").write_text(PROBE)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), json.dumps(job)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert Path(said["file"]).is_relative_to(folder)
    return said


#: File edited → the stages that run it, and those whose loss does no harm: they
#: follow in the flow of data, so they are made anew because their inputs are.
EDITS = {
    "challenges/kelp/reader.py": "ingest",
    "challenges/kelp/model.py": "fit train predict",
    "challenges/kelp/decision.py": "tune predict",
    "challenges/kelp/submission.py": "submit",
    "challenges/kelp/drawing.py": "preview",
    "challenges/kelp/tiles.py": "ingest fit train evaluate tune predict submit preview",
    "grouping/overlap.py": "group",
    "folds.py": "split fit train evaluate tune (predict submit preview)",
    "training/engine.py": "fit train predict",
    "training/torch_backend.py": "fit train predict",
    "metrics/confusion.py": "fit train evaluate tune predict submit",
    "stages/train.py": "train",
    "stages/fit.py": "fit train",
    "stages/submit.py": "submit",
}
#: Carries bytes and words, or makes other things than results of stages.
PLUMBING = [
    "store.py",
    "progress.py",
    "recipe.py",
    "sweep.py",
    "training/board.py",
    "errors.py",
    "data/storage.py",
    "data/gcs.py",
    "data/s3.py",
    "data/sources.py",
    "data/archives.py",
    "data/files.py",
    "stages/context.py",
    "reports/page.py",
    "challenges/kelp/synth.py",
]
ALL_FILES = [path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py")]
NUMBERS = {"folds.py": "split", "data/statistics.py": "ingest"}


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Return label of an edit → stages (and the probe) whose version it changes."""
    edits = [(file, "add_code", [file]) for file in EDITS]
    edits += [(f"number in {file}", "change_a_number", [file]) for file in NUMBERS]
    edits += [("plumbing", "add_code", PLUMBING), ("words", "reword", ALL_FILES)]
    folder = tmp_path_factory.mktemp("copy")
    versions = run_on_a_copy(folder, STAGES, edits, FRAMEWORKS)["versions"]
    before = versions.pop("before")
    assert len(set(before.values())) == len(before) == len(STAGES) + 2
    return {
        label: [name for name in before if after[name] != before[name]]
        for label, after in versions.items()
    }


@pytest.mark.parametrize("file", EDITS)
def test_an_edit_changes_the_stages_that_run_it(seen, file):
    must, _, may = EDITS[file].partition("(")
    harmless = [*may.rstrip(")").split(), "probe", "no engine"]
    assert [stage for stage in seen[file] if stage not in harmless] == must.split()


def test_imports_count_however_they_are_written(seen):
    assert "probe" in seen["folds.py"]
    assert "probe" in seen["training/engine.py"]
    assert "probe" not in seen["challenges/kelp/drawing.py"]


def test_words_and_layout_change_nothing(seen):
    assert seen["words"] == []


def test_plumbing_changes_nothing(seen):
    assert seen["plumbing"] == []


@pytest.mark.parametrize(("file", "stage"), NUMBERS.items())
def test_a_single_number_counts(seen, file, stage):
    assert stage in seen[f"number in {file}"]


def test_an_edit_taken_back_brings_the_old_version_back(seen):
    assert seen["after"] == []


def test_an_engine_is_part_of_what_its_own_members_make_only(seen):
    """Else an edit of the trees' code would train every network again."""
    for file in ("training/engine.py", "training/torch_backend.py"):
        assert "no engine" not in seen[file]
    assert "no engine" in seen["stages/fit.py"]


@pytest.mark.parametrize("stage", stage_files())
def test_a_stage_that_runs_an_engine_names_it(stage):
    """Members are trained by a `FoldJob`, and run by an `Ensemble` or a `FoldJob`."""
    names = {node.id for node in ast.walk(stage_tree(stage)) if hasattr(node, "id")}
    runs = names & {"find_engine", "FoldJob", "Ensemble"}
    assert bool(runs) == names_engines(stage)


@pytest.mark.parametrize("stage", stage_files())
def test_every_part_a_stage_asks_for_counts_for_its_version(stage):
    assert used_parts(stage) <= set(declared_parts(stage))


def test_no_stage_was_forgotten_here():
    assert set(STAGES) <= set(stage_files())


def test_a_version_is_known_without_loading_a_framework(tmp_path):
    light = ["ingest", "group", "split", "submit", "preview"]
    assert run_on_a_copy(tmp_path, light)["heavy"] == []


def test_the_order_in_which_modules_are_named_does_not_matter():
    names = ["tenfold.data.shards", "tenfold.folds"]
    assert code_version(names) == code_version(names[::-1])
    assert code_version(names) != code_version(names[:1])


def test_a_module_that_does_not_exist_is_an_error():
    with pytest.raises(ModuleNotFoundError, match=r"tenfold\.nothing"):
        code_version(["tenfold.nothing"])
