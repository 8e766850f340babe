"""Both kinds of clouds members through the engine: four pictures learnt by heart."""

import numpy as np
import polars as pl
import pytest
import torch

from tenfold.challenges.clouds.model import task
from tenfold.challenges.clouds.options import CloudsClassifier, CloudsSegmenter
from tenfold.challenges.clouds.planes import pack_planes, unpack_planes
from tenfold.challenges.clouds.scoring import of_role
from tenfold.data.dataset import CATALOGUE, SHARDS, Dataset
from tenfold.data.shards import write_shard
from tenfold.progress import Progress
from tenfold.store import Workspace
from tenfold.training.engines import Order, find_engine

TINY = "mobilenetv3_small_050"
NET = {
    "architecture": "unet",
    "encoder": f"tu-{TINY}",
    "decoder_channels": (16, 16, 8, 8, 8),
}
H, W = 64, 96
STILL = {
    "horizontal": False,
    "vertical": False,
    "turn_share": 0.0,
    "distort_share": 0.0,
}
TRAINING = {
    "epochs": 3,
    "batch": 4,
    "samples_per_epoch": 112,
    "learning_rate": 0.01,
    "validate_every": 3,
    "checkpoint_minutes": 1000.0,
    "threads": 1,
    "schedule": {"name": "none"},
}


def sample(c):
    """A noisy picture with a box in the colour of its class, and its masks."""
    picture = np.random.default_rng(c).integers(40, 80, (H, W, 3)).astype(np.uint8)
    rows, columns = slice(4 + 4 * c, 44 + 4 * c), slice(10 * c, 10 * c + 50)
    picture[rows, columns] = np.roll([230, 120, 20], c) if c < 3 else 255
    masks = np.zeros((4, H, W), bool)
    masks[c, rows, columns] = True
    return {"picture": picture, "classes": pack_planes(masks)}


SAMPLES = [sample(c) for c in range(4)]


@pytest.fixture(autouse=True)
def _leave_torch_alone():
    """Undo what a training sets for the whole process."""
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def fit(folder, member):
    """Train on four pictures by the engine, and predict them with what is left."""
    learner = task(None, member)
    ids = [f"{number:07x}" for number in range(4)]
    write_shard(folder / SHARDS / "00000", SAMPLES, {})
    catalogue = pl.DataFrame(
        [
            {"id": id_, "split": "train", "shard": "00000", "row": row}
            for row, id_ in enumerate(ids)
        ]
    )
    catalogue.write_parquet(folder / CATALOGUE)
    dataset, engine = Dataset(folder), find_engine("torch")
    order = Order(
        task=learner,
        member=member,
        dataset=dataset,
        scorer=of_role(member.role),
        catalogue=catalogue,
        # The question is whether it can learn, not whether it has understood.
        held_out_ids=ids,
        pictured_ids=[],
        seed=(7, 1, 0),
        weights=folder / "weights",
    )
    workspace = Workspace(folder, Progress(folder, "train", "clouds"))
    finished = engine.fit(order, workspace, "never")
    run = engine.load(learner, finished.description, finished.files["last"], "32-true")
    return finished.history, [outputs for _, outputs in run(dataset, ids, 4)]


@pytest.mark.parametrize(
    ("role", "loss"),
    [("seg1", {"bce": 1}), ("seg2", {"dice": 1, "rows": "positive"})],
)
def test_four_pictures_are_learnt_by_heart(role, loss, tmp_path):
    member = CloudsSegmenter(
        name="seg", role=role, net=NET, loss=loss, augment=STILL, training=TRAINING
    )
    history, outputs = fit(tmp_path, member)
    row = history[-1]
    assert row["val/score"] == row[f"val/{of_role(role).MONITOR}"] > 0.85
    assert row["train/dice_positive"] > history[0]["train/dice_positive"]
    for number, found in enumerate(outputs):
        mask = unpack_planes(SAMPLES[number]["classes"])[number]
        painted = found["prob"][number] > 127
        assert 2 * (painted & mask).sum() / (painted.sum() + mask.sum()) > 0.85
        # Who learns shapes only may paint where there is nothing, too.
        others = np.delete(found["prob"], number, axis=0)
        assert role == "seg2" or (others > 127).mean() < 0.05


def test_four_pictures_are_named(tmp_path):
    net = {"backbone": TINY, "dropout": 0.0}
    member = CloudsClassifier(
        name="cls",
        role="cls",
        net=net,
        augment=STILL,
        training={**TRAINING, "samples_per_epoch": 48},
    )
    history, outputs = fit(tmp_path, member)
    assert history[-1]["train/accuracy"] > history[0]["train/accuracy"]
    presence = np.stack([found["presence"] for found in outputs])
    assert presence.dtype == np.float32
    np.testing.assert_array_equal(presence > 0.5, np.eye(4, dtype=bool))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_training_with_moves_and_every_part_of_the_loss(precision, tmp_path):
    loss = {"bce": 1, "dice": 1, "presence": 0.1, "rows": "dice-positive"}
    small = {**TRAINING, "epochs": 1, "samples_per_epoch": 8, "precision": precision}
    member = CloudsSegmenter(
        name="seg", net=NET | {"head": True}, loss=loss, training=small
    )
    history, outputs = fit(tmp_path, member)
    row = history[-1]
    weighed = [loss[n] * row[f"train/loss_{n}"] for n in ("bce", "dice", "presence")]
    assert sum(weighed) == pytest.approx(row["train/loss"], rel=1e-4)
    assert {outputs[0][name].shape for name in ("prob", "presence")} == {
        (4, H, W),
        (4,),
    }
