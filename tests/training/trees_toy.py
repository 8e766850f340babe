"""A toy table for boosted trees, and a script that trains it and can be told to die.

`trees_toy.py serve` reads one JSON request a line, forks a process for each and
answers with its exit code, as `toy.py` does for networks.
"""

import json
import os
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import xgboost as xgb

from tenfold.data.dataset import CATALOGUE, SHARDS, Dataset
from tenfold.data.shards import write_shard
from tenfold.progress import LOG_FILE, Progress
from tenfold.store import Workspace
from tenfold.training import trees_backend, trees_checkpoints
from tenfold.training.engines import Order
from tenfold.training.trees_checkpoints import TreesCheckpoints
from tenfold.training.trees_options import TreesMember

SIDE, SAMPLES = 12, 12
ROWS = SIDE * SIDE
SEED = (7, 1, 0)
IDS = [f"s{number:02d}" for number in range(SAMPLES)]
HELD_OUT_IDS = IDS[1::4]
TRAIN_IDS = [id_ for id_ in IDS if id_ not in HELD_OUT_IDS]
FEATURES = ("left", "right", "idle", "noise")
TRAINING = {"epochs": 8, "validate_every": 3, "threads": 1, "checkpoint_minutes": 1e3}
#: Rows and columns are drawn, so that XGBoost's own generators matter.
DRAWING = {"subsample": 0.6, "colsample_bytree": 0.5}


def write_data(folder):
    """Write samples in shards of 8: the label follows two of four columns."""
    rng = np.random.default_rng(0)
    samples, rows = [], []
    for number, id_ in enumerate(IDS):
        table = rng.normal(size=(ROWS, len(FEATURES))).astype(np.float32)
        truth = table[:, 0] * table[:, 1] + 0.1 * rng.normal(size=ROWS) > 0.3
        table[:, 2] = 5
        table[rng.random(table.shape) < 0.03] = np.nan
        valid = rng.random(ROWS) > 0.05
        samples.append({"table": table, "truth": truth, "valid": valid})
        shard, row = divmod(number, 8)
        rows.append({"id": id_, "split": "train", "shard": f"{shard:05d}", "row": row})
    for first in range(0, SAMPLES, 8):
        name = f"{first // 8:05d}"
        write_shard(folder / SHARDS / name, samples[first : first + 8], {})
    pl.DataFrame(rows).write_parquet(folder / CATALOGUE)


class ToyTask:
    """Rows of a table; implements tenfold.training.trees_task.TreesTask."""

    def __init__(self, member, most_rows=10**6, share=0.7):
        self.member, self.most_rows, self.share = member, most_rows, share
        self.features = FEATURES
        self.on_rows = lambda: None

    def files(self):
        return {}

    def describe(self):
        return {"share": self.share}

    def restore(self, description):
        return ToyTask(self.member, self.most_rows, description["share"])

    def rows(self, arrays):
        self.on_rows()
        return np.array(arrays["table"])

    def candidates(self, arrays, rng):
        drawn = rng.random(ROWS) < self.share
        return np.flatnonzero((drawn | arrays["truth"]) & arrays["valid"])

    def truth(self, arrays):
        return np.array(arrays["truth"]), np.array(arrays["valid"])

    def outputs(self, probability, arrays):
        del arrays
        return {"prob": probability}


class Hits:
    """Counts of right and all rows; `wobble` sees any change of a bit."""

    def __init__(self, right, rows, total):
        self.right, self.rows, self.total = right, rows, total

    def __add__(self, other):
        return Hits(
            self.right + other.right, self.rows + other.rows, self.total + other.total
        )


class ToyScorer:
    """Accuracy; or what a test wants it to be, one validation after the other."""

    MONITOR = "accuracy"

    def __init__(self, scripted=()):
        self._scripted = list(scripted)

    def tally(self, outputs, arrays):
        prob = np.asarray(outputs["prob"], np.float64)
        right = int(((prob > 0.5) == arrays["truth"]).sum())
        return Hits(right, prob.size, float(prob.sum()))

    def metrics(self, tally):
        score = self._scripted.pop(0) if self._scripted else tally.right / tally.rows
        return {"accuracy": score, "wobble": tally.total}


def make_order(data, folder, task=None, scorer=None, trees=(), **training):
    """Give the toy's order; `training` overrides its options."""
    member = TreesMember(
        name="toy", training=TRAINING | training, trees=dict(trees), seed=1
    )
    task = task or ToyTask(member)
    task.member = member
    dataset = Dataset(data)
    learnt = pl.col("id").is_in(TRAIN_IDS)
    return Order(
        task=task,
        member=member,
        dataset=dataset,
        scorer=scorer or ToyScorer(),
        catalogue=dataset.rows("train").filter(learnt),
        held_out_ids=HELD_OUT_IDS,
        pictured_ids=HELD_OUT_IDS[:1],
        seed=SEED,
        weights=folder / "weights",
    )


def make_workspace(folder):
    """Give a workspace outside of any store."""
    folder.mkdir(parents=True, exist_ok=True)
    return Workspace(folder, Progress(folder, "train", "toy"))


def fit(data, folder, resume="auto", after_epoch=None, **options):
    """Train the toy in a folder."""
    order = replace(make_order(data, folder, **options), after_epoch=after_epoch)
    return trees_backend.fit(order, make_workspace(folder), resume)


def weights_of(folder):
    """Read the files of weights of a finished training."""
    return {file.name: file.read_bytes() for file in (folder / "weights").iterdir()}


def log_of(folder):
    """Read the log of a workspace."""
    lines = (folder / LOG_FILE).read_text().splitlines()
    return [json.loads(line) for line in lines]


def timeless(history):
    """Leave out of a history what no two runs share."""
    return [
        {k: v for k, v in row.items() if k not in ("samples_per_second", "loader_wait")}
        for row in history
    ]


def _after(count, act):
    """Give a function that acts at its `count`-th call."""
    calls = 0

    def step(*_):
        nonlocal calls
        calls += 1
        if calls == count:
            act()

    return step


def _wrap(owner, name, before):
    """Call something before a function of a module or class."""
    inner = getattr(owner, name)

    def outer(*args, **kwargs):
        before()
        return inner(*args, **kwargs)

    setattr(owner, name, outer)


def train(request):
    """Train, and write the history that comes out; get a signal where asked."""
    folder = Path(request["folder"])
    order = make_order(
        Path(request["data"]),
        folder,
        trees=request.get("trees", {}),
        **request.get("training", {}),
    )
    stop = request.get("stop")
    if stop is not None:
        number = getattr(signal, stop["signal"])
        strike = _after(stop["n"], lambda: os.kill(os.getpid(), number))
        if stop["at"] == "rows":
            order.task.on_rows = strike
        else:
            owner = {
                "update": xgb.Booster,
                "save": TreesCheckpoints,
                "write_json": trees_checkpoints,
            }[stop["at"]]
            _wrap(owner, stop["at"], strike)
    workspace = make_workspace(folder)
    finished = trees_backend.fit(order, workspace, request.get("resume", "auto"))
    result = {"history": finished.history, "description": finished.description}
    (folder / "result.json").write_text(json.dumps(result))


def _child(request):
    folder = Path(request["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    console = os.open(folder / "console.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(console, 1)
    os.dup2(console, 2)
    code = 0
    try:
        train(request)
    except SystemExit as leave:
        code = int(leave.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)


def serve():
    """Answer each request with the exit code of its process."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _child(json.loads(line))
        _, status = os.waitpid(child, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    serve()
