"""Which search is made, and how the recall of an approximate one is measured."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from tenfold.errors import TenfoldError
from tenfold.grouping import search as module
from tenfold.grouping import similarity, vectors
from tenfold.grouping.search import measure_recall, search, wilson
from tenfold.grouping.similarity import similar_pairs
from tenfold.grouping.vectors import Vectors


@pytest.fixture(scope="module")
def clustered():
    rng = np.random.default_rng(1)
    place = rng.standard_normal((200, 16))[rng.integers(0, 200, 600)]
    return (place + 0.12 * rng.standard_normal(place.shape)).astype(np.float32)


def trials(pairs, found, drawn):
    """Count, sample by sample, the drawn ones with pairs, and with all of them."""
    found = {tuple(pair) for pair in found}
    of = {i: {tuple(p) for p in pairs if i in p} for i in drawn}
    those = [mine for mine in of.values() if mine]
    return len(those), sum(mine <= found for mine in those)


def test_auto_needs_no_faiss_until_there_are_many(clustered, monkeypatch):
    assert module.MOST_BLOCKED == 100_000
    few = search(clustered, 0.97)
    assert (few.index, few.recall) == ("blocked", None)
    monkeypatch.setattr(module, "MOST_BLOCKED", 599)
    many = search(clustered, 0.97)
    assert (many.index, many.recall) == ("exact", None)
    np.testing.assert_array_equal(many.pairs, few.pairs)
    np.testing.assert_array_equal(many.cosine, few.cosine)


def test_an_approximate_search_states_what_it_missed(clustered):
    wanted = similar_pairs(clustered, 0.97)[0].tolist()
    found = search(clustered, 0.97, "approximate", probes=1)
    assert found.index == "approximate"
    recall = found.recall
    assert (recall.drawn, recall.seed) == (600, 0)
    assert (recall.pairs, recall.found) == (len(wanted), len(found.pairs))
    counted = trials(wanted, found.pairs.tolist(), range(600))
    assert (recall.trials, recall.complete) == counted
    assert 0 < recall.value < 1
    everything = search(clustered, 0.97, "approximate", probes=600).recall
    assert everything.value == 1
    assert everything.found == len(wanted)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 700), st.integers(0, 9), st.data())
def test_recall_counts_drawn_samples_whose_every_pair_was_found(
    clustered, queries, seed, data
):
    wanted = similar_pairs(clustered, 0.97)[0]
    missed = data.draw(st.sets(st.integers(0, len(wanted) - 1), max_size=40))
    found = np.delete(wanted, sorted(missed), axis=0)
    measured = measure_recall(Vectors(clustered), 0.97, found, queries, seed)
    drawn = np.random.default_rng(seed).choice(600, min(queries, 600), replace=False)
    touched = [pair for pair in wanted.tolist() if set(pair) & set(drawn.tolist())]
    kept = {tuple(pair) for pair in found.tolist()}
    assert measured.drawn == min(queries, 600)
    assert measured.pairs == len(touched)
    assert measured.found == sum(tuple(pair) in kept for pair in touched)
    counted = trials(touched, found.tolist(), drawn.tolist())
    assert (measured.trials, measured.complete) == counted


def test_without_any_pair_nothing_is_known():
    measured = measure_recall(Vectors(np.eye(5)), 0.9, np.zeros((0, 2), np.int64))
    assert measured.trials == 0
    assert measured.value is None
    assert measured.interval == (0.0, 1.0)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_wilsons(share):
    test = binomtest(*share).proportion_ci(0.95, method="wilson")
    assert wilson(*share) == pytest.approx((test.low, test.high), abs=1e-12)


def test_too_many_pairs_are_refused_with_the_cure(monkeypatch):
    monkeypatch.setattr(similarity, "MOST_PAIRS", 44)
    assert len(search(np.ones((9, 3)), 0.9).pairs) == 36
    for index in ("blocked", "exact", "approximate"):
        with pytest.raises(TenfoldError, match=r"more than 44 pairs .*threshold"):
            search(np.ones((11, 3)), 0.9, index)


def test_no_float64_copy_of_the_embeddings_is_made(monkeypatch):
    monkeypatch.setattr(vectors, "_VALUES_AT_ONCE", 1 << 14)
    embeddings = np.random.default_rng(0).standard_normal((300, 6000), dtype=np.float32)
    tracemalloc.start()
    search(embeddings, 0.9)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # One copy in float32; another in float64 would be twice as large.
    assert embeddings.nbytes < peak < 1.5 * embeddings.nbytes
