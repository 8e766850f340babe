"""Recipes with boosted trees: what they may say, and a whole run beside a network."""

import copy
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from pydantic import ValidationError

from tenfold.challenges import find_challenge, recipe_from_json
from tenfold.challenges.kelp.options import KelpMember, KelpTrees
from tenfold.challenges.kelp.synth import synthesise
from tenfold.data.dataset import SHARDS, Dataset
from tenfold.errors import RecipeError
from tenfold.recipe import override, validate
from tenfold.stages.context import OK, Context
from tenfold.stages.entries import DECISION, HISTORY, METRICS, MODEL, OUT_OF_FOLD
from tenfold.stages.pages import page_path, show
from tenfold.store import Store

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))

MIXED = yaml.safe_load("""
challenge: kelp
name: trees-and-network
about: A tiny network and boosted trees.
lands_near: Nothing that was published.
synth: {train: 12, test: 3, coasts: 5, bad_files: false}
data: {shard_samples: 4}
split: {k: 2, strata: [kelp_level]}
members:
  - name: unet
    input: {indices: [NDVI]}
    net: {encoder: tu-mobilenetv3_small_050, decoder_channels: [16, 8, 8, 4, 4]}
    augment: {crop: 128, crop_on_kelp: 0.5}
    training:
      {epochs: 2, batch: 4, samples_per_epoch: 16, learning_rate: 6.0e-3, threads: 1}
  - name: trees
    engine: trees
    input: {bands: [SWIR, NIR, R, G, B, DEM], indices: [DEMWM, NDVI, GNDVI]}
    pixels: {ring: 5, random_share: 0.02}
    training: {epochs: 12, validate_every: 6, picture_epochs: [6], threads: 1}
tune: {model_weights: tuned}
predict: {batch: 2}
preview: {samples: 1}
""")


def recipe(*settings, raw=MIXED):
    kind = find_challenge("kelp").options.RECIPE
    return validate(kind, override(raw, settings), "mixed.yaml")


def refused(*settings):
    with pytest.raises(RecipeError) as error:
        recipe(*settings)
    return str(error.value)


def only_trees(*settings):
    raw = copy.deepcopy(MIXED)
    del raw["members"][0]
    return recipe(*settings, raw=raw)


# What a recipe may say ----------------------------------------------------------------


def test_the_engine_says_what_a_member_is():
    mixed = recipe()
    assert [type(member) for member in mixed.members] == [KelpMember, KelpTrees]
    assert [member.role for member in mixed.members] == ["segment", "segment"]
    assert recipe_from_json(mixed.to_json()) == mixed
    with pytest.raises(ValidationError, match="forest"):
        KelpTrees(name="trees", engine="forest", training={"epochs": 1})


def test_defaults_are_xgboosts_own_and_the_published_table():
    trees = KelpTrees(name="trees", training={"epochs": 1})
    assert trees.training.learning_rate == 0.3
    values = trees.trees.model_dump()
    assert (values["max_depth"], values["min_child_weight"]) == (6, 1)
    assert values["subsample"] == values["colsample_bytree"] == 1
    assert values["scale_pos_weight"] == 1
    assert (trees.pixels.ring, trees.pixels.random_share) == (10, 0.05)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["training.ema=0.9"], "training.ema; leave it out"),
        (
            ["training.optimiser=sgd", "training.weight_decay=0"],
            "training.optimiser and training.weight_decay; leave them out",
        ),
        (["training.samples_per_epoch=5"], "training.samples_per_epoch"),
        (["training.schedule.name=none"], "training.schedule"),
        (["training.precision=16-mixed"], "training.precision"),
        (["training.workers=2"], "training.workers"),
        (["inference.tta=flips"], "inference.tta"),
        (["inference.window=64"], "inference.window"),
        (["inference.precision=16-true"], "inference.precision"),
        (["input.normalise=z-score"], "input.normalise"),
        (["input.pad=reflect"], "input.pad"),
    ],
)
def test_what_trees_do_not_use_is_refused_by_name(settings, named):
    message = refused(*(f"members.trees.{setting}" for setting in settings))
    assert f"members.1: boosted trees do not use {named}" in message


def test_what_they_use_may_be_set():
    settings = (
        "epochs=3",
        "batch=2",
        "learning_rate=0.1",
        "weights=best",
        "patience=2",
        "validate_every=1",
        "checkpoint_minutes=1",
        "picture_epochs=[1]",
        "threads=2",
        "monitor=loss",
    )
    set_ = recipe(*(f"members.trees.training.{setting}" for setting in settings))
    assert set_.members[1].training.weights == "best"
    for option in ("mask_qa", "mask_water"):
        assert recipe(f"members.trees.input.{option}=false")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("trees.max_dept=3", "'members.1.trees.max_dept', did you mean 'max_depth'?"),
        ("pixels.rings=3", "'members.1.pixels.rings', did you mean 'ring'?"),
        ("training.epoch=3", "'members.1.training.epoch', did you mean 'epochs'?"),
        ("pixel=3", "'members.1.pixel', did you mean 'pixels'?"),
        ("net.encoder=x", "unknown key 'members.1.net'"),
        ("training.weights=ema", "members.1.training.weights: Input should be"),
        ("training.learning_rate=2", "members.1.training.learning_rate: Input"),
        ("pixels.random_share=5", "members.1.pixels.random_share: Input should"),
    ],
)
def test_a_slip_in_a_tree_member_is_named_as_the_recipe_has_it(setting, words):
    assert words in refused(f"members.trees.{setting}")


def test_a_slip_in_a_network_is_still_named_as_the_recipe_has_it():
    message = refused("members.unet.net.encoders=x")
    assert "unknown key 'members.0.net.encoders', did you mean 'encoder'?" in message
    assert "members.0.engine: Input" in refused("members.unet.engine=forest")


def test_trees_need_no_statistics():
    reader = find_challenge("kelp").reader
    named = reader.channels(recipe()).names
    assert {"NDVI@qw", "NIR"} <= set(named)
    assert "GNDVI@qw" not in named
    assert reader.channels(only_trees()) is None


# Whole runs ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    directory = tmp_path_factory.mktemp("source")
    synthesise(directory, recipe().synth)
    return directory / "data"


@pytest.fixture(scope="module")
def trees_run(source, tmp_path_factory):
    """A run of trees alone, from the source to the preview."""
    from driver import run_stages

    store = Store(tmp_path_factory.mktemp("store"))
    return run_stages(Context(only_trees(), store), str(source))


def test_trees_alone_go_from_the_source_to_a_submission(trees_run):
    assert all(task.status == OK for task in trees_run.tasks.values())
    submission = trees_run.challenge.submission
    path = trees_run.entry("submit").path / submission.FILE
    predictions = dict(submission.read(path))
    assert len(predictions) == 3
    metrics = [trees_run.entry(f"train trees {fold}").json(METRICS) for fold in (0, 1)]
    assert not any(one["selected_on_fold"] for one in metrics)
    # Better than calling nothing kelp, which scores 0.
    assert max(one["score"] for one in metrics) > 0.3


def test_held_out_outputs_are_compact_and_whole(trees_run):
    entry = trees_run.entry("train trees 0")
    outputs = Dataset(entry.path / OUT_OF_FOLD)
    for id_ in outputs.catalogue["id"]:
        prob = outputs.sample(id_)["prob"]
        assert (prob.shape, prob.dtype) == ((350, 350), np.uint8)
    assert (entry.path / OUT_OF_FOLD / SHARDS).is_dir()
    history = pl.read_parquet(entry.path / HISTORY)
    validated = history.drop_nulls("val/score")["val/score"].to_list()
    assert entry.json(METRICS)["score"] == validated[-1]


def test_the_page_shows_what_the_trees_look_at(trees_run):
    entry = trees_run.entry("train trees 0")
    description = entry.json(MODEL)
    assert description["weights"] == "weights/last.ubj"
    assert {row["channel"] for row in description["importance"]} == set(
        description["channels"]
    )
    html = page_path(show(trees_run.context, entry)).read_text("utf-8")
    for words in (
        "What the trees look at",
        "loss if shuffled",
        "GNDVI",
        "precision and recall",
        "ROC",
    ):
        assert words in html
    assert "<script" not in html.lower()


def test_other_pixels_are_another_training_and_the_machine_is_not():
    base = only_trees().members[0].decisive()
    assert only_trees("members.trees.pixels.ring=6").members[0].decisive() != base
    assert only_trees("members.trees.trees.max_depth=5").members[0].decisive() != base
    same = only_trees("members.trees.training.checkpoint_minutes=1")
    assert same.members[0].decisive() == base


@pytest.mark.slow
def test_a_network_and_trees_are_one_ensemble(source, tmp_path):
    from driver import run_stages

    run = run_stages(Context(recipe(), Store(tmp_path)), str(source))
    assert all(task.status == OK for task in run.tasks.values())
    decided = run.entry("tune").json(DECISION)
    assert {row["model"] for row in decided["members"]} == {"unet", "trees"}
    weights = decided["choice"]["model_weights"]
    assert weights.keys() == {"unet", "trees"}
    assert sum(weights.values()) == pytest.approx(1)
    # Two epochs of a tiny network cannot keep up with trees.
    assert weights["trees"] > 0.5
    submission = run.challenge.submission
    path = run.entry("submit").path / submission.FILE
    assert len(dict(submission.read(path))) == 3
