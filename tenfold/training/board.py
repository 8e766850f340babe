"""A training's history as TensorBoard scalars, for whoever watches it.

Vertex AI names a place for them to jobs with a TensorBoard instance; elsewhere a
person may. The place is no part of what a training is, and trouble with it is a line
in the log, never the end of a training.
"""

import io
import os
import time
from collections.abc import Mapping, Sequence

from tenfold.data.storage import open_storage
from tenfold.progress import Progress

#: A folder, gs:// or s3:// address; the first that is set counts.
VARIABLES = ("TENFOLD_TENSORBOARD", "AIP_TENSORBOARD_LOG_DIR")
#: TensorBoard knows its files by the word in the middle. One name for every attempt:
#: who goes on from a checkpoint writes the earlier epochs again, over the older file.
FILE = "events.out.tfevents.0.tenfold"


class Board:
    """Writes one training's history where TensorBoard looks for it.

    Args:
        place: folder of all runs.
        name: of this run below it.
        progress: whose log gets the first failure.
    """

    def __init__(self, place: str, name: str, progress: Progress) -> None:
        self._place, self._name, self._progress = place, name, progress
        self._events = io.BytesIO()
        self._written = 0
        self._warned = False

    def show(self, history: Sequence[Mapping[str, float]]) -> None:
        """Add the epochs that are new; publish them all if the last was validated."""
        try:
            self._add(history[self._written :])
            self._written = len(history)
            if "val/score" in history[-1]:
                self._publish()
        except Exception as error:  # Whatever it is: no picture is worth a training.
            if not self._warned:
                self._progress.log("tensorboard", message=str(error))
            self._warned = True

    def _add(self, rows: Sequence[Mapping[str, float]]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        writer, now = RecordWriter(self._events), time.time()
        if not self._written:
            first = Event(wall_time=now, file_version="brain.Event:2")
            writer.write(first.SerializeToString())
        for row in rows:
            values = [
                Summary.Value(tag=tag, simple_value=value)
                for tag, value in row.items()
                if tag != "epoch"
            ]
            event = Event(
                wall_time=now, step=int(row["epoch"]), summary=Summary(value=values)
            )
            writer.write(event.SerializeToString())

    def _publish(self) -> None:
        storage = open_storage(self._place).child(self._name)
        if storage.local_path is None:
            storage.write_bytes(FILE, self._events.getvalue())
            return
        # Not by renaming: TensorBoard keeps a local file open and reads on in it.
        storage.local_path.mkdir(parents=True, exist_ok=True)
        with (storage.local_path / FILE).open("wb") as stream:
            stream.write(self._events.getvalue())


def board_of(name: str, progress: Progress) -> Board | None:
    """Return the board of a run, if the environment names a place for it."""
    places = [os.environ[name] for name in VARIABLES if os.environ.get(name)]
    return Board(places[0], name, progress) if places else None
