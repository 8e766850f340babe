"""FAISS proposals against the blocked search and a double loop."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tenfold.errors import RecipeError
from tenfold.grouping import neighbours
from tenfold.grouping.neighbours import cell_count, cells, flat
from tenfold.grouping.similarity import pairs_above, similar_pairs
from tenfold.grouping.vectors import Vectors

# Small whole numbers give many exact ties, equal and opposite rows and rows of zeros.
EMBEDDINGS = arrays(
    np.float32,
    st.tuples(st.integers(0, 14), st.integers(1, 4)),
    elements=st.integers(-2, 2).map(float),
)


def plain(embeddings, threshold):
    """Compare all pairs; whole numbers make every square exact, so ties are ties."""
    rows = [[int(value) for value in row] for row in embeddings]
    found = []
    for i, x in enumerate(rows):
        for j, y in enumerate(rows[i + 1 :], i + 1):
            dot = sum(v * w for v, w in zip(x, y, strict=True))
            lengths = sum(v * v for v in x) * sum(v * v for v in y)
            if lengths and dot / lengths**0.5 >= threshold:
                found.append([i, j])
    return found


@pytest.fixture(scope="module")
def clustered():
    """900 rows that near-duplicates come in, in 24 dimensions."""
    rng = np.random.default_rng(0)
    place = rng.standard_normal((300, 24))[rng.integers(0, 300, 900)]
    return (place + 0.1 * rng.standard_normal(place.shape)).astype(np.float32)


@settings(max_examples=80, deadline=None)
@given(
    EMBEDDINGS,
    st.sampled_from([1e-7, 0.05, 0.3, 0.5, 0.75, 0.8, 1.0]),
    st.integers(1, 6),
)
def test_faiss_blocks_and_a_double_loop_agree(embeddings, threshold, block):
    blocks = similar_pairs(embeddings, threshold, block)
    pairs, cosine = pairs_above(Vectors(embeddings), threshold, flat(block))
    assert pairs.tolist() == plain(embeddings, threshold)
    np.testing.assert_array_equal(pairs, blocks[0])
    np.testing.assert_array_equal(cosine, blocks[1])


def test_faiss_gives_the_last_bit_of_the_blocked_search(clustered):
    wanted = similar_pairs(clustered, 0.97)
    assert len(wanted[0]) > 500
    for block in (1, 7, 250, 4096):
        found = pairs_above(Vectors(clustered), 0.97, flat(block))
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1], wanted[1])


def test_a_score_may_sit_on_the_threshold_itself(clustered):
    _, cosine = similar_pairs(clustered, 0.9)
    for threshold in cosine[::97].tolist():
        wanted = similar_pairs(clustered, threshold)
        assert (wanted[1] == threshold).any()
        found = pairs_above(Vectors(clustered), threshold, flat())
        np.testing.assert_array_equal(found[0], wanted[0])
        above = np.nextafter(threshold, 1)
        assert len(similar_pairs(clustered, above)[0]) < len(wanted[0])


def test_all_cells_find_all_pairs_and_fewer_find_no_others(clustered):
    clustered = clustered.copy()
    clustered[[3, 500, 899]] = 0
    clustered[7] = clustered[8]
    wanted = similar_pairs(clustered, 0.97)
    everything = cell_count(len(clustered))
    assert everything > 10
    vectors = Vectors(clustered)
    found = pairs_above(vectors, 0.97, cells(everything))
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1], wanted[1])
    few = pairs_above(vectors, 0.97, cells(1))[0].tolist()
    assert 0 < len(few) < len(wanted[0])
    assert {tuple(pair) for pair in few} < {tuple(pair) for pair in wanted[0].tolist()}
    assert pairs_above(vectors, 0.97, cells(1))[0].tolist() == few


@pytest.mark.parametrize("probes", [1, 2, 4])
def test_a_pair_is_found_if_either_looks_into_the_cell_of_the_other(
    clustered, monkeypatch, probes
):
    every = np.tile(np.arange(15), (900, 1))
    given_cells = np.random.default_rng(2).permuted(every, axis=1)
    monkeypatch.setattr(neighbours, "cell_count", lambda _rows: 15)
    monkeypatch.setattr(
        neighbours, "_nearest_cells", lambda *_: given_cells[:, :probes]
    )
    looks = [set(row) for row in given_cells[:, :probes].tolist()]
    home = given_cells[:, 0].tolist()
    wanted = [
        [i, j]
        for i, j in similar_pairs(clustered, 0.97)[0].tolist()
        if home[j] in looks[i] or home[i] in looks[j]
    ]
    assert len(wanted) > 20
    assert pairs_above(Vectors(clustered), 0.97, cells(probes))[0].tolist() == wanted


@settings(max_examples=25, deadline=None)
@given(EMBEDDINGS, st.sampled_from([0.3, 0.8, 1.0]))
def test_a_handful_of_rows_is_one_cell_and_exact(embeddings, threshold):
    pairs, _ = pairs_above(Vectors(embeddings), threshold, cells(1))
    assert pairs.tolist() == plain(embeddings, threshold)


@pytest.mark.parametrize(
    ("rows", "count"), [(0, 1), (77, 1), (78, 2), (10_000, 200), (1_000_000, 2000)]
)
def test_cells_grow_with_the_root_and_are_never_nearly_empty(rows, count):
    assert cell_count(rows) == count


@pytest.mark.parametrize("proposals", [flat, lambda report: cells(2, report)])
def test_progress_ends_at_all_rows(clustered, proposals):
    seen = []
    proposing = proposals(report=lambda *reading: seen.append(reading))
    pairs_above(Vectors(clustered), 0.97, proposing)
    assert seen[-1] == (900, 900)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_no_probe_is_refused():
    with pytest.raises(RecipeError, match="probes must be at least 1, got 0"):
        cells(0)


def test_without_faiss_one_is_told_what_to_do(monkeypatch, clustered):
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert len(similar_pairs(clustered, 0.97)[0]) > 0
    for proposals in (flat(), cells(2)):
        with pytest.raises(RecipeError, match=r"faiss-cpu, or set .*index to blocked"):
            pairs_above(Vectors(clustered), 0.97, proposals)


def test_faiss_is_imported_on_use_and_keeps_to_the_threads_it_is_given():
    code = """
import sys
import numpy as np
import tenfold.stages.group
from tenfold.grouping.search import search
rows = np.eye(200, dtype=np.float32)
search(rows, 0.9)
assert "faiss" not in sys.modules
for index in ("exact", "approximate"):
    search(rows, 0.9, index)
assert sys.modules["faiss"].omp_get_max_threads() == 3
"""
    environment = {"OMP_NUM_THREADS": "3", "PATH": ""}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
