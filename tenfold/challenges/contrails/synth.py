"""Write a synthetic "Identify Contrails" data set in the competition's own format."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tenfold.challenges.contrails.annotators import count_votes, majority
from tenfold.challenges.contrails.fields import Camera, Rng
from tenfold.challenges.contrails.hands import annotate, exact
from tenfold.challenges.contrails.options import FRAMES, ContrailsSynth
from tenfold.challenges.contrails.scenes import lay_out, photograph
from tenfold.data.arrays import BoolArray, ByteArray
from tenfold.data.files import atomic_path, write_csv
from tenfold.errors import SourceError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
REVISIT_COLUMNS = ("record", "of")

#: s since 1970: April 2019, with which the real records begin.
_BEGIN = 1_554_076_800
#: s between frames, and between the scenes of a data set, which never meet in time.
_STEP, _APART = 600, 10_800
#: m a pixel.
_PIXEL = 2000.0
#: A scene's projection, by its central meridian.
_WKT = (
    'PROJCS["WGS 84 / UTM zone {zone}N",GEOGCS["WGS 84",DATUM["WGS_1984",'
    'SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
    'PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",{meridian}],'
    'PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],'
    'PARAMETER["false_northing",0],UNIT["metre",1],AXIS["Easting",EAST],'
    'AXIS["Northing",NORTH]]'
)
#: Zones that GOES-16 sees well: 126° W to 36° W.
_ZONES = range(10, 25)
_WORKERS = 2

# First entries of the seed of each kind of generator, so that none repeats another.
_PLAN, _LAYOUT, _LABEL, _NOISE = range(4)


@dataclass(frozen=True)
class Shot:
    """One record of one scene.

    Attributes:
        number: position in the plan.
        record_id: the folder's name.
        scene: number of the shot that showed the scene first; its own if none did.
        contrails: whether the scene has any.
        shift: rows and columns by which it looks past that first view, px.
        delay: frames after the first view.
        timestamp: of the labelled frame, s since 1970.
        zone: of its projection.
        corner: northing and easting of its lower left corner, m.
    """

    number: int
    part: Part
    record_id: str
    scene: int
    contrails: bool
    shift: tuple[int, int]
    delay: int
    timestamp: int
    zone: int
    corner: tuple[float, float]

    @property
    def is_revisit(self) -> bool:
        """Tell whether another record shows the same scene."""
        return self.scene != self.number


def synthesise(
    directory: Path,
    options: ContrailsSynth,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `data`, the competition's download, and `truth`, the answers.

    `data` holds `train`, `validation` and `test` with a folder for each record, the
    metadata of both labelled parts and, last, the `sample_submission.csv`. `truth` is
    for checks only:

    - `test/<record_id>.npy`: (side, side) uint8, the majority of annotators as unsteady
      as those of train, in the same place as the competition's masks.
    - `exact/<record_id>.npy`: (side, side) uint8, for every record the contrails of
      the labelled frame where they are in the image, without anybody's hand.
    - `revisits.csv`: validation records that show the scene of a train record again,
      moved by a few dozen pixels and up to half an hour later.

    Args:
        directory: created if absent.
        options: how much of what, and the seed.
        on_progress: called with the records written so far and the records in all.

    Raises:
        SourceError: the directory already holds a data set.
    """
    data, truth = directory / "data", directory / "truth"
    if data.exists():
        raise SourceError(f"{data} exists; remove it or choose another")
    shots = plan_shots(options)

    def write(shot: Shot) -> None:
        _write_shot(data, truth, shot, options)

    with ThreadPoolExecutor(_WORKERS) as pool:
        for done, _ in enumerate(pool.map(write, shots), 1):
            if on_progress:
                on_progress(done, len(shots))
    _write_tables(data, truth, shots, options)


def plan_shots(options: ContrailsSynth) -> list[Shot]:
    """Decide which records there are and what they show: train, validation, test."""
    rng = np.random.default_rng([_PLAN, options.seed])
    sizes = (options.train, options.validation, options.test)
    parts = [part for part, size in zip(PARTS, sizes, strict=True) for _ in range(size)]
    ids = _draw_ids(rng, len(parts))
    slots = rng.permutation(len(parts))
    half = np.concatenate([rng.permutation(size) % 2 == 0 for size in sizes])
    shots = [
        Shot(
            number=number,
            part=part,
            record_id=ids[number],
            scene=number,
            contrails=bool(half[number]),
            shift=(0, 0),
            delay=0,
            timestamp=_BEGIN + _APART * int(slots[number]),
            zone=int(rng.choice(_ZONES)),
            corner=_draw_corner(rng),
        )
        for number, part in enumerate(parts)
    ]
    again = options.train + rng.permutation(options.validation)[: options.revisits]
    enough = options.revisits <= options.train
    seen = rng.choice(options.train, options.revisits, replace=not enough)
    for number, first in zip(again.tolist(), seen.tolist(), strict=True):
        shots[number] = _revisit(rng, shots[number], shots[first], options.side)
    return shots


def _draw_ids(rng: Rng, count: int) -> list[str]:
    """Draw distinct record ids: decimal, at most 63 bits."""
    ids: dict[str, None] = {}
    while len(ids) < count:
        ids[str(rng.integers(10**15, 2**63 - 1))] = None
    return list(ids)


def _draw_corner(rng: Rng) -> tuple[float, float]:
    northing, easting = rng.uniform(1.5e6, 5.0e6), rng.uniform(-2e5, 6e5)
    return float(round(northing, 3)), float(round(easting, 3))


def _revisit(rng: Rng, shot: Shot, first: Shot, side: int) -> Shot:
    """Let a record show the scene of another one again."""
    least, most = max(1, side // 16), max(2, side * 5 // 32)
    rows, cols = (
        int(rng.integers(least, most, endpoint=True) * rng.choice([-1, 1]))
        for _ in range(2)
    )
    delay = int(rng.integers(0, 3, endpoint=True))
    return Shot(
        number=shot.number,
        part=shot.part,
        record_id=shot.record_id,
        scene=first.number,
        contrails=first.contrails,
        shift=(rows, cols),
        delay=delay,
        timestamp=first.timestamp + _STEP * delay,
        zone=first.zone,
        # Rows go south.
        corner=(first.corner[0] - rows * _PIXEL, first.corner[1] + cols * _PIXEL),
    )


def _write_shot(data: Path, truth: Path, shot: Shot, options: ContrailsSynth) -> None:
    layout = np.random.default_rng([_LAYOUT, options.seed, shot.scene])
    scene = lay_out(layout, options.side, shot.contrails)
    camera = Camera(
        options.side,
        (float(shot.shift[0]), float(shot.shift[1])),
        tuple(range(shot.delay, shot.delay + FRAMES)),
    )
    noise, label = (
        np.random.default_rng([stream, options.seed, shot.number])
        for stream in (_NOISE, _LABEL)
    )
    folder = data / shot.part / shot.record_id
    folder.mkdir(parents=True)
    for band, kelvin in photograph(scene, camera, noise).items():
        np.save(folder / f"band_{band:02d}.npy", kelvin)
    marked = annotate(scene, camera, label)
    agreed = _agreed(marked)
    if shot.part == "train":
        individual = marked[:, :, None, :].astype(np.int32)
        np.save(folder / "human_individual_masks.npy", individual)
    if shot.part == "test":
        _write_mask(truth / "test" / f"{shot.record_id}.npy", agreed)
    else:
        pixels = agreed[:, :, None].astype(np.int32)
        np.save(folder / "human_pixel_masks.npy", pixels)
    _write_mask(truth / "exact" / f"{shot.record_id}.npy", exact(scene, camera))


def _agreed(marked: BoolArray) -> ByteArray:
    """Return the majority of annotators: (side, side), 0 or 1."""
    agreed = majority(count_votes(marked), marked.shape[-1])
    return agreed.astype(np.uint8)


def _write_mask(path: Path, mask: BoolArray | ByteArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, mask.astype(np.uint8))


def _write_tables(
    data: Path, truth: Path, shots: Sequence[Shot], options: ContrailsSynth
) -> None:
    # Ids say nothing about scenes, so revisits lie apart in tables that they sort.
    by_id = sorted(shots, key=lambda shot: shot.record_id)
    for part in ("train", "validation"):
        entries = [_entry(s, options.side) for s in by_id if s.part == part]
        with atomic_path(data / f"{part}_metadata.json") as temporary:
            temporary.write_text(json.dumps(entries), encoding="utf-8")
    again = [(s.record_id, shots[s.scene].record_id) for s in by_id if s.is_revisit]
    write_csv(truth / "revisits.csv", REVISIT_COLUMNS, again)
    blank = [(shot.record_id, "-") for shot in by_id if shot.part == "test"]
    write_csv(data / "sample_submission.csv", ("record_id", "encoded_pixels"), blank)


def _entry(shot: Shot, side: int) -> Mapping[str, Any]:
    return {
        "record_id": shot.record_id,
        "timestamp": shot.timestamp,
        "projection_wkt": _WKT.format(zone=shot.zone, meridian=6 * shot.zone - 183),
        "row_min": shot.corner[0],
        "row_size": side * _PIXEL,
        "col_min": shot.corner[1],
        "col_size": side * _PIXEL,
    }
