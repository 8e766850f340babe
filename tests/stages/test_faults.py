"""Each stage on a full disk, and on a read-only one."""

import contextlib
import os
import resource
import shutil
import signal
from pathlib import Path

import pytest

from pipelines.cli import main
from tenfold.challenges import find_challenge, load_recipe
from tenfold.progress import Progress
from tenfold.stages import explore, judge, statistics
from tenfold.stages.context import Context
from tenfold.store import MANIFEST, Store
from tests.contract.driver import run_stages

SETTINGS = (
    *("synth.train=10", "synth.test=3", "synth.coasts=5", "data.shard_samples=5"),
    *("split.k=2", "members.0.training.epochs=1", "members.0.training.batch=4"),
    "members.0.training.samples_per_epoch=4",
    "members.0.training.picture_epochs=[]",
)
#: Stage → the verb's own words; what it reads is named by the file of its stage.
VERBS = {
    "ingest": ("--source", "SOURCE"),
    "group": ("--dataset", "ingest"),
    "split": ("--dataset", "ingest", "--groups", "group"),
    "train": (
        *("--dataset", "ingest", "--folds", "split"),
        *("--member", "unet-quantile", "--fold", "0"),
    ),
    "evaluate": (
        *("--dataset", "ingest", "--folds", "split", "--member", "unet-quantile"),
        *("--trained", "train 0", "--trained", "train 1"),
    ),
    "tune": ("--dataset", "ingest", "--folds", "split", "--leaderboard", "evaluate"),
    "predict": ("--dataset", "ingest", "--decision", "tune"),
    "submit": ("--dataset", "ingest", "--predictions", "predict"),
    "preview": ("--dataset", "ingest", "--submission", "submit"),
    "judge": (
        *("TRUTH", "--dataset", "ingest", "--groups", "group"),
        *("--decision", "tune", "--submission", "submit"),
    ),
    "explore": ("--dataset", "ingest", "--groups", "group", "--folds", "split"),
    "statistics": ("--dataset", "ingest", "--all-indices"),
}


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory):
    """A recipe of one member, as small as it gets."""
    import yaml

    recipe = load_recipe("kelp", "smoke", SETTINGS).model_dump(mode="json")
    recipe["members"] = recipe["members"][:1]
    recipe["tune"]["model_weights"] = "equal"
    file = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    file.write_text(yaml.safe_dump(recipe))
    return file


@pytest.fixture(scope="module")
def run(recipe_file, tmp_path_factory):
    """Every stage done once, in a folder whose name is not plain ASCII."""
    directory = tmp_path_factory.mktemp("a") / "größe & <b>fett</b> 海藻"
    recipe = load_recipe("kelp", recipe_file)
    find_challenge("kelp").synth.synthesise(directory, recipe.synth)
    context = Context(recipe, Store(directory / "store"))
    finished = run_stages(context, str(directory / "data"))
    tasks = finished.tasks
    data, groups, folds = (tasks[name] for name in ("ingest", "group", "split"))
    tasks["explore"] = explore.run(context, data, groups, folds)
    decided, submitted = tasks["tune"], tasks["submit"]
    truth = directory / "truth"
    tasks["judge"] = judge.run(context, data, groups, decided, submitted, truth)
    statistics.run(context, data, every=True)
    return directory, finished


class Bench:
    """A copy of the finished run, from which one stage's result is taken away."""

    def __init__(self, run, recipe_file, stage, tmp_path):
        directory, finished = run
        self.stage, self.recipe, self.path = stage, str(recipe_file), tmp_path
        self.folder, self.store = directory, tmp_path / "store"
        shutil.copytree(directory / "store", self.store)
        made = self._made_by(finished, stage)
        self.expected = made[0]
        for address in made:
            shutil.rmtree(self.store / address)
        for task, reference in finished.tasks.items():
            reference.write(tmp_path / f"{task.replace(' unet-quantile', '')}.json")

    @staticmethod
    def _task(stage):
        return {
            "train": "train unet-quantile 0",
            "evaluate": "evaluate unet-quantile",
            "predict": "predict 0",
        }.get(stage, stage)

    def _made_by(self, finished, stage):
        if stage == "statistics":  # It names its entry to nobody.
            (folder,) = self.store.glob("statistics/[!.]*")
            return [f"statistics/{folder.name}"]
        address = finished.tasks[self._task(stage)].address
        inputs = finished.context.store.open(address).inputs
        return [address, *([inputs["fit"]] if stage == "train" else [])]

    def arguments(self):
        words = []
        for word in VERBS[self.stage]:
            file = "predict 0" if word == "predict" else word
            named = self.path / f"{file}.json"
            words.append(str(named) if named.exists() else word)
        places = {"SOURCE": self.folder / "data", "TRUTH": self.folder / "truth"}
        words = [str(places.get(word, word)) for word in words]
        out = "--json" if self.stage == "statistics" else "--out"
        where = ("--store", str(self.store), out, str(self.path / "out.json"))
        return [self.stage, "kelp", *words, *where, "--recipe", self.recipe]

    def fails(self, capsys):
        """Run the verb, which must end with one sentence and leave no entry."""
        code, error = self._end(capsys)
        assert code == 2, error
        lines = error.strip().splitlines()
        assert len(lines) == 1, error
        assert lines[0].startswith("error: ")
        assert not (self.store / self.expected / MANIFEST).exists()
        return lines[0]

    def succeeds(self, capsys):
        code, error = self._end(capsys)
        assert code in (0, None), error
        assert (self.store / self.expected / MANIFEST).is_file()

    def _end(self, capsys):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(self.arguments())
        return ended.value.code, capsys.readouterr().err


@contextlib.contextmanager
def files_no_larger_than(size):
    """The kernel refuses what goes beyond, to every library in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


class Disk:
    """A folder's disk, which is full when told so: the kernel itself says it."""

    def __init__(self, monkeypatch):
        self.full_below = None
        real = Path.open

        def opened(path, mode="r", *rest, **named):
            below = self.full_below is not None and path.is_relative_to(self.full_below)
            if below and set(mode) & set("wxa+") and path.suffix != ".lock":
                path = Path("/dev/full")
            return real(path, mode, *rest, **named)

        monkeypatch.setattr(Path, "open", opened)

    @contextlib.contextmanager
    def full(self, folder):
        """Leave no room from the start."""
        self.full_below = folder
        yield
        self.full_below = None

    @contextlib.contextmanager
    def full_at_the_end(self, folder):
        """Leave none for what is written when the work is done."""
        finish = Progress.finish

        def late(progress):
            self.full_below = folder
            finish(progress)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Progress, "finish", late)
            yield
        self.full_below = None


@contextlib.contextmanager
def nobody():
    """Give up the rights of root, which no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def let_others_read(place):
    """Pytest keeps its folders to the user that runs it."""
    for folder in [place, *place.parents]:
        if folder.stat().st_uid == os.getuid() and str(folder) != "/":
            folder.chmod(folder.stat().st_mode | 0o055)


@pytest.mark.parametrize("stage", VERBS)
def test_a_disk_that_fills_up_is_one_sentence_and_the_next_attempt_goes_on(
    run, recipe_file, stage, tmp_path, capsys, monkeypatch
):
    bench, disk = Bench(run, recipe_file, stage, tmp_path), Disk(monkeypatch)
    for size in (60, 700):  # The first line of the log, and what the stage makes.
        with files_no_larger_than(size):
            sentence = bench.fails(capsys)
        assert "File too large" in sentence
        if stage == "group" and size == 700:  # The search for overlaps spills first.
            assert "point TMPDIR to a folder on a disk with room" in sentence
        else:
            assert str(bench.store) in sentence
            assert "name another folder" in sentence
    for full in (disk.full, disk.full_at_the_end):
        with full(bench.store):
            sentence = bench.fails(capsys)
        assert "No space left on device" in sentence
        assert str(bench.store) in sentence
        assert "make room there and run the same command again" in sentence
    bench.succeeds(capsys)


@pytest.mark.parametrize("stage", VERBS)
def test_a_read_only_store_is_one_sentence_that_names_the_place(
    run, recipe_file, stage, tmp_path, capsys
):
    bench = Bench(run, recipe_file, stage, tmp_path)
    kinds = ("fit", "train") if stage == "train" else (stage,)
    for place in (tmp_path, recipe_file.parent, run[0]):
        let_others_read(place)
    tmp_path.chmod(0o777)
    for kind in kinds:
        (bench.store / kind).chmod(0o555)
    with nobody():
        sentence = bench.fails(capsys)
    assert "ermission" in sentence
    assert str(bench.store / kinds[0]) in sentence
    assert "let this user write there" in sentence
    for kind in kinds:
        (bench.store / kind).chmod(0o755)
