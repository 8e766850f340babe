"""What a stage says while it works can be read at any moment, by anyone."""

import json
import threading
from dataclasses import asdict

import pytest

from tenfold import progress as progress_module
from tenfold.progress import LOG_FILE, PROGRESS_FILE, Progress, read_progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    now = [1000.0]
    monkeypatch.setattr(progress_module.time, "time", lambda: now[0])
    return now


@pytest.fixture
def progress(tmp_path):
    return Progress(tmp_path, "train", "train unet, fold 2")


def reading(folder):
    return read_progress(folder / PROGRESS_FILE)


def log(folder):
    return [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]


def test_a_reader_sees_how_far_the_stage_is(tmp_path, clock, progress):
    clock[0] += 5
    progress.update(3, 10, "epochs", "dice 0.61")
    seen = reading(tmp_path)
    assert asdict(seen) == {
        "stage": "train",
        "label": "train unet, fold 2",
        "done": 3,
        "total": 10,
        "unit": "epochs",
        "note": "dice 0.61",
        "started": 1000.0,
        "updated": 1005.0,
        "finished": False,
    }


def test_unit_and_note_stay_until_others_are_given(tmp_path, clock, progress):
    progress.update(1, 10, "epochs", "dice 0.61")
    clock[0] += 1
    progress.update(2, 10)
    assert (reading(tmp_path).unit, reading(tmp_path).note) == ("epochs", "dice 0.61")
    clock[0] += 1
    progress.update(3, 10, note="dice 0.62")
    assert (reading(tmp_path).unit, reading(tmp_path).note) == ("epochs", "dice 0.62")


def test_updates_in_quick_succession_are_not_all_written(tmp_path, clock, progress):
    progress.update(1, 1000)
    for done in range(2, 200):
        clock[0] += 0.001
        progress.update(done, 1000)
    assert reading(tmp_path).done == 1
    clock[0] += 1
    progress.update(200, 1000)
    assert reading(tmp_path).done == 200


def test_a_total_nobody_knows_is_no_reason_to_write_every_step(
    tmp_path, clock, progress
):
    progress.update(1, 0)
    clock[0] += 0.001
    progress.update(2, 0)
    assert reading(tmp_path).done == 1


@pytest.mark.usefixtures("clock")
def test_the_last_step_is_always_written(tmp_path, progress):
    progress.update(9, 10)
    progress.update(10, 10)
    assert reading(tmp_path).done == 10
    assert not reading(tmp_path).finished


@pytest.mark.usefixtures("clock")
def test_finishing_writes_what_was_said_last(tmp_path, progress):
    progress.update(1, 10, "epochs")
    progress.update(2, 10)
    progress.finish()
    seen = reading(tmp_path)
    assert (seen.done, seen.total, seen.unit, seen.finished) == (2, 10, "epochs", True)


def test_there_is_nothing_to_read_before_the_first_word(tmp_path):
    assert read_progress(tmp_path / PROGRESS_FILE) is None


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "{}", '{"stage": "train"}', "\udcff"]
)
def test_a_damaged_progress_file_is_read_as_none(tmp_path, text):
    (tmp_path / PROGRESS_FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_progress(tmp_path / PROGRESS_FILE) is None


def test_a_reader_never_sees_half_a_file(tmp_path, progress):
    progress.update(0, 300)
    seen, over = [], threading.Event()

    def read():
        while not over.is_set():
            seen.append(reading(tmp_path))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(300):
        # The last step is always written.
        progress.update(300, 300, "epochs", "n" * 3000)
    over.set()
    reader.join()
    assert seen
    assert None not in seen


def test_no_other_files_are_left(tmp_path, progress):
    progress.update(1, 2)
    progress.finish()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted([LOG_FILE, PROGRESS_FILE])


def test_the_log_tells_events_in_order_with_their_fields(tmp_path, clock, progress):
    progress.log("rejected", file="tile é.tif", reason="no bands")
    clock[0] += 2
    progress.finish()
    lines = log(tmp_path)
    assert [line["event"] for line in lines] == ["start", "rejected", "finish"]
    assert lines[0]["label"] == "train unet, fold 2"
    assert (lines[1]["file"], lines[1]["reason"]) == ("tile é.tif", "no bands")
    assert [line["time"] for line in lines] == [1000.0, 1000.0, 1002.0]
    assert lines[2]["seconds"] == 2.0


def test_a_second_attempt_goes_on_in_the_same_log(tmp_path, progress):
    progress.log("failed", kind="OSError")
    Progress(tmp_path, "train", "train unet, fold 2")
    assert [line["event"] for line in log(tmp_path)] == ["start", "failed", "start"]


def test_a_line_break_in_a_message_stays_within_its_line(tmp_path, progress):
    progress.log("failed", message="first\nsecond")
    assert log(tmp_path)[-1]["message"] == "first\nsecond"
