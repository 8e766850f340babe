"""The table of boosted trees: which rows are drawn, and with what chance."""

import numpy as np
import pytest
import trees_toy as toy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tenfold.training.trees_table import draw_table


class Numbers:
    """Samples whose rows say which they are: sample × 1000 + row."""

    features = ("number",)

    def __init__(self, sizes, most_rows=10**6):
        self.sizes, self.most_rows = sizes, most_rows
        self.member = toy.TreesMember(name="numbers", training={"epochs": 1})
        self.reads = 0

    def sample(self, id_):
        self.reads += 1
        return {"id": int(id_)}

    def candidates(self, arrays, rng):
        del rng
        return np.arange(self.sizes[arrays["id"]])

    def rows(self, arrays):
        rows = np.arange(self.sizes[arrays["id"]], dtype=np.float32)
        return (arrays["id"] * 1000 + rows)[:, None]

    def truth(self, arrays):
        # Every fourth row is positive.
        rows = np.arange(self.sizes[arrays["id"]])
        return rows % 4 == 0, np.ones(len(rows), bool)


def draw(task, ids, seed=(1, 2), on_progress=lambda *_: None):
    return draw_table(task, task, [str(id_) for id_ in ids], seed, on_progress)


def test_all_candidates_are_taken_in_order_where_there_is_room():
    task = Numbers([5, 0, 8, 3])
    steps = []
    table = draw(task, range(4), on_progress=lambda *step: steps.append(step))
    expected = [*range(5), *range(2000, 2008), *range(3000, 3003)]
    assert table.values[:, 0].tolist() == expected
    assert table.truth.tolist() == [float(n % 1000 % 4 == 0) for n in expected]
    assert (table.candidates, table.samples) == (16, 3)
    assert steps == [(n, 8) for n in range(1, 9)]
    assert task.reads == 8


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=6),
    most=st.integers(20, 900),
    seed=st.integers(0, 2**32),
)
def test_no_more_rows_than_there_is_room_for(sizes, most, seed):
    total = sum(sizes)
    if total < 200:
        sizes = [*sizes, 200]
        total += 200
    table = draw(Numbers(sizes, most), range(len(sizes)), (seed,))
    assert table.candidates == total
    # Two candidates of a thousand may have drawn the same ticket of a million.
    assert min(most, total) - 3 <= len(table.truth) <= min(most, total)
    kept = table.values[:, 0].tolist()
    assert kept == sorted(set(kept))


def test_every_candidate_has_the_same_chance():
    """Chi-square over who is kept: by row, by sample, by label."""
    sizes, times = [40, 10, 30], 150
    counts = np.zeros(80)
    first = {0: 0, 1: 40, 2: 50}
    for seed in range(times):
        numbers = draw(Numbers(sizes, 20), range(3), (seed,)).values[:, 0].astype(int)
        np.add.at(counts, [first[n // 1000] + n % 1000 for n in numbers], 1)
    assert counts.sum() == pytest.approx(times * 20, abs=5)
    # Kept rows are drawn without replacement, which only lowers the spread.
    assert stats.chisquare(counts).pvalue > 0.001


def test_what_is_drawn_of_a_sample_knows_neither_order_nor_company():
    sizes = [200, 150, 250]
    whole = draw(Numbers(sizes, 300), [0, 1, 2])
    turned = draw(Numbers(sizes, 300), [2, 0, 1])
    assert sorted(whole.values[:, 0]) == sorted(turned.values[:, 0])
    # With fewer samples the same room keeps more rows, all of those among them.
    fewer = draw(Numbers(sizes, 300), [0, 2])
    of_two = {n for n in whole.values[:, 0] if n // 1000 != 1}
    assert of_two < set(fewer.values[:, 0])


def test_another_seed_draws_others():
    one, two = (draw(Numbers([500], 100), [0], (seed,)) for seed in (1, 2))
    assert set(one.values[:, 0]) != set(two.values[:, 0])


def test_a_table_that_is_cut_down_is_what_trees_learn_from(tmp_path):
    toy.write_data(tmp_path / "data")
    task = toy.make_order(tmp_path / "data", tmp_path).task
    task.most_rows = 200
    finished = toy.fit(tmp_path / "data", tmp_path / "run", task=task)
    learnt = finished.description["learnt_from"]
    assert learnt["rows"] == 200 < learnt["candidates"]
