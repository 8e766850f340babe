"""Blocked cosine search against a double loop, ties and zero rows included."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tenfold.errors import RecipeError, TenfoldError
from tenfold.grouping.similarity import similar_pairs

# Small whole numbers give many exact ties, opposite rows and rows of zeros.
EMBEDDINGS = arrays(
    np.float32,
    st.tuples(st.integers(0, 14), st.integers(1, 4)),
    elements=st.integers(-2, 2).map(float),
)


def brute(embeddings, threshold):
    """Compare all pairs; the sums are exact, because the values are whole numbers."""
    found = []
    rows = [[int(value) for value in row] for row in embeddings]
    for i, x in enumerate(rows):
        for j, y in enumerate(rows[i + 1 :], i + 1):
            xx, yy = sum(v * v for v in x), sum(v * v for v in y)
            dot = sum(v * w for v, w in zip(x, y, strict=True))
            if xx and yy and dot / math.sqrt(xx * yy) >= threshold:
                found.append((i, j))
    return found


@settings(max_examples=150, deadline=None)
@given(
    EMBEDDINGS,
    st.sampled_from([0.05, 0.3, 0.5, 0.75, 0.8, 1.0]),
    st.integers(1, 6),
)
def test_same_pairs_as_a_double_loop_for_any_block(embeddings, threshold, block):
    pairs, cosine = similar_pairs(embeddings, threshold, block)
    assert [tuple(pair) for pair in pairs.tolist()] == brute(embeddings, threshold)
    assert pairs.shape == (len(cosine), 2)
    assert (cosine >= threshold).all()
    assert (cosine <= 1).all()


def test_block_changes_neither_pairs_nor_scores():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((20, 64))
    rows = centres[rng.integers(0, 20, 300)] + 0.2 * rng.standard_normal((300, 64))
    pairs, cosine = similar_pairs(rows.astype(np.float32), 0.95, 2048)
    assert 100 < len(pairs) < 10_000
    for block in (1, 7, 100):
        again = similar_pairs(rows.astype(np.float32), 0.95, block)
        np.testing.assert_array_equal(again[0], pairs)
        np.testing.assert_array_equal(again[1], cosine)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    want = (unit @ unit.T)[pairs[:, 0], pairs[:, 1]]
    np.testing.assert_allclose(cosine, want, atol=1e-6)


def test_pairs_are_sorted_and_ties_count():
    rows = np.array([[1, 0], [3, 4], [1, 0], [5, 0]], dtype=np.float32)
    pairs, cosine = similar_pairs(rows, 0.6, block=2)
    assert pairs.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    np.testing.assert_allclose(cosine, [0.6, 1, 1, 0.6, 0.6, 1])
    assert similar_pairs(rows, 1.0)[0].tolist() == [[0, 2], [0, 3], [2, 3]]


def test_equal_rows_score_exactly_one():
    row = np.random.default_rng(1).standard_normal((1, 777)).astype(np.float32)
    pairs, cosine = similar_pairs(np.repeat(row, 3, axis=0), 1.0)
    assert pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert cosine.tolist() == [1.0, 1.0, 1.0]


def test_huge_and_tiny_rows_neither_overflow_nor_vanish():
    rows = np.array([[3e200, 4e200], [3e-200, 4e-200], [0, 0]])
    pairs, cosine = similar_pairs(rows, 0.999)
    assert pairs.tolist() == [[0, 1]]
    assert cosine[0] == pytest.approx(1)


def test_no_rows_give_no_pairs():
    pairs, cosine = similar_pairs(np.zeros((0, 5), np.float32), 0.9)
    assert pairs.shape == (0, 2)
    assert cosine.shape == (0,)


def test_a_row_that_is_not_finite_is_refused():
    rows = np.ones((4, 3), np.float32)
    rows[2, 1] = np.nan
    with pytest.raises(TenfoldError, match="embedding 2 "):
        similar_pairs(rows, 0.9)


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, float("nan")])
def test_a_threshold_that_makes_no_sense_is_refused(threshold):
    with pytest.raises(RecipeError, match="threshold"):
        similar_pairs(np.ones((2, 2), np.float32), threshold)


def test_a_block_of_nothing_is_refused():
    with pytest.raises(RecipeError, match="block"):
        similar_pairs(np.ones((2, 2), np.float32), 0.9, 0)
