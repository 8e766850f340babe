"""Votes for pairs and shifts against a plain count over dictionaries."""

import tempfile
from collections import Counter, defaultdict

import numpy as np
import pytest

from tenfold.errors import SourceError
from tenfold.grouping import votes
from tenfold.grouping.keypoints import find_keypoints
from tenfold.grouping.lattices import OverlapOptions
from tenfold.grouping.overlap import find_overlaps

OPTIONS = OverlapOptions(window=3, spacing=2, min_votes=2, max_shifts=2)


@pytest.fixture(scope="module")
def lattices():
    """Crops of a few noisy worlds, some of them alike, one flat."""
    rng = np.random.default_rng(0)
    worlds = rng.integers(1, 50, (3, 90, 90))
    crops = [
        worlds[i % 3][row : row + 48, col : col + 40]
        for i, (row, col) in enumerate(rng.integers(0, 42, (14, 2)))
    ]
    crops.insert(5, np.zeros((48, 40), dtype=np.int64))
    crops.append(crops[0].copy())
    return [(crop, np.ones(crop.shape, dtype=bool)) for crop in crops]


def counted(lattices, options):
    """Count the votes of every pair, with no limit of partners."""
    seen = defaultdict(list)
    for i, (values, valid) in enumerate(lattices):
        found = (array.tolist() for array in find_keypoints(values, valid, options))
        for hash_, row, col in zip(*found, strict=True):
            seen[hash_].append((i, row, col))
    ballots = defaultdict(Counter)
    for places in seen.values():
        for at, (a, row_a, col_a) in enumerate(places):
            for b, row_b, col_b in places[at + 1 :]:
                ballots[a, b][row_a - row_b, col_a - col_b] += 1
    proposed = []
    for pair, ballot in sorted(ballots.items()):
        enough = [(-n, shift) for shift, n in ballot.items() if n >= options.min_votes]
        proposed += [pair + shift for _, shift in sorted(enough)[: options.max_shifts]]
    return proposed


def proposed(lattices, folder):
    """List what the votes propose, and the lattices that were done after each run."""
    meetings = votes.gather(lattices, OPTIONS, folder, lambda _done: None)
    found, done = [], []
    for run, until in votes.candidates(meetings, OPTIONS):
        found += zip(
            *(column.tolist() for column in vars(run).values()),
            strict=True,
        )
        done.append(until)
    return found, done


def test_pairs_and_shifts_are_those_with_most_votes(lattices, tmp_path):
    wanted = counted(lattices, OPTIONS)
    assert len(wanted) > 20
    assert (0, 15, 0, 0) in wanted
    found, done = proposed(lattices, tmp_path)
    assert found == wanted
    assert done[-1] == len(lattices)


@pytest.mark.parametrize(
    ("bound", "value"),
    [
        ("_BUCKETS", 1),
        ("_BUCKETS", 3),
        ("_KEYPOINTS_AT_ONCE", 1),
        ("_KEYPOINTS_AT_ONCE", 500),
        ("_VOTES_AT_ONCE", 1),
        ("_VOTES_AT_ONCE", 300),
    ],
)
def test_what_is_in_memory_at_once_does_not_decide(
    lattices, tmp_path, monkeypatch, bound, value
):
    assert getattr(votes, bound) != value
    monkeypatch.setattr(votes, bound, value)
    assert proposed(lattices, tmp_path)[0] == counted(lattices, OPTIONS)


def test_a_single_lattice_or_a_flat_one_proposes_nothing(lattices, tmp_path):
    assert proposed(lattices[5:6] * 2, tmp_path)[0] == []


def test_temporary_files_go_whether_the_search_ends_or_fails(
    lattices, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = []

    def report(done, _total):
        if done == len(lattices) + 1:
            kept.extend(tmp_path.iterdir())

    find_overlaps(lattices, OPTIONS, report)
    assert list(tmp_path.iterdir()) == []
    broken = [*lattices, (np.zeros((4, 4)), np.ones((4, 4), dtype=bool))]
    with pytest.raises(SourceError, match="lattice 16 holds float64"):
        find_overlaps(broken, OPTIONS)
    assert list(tmp_path.iterdir()) == []
