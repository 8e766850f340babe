"""Write a synthetic "Kelp Wanted" data set in the competition's own format."""

import csv
import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from scipy import ndimage

from tenfold.challenges.kelp.options import SynthOptions
from tenfold.challenges.kelp.terrain import (
    MISSING,
    FloatArray,
    Ground,
    IntArray,
    build_coast,
    build_open_sea,
    fractal,
    smoothstep,
)
from tenfold.errors import SourceError

BoolArray = npt.NDArray[np.bool_]
Mask = npt.NDArray[np.uint8]
Rng = np.random.Generator
Row = dict[str, str | int | float | bool]

METADATA_NAME = "metadata_fTq0l2T.csv"
OVERLAP_COLUMNS = (
    *("tile_a", "tile_b", "row_shift", "col_shift"),
    *("overlap_share", "land_share"),
)
SATURATED = 65535
WORKERS = 2

# First entries of the seed of each kind of generator, so that none repeats another.
PLAN_STREAM, COAST_STREAM, TILE_STREAM, FAULT_STREAM = range(4)


def _spectrum(*dn: float) -> FloatArray:
    return np.array(dn, np.float32)[:, None, None]


# Digital numbers in file order: SWIR, NIR, R, G, B.
DEEP_WATER = _spectrum(7350, 7450, 7600, 7900, 7950)
SHALLOWS = _spectrum(20, 90, 350, 700, 520)
PLANTS = _spectrum(12800, 17200, 8900, 9400, 8500)
BARE = _spectrum(16200, 14200, 11900, 11100, 10000)
WET_SAND = _spectrum(9600, 10600, 9900, 9900, 9300)
SHORE_PLANTS = _spectrum(10200, 12000, 8200, 8700, 8100)
CANOPY = _spectrum(0.12, 1.0, -0.1, 0.04, -0.06)
BLOOM = _spectrum(0.05, 1.0, 0.05, 0.6, -0.1)
TURBID = _spectrum(0.1, 0.62, 1.0, 0.95, 0.5)
FOAM = _spectrum(0.55, 0.9, 1.0, 1.0, 1.0)
HAZE = _spectrum(0.1, 0.25, 0.6, 0.8, 1.0)
CLOUD = _spectrum(0.85, 1.0, 1.0, 0.98, 1.0)


@dataclass(frozen=True)
class Tile:
    """One crop of one coast at one date.

    Attributes:
        number: position in the plan; seeds the date.
        coast: which coast, or which patch of open sea, the tile shows.
        row: first row of the crop in that coast's world.
        col: first column of the crop in that coast's world.
        at_sea: whether the coast is a patch of open sea.
    """

    number: int
    tile_id: str
    coast: int
    row: int
    col: int
    split: Literal["train", "test"]
    at_sea: bool


@dataclass(frozen=True)
class Faults:
    """Identifiers of the training tiles that are wrong on purpose."""

    mislabelled: tuple[str, ...] = ()
    truncated: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    unmasked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """What the metadata and the truth say about one written tile."""

    tile: Tile
    rows: tuple[Row, ...]
    land: BoolArray  # (H, W)


def synthesise(
    directory: Path,
    options: SynthOptions,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ``data``, the competition's download, and ``truth``, the answers.

    ``data`` holds ``train_satellite``, ``train_kelp``, ``test_satellite`` and the
    metadata, which is written last. ``truth`` is for checks only:

    - ``test_kelp``: the masks of the test tiles.
    - ``aoi.csv``: coast, row and col of each tile, and its split.
    - ``overlaps.csv``: each pair of overlapping tiles. Pixel (r, c) of tile_b shows
      the ground of pixel (r + row_shift, c + col_shift) of tile_a; overlap_share is
      the shared area and land_share the shared area with elevation above 0, both
      divided by the area of a tile.
    - ``labels.json``: the tiles and files that are wrong on purpose. They count among
      ``options.train``: masks that call almost everything kelp, a satellite file cut
      short (its metadata describe the whole file), a satellite row that the metadata
      list twice, and a mask that is listed but absent.

    Args:
        directory: created if absent.
        options: how much of what, and the seed.
        on_progress: called with the tiles written so far and the tiles in all.

    Raises:
        SourceError: the directory already holds a data set.
    """
    _make_folders(directory)
    tiles = plan_tiles(options)
    faults = _plan_faults(tiles, options)
    with warnings.catch_warnings():
        # The competition's files have no georeference either.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        records = _write_tiles(directory, tiles, faults, options, on_progress)
    _write_truth(directory / "truth", records, faults)
    _break_files(directory / "data", faults)
    _write_metadata(directory / "data" / METADATA_NAME, records, faults)


def _make_folders(directory: Path) -> None:
    if (directory / "data").exists():
        raise SourceError(f"{directory / 'data'} exists; remove it or choose another")
    for name in ("train_satellite", "train_kelp", "test_satellite"):
        (directory / "data" / name).mkdir(parents=True)
    (directory / "truth" / "test_kelp").mkdir(parents=True)


def plan_tiles(options: SynthOptions) -> list[Tile]:
    """Decide which coast, crop and split each tile is, in order of coast."""
    rng = np.random.default_rng([PLAN_STREAM, options.seed])
    total = options.train + options.test
    at_sea = max(1, round(0.04 * total))
    coasts = min(options.coasts, total - at_sea)
    dates = np.ones(coasts + at_sea, np.int64)
    # Some stretches are seen once only, the others several times.
    often = max(1, round(0.6 * coasts))
    chances = rng.dirichlet(np.full(often, 12.0))
    dates[:often] += rng.multinomial(total - len(dates), chances)
    coast_of_tile = np.repeat(np.arange(len(dates)), dates)
    in_test = _choose_test(rng, coast_of_tile, options.test)
    offsets = rng.integers(0, options.max_shift, (total, 2), endpoint=True)
    ids = _draw_ids(rng, total)
    return [
        Tile(
            number=i,
            tile_id=ids[i],
            coast=int(coast_of_tile[i]),
            row=int(offsets[i, 0]),
            col=int(offsets[i, 1]),
            split="test" if in_test[i] else "train",
            at_sea=bool(coast_of_tile[i] >= coasts),
        )
        for i in range(total)
    ]


def _choose_test(
    rng: Rng, coast_of_tile: npt.NDArray[np.int64], count: int
) -> BoolArray:
    """Take whole coasts for two thirds of the test, single tiles for the rest."""
    in_test = np.zeros(len(coast_of_tile), np.bool_)
    for coast in rng.permutation(coast_of_tile.max() + 1):
        members = coast_of_tile == coast
        if in_test.sum() + members.sum() <= 2 * count / 3:
            in_test |= members
    left = rng.permutation(np.flatnonzero(~in_test))
    in_test[left[: count - in_test.sum()]] = True
    return in_test


def _draw_ids(rng: Rng, count: int) -> list[str]:
    ids: dict[str, None] = {}
    while len(ids) < count:
        letters = rng.integers(ord("A"), ord("Z"), 2, endpoint=True)
        ids[f"{letters[0]:c}{letters[1]:c}{rng.integers(10**6):06d}"] = None
    return list(ids)


def _plan_faults(tiles: Sequence[Tile], options: SynthOptions) -> Faults:
    if not options.bad_files:
        return Faults()
    rng = np.random.default_rng([FAULT_STREAM, options.seed])
    ids = [t.tile_id for t in tiles if t.split == "train" and not t.at_sea]
    drawn = [ids[i] for i in rng.permutation(len(ids))]
    mislabelled = max(1, len(ids) // 30)
    return Faults(
        truncated=tuple(drawn[:1]),
        repeated=tuple(drawn[1:2]),
        unmasked=tuple(drawn[2:3]),
        mislabelled=tuple(drawn[3 : 3 + mislabelled]),
    )


def _write_tiles(
    directory: Path,
    tiles: Sequence[Tile],
    faults: Faults,
    options: SynthOptions,
    on_progress: Callable[[int, int], None] | None,
) -> list[Record]:
    def write_coast(members: list[Tile]) -> list[Record]:
        ground = _build_ground(members[0], options)
        return [_write_tile(directory, t, ground, faults, options) for t in members]

    by_coast: dict[int, list[Tile]] = {}
    for tile in tiles:
        by_coast.setdefault(tile.coast, []).append(tile)
    records: list[Record] = []
    with ThreadPoolExecutor(WORKERS) as pool:
        jobs = [pool.submit(write_coast, members) for members in by_coast.values()]
        for job in as_completed(jobs):
            records += job.result()
            if on_progress:
                on_progress(len(records), len(tiles))
    return sorted(records, key=lambda r: r.tile.number)


def _build_ground(tile: Tile, options: SynthOptions) -> Ground:
    side = options.size + options.max_shift
    if tile.at_sea:
        return build_open_sea(side)
    rng = np.random.default_rng([COAST_STREAM, options.seed, tile.coast])
    return build_coast(rng, side)


def _write_tile(
    directory: Path, tile: Tile, world: Ground, faults: Faults, options: SynthOptions
) -> Record:
    rng = np.random.default_rng([TILE_STREAM, options.seed, tile.number])
    ground = world.crop(tile.row, tile.col, options.size)
    bands, mask = render(ground, rng)
    if tile.tile_id in faults.mislabelled:
        mask = (fractal(rng, options.size, 3.0) > -1.2).astype(np.uint8)
    satellite = f"{tile.split}_satellite/{tile.tile_id}_satellite.tif"
    kelp = f"{tile.split}_kelp/{tile.tile_id}_kelp.tif"
    rows = [_write_tif(directory / "data" / satellite, bands, tile, "satellite")]
    if tile.split == "train":
        rows.append(_write_tif(directory / "data" / kelp, mask[None], tile, "kelp"))
    else:
        _write_tif(directory / "truth" / kelp, mask[None], tile, "kelp")
    return Record(tile, tuple(rows), ground.dem_m > 0)


def _write_tif(path: Path, bands: IntArray | Mask, tile: Tile, kind: str) -> Row:
    profile = {
        "driver": "GTiff",
        "count": bands.shape[0],
        "height": bands.shape[1],
        "width": bands.shape[2],
        "dtype": bands.dtype.name,
        "compress": "deflate",
        "interleave": "pixel",
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as image:
            image.write(bands)
        content = memory.read()
    path.write_bytes(content)
    return {
        "tile_id": tile.tile_id,
        "filename": path.name,
        "md5_hash": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "filesize_bytes": len(content),
        "type": kind,
        "in_train": tile.split == "train",
    }


def _break_files(data: Path, faults: Faults) -> None:
    for tile_id in faults.truncated:
        path = data / "train_satellite" / f"{tile_id}_satellite.tif"
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    for tile_id in faults.unmasked:
        (data / "train_kelp" / f"{tile_id}_kelp.tif").unlink()


def _write_metadata(path: Path, records: Sequence[Record], faults: Faults) -> None:
    rows = [row for record in records for row in record.rows]
    rows += [
        r for r in rows if r["tile_id"] in faults.repeated and r["type"] == "satellite"
    ]
    # Neighbours on the ground must not be neighbours in the list.
    rows.sort(key=lambda row: str(row["filename"]))
    _write_csv(path, list(rows[0]), rows)


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_truth(truth: Path, records: Sequence[Record], faults: Faults) -> None:
    columns = ("tile_id", "coast", "row", "col", "split")
    places: list[Row] = [
        {name: getattr(record.tile, name) for name in columns} for record in records
    ]
    _write_csv(truth / "aoi.csv", columns, places)
    pairs = [
        _overlap(a, b)
        for a, b in combinations(records, 2)
        if a.tile.coast == b.tile.coast
    ]
    shared = [pair for pair in pairs if pair["overlap_share"]]
    _write_csv(truth / "overlaps.csv", OVERLAP_COLUMNS, shared)
    labels = {
        "mislabelled": list(faults.mislabelled),
        "truncated": [f"train_satellite/{i}_satellite.tif" for i in faults.truncated],
        "repeated": list(faults.repeated),
        "unmasked": [f"train_kelp/{i}_kelp.tif" for i in faults.unmasked],
    }
    (truth / "labels.json").write_text(json.dumps(labels, indent=2) + "\n")


def _overlap(a: Record, b: Record) -> Row:
    row_shift, col_shift = b.tile.row - a.tile.row, b.tile.col - a.tile.col
    size = a.land.shape[0]
    shared = max(0, size - abs(row_shift)) * max(0, size - abs(col_shift))
    rows = slice(max(0, row_shift), max(0, size + min(0, row_shift)))
    cols = slice(max(0, col_shift), max(0, size + min(0, col_shift)))
    return {
        "tile_a": a.tile.tile_id,
        "tile_b": b.tile.tile_id,
        "row_shift": row_shift,
        "col_shift": col_shift,
        "overlap_share": round(shared / size**2, 6),
        "land_share": round(float(a.land[rows, cols].sum()) / size**2, 6),
    }


def render(ground: Ground, rng: Rng) -> tuple[IntArray, Mask]:
    """Photograph a piece of ground on one date, and have volunteers label it.

    Returns:
        The seven bands (7, H, W) and the mask (H, W), both as the files hold them.
    """
    size = ground.dem_m.shape[0]
    canopy = _grow_canopy(ground, rng)
    land = ground.offshore_px == 0
    scene = np.where(land, _land(ground, rng), _sea(ground, canopy, rng))
    scene = _add_air(scene, rng)
    cloud = _clouds(rng, size)
    scene += cloud * (CLOUD * rng.uniform(11000, 30000) - scene)
    scene += _noise(rng, size, rng.uniform(30, 90))
    hot = rng.integers(0, size, (2, rng.poisson(4)))
    scene[:, hot[0], hot[1]] = rng.uniform(0.5, 1.2, hot.shape[1]) * SATURATED
    gaps = _gaps(rng, size)
    quality = _quality(cloud, gaps, rng)
    bands = np.clip(np.rint(scene), 1, SATURATED).astype(np.int32)
    bands[:, gaps] = MISSING
    seen = (cloud < 0.45) & ~gaps
    mask = _label(canopy, rng) & seen & ~land
    layers = [bands, quality[None].astype(np.int32), ground.dem_m[None]]
    return np.concatenate(layers), mask.astype(np.uint8)


def _grow_canopy(ground: Ground, rng: Rng) -> FloatArray:
    """Let the reefs bear more or less kelp on this date, or none after a storm."""
    size = ground.reef.shape[0]
    season = rng.normal(0.0, 0.3) - (9 if rng.random() < 0.3 else 0)
    patches = 0.3 * fractal(rng, size, 3.2, longest_px=40)
    texture = 1 + 0.15 * fractal(rng, size, 1.2, longest_px=6)
    dense = smoothstep(ground.reef + season + patches, 0.0, 0.6)
    return np.asarray(dense * np.clip(texture, 0.3, 1.4), dtype=np.float32)


def _land(ground: Ground, rng: Rng) -> FloatArray:
    green = np.clip(ground.green * rng.uniform(0.6, 1.1), 0, 1)
    scene = BARE + green * (PLANTS - BARE)
    height = np.maximum(ground.dem_m, 0).astype(np.float32)
    light = ndimage.gaussian_filter(height, 1)
    slope = np.gradient(light, axis=0) + np.gradient(light, axis=1)
    shade = 1 + 0.35 * np.tanh(slope * rng.uniform(-0.12, 0.12))
    return np.asarray(6500 + (scene - 6500) * shade, dtype=np.float32)


def _sea(ground: Ground, canopy: FloatArray, rng: Rng) -> FloatArray:
    """Light leaving the water, with everything on it that looks a bit like kelp."""
    size, off = canopy.shape[0], ground.offshore_px
    shallow = np.exp(-off / 6) * np.float32(rng.uniform(0.4, 2.0))
    scene: FloatArray = DEEP_WATER + SHALLOWS * shallow
    # Light from the bright land is scattered over the water next to it.
    scene[1] += rng.uniform(0, 900) * np.exp(-off / rng.uniform(2, 6))
    scene[1] += rng.uniform(-200, 500)
    plume = smoothstep(fractal(rng, size, 3.4), 0.3, 2.0) * np.exp(-off / 50)
    scene += TURBID * plume * rng.gamma(1.2, 1500)
    bloom = smoothstep(fractal(rng, size, 4.2, longest_px=110), 0.9, 2.0)
    # Blooms and drifting weed keep to the open water beyond the reefs.
    bloom *= smoothstep(off, 22, 34)
    scene += BLOOM * bloom * rng.gamma(1.5, 1600)
    scene += CANOPY * canopy * np.clip(rng.lognormal(np.log(2900), 0.4), 1400, 7000)
    scene = _expose_shore(scene, ground, rng)
    surf = smoothstep(fractal(rng, size, 1.6, longest_px=25), 0.4, 1.8)
    surf *= np.exp(-off / rng.uniform(1, 3))
    scene += FOAM * surf * rng.gamma(1.0, 2500)
    return np.asarray(scene + _glint(rng, size), dtype=np.float32)


def _expose_shore(scene: FloatArray, ground: Ground, rng: Rng) -> FloatArray:
    """Bare the sand and the green weed that this date's tide leaves dry."""
    tide_px = rng.uniform(0.8, 3.2)
    dry = 1 - smoothstep(ground.offshore_px, tide_px - 0.5, tide_px + 1)
    sand = dry * smoothstep(ground.sand, 0.3, 1.0)
    weed = dry * smoothstep(ground.green, 0.35, 0.8) * rng.uniform(0.4, 1.1)
    scene = scene + sand * (WET_SAND - scene)
    scene = scene + np.clip(weed - sand, 0, 1) * (SHORE_PLANTS - scene)
    return np.asarray(scene, dtype=np.float32)


def _glint(rng: Rng, size: int) -> FloatArray:
    """Mirror the sun in the swell: all bands brighter, in patches, as rough noise."""
    patch = smoothstep(fractal(rng, size, 3.2), -0.5, 2.0) * rng.gamma(0.7, 800)
    swell = fractal(rng, size, 1.4, longest_px=8)
    level = patch * np.clip(1 + 0.35 * swell, 0, None) + rng.uniform(20, 70) * swell
    return np.asarray(level * _spectrum(1.1, 1.0, 0.85, 0.8, 0.75), dtype=np.float32)


def _add_air(scene: FloatArray, rng: Rng) -> FloatArray:
    """Lay haze over the scene and let the season change its brightness."""
    size = scene.shape[-1]
    haze = (1 + 0.5 * fractal(rng, size, 3.6)) * rng.gamma(1.2, 250)
    gain = rng.normal(1, 0.05) * rng.normal(1, 0.015, (5, 1, 1))
    hazy = 7000 + (scene - 7000) * gain + HAZE * np.clip(haze, 0, None)
    return np.asarray(hazy + rng.normal(0, 100, (5, 1, 1)), dtype=np.float32)


def _noise(rng: Rng, size: int, deviation: float) -> FloatArray:
    unit = rng.standard_normal((5, size, size), dtype=np.float32)
    return unit * np.float32(deviation)


def _clouds(rng: Rng, size: int) -> FloatArray:
    """Return how opaque the clouds are; most scenes have next to none."""
    level = rng.choice([3.4, 2.4, 1.5, 0.5], p=[0.4, 0.28, 0.21, 0.11])
    level += rng.uniform(-0.4, 0.4)
    return smoothstep(fractal(rng, size, 2.9, longest_px=160), level, level + 0.9)


def _gaps(rng: Rng, size: int) -> BoolArray:
    """Find the pixels that the sensor never saw: stripes, or beyond the swath."""
    rows, cols = np.mgrid[:size, :size]
    gaps = np.zeros((size, size), np.bool_)
    if rng.random() < 0.2:
        # The broken scan-line corrector leaves stripes that widen sideways.
        across = rows + 0.18 * cols + rng.uniform(0, 33)
        width = np.clip(rng.uniform(-6, 6) + 0.025 * cols, 0, 13)
        gaps |= (across % 33) < width
    if rng.random() < 0.06:
        gaps |= rows + 4.5 * cols < rng.uniform(0.2, 1.6) * size
    return gaps


def _quality(cloud: FloatArray, gaps: BoolArray, rng: Rng) -> BoolArray:
    """Flag clouds and gaps as the product does: late at edges, and at times wrongly."""
    size = cloud.shape[0]
    flagged = cloud > rng.uniform(0.25, 0.6)
    flagged |= fractal(rng, size, 2.4, longest_px=30) > rng.uniform(3.0, 4.5)
    if rng.random() < 0.8:
        flagged |= gaps
    return flagged


def _label(canopy: FloatArray, rng: Rng) -> BoolArray:
    """Outline the canopy as volunteers do: ragged, too wide or narrow, with misses."""
    size = canopy.shape[0]
    hand = 0.1 * fractal(rng, size, 2.0, longest_px=8)
    overlooked = fractal(rng, size, 3.0, longest_px=60) > 2.3
    labelled = (canopy + hand > rng.uniform(0.3, 0.5)) & (canopy > 0.05)
    return np.asarray(labelled & ~overlooked)
