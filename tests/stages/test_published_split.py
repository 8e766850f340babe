"""The source's own split: its leak is counted, shown, and said of every score."""

import html
import itertools
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tenfold.challenges import find_challenge, load_recipe
from tenfold.challenges.kelp import duplicates, strata
from tenfold.challenges.kelp.options import KelpSplit
from tenfold.challenges.kelp.tiles import unpack_mask
from tenfold.data.dataset import Dataset
from tenfold.data.files import write_json
from tenfold.errors import LeakError, RecipeError
from tenfold.folds import ALWAYS, FoldTable
from tenfold.stages import evaluate, group, ingest, report, split, tune
from tenfold.stages.context import Context
from tenfold.stages.entries import (
    EDGES,
    FOLDS,
    GROUPS,
    LEADERBOARD,
    METRICS,
    PROOF,
    SCORES,
    SUMMARY,
)
from tenfold.stages.fold import FoldJob
from tenfold.stages.pages import HEADLINE, page_path, show
from tenfold.stages.proof import open_folds
from tenfold.store import Entry, Key, Store

SETTINGS = (
    *("synth.train=16", "synth.test=4", "synth.coasts=5", "synth.bad_files=false"),
    *("groups.overlap.enabled=false", "groups.footprint.enabled=true", "split.k=3"),
)
#: Places that are five degrees wide, three degrees apart: next ones overlap.
STEP = 3.0


def footprints(catalogue):
    """Place train tiles along a parallel, with gaps; those of test are nowhere."""
    train = catalogue.filter(pl.col("split") == "train").sort("id")
    place = np.arange(len(train))
    west = STEP * (place + 4 * (place // 3))
    sides = {"west": west, "south": 0.0, "east": west + 5, "north": 4.0}
    return train.select(
        "id", time=pl.lit(7), **{n: pl.lit(v) for n, v in sides.items()}
    )


def held_out_by_source(catalogue):
    """Hold out every fifth tile, in order of ids."""
    return (catalogue["id"].rank("ordinal") - 1) % 5 == 0


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Kelp tiles with footprints and a split of their source, grouped."""
    folder = tmp_path_factory.mktemp("coast")
    recipe = load_recipe("kelp", "smoke", SETTINGS)
    find_challenge("kelp").synth.synthesise(folder / "raw", recipe.synth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "footprints", footprints)
        patch.setattr(strata, "published", held_out_by_source)
        context = Context(recipe, Store(folder / "store"))
        data = ingest.run(context, str(folder / "raw" / "data"))
        groups = group.run(context, data)
        yield SimpleNamespace(context=context, data=data, groups=groups)


@pytest.fixture(scope="module")
def published(world):
    """The world split as its source does; kelp's recipes have no such method."""
    one = KelpSplit.model_construct(**KelpSplit().model_dump())
    one = one.model_copy(update={"k": 1, "method": "published"})
    recipe = world.context.recipe.model_copy(update={"split": one})
    context = Context(recipe, world.context.store)
    data, groups = (
        context.reference(context.store.open(r.address), r.label, False, 1.0)
        for r in (world.data, world.groups)
    )
    folds = split.run(context, data, groups)
    return SimpleNamespace(context=context, data=data, folds=folds)


def page_of(context, reference):
    made = show(context, context.entry(reference))
    words = html.unescape(page_path(made).read_text("utf-8"))
    return words, made.json(HEADLINE)


def leaked_by_hand(world):
    """Return held-out ids, those in a group with training, and those beside one."""
    entry = world.context.entry(world.groups)
    group_of = dict(pl.read_parquet(entry.path / GROUPS).select("id", "group").rows())
    ids = sorted(group_of)
    held_out = {id_ for place, id_ in enumerate(ids) if place % 5 == 0}
    trained = {group_of[id_] for id_ in ids if id_ not in held_out}
    leaked = {id_ for id_ in held_out if group_of[id_] in trained}
    pairs = pl.read_parquet(entry.path / EDGES).select("a", "b").rows()
    beside = {i for p in pairs for i in p if len(held_out & {*p}) == 1} & held_out
    return held_out, leaked, beside


def test_scenes_are_grouped_by_their_footprints(world):
    entry = world.context.entry(world.groups)
    edges = pl.read_parquet(entry.path / EDGES)
    ids = pl.read_parquet(entry.path / GROUPS)["id"].sort().to_list()
    triples = [ids[i : i + 3] for i in range(0, 16, 3)]
    wanted = {pair for triple in triples for pair in itertools.pairwise(triple)}
    assert {*edges.select("a", "b").iter_rows()} == wanted
    # Of five degrees two are shared.
    assert edges["strength"].to_list() == pytest.approx([0.4] * len(wanted))
    assert set(edges["kind"]) == {"footprint"}
    (search,) = entry.json(SUMMARY)["searches"]
    assert search["unknown"] == {"train": 0, "test": 4}
    assert entry.json(SUMMARY)["groups"] == len(triples)
    words, _ = page_of(world.context, world.groups)
    assert "4 have no metadata and took no part: 0 of training, 4 of test" in words
    assert "Scenes that overlap, and were taken at about the same time." in words
    assert "How much of their area scenes that overlap share." in words
    assert "4 test samples have no metadata" in words


def test_grouped_folds_say_what_the_published_split_would_leak(world):
    folds = split.run(world.context, world.data, world.groups)
    entry = world.context.entry(folds)
    held_out, leaked, beside = leaked_by_hand(world)
    assert 0 < len(leaked) < len(held_out)
    summary = entry.json(SUMMARY)
    counts = {"held_out": len(held_out), "leaked": len(leaked), "direct": len(beside)}
    assert summary["published_split"] == counts
    assert summary["statement"]["crossing"] == 0
    assert summary["always"] is None
    words, shown = page_of(world.context, folds)
    share = len(leaked) / len(held_out)
    assert f"is not used. {len(leaked)} of {len(held_out)} held-out samples" in words
    assert "if their footprints overlap" in words
    assert "No search compared every pair" not in words
    assert shown["figures"]["published_split_leaked_share"] == share
    assert shown["figures"]["groups_in_two_folds"] == 0


def test_the_published_split_is_one_fold_that_counts_its_leak(world, published):
    held_out, leaked, _ = leaked_by_hand(world)
    entry = published.context.entry(published.folds)
    table = open_folds(entry, published.context.entry(published.data))
    assert table.held_out(0) == sorted(held_out)
    assert len(table.training(0)) == 16 - len(held_out)
    assert not held_out & {*table.training(0)}
    proof, summary = entry.json(PROOF), entry.json(SUMMARY)
    assert (proof["held_out"], proof["leaked"]) == (len(held_out), len(leaked))
    assert summary["random_split"] is None
    assert summary["always"]["samples"] == 16 - len(held_out)
    assert summary["statement"]["crossing"] > 0
    words, shown = page_of(published.context, published.folds)
    said = f"{len(leaked)} of {len(held_out)} held-out samples"
    assert f"{said} (" in words
    assert "Scores on this split are optimistic." in words
    assert "No two samples are in two folds" not in words
    assert "None of the" not in words
    assert said in shown["summary"]
    assert "random_split_leaked_share" not in shown["figures"]


def forged(published, tmp_path, change):
    """Return the folds with their table changed by hand, under the same proof."""
    entry = published.context.entry(published.folds)
    table = pl.read_parquet(entry.path / FOLDS)
    change(table).write_parquet(tmp_path / FOLDS)
    write_json(tmp_path / PROOF, entry.json(PROOF))
    return Entry(entry.address, tmp_path, entry.manifest)


def test_a_leak_that_the_proof_does_not_count_is_refused(published, tmp_path):
    data = published.context.entry(published.data)
    untouched = forged(published, tmp_path, lambda table: table)
    assert open_folds(untouched, data).published

    def more(table):
        moved = pl.col("id") == table.filter(pl.col("fold") == ALWAYS)["id"][0]
        return table.with_columns(fold=pl.when(moved).then(0).otherwise("fold"))

    with pytest.raises(LeakError, match="not the one its proof is about"):
        open_folds(forged(published, tmp_path, more), data)
    table = pl.read_parquet(tmp_path / FOLDS)
    with pytest.raises(LeakError, match="is in fold -2, and the folds are 0 to 1"):
        FoldTable(table, 2, "x").check()


def test_a_source_without_a_split_of_its_own_is_refused(world, monkeypatch):
    monkeypatch.setattr(strata, "published", lambda _: None)
    entry = world.context.entry(world.groups)
    rows = Dataset(world.context.entry(world.data).path).rows("train")
    challenge = world.context.challenge
    options = KelpSplit()
    used = split._samples(challenge, rows, entry, options)
    assert split._published_split(used, entry) is None
    options = options.model_copy(update={"method": "published"})
    with pytest.raises(RecipeError, match="kelp has no published split: its source"):
        split._folds(challenge, used, options, 0)


# Every score says so


class Perfect:
    """An engine whose models know the truth."""

    @staticmethod
    def load(*_):
        def run(samples, ids, _batch):
            for id_ in ids:
                kelp = unpack_mask(samples.sample(id_))
                yield id_, {"prob": np.where(kelp, 230, 20).astype(np.uint8)}

        return run


@pytest.fixture(scope="module")
def scored(published):
    """The metrics of a member on the published fold, and its evaluation."""
    context, name = published.context, published.context.recipe.members[0].name
    data, folds = (context.entry(r) for r in (published.data, published.folds))
    member = context.recipe.member(name)
    table = open_folds(folds, data)
    job = FoldJob(context, member, 0, data, folds, table, Perfect(), None)
    history = [{"val/loss": 0.5, "val/score": 1.0}] * member.training.epochs

    def work(workspace):
        metrics = job.score({}, workspace.path, history, workspace)
        write_json(workspace.path / METRICS, metrics)

    inputs = {"dataset": data.address, "folds": folds.address}
    key = Key("train", inputs, {"options": [name]}, "code")
    entry = context.store.build(key, f"train {name} 0", {}, work)
    trained = context.reference(entry, f"train {name}, fold 0", False, 1.0)
    board = evaluate.run(context, published.data, published.folds, name, [trained])
    return SimpleNamespace(entry=entry, board=board, name=name)


def test_metrics_and_leaderboard_count_the_samples_that_leak(world, published, scored):
    _, leaked, _ = leaked_by_hand(world)
    assert scored.entry.json(METRICS)["leaks"] == len(leaked)
    (row,) = published.context.entry(scored.board).json(LEADERBOARD)
    assert row["leaks"] == len(leaked)
    words, _ = page_of(published.context, scored.board)
    said = f"{len(leaked)} held-out samples have near-duplicates in training"
    assert f"{said}, where the published split leaves them" in words
    assert words.count(said) == 2  # and in the leaderboard


def test_the_decision_and_the_runs_headline_are_called_optimistic(
    published, scored, tmp_path
):
    board = published.context.entry(scored.board).json(LEADERBOARD)
    shown = ("honest", "naive", "baseline", "curves", "effects", "examples")
    result = dict.fromkeys((*shown, "decision", "statement"), 0)
    tune._write(SimpleNamespace(path=tmp_path), result, board)
    scores = Entry("tune/made", tmp_path, {}).json(SCORES)
    assert scores["leaks"] == [scored.name]
    assert report.optimism(scores).endswith(
        f"{scored.name} learnt from near-duplicates of held-out samples (published"
        " split)"
    )
    old = [{k: v for k, v in row.items() if k != "leaks"} for row in board]
    tune._write(SimpleNamespace(path=tmp_path), result, old)
    assert Entry("tune/made", tmp_path, {}).json(SCORES)["leaks"] == []
