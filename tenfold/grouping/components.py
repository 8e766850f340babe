"""Own the step from pairs of samples to groups: connected components of a graph."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components as label_components

IntArray = npt.NDArray[np.int64]


def connected_components(n: int, edges: IntArray) -> IntArray:
    """Label the connected components of an undirected graph.

    Grouping is the transitive closure of the pairs: if a matches b and b matches c,
    all three share a group, however the pairs are ordered. Linear in nodes and edges.

    Args:
        n: number of nodes, which are 0..n-1.
        edges: (E, 2) node pairs in any order; repeats and loops are harmless.

    Returns:
        (n,) int64 labels 0..g-1. Components are numbered by their smallest member, so
        the labels depend on the graph alone and not on the order of its edges.

    Raises:
        ValueError: an edge names a node outside 0..n-1.
    """
    pairs = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    if pairs.size and (pairs.min() < 0 or pairs.max() >= n):
        raise ValueError(
            f"edges name nodes {pairs.min()}..{pairs.max()}, but there are {n} nodes"
        )
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    ones = np.ones(len(pairs), dtype=np.int8)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, labels = label_components(graph, directed=False)
    _, first_member, label = np.unique(labels, return_index=True, return_inverse=True)
    # SciPy promises no numbering, so number by the first appearance ourselves.
    rank = np.empty(len(first_member), dtype=np.int64)
    rank[np.argsort(first_member)] = np.arange(len(first_member))
    return rank[label]
