"""Where the time of a run went, on made-up spans and processes."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.overhead import Process, account, read_processes
from benchmarks.spans import joined, seconds, within, without

POINTS = 12
spans = st.lists(
    st.tuples(st.integers(0, POINTS), st.integers(0, POINTS)).map(
        lambda pair: (float(min(pair)), float(max(pair)))
    ),
    max_size=5,
)


def cells(some):
    """Name the unit steps of time that spans cover."""
    return {n for n in range(POINTS) for b, e in some if b <= n and n + 1 <= e}


@given(spans)
def test_joined_spans_cover_the_same_and_stand_apart(some):
    found = joined(some)
    assert cells(found) == cells(some)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))
    assert seconds(some) == len(cells(some))


@given(spans, spans)
def test_cutting_is_a_difference_of_sets(some, holes):
    assert cells(without(some, holes)) == cells(some) - cells(holes)
    whole = (3.0, 9.0)
    assert cells(within(some, whole)) == cells(some) & cells([whole])


def test_two_slots_count_twice_and_empty_time_once():
    # 0    2          6        10   12
    # |    ----one-----        |    |
    # |    ------two-----------     |
    one = Process((2.0, 6.0), imports=[(2.5, 3.5)], work=[(3.0, 5.0)])
    two = Process((2.0, 10.0), imports=[(2.0, 4.0), (3.0, 4.5)], work=[(4.5, 9.5)])
    parent = Process((0.0, 12.0), imports=[(0.0, 1.0)], work=[])
    found = account((0.0, 12.0), [one, two, parent])
    assert found.imports == pytest.approx(1.0 + 2.5)
    # What is imported at work is no work.
    assert found.work == pytest.approx(1.5 + 5.0)
    assert found.inside_tasks == pytest.approx(1.5 + 0.5)
    assert found.between_tasks == pytest.approx(4.0)
    assert found.total == pytest.approx(4.0 + 8.0 + 4.0)
    assert found.overhead == pytest.approx(6.0 / 16.0)


def test_processes_are_read_from_their_notes_and_the_logs(tmp_path):
    times, store = tmp_path / "times", tmp_path / "store"
    times.mkdir()
    note = {"started": 1.0, "ended": 9.0, "imports": [[1.0, 2.0]]}
    for pid, command in ((7, "executor"), (8, "pipelines.local"), (9, "judge")):
        content = note | {"pid": pid, "command": ["python", command]}
        (times / f"{pid}.json").write_text(json.dumps(content))
    entry = store / "train" / "abc"
    entry.mkdir(parents=True)
    # An attempt that was killed is another process.
    events = [(0.1, "start", 6), (2.5, "start", 7), (4.0, "epoch", None)]
    lines = [{"time": t, "event": e, "pid": p} for t, e, p in events]
    lines.append({"time": 6.5, "event": "finish", "seconds": 4.0})
    text = "\n".join(json.dumps(line) for line in lines)
    (entry / "log.jsonl").write_text(text)
    first, second = read_processes(times, store)
    assert first == Process((1.0, 9.0), [(1.0, 2.0)], [(2.5, 6.5)])
    assert second.work == []
