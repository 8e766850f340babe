"""Write a synthetic "Understanding Clouds" data set in the competition's own format."""

import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tenfold.challenges.clouds.classes import CLASSES
from tenfold.challenges.clouds.options import CloudsSynth
from tenfold.challenges.clouds.scenes import (
    MARGIN,
    Picture,
    lay_out,
    photograph,
    render,
)
from tenfold.challenges.clouds.sketches import draw_masks, sketch
from tenfold.challenges.clouds.textures import Rng
from tenfold.codecs import run_length
from tenfold.data.arrays import BoolArray
from tenfold.data.files import write_csv
from tenfold.errors import RecipeError, SourceError

COLUMNS = ("Image_Label", "EncodedPixels")
TWIN_COLUMNS = ("id_a", "id_b")

#: Training images of the competition, and how many of them have each class.
_REAL_IMAGES = 5546
_REAL_COUNTS = (2781, 2365, 2939, 3751)

_QUALITY, _TWIN_QUALITY = 90, 84
_WORKERS = 2

# First entries of the seed of each kind of generator, so that none repeats another.
_PLAN, _LAYOUT, _LABEL, _RENDER, _TWIN = range(5)


@dataclass(frozen=True)
class Shot:
    """One image of one scene.

    Attributes:
        number: position in the plan.
        image_id: seven hexadecimal digits, the file's stem.
        scene: number of the shot that showed the scene first; its own if none did.
        present: (4,), whether the scene has each class.
    """

    number: int
    image_id: str
    split: Literal["train", "test"]
    scene: int
    present: tuple[bool, ...]

    @property
    def is_twin(self) -> bool:
        """Tell whether another training image shows the same scene."""
        return self.scene != self.number


@dataclass(frozen=True)
class Record:
    """What the tables say about one written image: run lengths in order of classes."""

    shot: Shot
    runs: tuple[str, ...]


def synthesise(
    directory: Path,
    options: CloudsSynth,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `data`, the competition's download, and `truth`, the answers.

    `data` holds `train_images`, `test_images`, `train.csv` and, last, the
    `sample_submission.csv`. `truth` is for checks only:

    - `truth.csv`: the labels of every test image, as `train.csv` has them. They are
      drawn by the same unsteady hands.
    - `twins.csv`: pairs of training images of one scene; the second is encoded anew,
      moved by up to 1 % of its height, and a little brighter or darker.

    Args:
        directory: created if absent.
        options: how much of what, and the seed.
        on_progress: called with the images written so far and the images in all.

    Raises:
        SourceError: the directory already holds a data set.
        RecipeError: more twins than half of the training images.
    """
    shots = plan_shots(options)
    data, truth = directory / "data", directory / "truth"
    _make_folders(data)
    records = _write_images(data, shots, options, on_progress)
    # Ids say nothing about scenes, so twins lie apart in tables that they sort.
    records.sort(key=lambda record: record.shot.image_id)
    test = [r for r in records if r.shot.split == "test"]
    pairs = [(shots[s.scene].image_id, s.image_id) for s in shots if s.is_twin]
    write_csv(truth / "truth.csv", COLUMNS, _rows(test))
    write_csv(truth / "twins.csv", TWIN_COLUMNS, pairs)
    train = [r for r in records if r.shot.split == "train"]
    write_csv(data / "train.csv", COLUMNS, _rows(train))
    blank = ((key, "1 1") for key, _ in _rows(test))
    write_csv(data / "sample_submission.csv", COLUMNS, blank)


def _make_folders(data: Path) -> None:
    if data.exists():
        raise SourceError(f"{data} exists; remove it or choose another")
    for split in ("train", "test"):
        (data / f"{split}_images").mkdir(parents=True)


def plan_shots(options: CloudsSynth) -> list[Shot]:
    """Decide which images there are and what they show: train, its twins, test.

    Raises:
        RecipeError: more twins than half of the training images.
    """
    if options.twins > options.train // 2:
        raise RecipeError(
            f"synth.twins is {options.twins}, but each is the twin of another of the"
            f" {options.train} training images; set it to {options.train // 2} or less"
        )
    rng = np.random.default_rng([_PLAN, options.seed])
    own = options.train - options.twins
    total = options.train + options.test
    scenes = [*range(own), *rng.choice(own, options.twins, replace=False).tolist()]
    scenes += range(options.train, total)
    present = {
        **dict(enumerate(_draw_presence(rng, own))),
        **dict(enumerate(_draw_presence(rng, options.test), options.train)),
    }
    ids = _draw_ids(rng, total)
    return [
        Shot(
            number=i,
            image_id=ids[i],
            split="train" if i < options.train else "test",
            scene=scenes[i],
            present=tuple(present[scenes[i]].tolist()),
        )
        for i in range(total)
    ]


def _draw_presence(rng: Rng, count: int) -> BoolArray:
    """Deal classes to images at the competition's rates; every image gets one.

    Returns:
        (count, 4), whether an image has a class. As many images have it as the rate
        says, rounded.
    """
    present = np.zeros((count, len(CLASSES)), np.bool_)
    for kind, real in enumerate(_REAL_COUNTS):
        times = round(count * real / _REAL_IMAGES)
        present[rng.permutation(count)[:times], kind] = True
    for image in np.flatnonzero(~present.any(axis=1)):
        # An image with several classes gives one away, so that the rates stay.
        rich = rng.choice(np.flatnonzero(present.sum(axis=1) > 1))
        kind = rng.choice(np.flatnonzero(present[rich]))
        present[rich, kind], present[image, kind] = False, True
    return present


def _draw_ids(rng: Rng, count: int) -> list[str]:
    ids: dict[str, None] = {}
    while len(ids) < count:
        ids[f"{rng.integers(16**7):07x}"] = None
    return list(ids)


def _write_images(
    data: Path,
    shots: Sequence[Shot],
    options: CloudsSynth,
    on_progress: Callable[[int, int], None] | None,
) -> list[Record]:
    def write(shot: Shot) -> Record:
        return _write_shot(data, shot, options.seed)

    records: list[Record] = []
    with ThreadPoolExecutor(_WORKERS) as pool:
        for record in pool.map(write, shots):
            records.append(record)
            if on_progress:
                on_progress(len(records), len(shots))
    return records


def _write_shot(data: Path, shot: Shot, seed: int) -> Record:
    layout, label, look = (
        np.random.default_rng([stream, seed, shot.scene])
        for stream in (_LAYOUT, _LABEL, _RENDER)
    )
    scene = lay_out(layout, np.array(shot.present))
    picture, shift, quality = render(scene, look), (0, 0), _QUALITY
    if shot.is_twin:
        rng = np.random.default_rng([_TWIN, seed, shot.number])
        picture, shift, quality = _expose_anew(rng, picture), _shift(rng), _TWIN_QUALITY
    content = io.BytesIO()
    photograph(picture, scene, shift).save(content, "JPEG", quality=quality)
    path = data / f"{shot.split}_images" / f"{shot.image_id}.jpg"
    path.write_bytes(content.getvalue())
    masks = draw_masks(sketch(label, scene), shift)
    return Record(shot, tuple(map(run_length.encode, masks)))


def _shift(rng: Rng) -> tuple[int, int]:
    rows, cols = rng.integers(3, MARGIN, 2, endpoint=True) * rng.choice([-1, 1], 2)
    return int(rows), int(cols)


def _expose_anew(rng: Rng, picture: Picture) -> Picture:
    """Change contrast and brightness by a few percent."""
    contrast, brightness = rng.uniform(0.92, 1.08), rng.uniform(-7, 7)
    tones = contrast * (np.arange(256) - 128) + 128 + brightness
    table = np.clip(np.rint(tones), 12, 255).astype(np.uint8)
    return np.asarray(table[picture])


def _rows(records: Iterable[Record]) -> list[tuple[str, str]]:
    return [
        (f"{record.shot.image_id}.jpg_{name}", runs)
        for record in records
        for name, runs in zip(CLASSES, record.runs, strict=True)
    ]
