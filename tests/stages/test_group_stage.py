"""Groups and folds of a synthetic coast: what their artifacts may claim, and do."""

import html

import numpy as np
import polars as pl
import pytest

from tenfold.challenges import find_challenge, load_recipe
from tenfold.challenges.kelp import duplicates
from tenfold.data.dataset import Dataset
from tenfold.errors import LeakError, RecipeError
from tenfold.folds import FoldTable
from tenfold.grouping import embedder, neighbours
from tenfold.stages import group, ingest, split
from tenfold.stages.context import Context
from tenfold.stages.entries import EDGES, FOLDS, GROUPS, PROOF, SUMMARY
from tenfold.stages.pages import HEADLINE, page_path, show
from tenfold.store import Entry, Store

SYNTH = ("synth.train=24", "synth.test=4", "synth.coasts=7", "synth.bad_files=false")
THREE_FOLDS = ("split.k=3",)
NO_OVERLAP = ("groups.overlap.enabled=false",)
EMBED = (
    "groups.embedding.enabled=true",
    "groups.embedding.weights=scripted.safetensors",
)
EXACT_CLAIM = (
    "No pair of samples with a cosine similarity of at least 0.97 crosses folds."
)


def scripted_embed(pictures, network, weights, on_progress):
    """Embed without looking: ten places, seen about three times each."""
    del network, weights
    n = len(list(pictures))
    on_progress(n, 0)
    rng = np.random.default_rng(0)
    place = rng.standard_normal((10, 8))[rng.integers(0, 10, n)]
    return (place + 0.12 * rng.standard_normal(place.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def coast(tmp_path_factory):
    """Synthetic tiles, a file of weights, and a store."""
    folder = tmp_path_factory.mktemp("coast")
    recipe = load_recipe("kelp", "smoke", SYNTH)
    find_challenge("kelp").synth.synthesise(folder / "raw", recipe.synth)
    (folder / "scripted.safetensors").write_bytes(b"weights")
    return folder


class Grouped:
    """What group and split made of the coast with some settings."""

    def __init__(self, coast, *settings):
        recipe = load_recipe("kelp", "smoke", (*SYNTH, *THREE_FOLDS, *settings))
        self.context = Context(recipe, Store(coast / "store"))
        data = ingest.run(self.context, str(coast / "raw" / "data"))
        groups = group.run(self.context, data)
        folds = split.run(self.context, data, groups)
        self.data, self.groups, self.folds = map(
            self.context.entry, (data, groups, folds)
        )

    def page(self, entry):
        """Return the words of an entry's page, and its figures."""
        made = show(self.context, entry)
        words = html.unescape(page_path(made).read_text("utf-8"))
        return words, made.json(HEADLINE)["figures"]

    def table(self, entry, name):
        return pl.read_parquet(entry.path / name)


@pytest.fixture
def grouped(coast, monkeypatch):
    """Return a function that groups and splits the coast with some settings."""
    monkeypatch.setenv("TENFOLD_WEIGHTS", str(coast))
    monkeypatch.setattr(embedder, "embed", scripted_embed)
    return lambda *settings: Grouped(coast, *settings)


def approximate(probes):
    index = "groups.embedding.index=approximate"
    return (*NO_OVERLAP, *EMBED, index, f"groups.embedding.probes={probes}")


def test_overlap_alone_claims_what_it_found_and_no_more(grouped):
    made = grouped()
    (search,) = made.groups.json(SUMMARY)["searches"]
    assert (search["kind"], search["samples"]) == ("overlap", 28)
    edges = made.table(made.groups, EDGES)
    assert search["pairs"] == len(edges) > 5
    statement = made.folds.json(SUMMARY)["statement"]
    fold = dict(made.table(made.folds, FOLDS).select("id", "fold").iter_rows())
    within = [
        (a, b) for a, b in edges.select("a", "b").iter_rows() if {a, b} <= {*fold}
    ]
    assert statement["pairs"] == len(within) > 0
    assert statement["crossing"] == 0
    assert all(fold[a] == fold[b] for a, b in within)
    claim = "No two samples that were found to overlap exactly are in two folds."
    assert statement["claims"] == [claim]
    words, _ = made.page(made.folds)
    assert claim in words
    assert "No search compared every pair" in words
    assert made.folds.json(PROOF)["groups_in_two_folds"] == 0
    assert "Samples that share little detail may be missed" in made.page(made.groups)[0]


def test_exact_and_blocked_searches_make_the_same_groups_and_the_full_claim(grouped):
    both = [
        grouped(*NO_OVERLAP, *EMBED, f"groups.embedding.index={index}")
        for index in ("blocked", "exact", "auto")
    ]
    for name in (EDGES, GROUPS):
        tables = [made.table(made.groups, name) for made in both]
        assert len(tables[0]) > 0
        assert tables[0].equals(tables[1])
        assert tables[0].equals(tables[2])
    for made, index in zip(both, ("blocked", "exact", "blocked"), strict=True):
        (search,) = made.groups.json(SUMMARY)["searches"]
        assert (search["index"], search["recall"]) == (index, None)
        assert "were compared with each other" in made.page(made.groups)[0]
        (claim,) = made.folds.json(SUMMARY)["statement"]["claims"]
        assert claim.startswith(EXACT_CLAIM)
        words, _ = made.page(made.folds)
        assert EXACT_CLAIM in words
        assert "No search compared every pair" not in words


def test_an_approximate_search_claims_less_and_carries_its_recall(grouped, monkeypatch):
    # Cells of two samples, so that looking into one of them misses pairs.
    monkeypatch.setattr(neighbours, "_POINTS_A_CELL", 2)
    everything = grouped(*NO_OVERLAP, *EMBED, "groups.embedding.index=exact")
    made = grouped(*approximate(1))
    (search,) = made.groups.json(SUMMARY)["searches"]
    recall = search["recall"]
    taking_part = search["samples"] - search["blank"]
    assert (recall["drawn"], recall["seed"]) == (taking_part, 0)
    wanted = {*everything.table(everything.groups, EDGES).select("a", "b").iter_rows()}
    found = {*made.table(made.groups, EDGES).select("a", "b").iter_rows()}
    assert found < wanted
    assert (recall["pairs"], recall["found"]) == (len(wanted), len(found))
    ends = {id_ for pair in wanted for id_ in pair}
    missing = {id_ for pair in wanted - found for id_ in pair}
    assert recall["trials"] == len(ends)
    assert recall["value"] == pytest.approx(1 - len(missing) / len(ends))
    assert 0 < recall["low"] < recall["value"] < recall["high"] < 1
    share = f"Its measured recall is {int(recall['value'] * 1000) / 10:g}%"
    words, figures = made.page(made.groups)
    assert share in words
    assert "set groups.embedding.index to exact" in words
    assert figures["recall"] == recall["value"]
    (claim,) = made.folds.json(SUMMARY)["statement"]["claims"]
    assert "pairs may have been missed" in claim
    assert share in claim
    words, _ = made.page(made.folds)
    assert claim in words
    assert EXACT_CLAIM not in words
    assert "No search compared every pair" in words


def test_an_approximate_search_that_misses_nothing_still_is_no_proof(grouped):
    made = grouped(*approximate(8))
    (claim,) = made.folds.json(SUMMARY)["statement"]["claims"]
    assert "Its measured recall is 100% (95% interval" in claim
    assert EXACT_CLAIM not in claim


def test_both_searches_join_their_edges_and_claim_side_by_side(grouped):
    few = (*EMBED, "groups.embedding.threshold=0.996")
    overlap, alike = grouped(), grouped(*NO_OVERLAP, *few)
    made = grouped(*few)
    edges = made.table(made.groups, EDGES)
    parts = [part.table(part.groups, EDGES) for part in (overlap, alike)]
    assert min(map(len, parts)) > 0
    assert edges.equals(pl.concat(parts))
    assert made.groups.json(SUMMARY)["edges"] == {
        "overlap": len(parts[0]),
        "embedding": len(parts[1]),
    }
    claims = made.folds.json(SUMMARY)["statement"]["claims"]
    assert len(claims) == 2
    assert claims[1].startswith(EXACT_CLAIM.replace("0.97", "0.996"))


def test_pictures_of_one_colour_are_nobodys_look_alikes(grouped):
    made = grouped(*NO_OVERLAP, *EMBED)
    dataset = Dataset(made.data.path)
    blank = {
        id_
        for id_ in dataset.catalogue["id"]
        if duplicates.picture(dataset.sample(id_)).max() == 0
    }
    assert len(blank) > 0
    (search,) = made.groups.json(SUMMARY)["searches"]
    assert search["blank"] == len(blank)
    edges = made.table(made.groups, EDGES)
    assert not blank & {*edges["a"], *edges["b"]}
    (claim,) = made.folds.json(SUMMARY)["statement"]["claims"]
    assert claim.endswith(
        f" {len(blank)} samples whose picture is of one colour took no part."
    )


def test_test_samples_are_reported_and_join_no_group(grouped):
    made = grouped()
    summary = made.groups.json(SUMMARY)
    split_of = dict(Dataset(made.data.path).catalogue.select("id", "split").iter_rows())
    groups = made.table(made.groups, GROUPS)
    assert {split_of[id_] for id_ in groups["id"]} == {"train"}
    group_of = dict(groups.select("id", "group").iter_rows())
    wanted = {}
    for a, b in made.table(made.groups, EDGES).select("a", "b").iter_rows():
        for test, train in ((a, b), (b, a)):
            if split_of[test] == "test" and train in group_of:
                wanted.setdefault(test, set()).add(group_of[train])
    assert wanted
    assert summary["test_matches"] == {id_: sorted(g) for id_, g in wanted.items()}


def test_without_any_search_nothing_is_claimed(grouped):
    made = grouped(*NO_OVERLAP)
    assert made.groups.json(SUMMARY)["groups"] == 24
    assert "No search was made" in made.page(made.groups)[0]
    (claim,) = made.folds.json(SUMMARY)["statement"]["claims"]
    assert "nothing is known about near-duplicates" in claim
    assert claim in made.page(made.folds)[0]


def test_a_pair_that_crosses_folds_is_a_leak(grouped, tmp_path):
    made = grouped()
    ids = made.table(made.groups, GROUPS)["id"].to_list()
    table = pl.DataFrame({"id": ids, "fold": [i % 3 for i in range(len(ids))]})
    pairs = pl.DataFrame({"a": [ids[0], ids[0]], "b": [ids[3], ids[4]]})
    pairs.write_parquet(tmp_path / EDGES)
    forged = Entry("group/forged", tmp_path, {})
    words = f"{ids[0]} and {ids[4]} are near-duplicates in two folds"
    with pytest.raises(LeakError, match=words):
        split._statement(FoldTable(table, 3, "x"), forged, None)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("index=hnsw", "groups.embedding.index: Input should be 'auto', 'blocked'"),
        ("probes=0", "groups.embedding.probes: Input should be greater than"),
        ("threshold=0", "groups.embedding.threshold: Input should be greater than 0"),
    ],
)
def test_options_that_make_no_search_are_refused(setting, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe("kelp", "smoke", (f"groups.embedding.{setting}",))
