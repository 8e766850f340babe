"""What predicting with an ensemble costs in memory and time, against one after another.

Ours is `tenfold.stages.predict`: each shard is read once, all members average in
place. The plain way is the published one: each member reads every GeoTIFF, makes its
channels, keeps all its masks and writes a TIFF a tile; averaging reads them back.
Members are small networks with random weights over the published 24 channels.
"""

import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import rasterio
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from benchmarks import plain
from benchmarks.sample import Sample, tiles
from benchmarks.table import Answer, Row, alone, row, script
from tenfold.challenges import find_challenge, load_recipe
from tenfold.challenges.kelp.model import KelpTask
from tenfold.data.dataset import CATALOGUE, SHARDS, Dataset
from tenfold.data.files import read_json, write_json
from tenfold.data.shards import write_shard
from tenfold.progress import Progress
from tenfold.recipe import Recipe
from tenfold.stages.context import Context
from tenfold.stages.entries import MODEL
from tenfold.stages.predict import Ensemble, EnsembleMember, Predictor
from tenfold.store import Entry, Store, Workspace

TITLE = "Predicting with an ensemble (one thread)"
SHARD = 16
NET = (
    "encoder=tu-mobilenetv3_small_050",
    "weights=null",
    "decoder_channels=[32, 16, 8, 8, 8]",
)
SETTINGS = (
    *(f"members.unet-b5.net.{setting}" for setting in NET),
    *("members.unet-b5.training.precision=32-true", "tune.vote=soft"),
    *("profiles.predict.gpu=null", "profiles.predict.gpus=0"),
)
_WEIGHTS = "weights/last.safetensors"


def _recipe() -> Recipe:
    return load_recipe("kelp", "winning", SETTINGS)


def prepare(folder: Path, sample: Sample, members: int, tiles: Sequence[int]) -> int:
    """Write members, and data sets of some numbers of test tiles.

    Tiles repeat, and shards are links to one, so that little disk is taken; each is
    mapped and read on its own.

    Returns:
        The bytes of a member's weights.
    """
    recipe = _recipe()
    task = KelpTask(recipe.members[0])
    statistics = sample.dataset.statistics(task.channels(), sample.ids)
    for number in range(members):
        torch.manual_seed(number)
        model = task.model(statistics)
        path = folder / "members" / str(number)
        (path / _WEIGHTS).parent.mkdir(parents=True)
        save_file(model.state_dict(), path / _WEIGHTS)
        write_json(path / MODEL, task.describe(model) | {"weights": _WEIGHTS})
    some = [sample.dataset.sample(sample.ids[_of(n, sample)]) for n in range(SHARD)]
    packed = [{k: a for k, a in one.items() if k != "kelp"} for one in some]
    write_shard(folder / "shard", packed, {})
    for count in tiles:
        _catalogue(folder, count)
    return (path / _WEIGHTS).stat().st_size


def _of(tile: int, sample: Sample) -> int:
    """Return which of the sample's tiles a tile of the data sets is."""
    return tile % SHARD % len(sample.ids)


def _catalogue(folder: Path, count: int) -> None:
    data = folder / f"data-{count}"
    (data / SHARDS).mkdir(parents=True)
    rows = []
    for tile in range(count):
        shard, place = divmod(tile, SHARD)
        name = f"test-{shard:05d}"
        row = {"id": f"T{tile:05d}", "split": "test", "shard": name, "row": place}
        rows.append(row)
        if place == 0:
            (data / SHARDS / name).symlink_to(folder / "shard")
    pl.DataFrame(rows).write_parquet(data / CATALOGUE)


def ours(folder: str, members: int, tiles: int) -> None:
    """Predict as the stage does; the result is in `ours-…/shards`."""
    torch.set_num_threads(1)
    root = Path(folder)
    context = Context(_recipe(), Store(root / "store"))
    model = context.recipe.members[0].name
    decision = find_challenge("kelp").decision.untuned(context.recipe, model, 0)
    ensemble = Ensemble(
        context,
        [
            EnsembleMember(
                Entry(f"train/{number}", root / "members" / str(number), {}),
                *(model, "segment", 1 / members),
            )
            for number in range(members)
        ],
        decision,
    )
    out = root / f"ours-{members}-{tiles}"
    out.mkdir()
    workspace = Workspace(out, Progress(out, "predict", "benchmark"))
    Predictor(ensemble, Dataset(root / f"data-{tiles}")).run(0, 1, workspace)


def theirs(folder: str, members: int, tiles: int, files: Sequence[str]) -> None:
    """Predict member by member, then average; the result is in `plain-…/mean`."""
    torch.set_num_threads(1)
    root = Path(folder)
    out = root / f"plain-{members}-{tiles}"
    for number in range(members):
        _write_member(root, number, [files[n % len(files)] for n in range(tiles)], out)
    (out / "mean").mkdir()
    sums = np.zeros((tiles, 350, 350), np.float32)
    for number in range(members):
        for tile in range(tiles):
            with rasterio.open(out / str(number) / f"{tile}.tif") as file:
                sums[tile] += file.read(1)
    for tile, total in enumerate(sums):
        _write(out / "mean" / f"{tile}.tif", total / members)


@torch.inference_mode()
def _write_member(root: Path, number: int, files: Sequence[str], out: Path) -> None:
    task = KelpTask(_recipe().members[0])
    card = root / "members" / str(number)
    model = task.restore(read_json(card / MODEL))
    model.load_state_dict(load_file(card / _WEIGHTS))
    model.eval()
    scale = plain.scale_of(model.preprocess)
    kept, size = [], _recipe().predict.batch
    for place in range(0, len(files), size):
        some = files[place : place + size]
        bands = torch.stack([plain.read_tile(Path(file)) for file in some])
        channels = scale(plain.add_indices(bands, task.member.input.indices))
        logits = model.net(F.pad(channels, (1, 1, 1, 1)))[..., 1:-1, 1:-1]
        kept.append(torch.sigmoid(logits[:, 1]))
    (out / str(number)).mkdir(parents=True)
    for tile, probability in enumerate(p for some in kept for p in some):
        _write(out / str(number) / f"{tile}.tif", probability.numpy())


def _write(path: Path, values: np.ndarray) -> None:
    profile = {"driver": "GTiff", "count": 1, "height": 350, "width": 350}
    with rasterio.open(path, "w", dtype="float32", **profile) as file:
        file.write(values, 1)


def agree(folder: Path, members: int, tiles: int) -> None:
    """Check that both ways gave the same probabilities, to the steps that are kept."""
    predicted = Dataset(folder / f"ours-{members}-{tiles}")
    for tile in range(tiles):
        steps = predicted.sample(f"T{tile:05d}")["prob"]
        with rasterio.open(folder / f"plain-{members}-{tiles}/mean/{tile}.tif") as file:
            mean = file.read(1)
        assert np.abs(steps / 255 - mean).max() < 1.05 / 255


def _least(folder: Path, members: int, tiles: int, repeat: int) -> Answer:
    """Predict some times; return the run with the lowest peak."""
    found = []
    for _ in range(repeat):
        shutil.rmtree(folder / f"ours-{members}-{tiles}", ignore_errors=True)
        answer = alone(ours, folder=str(folder), members=members, tiles=tiles)
        found.append(answer)
    return min(found, key=lambda answer: answer.peak_mb)


def rows(quick: bool) -> list[Row]:
    """Measure, each in a process of its own."""
    members, few, many = (2, 8, 16) if quick else (10, 32, 256)
    sample = tiles(8)
    with tempfile.TemporaryDirectory(prefix="tenfold-benchmark-") as place:
        folder = Path(place)
        weights = prepare(folder, sample, members, (few, many)) / 1e6
        files = [str(sample.files[_of(n, sample)][0]) for n in range(SHARD)]
        repeat = 1 if quick else 3
        one = _least(folder, 1, few, repeat)
        all_ = _least(folder, members, few, repeat)
        longer = _least(folder, 1, many, repeat)
        plainly = partial(alone, theirs, folder=place, files=files)
        plain_all = plainly(members=members, tiles=few)
        plain_longer = plainly(members=1, tiles=many)
        agree(folder, members, few)
    apart = all_.peak_mb - (members - 1) * weights
    pairs = members * few
    return [
        row(
            f"memory of {members} members / of 1, MB",
            *(apart, one.peak_mb, apart / one.peak_mb, "≤ 1.10"),
            f"ours both; without {members - 1} × {weights:.1f} MB of weights",
        ),
        row(
            f"memory of {many} tiles / of {few}, MB",
            *(longer.peak_mb, one.peak_mb, longer.peak_mb / one.peak_mb, "≤ 1.05"),
            f"ours both; shards of {SHARD}, 1 member",
        ),
        row(
            f"memory of {many} tiles, MB",
            *(longer.peak_mb, plain_longer.peak_mb),
            plain_longer.peak_mb / longer.peak_mb,
            note="1 member; plain: all masks of a member in memory",
        ),
        row(
            "member × tiles per CPU-second",
            *(pairs / all_.cpu, pairs / plain_all.cpu, plain_all.cpu / all_.cpu),
            note=f"{members} members, {few} tiles, small networks; loading included",
        ),
    ]


if __name__ == "__main__":
    script(rows, TITLE)
