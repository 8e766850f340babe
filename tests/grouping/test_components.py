"""Components against a union-find written out, and their independence of order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.grouping.components import connected_components


def by_union_find(n, edges):
    parent = list(range(n))

    def root(i):
        while parent[i] != i:
            i = parent[i]
        return i

    for a, b in edges:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    roots = [root(i) for i in range(n)]
    number = {node: label for label, node in enumerate(sorted(set(roots)))}
    return [number[node] for node in roots]


@st.composite
def graphs(draw):
    n = draw(st.integers(1, 25))
    node = st.integers(0, n - 1)
    return n, draw(st.lists(st.tuples(node, node), max_size=40))


@given(graphs())
def test_same_labels_as_a_union_find(graph):
    n, edges = graph
    labels = connected_components(n, np.array(edges, dtype=np.int64))
    assert labels.dtype == np.int64
    assert labels.tolist() == by_union_find(n, edges)


@given(graphs(), st.randoms(use_true_random=False))
def test_order_direction_and_repeats_of_edges_do_not_matter(graph, random):
    n, edges = graph
    shuffled = [edge[:: random.choice([1, -1])] for edge in edges + edges[:3]]
    random.shuffle(shuffled)
    np.testing.assert_array_equal(
        connected_components(n, np.array(edges, dtype=np.int64)),
        connected_components(n, np.array(shuffled, dtype=np.int64)),
    )


@given(graphs())
def test_labels_are_numbered_by_smallest_member(graph):
    n, edges = graph
    labels = connected_components(n, np.array(edges, dtype=np.int64))
    first_seen = list(dict.fromkeys(labels.tolist()))
    assert first_seen == list(range(len(first_seen)))


def test_a_chain_is_one_group_however_it_is_ordered():
    chain = np.array([[0, 4], [4, 3], [3, 2], [2, 1]])
    for order in (chain, chain[::-1], chain[[2, 0, 3, 1]]):
        assert connected_components(6, order).tolist() == [0, 0, 0, 0, 0, 1]


def test_no_edges_and_no_nodes():
    none = np.zeros((0, 2), dtype=np.int64)
    assert connected_components(3, none).tolist() == [0, 1, 2]
    assert connected_components(0, none).tolist() == []


@pytest.mark.parametrize("edge", [[0, 3], [-1, 0]])
def test_an_edge_outside_the_nodes_is_refused(edge):
    with pytest.raises(ValueError, match="but there are 3 nodes"):
        connected_components(3, np.array([edge]))
