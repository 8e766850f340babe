"""A toy member of the Keras engine, and a script that trains it in other processes.

As a program it reads one JSON request a line, forks a process for each and answers
with its exit code: TensorFlow is imported once, and begins in each anew.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

import numpy as np
import polars as pl

import tenfold.training.keras  # noqa: F401 - sets what TensorFlow reads at its import

# isort: split
import keras
import tensorflow as tf
from safetensors.numpy import save_file

from tenfold.data.dataset import CATALOGUE, SHARDS, Dataset
from tenfold.data.shards import write_shard
from tenfold.progress import LOG_FILE, Progress
from tenfold.recipe import Member
from tenfold.store import Workspace
from tenfold.training.checkpoints import Checkpoints
from tenfold.training.engines import Order
from tenfold.training.keras import learner as learner_module
from tenfold.training.keras.engine import Trainer
from tenfold.training.keras.job import job_of
from tenfold.training.keras.options import KerasTraining
from tenfold.training.pace import pace_of

SIZE, SAMPLES = 8, 22
SEED = (7, 1, 0)
IDS = [f"s{number:02d}" for number in range(SAMPLES)]
#: Every fourth sample is held out, so that both sets cross shards.
HELD_OUT_IDS = IDS[1::4]
TRAIN_IDS = [id_ for id_ in IDS if id_ not in HELD_OUT_IDS]
#: 16 samples in batches of 4, over 3 epochs; saved after each of them.
EPOCHS, STEPS = 3, 4
TRAINING = {
    "epochs": EPOCHS,
    "batch": 4,
    "learning_rate": 0.02,
    "ema": 0.9,
    "checkpoint_minutes": 1000.0,
}


class ToyMember(Member):
    """A member with the engine's options."""

    training: KerasTraining


def write_data(folder):
    """Write 22 samples in shards of 8: noise, and a mask that depends on it."""
    rng = np.random.default_rng(0)
    samples, rows = [], []
    for number, id_ in enumerate(IDS):
        image = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        mask = (image[..., 0].astype(int) + image[..., 1] > 255).astype(np.uint8)
        samples.append({"image": image, "mask": mask, "number": np.int64(number)})
        shard, row = divmod(number, 8)
        rows.append({"id": id_, "split": "train", "shard": f"{shard:05d}", "row": row})
    for first in range(0, SAMPLES, 8):
        name = f"{first // 8:05d}"
        write_shard(folder / SHARDS / name, samples[first : first + 8], {})
    pl.DataFrame(rows).write_parquet(folder / CATALOGUE)


class ToyTask:
    """A small segmentation; implements tenfold.training.keras.task.KerasTask."""

    def __init__(self, dropout=0.3, normalised=True, head="float32"):
        self.seen, self.traced = [], 0
        self.nan_at, self.weights = None, None
        self._dropout, self._normalised, self._head = dropout, normalised, head

    def files(self):
        return {}

    def channels(self):
        return None

    def model(self, statistics):
        del statistics
        image = keras.Input((SIZE, SIZE, 3))
        x = keras.layers.Conv2D(6, 3, padding="same")(image)
        if self._normalised:
            x = keras.layers.BatchNormalization(momentum=0.8)(x)
        x = keras.layers.Dropout(self._dropout)(keras.layers.ReLU()(x))
        x = keras.layers.Conv2D(1, 3, padding="same", dtype=self._head)(x)
        return keras.Model(image, x)

    def restore(self, description):
        del description
        return self.model(None)

    def describe(self, model):
        return {"parameters": model.count_params()}

    def draw_weights(self, catalogue):
        del catalogue
        return self.weights

    def example(self, arrays, rng):
        number = int(arrays["number"])
        self.seen.append(number)
        moved = np.float32(np.nan if number == self.nan_at else rng.integers(2))
        return {
            "image": np.array(arrays["image"]),
            "mask": np.array(arrays["mask"]),
            "moved": moved,
        }

    def whole(self, arrays):
        return {"image": np.array(arrays["image"])}

    def labelled(self, arrays):
        return {**self.whole(arrays), "mask": np.array(arrays["mask"])}

    def step(self, model, batch):
        self.traced += 1
        moved = batch["moved"][:, None, None, None]
        image = _mirrored(tf.cast(batch["image"], tf.float32) / 255, moved)
        mask = _mirrored(tf.cast(batch["mask"], tf.float32)[..., None], moved)
        logits = model(image, training=True)
        found = tf.nn.sigmoid_cross_entropy_with_logits(mask, logits)
        hits = tf.reduce_sum(tf.cast((logits > 0) == (mask > 0.5), tf.float32))
        counts = {"hits": hits, "pixels": tf.cast(tf.size(mask), tf.float32)}
        return tf.reduce_mean(found), counts

    def step_figures(self, counts):
        return {"accuracy": counts["hits"] / counts["pixels"]}

    def outputs(self, model, batch):
        image = tf.cast(batch["image"], tf.float32) / 255
        return {"prob": tf.sigmoid(model(image, training=False))[..., 0]}

    def assess(self, model, batch):
        outputs = self.outputs(model, batch)
        mask = tf.cast(batch["mask"], tf.float32)
        return outputs, tf.reduce_mean(tf.square(outputs["prob"] - mask))


def _mirrored(planes, moved):
    return moved * tf.reverse(planes, [2]) + (1 - moved) * planes


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


def make_order(data, task=None, scorer=None, seed=SEED, pictured=(), **training):
    """Give the order of the toy; `training` overrides its options."""
    content = {"name": "toy", "engine": "keras", "training": TRAINING | training}
    return Order(
        task=task or ToyTask(),
        member=ToyMember.model_validate(content),
        dataset=Dataset(data),
        scorer=scorer or ToyScorer("wobble"),
        catalogue=pl.DataFrame({"id": TRAIN_IDS}),
        held_out_ids=HELD_OUT_IDS,
        pictured_ids=list(pictured),
        seed=seed,
        weights=data / "weights",
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


# In processes of their own ---------------------------------------------------------


def _arrange(stop):
    """Make the process get a signal at its n-th step, or after its n-th checkpoint."""
    strike = after(stop["n"], lambda: os.kill(os.getpid(), stop["signal"]))
    if stop["at"] == "step":
        wrap(learner_module.Learner, "step", behind=strike)
    else:
        wrap(Checkpoints, "save", behind=strike)


def train(request):
    """Train, and write the weights and the history that come out."""
    folder = Path(request["folder"])
    if "stop" in request:
        _arrange(request["stop"])
    order = make_order(Path(request["data"]), **request.get("training", {}))
    trainer = Trainer(job_of(order), make_workspace(folder), request["resume"])
    fitted = trainer.fit()
    for kind, weights in fitted.weights.items():
        save_file(weights, folder / kind)
    result = {"history": fitted.history, "kinds": sorted(fitted.weights)}
    loaded = [name for name in ("torch", "lightning_fabric") if name in sys.modules]
    (folder / "result.json").write_text(json.dumps(result | {"loaded": loaded}))


def split_cpu(request):
    """Let TensorFlow see several CPUs before it begins, then do the other work."""
    device = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * request["cpus"]
    tf.config.set_logical_device_configuration(device, parts)


def learn(request):
    """Take one step on all training samples, and write the weights after it.

    Nothing is drawn in it, and how the samples are cut up changes no figure but the
    statistics of batch normalisation, if there is one.
    """
    folder, data = Path(request["folder"]), Path(request["data"])
    task = ToyTask(dropout=0.0, normalised=request["normalised"])
    options = {"epochs": 1, "limit_steps": 1} | request["training"]
    job = job_of(make_order(data, task, **options))
    fitted = Trainer(job, make_workspace(folder), "never").fit()
    save_file(fitted.weights["last"], folder / "last")
    apart = 0.0
    for weight in job.model.weights:
        first, *others = job.strategy.experimental_local_results(weight.value)
        for other in others:
            apart = max(apart, float(np.abs(first.numpy() - other.numpy()).max()))
    result = {
        "devices": job.strategy.num_replicas_in_sync,
        "apart": apart,
        "history": fitted.history,
    }
    (folder / "result.json").write_text(json.dumps(result))


def draws(request):
    """Write what the network's generators are given on each device for a seed."""
    job = job_of(make_order(Path(request["data"])))
    learner = learner_module.Learner(job, pace_of(job.training, len(TRAIN_IDS)))
    seeds = [
        [part.numpy().tolist() for part in _parts(job, learner, seed)]
        for seed in request["seeds"]
    ]
    content = json.dumps({"seeds": seeds})
    (Path(request["folder"]) / "draws.json").write_text(content)


def _parts(job, learner, seed):
    return job.strategy.experimental_local_results(learner._seeds(seed))


WORK = {"train": train, "learn": learn, "draws": draws}


def _child(request):
    """Do a job and end the process as Python itself would."""
    folder = Path(request["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    console = os.open(folder / "console.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(console, 1)
    os.dup2(console, 2)
    code = 0
    try:
        if "cpus" in request:
            split_cpu(request)
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _child(json.loads(line))
        _, status = os.waitpid(child, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    serve()
