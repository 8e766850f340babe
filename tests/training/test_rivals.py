"""The median rule against its definition, and who it sees."""

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.storage import open_storage
from tenfold.errors import StoreError
from tenfold.training.rivals import Rival, Rivals, is_behind

scores = st.lists(
    st.one_of(st.none(), st.just(math.nan), st.floats(0, 1, width=16)),
    min_size=1,
    max_size=6,
)
rivals_of = st.lists(st.tuples(scores, st.booleans()), max_size=6)


def validated(row):
    """Scores by epoch; an epoch that was not validated has none."""
    return [(epoch, s) for epoch, s in enumerate(row, 1) if s is not None]


def behind_by_definition(own, others, least):
    """As the rule is written down: a table of epochs, averaged and sorted."""
    last = max(epoch for epoch, _ in own)
    averages = []
    for other in others:
        by_epoch = dict(other.scores)
        seen = [by_epoch[e] for e in range(1, last + 1) if e in by_epoch]
        seen = [score for score in seen if not math.isnan(score)]
        if seen and (other.ended or max(by_epoch) >= last):
            averages.append(np.mean(seen))
    if len(averages) < least:
        return False
    best = max((score for _, score in own if not math.isnan(score)), default=-1)
    return best < np.median(averages)


@given(scores, rivals_of, st.integers(1, 4))
def test_the_rule_is_what_it_says(own, others, least):
    own = validated(own)
    others = [Rival(validated(row), ended) for row, ended in others]
    if own:
        expected = behind_by_definition(own, others, least)
        assert is_behind(own, others, least) == expected


def test_equal_to_the_median_is_not_behind():
    others = [Rival([(1, 0.2)]), Rival([(1, 0.4)]), Rival([(1, 0.6)])]
    assert not is_behind([(1, 0.4)], others, 3)
    assert is_behind([(1, 0.39)], others, 3)


def test_the_best_score_counts_not_the_last():
    others = [Rival([(1, 0.5), (2, 0.5)])] * 3
    assert not is_behind([(1, 0.6), (2, 0.0)], others, 3)


def test_of_the_others_later_scores_do_not_count():
    others = [Rival([(1, 0.1), (2, 0.9)])] * 3
    assert not is_behind([(1, 0.2)], others, 3)


def test_who_has_not_come_as_far_does_not_count():
    others = [Rival([(1, 0.9)]), Rival([(1, 0.9)]), Rival([(1, 0.1), (2, 0.1)])]
    assert is_behind([(1, 0.5)], others, 3)
    assert not is_behind([(1, 0.5), (2, 0.5)], others, 1)
    assert not is_behind([(1, 0.0), (2, 0.0)], others, 2)


def test_who_was_ended_stays_in_the_median():
    survivors = [Rival([(1, 0.8), (2, 0.8)]), Rival([(1, 0.9), (2, 0.9)])]
    ended = [Rival([(1, 0.1)], ended=True), Rival([(1, 0.2)], ended=True)]
    own = [(1, 0.7), (2, 0.7)]
    assert is_behind(own, survivors, 2)
    assert not is_behind(own, survivors + ended, 2)


def test_a_score_that_is_no_number_is_the_worst_and_in_no_average():
    diverged = Rival([(1, math.nan), (2, math.inf)])
    good = Rival([(1, 0.5), (2, 0.5)])
    assert is_behind([(1, math.nan), (2, math.nan)], [good, diverged], 1)
    assert not is_behind([(1, 0.6), (2, math.nan)], [good, diverged], 1)
    assert is_behind([(1, math.nan), (2, 0.4)], [good, diverged], 1)
    assert not is_behind([(1, 0.4), (2, 0.4)], [good, diverged], 2)
    assert not is_behind([(1, math.nan)], [diverged], 1)


def history(*row):
    rows = [{"epoch": float(n), "val/score": s} for n, s in enumerate(row, 1)]
    return [{k: v for k, v in row.items() if v is not None} for row in rows]


class Lines:
    """Keeps what is logged."""

    def __init__(self):
        self.said = []

    def log(self, event, **fields):
        self.said.append((event, fields["name"]))


def rivals(place, name, warmup=1, least=1, progress=None):
    return Rivals(open_storage(place), name, warmup, least, progress or Lines())


def play(place, name, *row, **rule):
    """Tell a whole training, epoch by epoch; return the epochs that it got."""
    training = rivals(place, name, **rule)
    for count in range(1, len(row) + 1):
        if training.end(history(*row[:count])):
            break
    return count


def test_a_training_behind_its_rivals_is_ended_and_knows_it_later(tmp_path):
    assert play(tmp_path, "good", 0.5, 0.6, 0.7) == 3
    assert play(tmp_path, "bad", 0.1, 0.1, 0.1) == 1
    assert rivals(tmp_path, "bad").ended()
    assert not rivals(tmp_path, "good").ended()


def test_the_first_training_has_no_rivals(tmp_path):
    assert play(tmp_path, "first", 0.0, 0.0, 0.0) == 3


def test_nobody_is_ended_in_the_warm_up_or_among_too_few(tmp_path):
    play(tmp_path, "good", 0.5, 0.6, 0.7)
    assert play(tmp_path, "late", 0.1, 0.1, 0.1, warmup=2) == 2
    assert play(tmp_path, "few", 0.1, 0.1, 0.1, least=3) == 3


def test_an_epoch_that_was_not_validated_decides_nothing(tmp_path):
    play(tmp_path, "good", 0.5, 0.6, 0.7)
    assert play(tmp_path, "bad", None, 0.1, 0.1) == 2


def test_its_own_scores_of_an_earlier_attempt_are_no_rival(tmp_path):
    play(tmp_path, "one", 0.9, 0.9, 0.9)
    assert play(tmp_path, "one", 0.1, 0.2, 0.3) == 3


def test_trainings_on_several_machines_see_one_another_in_a_bucket(bucket):
    place = f"{bucket}/store/sweeps/abc"
    assert play(place, "good", 0.5, 0.6) == 2
    assert play(place, "bad", 0.1, 0.1) == 1
    content = json.loads(open_storage(place).read_bytes("good.json"))
    assert content == {"scores": [[1, 0.5], [2, 0.6]], "ended": False}


def test_a_rival_whose_file_cannot_be_read_is_left_out_and_named(tmp_path):
    play(tmp_path, "good", 0.5, 0.6)
    for name, content in {"cut": '{"scores": [[1,', "other": "[]", "odd": "{}"}.items():
        (tmp_path / f"{name}.json").write_text(content)
    lines = Lines()
    assert rivals(tmp_path, "bad", progress=lines).end(history(0.1))
    assert lines.said == [("rival", f"{name}.json") for name in ("cut", "odd", "other")]
    assert not rivals(tmp_path, "few", least=3).end(history(0.1))


def test_a_rival_that_a_store_does_not_give_is_left_out(tmp_path, monkeypatch):
    play(tmp_path, "good", 0.5, 0.6)
    play(tmp_path, "gone", 0.9, 0.9)
    storage = open_storage(tmp_path)
    read = type(storage).read_bytes

    def failing(self, name):
        if name == "gone.json":
            raise StoreError("what arrived differs")
        return read(self, name)

    monkeypatch.setattr(type(storage), "read_bytes", failing)
    assert not rivals(tmp_path, "fair").end(history(0.7))
    monkeypatch.undo()
    assert rivals(tmp_path, "fair").end(history(0.6))


def test_a_training_that_diverged_publishes_and_is_ended(tmp_path):
    play(tmp_path, "good", 0.5, 0.6)
    assert play(tmp_path, "bad", math.nan, math.nan, warmup=2) == 2
    assert rivals(tmp_path, "bad").ended()
    assert play(tmp_path, "next", 0.6, 0.6) == 2
