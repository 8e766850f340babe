"""Matching overlaps holds a part of the keypoints, however many tiles there are."""

import tracemalloc

import numpy as np

from tenfold.grouping import votes
from tenfold.grouping.overlap import find_overlaps

SIDE, VISITS, REACH = 96, 4, 40


class Coasts:
    """Tiles made when they are asked for, so that none is held here."""

    def __init__(self, n):
        self._n = n
        self._ground = np.random.default_rng(5).integers(1, 99, (600, 600), np.int16)

    def __len__(self):
        return self._n

    def __getitem__(self, i):
        if i >= self._n:
            raise IndexError(i)
        place, visit = np.random.default_rng([0, i // VISITS]), np.random.default_rng(i)
        corner = place.integers(0, len(self._ground) - SIDE - REACH, 2)
        row, col = corner + visit.integers(0, REACH + 1, 2)
        # Each place has heights of its own.
        tile = self._ground[row : row + SIDE, col : col + SIDE] + 100 * (i // VISITS)
        return tile.astype(np.int16), np.ones((SIDE, SIDE), bool)


def peak(n):
    """Return the most bytes that were held at once, and the overlaps found."""
    tiles = Coasts(n)
    tracemalloc.start()
    try:
        found = find_overlaps(tiles)
        return tracemalloc.get_traced_memory()[1], len(found.overlaps)
    finally:
        tracemalloc.stop()


def test_four_times_the_tiles_need_hardly_more_memory(monkeypatch):
    # As few as so few tiles fill; what is in one bucket is in memory at once.
    monkeypatch.setattr(votes, "_BUCKETS", 16)
    monkeypatch.setattr(votes, "_KEYPOINTS_AT_ONCE", 1000)
    monkeypatch.setattr(votes, "_VOTES_AT_ONCE", 1000)
    (few, found), (many, more) = peak(40), peak(160)
    assert more > 3 * found > 100
    assert many < 1.25 * few


def test_the_measure_would_notice_keypoints_that_are_kept(monkeypatch):
    monkeypatch.setattr(votes, "_BUCKETS", 16)
    assert peak(160)[0] > 1.5 * peak(40)[0]
