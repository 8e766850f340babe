"""bench: which members it measures, on what, and what follows from the figures."""

import json

import pytest
import torch

from tenfold.challenges import load_recipe
from tenfold.cli import main
from tenfold.errors import RecipeError, TrainingError
from tenfold.stages import bench
from tenfold.stages.context import Context
from tenfold.store import Store
from tenfold.training.measured import Measured, Timing
from tenfold.training.measures import find_measure

MEMBER = "members.unet-quantile"
SMALL = (
    "synth.max_shift=8",
    "data.shard_samples=8",
    "predict.batch=2",
    f"{MEMBER}.training.batch=2",
    f"{MEMBER}.augment.crop=64",
)
GPU = ("profiles.train.gpu=NVIDIA_L4", "profiles.train.gpus=1")


@pytest.fixture(autouse=True)
def _leave_torch_alone():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def context_of(folder, *settings, recipe="smoke"):
    return Context(load_recipe("kelp", recipe, settings), Store(folder))


def run(context, *names, any_device=False, dataset=None, notes=None):
    tell = [].append if notes is None else notes.append
    return bench.run(context, dataset, names, 1, any_device, tell)


def test_a_member_is_measured_on_data_that_is_made_for_it(tmp_path, monkeypatch):
    # Libraries make folders of their own when they are first imported.
    find_measure("torch")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(bench, "_SMALL", {"train": 8, "test": 1, "coasts": 2})
    weights = f"{MEMBER}.net.weights=nowhere.safetensors"
    context = context_of(tmp_path / "store", *SMALL, weights)
    (found,) = run(context, "unet-quantile")
    rows = {row["pass"]: row for row in found.rows()}
    assert list(rows) == ["training", "one batch again", "inference"]
    for row in rows.values():
        assert row["member"] == "unet-quantile"
        assert row["samples_per_second"] > 0
    measured = found.measured
    assert (measured.pixels, measured.whole_pixels) == (64 * 64, 350 * 350)
    # 10 epochs of 160 samples each.
    hours = 1600 / rows["training"]["samples_per_second"] / 3600
    assert rows["training"]["hours_a_fold"] == pytest.approx(hours)
    # Nothing stays.
    assert list(tmp_path.iterdir()) == []


def test_figures_of_a_row_follow_from_what_was_measured():
    timing = Timing(
        samples=60, steps=5, seconds=2.0, waited=0.25, used=None, peak_bytes=3 * 10**9
    )
    whole = Timing(
        samples=8, steps=2, seconds=4.0, waited=None, used=0.5, peak_bytes=10**9
    )
    measured = Measured("a GPU", 7, 1000, 500_000, timing, timing, whole)
    training, again, inference = bench.Bench("unet", measured, 1.5).rows()
    assert training["samples_per_second"] == 30
    assert training["megapixels_per_second"] == pytest.approx(0.03)
    assert training["milliseconds_per_step"] == 400
    assert training["waiting_share"] == 0.25
    assert training["device_share"] is None
    assert training["peak_gb"] == 3
    assert (training["hours_a_fold"], again["hours_a_fold"]) == (1.5, None)
    assert inference["samples_per_second"] == 2
    assert inference["megapixels_per_second"] == 1


class Rows:
    def __init__(self, count):
        self._count = count

    def rows(self, split):
        assert split == "train"
        return range(self._count)


@pytest.mark.parametrize(
    ("drawn", "count", "expected"),
    # 4 folds of 100 samples leave 75 to learn from.
    [("160", None, 1600), ("160", 100, 1600), ("null", 100, 750), ("null", None, None)],
)
def test_hours_need_a_number_of_samples(tmp_path, drawn, count, expected):
    setting = f"{MEMBER}.training.samples_per_epoch={drawn}"
    recipe = context_of(tmp_path, setting).recipe
    data = None if count is None else Rows(count)
    assert bench._samples(recipe, recipe.members[0], data) == expected


def test_a_missing_gpu_is_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(TrainingError) as error:
        run(context_of(tmp_path, *GPU), "unet-quantile")
    assert "unet-quantile: its profile asks for NVIDIA_L4" in str(error.value)
    assert "--device cpu" in str(error.value)


def test_other_engines_are_left_out_and_said(tmp_path):
    recipe, notes = context_of(tmp_path).recipe, []
    first, second = recipe.members
    mixed = recipe.model_copy(
        update={"members": (first.model_copy(update={"engine": "trees"}), second)}
    )
    (kept,) = bench._members(mixed, (), notes.append)
    assert kept.name == second.name
    (note,) = notes
    assert first.name in note
    assert "engine trees" in note
    with pytest.raises(RecipeError, match="no member's engine takes steps"):
        bench._members(mixed, (first.name,), notes.append)


def test_an_unknown_member_and_data_without_a_store_are_refused(tmp_path, capsys):
    with pytest.raises(RecipeError, match="no member 'unet'"):
        run(context_of(tmp_path), "unet")
    with pytest.raises(SystemExit):
        main(["bench", "kelp", "--dataset", str(tmp_path / "dataset.json")])
    assert "--dataset and --store go together" in capsys.readouterr().err


def test_a_challenge_without_data_of_its_own_needs_some(tmp_path):
    class Dry:
        recipe = object()
        challenge = context_of(tmp_path).challenge

    with (
        pytest.raises(RecipeError, match="kelp makes no data of its own"),
        bench._data(Dry(), None, [].append),
    ):
        pass


def test_files_of_weights_are_left_out_and_nothing_else(tmp_path):
    named = f"{MEMBER}.net.weights=encoder.safetensors"
    member = context_of(tmp_path, named).recipe.members[0]
    assert member.net.weights == "encoder.safetensors"
    bare = bench._unpretrained(member)
    assert bare.net.weights is None
    assert bare.model_dump(exclude={"net"}) == member.model_dump(exclude={"net"})


def test_the_verb_prints_a_table_and_writes_all_figures(tmp_path, capsys, monkeypatch):
    timing = Timing(
        samples=60, steps=5, seconds=2.0, waited=0.25, used=None, peak_bytes=3 * 10**9
    )
    measured = Measured("a GPU", 7_000_000, 1000, 1000, timing, timing, timing)
    done = [bench.Bench("unet", measured, 1.5)]
    monkeypatch.setattr(bench, "run", lambda *_: done)
    file = tmp_path / "speed.json"
    with pytest.raises(SystemExit) as ended:
        main(["bench", "kelp", "--json", str(file)])
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert "unet: 7.0 million weights, a GPU" in shown
    line = next(line for line in shown.splitlines() if "training" in line)
    assert line.split() == ["training", "30.0", "0.03", "400.0", "25%", "3.00", "1.50"]
    written = json.loads(file.read_text())
    assert written["recipe"] == "smoke"
    assert written["rows"] == done[0].rows()
