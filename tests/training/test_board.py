"""What TensorBoard reads of a training, and that it never stands in the way."""

from dataclasses import replace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy import log_of, make_job, make_workspace

from tenfold.data.storage import open_storage
from tenfold.training.board import FILE, VARIABLES, Board, board_of
from tenfold.training.engine import Trainer


def fit(data, folder, place, dies_after=None, **options):
    """Train with a board, as a stage does; maybe die when an epoch is shown."""
    workspace = make_workspace(folder)
    board = Board(str(place), "toy-fold-0", workspace.progress)

    def after_epoch(history):
        board.show(history)
        if len(history) == dies_after:
            raise KeyboardInterrupt

    job = replace(make_job(data, **options), after_epoch=after_epoch)
    return Trainer(job, workspace).fit()


def shown(folder):
    """Return tag → [(step, value)] as TensorBoard reads it."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def expected(history):
    tags = {tag for row in history for tag in row} - {"epoch"}
    return {
        tag: [
            (int(row["epoch"]), pytest.approx(row[tag]))
            for row in history
            if tag in row
        ]
        for tag in tags
    }


def failures(folder):
    return [line for line in log_of(folder) if line["event"] == "tensorboard"]


def test_tensorboard_reads_the_history_under_its_own_names(data, tmp_path):
    fitted = fit(data, tmp_path / "work", tmp_path / "board", validate_every=2)
    found = shown(tmp_path / "board" / "toy-fold-0")
    assert found == expected(fitted.history)
    assert [step for step, _ in found["val/score"]] == [2, 4]
    assert [step for step, _ in found["train/loss"]] == [1, 2, 3, 4]
    assert not failures(tmp_path / "work")


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_resumed_training_shows_every_epoch_once(data, tmp_path, at):
    work, place = tmp_path / "work", tmp_path / "board"
    with pytest.raises(KeyboardInterrupt):
        fit(data, work, place, dies_after=at)
    assert len(shown(place / "toy-fold-0")["val/score"]) == at
    fitted = fit(data, work, place)
    assert shown(place / "toy-fold-0") == expected(fitted.history)
    assert len(list(place.rglob("*tfevents*"))) == 1


def test_a_bucket_gets_the_file_whole_with_every_validated_epoch(
    data, tmp_path, bucket
):
    place, local = f"{bucket}/logs/", tmp_path / "read"
    with pytest.raises(KeyboardInterrupt):
        fit(data, tmp_path / "work", place, dies_after=3, validate_every=2)
    storage = open_storage(place)
    assert storage.names() == [f"toy-fold-0/{FILE}"]
    storage.download(f"toy-fold-0/{FILE}", local / FILE)
    steps = [step for step, _ in shown(local)["train/loss"]]
    assert steps == [1, 2]


def test_a_place_that_cannot_be_written_is_said_once_and_may_come_back(data, tmp_path):
    work, place = tmp_path / "work", tmp_path / "board"
    place.write_text("a file, not a folder")
    with pytest.raises(KeyboardInterrupt):
        fit(data, work, place, dies_after=3)
    (failure,) = failures(work)
    assert str(place) in failure["message"]
    place.unlink()
    fitted = fit(data, work, place)
    assert len(fitted.history) == 4
    assert shown(place / "toy-fold-0") == expected(fitted.history)


def test_an_address_of_no_kind_does_not_end_a_training(data, tmp_path):
    fitted = fit(data, tmp_path, "ftp://somewhere")
    assert len(fitted.history) == 4
    assert "ftp://" in failures(tmp_path)[0]["message"]


def test_a_bucket_that_is_not_there_does_not_end_a_training(data, tmp_path, bucket):
    fitted = fit(data, tmp_path, f"{bucket}-other/logs", epochs=2)
    assert len(fitted.history) == 2
    assert len(failures(tmp_path)) == 1


def test_the_environment_names_the_place_and_a_person_before_vertex(
    tmp_path, monkeypatch
):
    own, vertex = VARIABLES
    progress = make_workspace(tmp_path / "work").progress
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert board_of("run", progress) is None
    row = {"epoch": 1.0, "val/score": 0.5}
    monkeypatch.setenv(vertex, str(tmp_path / "vertex"))
    board_of("run", progress).show([row])
    assert shown(tmp_path / "vertex" / "run") == {"val/score": [(1, 0.5)]}
    monkeypatch.setenv(own, str(tmp_path / "own"))
    board_of("other", progress).show([row])
    assert shown(tmp_path / "own" / "other") == {"val/score": [(1, 0.5)]}
    assert not (tmp_path / "vertex" / "other").exists()


def test_what_tensorboard_cannot_take_does_not_end_a_training(tmp_path):
    progress = make_workspace(tmp_path / "work").progress
    board = Board(str(tmp_path / "board"), "run", progress)
    for epoch in (1.0, 2.0):
        board.show([{"epoch": epoch, "val/score": "no number"}])
    (failure,) = failures(tmp_path / "work")
    assert "no number" in failure["message"] or "str" in failure["message"]
