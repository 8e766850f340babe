"""A toy learning task, and a script that trains it and can be told to die.

`toy.py serve` reads one JSON request a line, forks a process for each and
answers with its exit code: torch is imported once, yet every job is a process
of its own that may be killed like any other.
"""

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from tenfold.data.dataset import CATALOGUE, SHARDS, Dataset
from tenfold.data.shards import write_shard
from tenfold.progress import LOG_FILE, Progress
from tenfold.recipe import Training
from tenfold.store import Workspace
from tenfold.training import checkpoints as checkpoints_module
from tenfold.training.augment import draw_move, move
from tenfold.training.engine import Trainer
from tenfold.training.job import Job
from tenfold.training.order import step_seed
from tenfold.training.torch_checkpoints import TorchCheckpoints

SIZE, SAMPLES = 16, 22
SEED = (7, 1, 0)
IDS = [f"s{number:02d}" for number in range(SAMPLES)]
#: Every fourth sample is held out, so that both sets cross shards.
HELD_OUT_IDS = IDS[1::4]
TRAIN_IDS = [id_ for id_ in IDS if id_ not in HELD_OUT_IDS]
#: One thread and no schedule of saving by time, unless a test asks.
TRAINING = {
    "epochs": 4,
    "batch": 4,
    "learning_rate": 0.02,
    "ema": 0.9,
    "threads": 1,
    "checkpoint_minutes": 1000.0,
}


def write_data(folder):
    """Write 22 samples in shards of 8: noise, and a mask that depends on it."""
    rng = np.random.default_rng(0)
    samples, rows = [], []
    for number, id_ in enumerate(IDS):
        image = rng.integers(0, 256, (3, SIZE, SIZE), dtype=np.uint8)
        mask = (image[0].astype(int) + image[1] > 255).astype(np.uint8)
        samples.append({"image": image, "mask": mask, "number": np.int64(number)})
        shard, row = divmod(number, 8)
        rows.append({"id": id_, "split": "train", "shard": f"{shard:05d}", "row": row})
    for first in range(0, SAMPLES, 8):
        name = f"{first // 8:05d}"
        write_shard(folder / SHARDS / name, samples[first : first + 8], {})
    pl.DataFrame(rows).write_parquet(folder / CATALOGUE)


class ToyTask:
    """A small segmentation; implements tenfold.training.task.TorchTask."""

    def __init__(self):
        self.seen = []
        self.whole_seen = []
        self.steps = 0
        self.nan_at = None
        self.weights = None
        self.on_step = lambda: None
        self.on_outputs = lambda: None

    def channels(self):
        return None

    def model(self, statistics):
        del statistics
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Conv2d(6, 1, 3, padding=1),
        )

    def restore(self, description):
        del description
        return self.model(None)

    def describe(self, model):
        return {"parameters": sum(p.numel() for p in model.parameters())}

    def draw_weights(self, catalogue):
        del catalogue
        return self.weights

    def example(self, arrays, rng):
        self.seen.append(int(arrays["number"]))
        return {
            "image": np.array(arrays["image"]),
            "mask": np.array(arrays["mask"]),
            "moves": draw_move(rng, True, True, 20.0, 0.5),
        }

    def whole(self, arrays):
        self.whole_seen.append(int(arrays["number"]))
        return {"image": np.array(arrays["image"])}

    def labelled(self, arrays):
        return {**self.whole(arrays), "mask": np.array(arrays["mask"])}

    def assess(self, model, batch):
        outputs = self.outputs(model, batch)
        prob = torch.from_numpy(np.asarray(outputs["prob"]))
        return outputs, F.binary_cross_entropy(prob, batch["mask"].float())

    def step(self, model, batch):
        self.steps += 1
        self.on_step()
        image = move(batch["image"].float() / 255, batch["moves"], True)
        mask = move(batch["mask"][:, None].float(), batch["moves"], False)
        logits = model(image)
        loss = F.binary_cross_entropy_with_logits(logits, mask)
        if self.steps == self.nan_at:
            loss = loss * float("nan")
        hits = ((logits.detach() > 0) == (mask > 0.5)).sum()
        return loss, {"hits": hits, "pixels": torch.tensor(mask.numel())}

    def step_figures(self, counts):
        return {"accuracy": counts["hits"] / counts["pixels"]}

    def outputs(self, model, batch):
        self.on_outputs()
        probability = torch.sigmoid(model(batch["image"].float() / 255))[:, 0]
        return {"prob": probability.float().cpu().numpy()}


class Sums:
    """Hits, pixels and summed probability of samples."""

    def __init__(self, hits, pixels, total):
        self.hits, self.pixels, self.total = hits, pixels, total

    def __add__(self, other):
        return Sums(
            self.hits + other.hits, self.pixels + other.pixels, self.total + other.total
        )


class ToyScorer:
    """Accuracy; or `wobble`, any change of a bit in the outputs changes it."""

    def __init__(self, monitor="accuracy", scripted=()):
        self.MONITOR = monitor
        self._scripted = list(scripted)

    def tally(self, outputs, arrays):
        prob = np.asarray(outputs["prob"], np.float64)
        hits = int(((prob > 0.5) == (arrays["mask"] == 1)).sum())
        return Sums(hits, prob.size, float(prob.sum()))

    def metrics(self, tally):
        figures = {
            "accuracy": tally.hits / tally.pixels,
            "wobble": (tally.total * 1e3) % 1.0,
        }
        if self._scripted:
            figures[self.MONITOR] = self._scripted.pop(0)
        return figures


def make_workspace(folder):
    """Give a workspace outside of any store."""
    folder.mkdir(parents=True, exist_ok=True)
    return Workspace(folder, Progress(folder, "train", "toy"))


def make_job(data, task=None, scorer=None, pictured=(), seed=SEED, **training):
    """Give the toy's job; `training` overrides its options."""
    task = task or ToyTask()
    torch.manual_seed(step_seed(seed, 0))
    return Job(
        task=task,
        model=task.model(None),
        dataset=Dataset(data),
        scorer=scorer or ToyScorer(),
        training=Training.model_validate(TRAINING | training),
        train_ids=TRAIN_IDS,
        held_out_ids=HELD_OUT_IDS,
        draw_weights=task.weights,
        pictured_ids=list(pictured),
        seed=seed,
    )


def log_of(folder):
    """Read the log of a workspace."""
    lines = (folder / LOG_FILE).read_text().splitlines()
    return [json.loads(line) for line in lines]


def after(count, act):
    """Give a function that acts at its `count`-th call."""
    calls = 0

    def step(*_):
        nonlocal calls
        calls += 1
        if calls == count:
            act()

    return step


def _arrange(stop, task):
    """Make the process get a signal at the asked point."""
    # A child leads a group of its own, with its loader's processes.
    number, whole = getattr(signal, stop["signal"]), stop.get("group")
    target = -os.getpid() if whole else os.getpid()

    def send():
        os.kill(target, number)
        if whole:
            # Until the loader's processes, if they die of it, are noticed.
            time.sleep(0.5)

    strike = after(stop["n"], send)
    if stop["at"] == "step":
        task.on_step = strike
    elif stop["at"] == "outputs":
        task.on_outputs = strike
    elif stop["at"] == "pointer":
        wrap(checkpoints_module, "write_json", before=strike)
    else:
        wrap(TorchCheckpoints, "save", behind=strike)


def wrap(owner, name, before=None, behind=None):
    """Call something before or after a function of a module or class."""
    inner = getattr(owner, name)

    def outer(*args, **kwargs):
        if before is not None:
            before()
        result = inner(*args, **kwargs)
        if behind is not None:
            behind()
        return result

    setattr(owner, name, outer)


def train(request):
    """Train, and write the weights and the history that come out."""
    folder = Path(request["folder"])
    task = ToyTask()
    for stop in request.get("stops", ()):
        _arrange(stop, task)
    job = make_job(
        Path(request["data"]),
        task,
        ToyScorer("wobble"),
        pictured=request.get("pictured", ()),
        **request.get("training", {}),
    )
    trainer = Trainer(job, make_workspace(folder), request.get("resume", "auto"))
    fitted = trainer.fit()
    for kind, state in fitted.weights.items():
        save_file({k: t.contiguous() for k, t in state.items()}, folder / kind)
    kinds = sorted(fitted.weights)
    result = {"history": fitted.history, "steps": task.steps, "kinds": kinds}
    (folder / "result.json").write_text(json.dumps(result))


#: Every call by which a save touches the disk.
TOUCHES = (
    (torch, "save"),
    (checkpoints_module, "sha256_of"),
    (checkpoints_module, "write_json"),
    (os, "fsync"),
    (Path, "replace"),
    (Path, "unlink"),
)


def state_of(number):
    """Give a state that says which one it is, in every value."""
    return {"number": number, "weights": torch.full((50,), float(number))}


def save_twice(request):
    """Save a first state, then a second one with a strike at one of its touches."""
    folder = Path(request["folder"])
    checkpoints = TorchCheckpoints(make_workspace(folder))
    checkpoints.save("1", state_of(1))
    touched = []

    def strike(name, when):
        touched.append([name, when])
        if len(touched) == request["n"]:
            os.kill(os.getpid(), signal.SIGKILL)

    for owner, name in TOUCHES:
        wrap(
            owner,
            name,
            lambda name=name: strike(name, "before"),
            lambda name=name: strike(name, "after"),
        )
    checkpoints.save("2", state_of(2))
    # Written without the wrapped calls, which would go on counting.
    (folder / "touched.json").write_text(json.dumps(touched))


WORK = {"train": train, "save_twice": save_twice}


def _child(request):
    """Do a job and end the process as Python itself would."""
    os.setpgid(0, 0)
    folder = Path(request["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    console = os.open(folder / "console.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(console, 1)
    os.dup2(console, 2)
    code = 0
    try:
        WORK[request["work"]](request)
    except SystemExit as leave:
        code = int(leave.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve():
    """Answer each request with the exit code of its process."""
    # Killed processes leave their sockets' folders; these go with the server.
    with tempfile.TemporaryDirectory() as scratch:
        tempfile.tempdir = scratch
        for line in sys.stdin:
            child = os.fork()
            if child == 0:
                _child(json.loads(line))
            _, status = os.waitpid(child, 0)
            os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        _child(json.loads(sys.argv[1]))
