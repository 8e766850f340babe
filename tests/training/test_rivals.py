"""The median rule against its definition, and who it sees."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.storage import open_storage
from tenfold.training.rivals import Rivals, is_behind

scores = st.lists(
    st.one_of(st.none(), st.floats(0, 1, width=16)), min_size=1, max_size=6
)


def validated(row):
    """Scores by epoch; an epoch that was not validated has none."""
    return [(epoch, s) for epoch, s in enumerate(row, 1) if s is not None]


def behind_by_definition(own, others, least):
    """As the rule is written down: a table of epochs, averaged and sorted."""
    last = max(epoch for epoch, _ in own)
    averages = []
    for other in others:
        by_epoch = dict(other)
        seen = [by_epoch[e] for e in range(1, last + 1) if e in by_epoch]
        if seen and max(by_epoch) >= last:
            averages.append(np.mean(seen))
    if len(averages) < least:
        return False
    return max(score for _, score in own) < np.median(averages)


@given(scores, st.lists(scores, max_size=6), st.integers(1, 4))
def test_the_rule_is_what_it_says(own, others, least):
    own, others = validated(own), [validated(other) for other in others]
    if own:
        expected = behind_by_definition(own, others, least)
        assert is_behind(own, others, least) == expected


def test_equal_to_the_median_is_not_behind():
    others = [[(1, 0.2)], [(1, 0.4)], [(1, 0.6)]]
    assert not is_behind([(1, 0.4)], others, 3)
    assert is_behind([(1, 0.39)], others, 3)


def test_the_best_score_counts_not_the_last():
    others = [[(1, 0.5), (2, 0.5)]] * 3
    assert not is_behind([(1, 0.6), (2, 0.0)], others, 3)


def test_of_the_others_later_scores_do_not_count():
    others = [[(1, 0.1), (2, 0.9)]] * 3
    assert not is_behind([(1, 0.2)], others, 3)


def test_who_ended_earlier_does_not_count():
    others = [[(1, 0.9)], [(1, 0.9)], [(1, 0.1), (2, 0.1)]]
    assert is_behind([(1, 0.5)], others, 3)
    assert not is_behind([(1, 0.5), (2, 0.5)], others, 1)
    assert not is_behind([(1, 0.0), (2, 0.0)], others, 2)


def history(*row):
    rows = [{"epoch": float(n), "val/score": s} for n, s in enumerate(row, 1)]
    return [{k: v for k, v in row.items() if v is not None} for row in rows]


def rivals(place, name, warmup=1, least=1):
    return Rivals(open_storage(place), name, warmup, least)


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
