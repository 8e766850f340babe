"""The search against the whole procedure, written out and run anew for every part."""

import numpy as np
import pytest

from tenfold.challenges.contrails import measuring, tuning
from tenfold.challenges.contrails.thresholds import multiples
from tests.challenges.contrails.out_of_fold import (
    OutOfFold,
    above,
    cleaned,
    dice,
    recipe_with,
)

GRID = multiples(0.02)


class Procedure:
    """The choice as the documentation tells it, on any of the records."""

    def __init__(self, source, sizes=(0,), grid=GRID):
        self.truth, self.sizes, self.grid = source.truth, sorted(sizes), grid
        mean = source.mean()
        self.whole = {t: above(mean, t) for t in grid}
        self.kept = {}

    def masks(self, threshold, least):
        """Return masks (N, H, W), each cleaned once."""
        if least <= 1:
            return self.whole[threshold]
        if (threshold, least) not in self.kept:
            masks = self.whole[threshold]
            self.kept[threshold, least] = np.stack([cleaned(m, least) for m in masks])
        return self.kept[threshold, least]

    def score(self, pair, chosen):
        return dice(self.masks(*pair)[chosen], self.truth[chosen])

    def choose(self, chosen):
        first = self.best([(t, 0) for t in self.grid], chosen)
        place = self.grid.index(first[0])
        if self.sizes[-1] <= 1:
            return first[0], self.sizes[0]
        near = self.grid[max(place - 5, 0) : place + 6]
        return self.best([(t, s) for s in self.sizes for t in near], chosen)

    def best(self, pairs, chosen):
        scores = [self.score(pair, chosen) for pair in pairs]
        return pairs[scores.index(max(scores))]

    def honest(self, parts):
        kept = np.zeros(self.truth.shape, bool)
        for part in np.unique(parts):
            pair = self.choose(parts != part)
            kept[parts == part] = self.masks(*pair)[parts == part]
        return dice(kept, self.truth)


def found_by(source, **tune):
    seen = []
    recipe = recipe_with({"frames": 2, "before": 1}, **({"step": 0.02} | tune))
    found = tuning.search(recipe, source, seen.append)
    records = list(range(1, len(source.ids) + 1))
    passes = 2 if max(tune.get("least_pixels", (0,))) > 1 else 1
    assert seen == passes * records
    return found


@pytest.fixture(scope="module")
def source():
    return OutOfFold()


def test_threshold_and_honest_score_are_those_of_a_full_search(source):
    found, plain = found_by(source), Procedure(source)
    everything = np.full(len(source.ids), True)
    assert found.chosen == plain.choose(everything)
    assert 0.1 < found.chosen.threshold < 0.9
    assert found.naive == pytest.approx(plain.score(found.chosen, everything))
    assert found.honest == pytest.approx(plain.honest(np.array(source.fold_of)))
    # Folds were made to disagree, so that the choice costs something.
    assert found.honest < found.naive


@pytest.mark.parametrize("seed", [3, 4])
def test_least_size_and_threshold_are_chosen_together(seed):
    source, sizes = OutOfFold(seed=seed), (4, 0, 9, 2)
    found, plain = found_by(source, least_pixels=sizes), Procedure(source, sizes)
    everything = np.full(len(source.ids), True)
    assert found.chosen == plain.choose(everything)
    # Without specks a lower threshold pays, which a choice in turns would miss.
    assert found.chosen.least > 1
    assert found.chosen.threshold < found_by(source).chosen.threshold
    assert found.naive == pytest.approx(plain.score(found.chosen, everything))
    assert found.naive > found_by(source).naive
    assert found.honest == pytest.approx(plain.honest(np.array(source.fold_of)))


def test_a_fixed_least_size_still_moves_the_threshold(source):
    found, plain = found_by(source, least_pixels=(6,)), Procedure(source, (6,))
    everything = np.full(len(source.ids), True)
    assert found.chosen == plain.choose(everything)
    assert found.chosen.least == 6
    assert found.honest == pytest.approx(plain.honest(np.array(source.fold_of)))


@pytest.mark.parametrize("least", [0, 1, 5])
def test_what_is_fixed_is_scored_as_it_stands(source, least):
    found = found_by(source, threshold=0.4, least_pixels=(least,))
    plain = Procedure(source, grid=(0.4,))
    everything = np.full(len(source.ids), True)
    assert found.chosen == (0.4, least)
    assert found.naive == pytest.approx(plain.score((0.4, least), everything))
    # Nothing was chosen, so nothing can be too good.
    assert found.honest == found.naive


def test_with_one_fold_parts_of_its_records_are_left_out():
    source = OutOfFold(folds=(0,), records=24, models=("a",))
    found, plain = found_by(source), Procedure(source)
    parts = np.array([measuring.part_of(id_) for id_ in source.ids])
    assert len(np.unique(parts)) == 5
    assert found.honest == pytest.approx(plain.honest(parts))
    assert found.measured.parts == 5


def test_a_part_is_of_the_id_alone_and_parts_are_alike_in_size():
    ids = [str(1_000_216_489_776_414_077 + 977 * i) for i in range(5000)]
    counts = np.bincount([measuring.part_of(id_) for id_ in ids])
    assert counts.tolist() == [
        sum(measuring.part_of(id_) == part for id_ in reversed(ids))
        for part in range(5)
    ]
    assert counts.min() > 900


def test_a_part_without_records_is_no_part():
    source = OutOfFold(folds=(0,), records=3, models=("a",))
    found, plain = found_by(source), Procedure(source)
    parts = np.array([measuring.part_of(id_) for id_ in source.ids])
    assert found.measured.parts == len(np.unique(parts)) < 5
    assert found.honest == pytest.approx(plain.honest(parts))


def test_a_single_record_has_nothing_to_be_left_out_of():
    found = found_by(OutOfFold(folds=(0,), records=1, models=("a",)))
    assert found.honest == found.naive > 0


def test_the_published_search_has_its_own_records_grid_and_score(monkeypatch):
    """With 20 records in batches of 8, instead of 256 in batches of 16."""
    monkeypatch.setattr(tuning, "PUBLISHED_RECORDS", 20)
    monkeypatch.setattr(tuning, "_BATCH", 8)
    source = OutOfFold(records=33, models=("a",), seed=5)
    order = np.argsort(source.ids)[:20]
    scores = []
    for threshold in tuning.PUBLISHED_THRESHOLDS:
        masks = above(source.mean(), threshold)
        scores.append([])
        for batch in (order[:8], order[8:16], order[16:]):
            m, t = masks[batch], source.truth[batch]
            top = 2 * (m * t).sum() + 0.001
            scores[-1].append(top / (m.sum() + t.sum() + 0.001))
    expected = tuning.PUBLISHED_THRESHOLDS[int(np.argmax(np.mean(scores, axis=1)))]
    assert found_by(source).published == expected
    assert multiples(0.1) == tuning.PUBLISHED_THRESHOLDS


def test_what_the_published_search_takes_is_256_records_in_16_batches():
    assert (tuning.PUBLISHED_RECORDS, tuning._BATCH) == (256, 16)
