"""The recipes that want a GPU, whole but tiny: every option of theirs, on a CPU."""

import math

import pytest

from tenfold.challenges import find_challenge, load_recipe
from tenfold.data.dataset import Dataset
from tenfold.stages.context import Context
from tenfold.stages.entries import DECISION, LEADERBOARD, METRICS, MODEL, SCORES
from tenfold.store import Store
from tests.contract.driver import run_stages

SCALE = (
    *("synth.train=8", "synth.test=2", "synth.coasts=5", "synth.bad_files=false"),
    *("data.shard_samples=4", "split.k=2", "split.strata=[]"),
    *("groups.embedding.enabled=false", "predict.workers=1", "profiles={}"),
)
TRAINING = (
    *("training.epochs=1", "training.batch=2", "training.samples_per_epoch=2"),
    *("training.picture_epochs=[]", "training.workers=0", "net.weights=null"),
    "training.threads=1",
)
TINY = "tu-mobilenetv3_small_050"
#: Member → what else is smaller; the kind of network and its head stay.
MEMBERS = {
    "winning": {"unet-b5": [f"net.encoder={TINY}", "training.precision=32-true"]},
    "winning-soft": {
        "unet-b5": [f"net.encoder={TINY}", "net.decoder_channels=[16, 16, 8, 8, 8]"]
    },
    "tenfold": {
        "unet-b5": [f"net.encoder={TINY}"],
        "unet-vgg13": [f"net.encoder={TINY}"],
        "unet-mit-b2-512": ["net.encoder=mit_b0", "input.size=384"],
        "upernet-convnext-640": ["net.encoder=tu-convnext_atto", "input.size=384"],
    },
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    recipe = load_recipe("kelp", "tenfold", SCALE)
    find_challenge("kelp").synth.synthesise(directory, recipe.synth)
    return str(directory / "data")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("winning", marks=pytest.mark.slow),
        "winning-soft",
        pytest.param("tenfold", marks=pytest.mark.slow),
    ],
)
def test_a_recipe_trains_and_submits_at_tiny_scale(name, source, tmp_path):
    settings = [
        f"members.{member}.{setting}"
        for member, own in MEMBERS[name].items()
        for setting in (*TRAINING, *own)
    ]
    recipe = load_recipe("kelp", name, [*SCALE, *settings])
    assert set(MEMBERS[name]) == {member.name for member in recipe.members}
    run = run_stages(Context(recipe, Store(tmp_path)), source)
    for member in recipe.members:
        model = run.entry(f"train {member.name} 0").json(MODEL)
        assert model["weights"] == f"weights/{member.training.weights}.safetensors"
        metrics = run.entry(f"train {member.name} 1").json(METRICS)
        assert metrics["selected_on_fold"] == (member.training.weights == "best")
    board = run.entry(f"evaluate {recipe.members[-1].name}").json(LEADERBOARD)
    assert len(board) == len(recipe.members)
    choice = run.entry("tune").json(DECISION)["choice"]
    wanted = load_recipe("kelp", name).tune
    assert choice["vote"] == wanted.vote
    if wanted.threshold is not None:
        assert choice["threshold"] == wanted.threshold
    assert math.isfinite(run.entry("tune").json(SCORES)["honest"])
    part = run.challenge.submission
    ids = sorted(id_ for id_, _ in part.read(run.entry("submit").path / part.FILE))
    assert ids == Dataset(run.entry("ingest").path).rows("test")["id"].to_list()


def test_ours_chooses_nothing_on_the_fold_that_is_scored():
    ours, published = load_recipe("kelp", "tenfold"), load_recipe("kelp", "winning")
    assert {m.training.weights for m in ours.members} == {"ema"}
    assert {m.training.weights for m in published.members} == {"best"}
    assert ours.tune.threshold is None
    assert {m.inference.tta for m in ours.members} == {"dihedral"}
    assert {m.net.classes for m in ours.members} == {1}


def test_the_second_published_submission_differs_from_the_first_as_published():
    one, two = load_recipe("kelp", "winning"), load_recipe("kelp", "winning-soft")
    a, b = (r.members[0].model_dump() for r in (one, two))
    changed = {key for key in a if a[key] != b[key]}
    assert changed == {"net", "loss", "training", "took"}
    assert b["net"]["decoder_channels"] == (512, 256, 128, 64, 32)
    assert b["loss"]["name"] == "jaccard"
    # 0.45 of a mean whose denominator counted the first of ten weights twice.
    weights = [0.666, 0.5, 0.666, 0.88, 0.637, 0.59, 0.733, 0.63, 1.0, 0.2]
    cut = 0.45 * (sum(weights) + weights[0]) / sum(weights)
    assert two.tune.threshold == pytest.approx(cut, abs=5e-4)
