"""From the competition's files to checked tiles.

Two layouts are read: the download's own (`train_satellite/`, `train_kelp/`,
`test_satellite/`) and the one the published systems sort it into
(`train/images`, `train/masks`, `test/images`). A `metadata*.csv` beside them
brings checksums; a tile it names must be there, once.
"""

import csv
import hashlib
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from tenfold.challenges import Packed, Scan, SourceSample
from tenfold.challenges.kelp.bands import (
    BAND_INDEX,
    BANDS,
    DEM_RANGE,
    MISSING,
    SIZE,
    SPECTRAL,
    SPECTRAL_MAX,
)
from tenfold.challenges.kelp.channels import reduce_tile, spectral_valid, wanted
from tenfold.challenges.kelp.options import KelpMember, KelpRecipe
from tenfold.challenges.kelp.tiles import TileArray, pack_tile
from tenfold.data.arrays import ByteArray
from tenfold.data.statistics import Channels
from tenfold.errors import Rejected, SourceError
from tenfold.recipe import DataOptions, Recipe

SATELLITE, KELP = "satellite", "kelp"
#: (split, role) → folder, for each layout.
_LAYOUTS: tuple[Mapping[tuple[str, str], str], ...] = (
    {
        ("train", SATELLITE): "train_satellite",
        ("train", KELP): "train_kelp",
        ("test", SATELLITE): "test_satellite",
    },
    {
        ("train", SATELLITE): "train/images",
        ("train", KELP): "train/masks",
        ("test", SATELLITE): "test/images",
    },
)
_HIGH_SHARE, _ALMOST_ALL = 0.4, 0.98
#: Kelp share at which the next level begins; level 0 is no kelp.
_KELP_LEVELS = (0.0, 0.001, 0.01)

Files = dict[tuple[str, str, str], Path]


def scan(source: Path, options: DataOptions) -> Scan:
    """List the tiles of a folder in either layout.

    Raises:
        SourceError: if neither layout is there, a split is empty, or a test tile
            is unusable.
    """
    root, folders = _find_layout(source)
    files: Files = {}
    rejected: dict[str, Rejected] = {}
    for (split, role), folder in folders.items():
        for path in sorted((root / folder).glob(f"*_{role}.tif")):
            id_ = path.stem.split("_")[0]
            if (id_, split, role) in files:
                rejected[id_] = Rejected(path.name, f"tile {id_} is there twice")
            files[(id_, split, role)] = path
    listed, doubled = _read_metadata(root)
    for id_, name in doubled.items():
        why = f"tile {id_} is listed more than once in the metadata"
        rejected[id_] = Rejected(name, why)
    rejected |= _missing_files(files, listed, rejected)
    samples = _pair(files, listed, rejected, root)
    for id_, fault in sorted(rejected.items()):
        row = listed.get((id_, SATELLITE), {})
        of_test = row.get("in_train", "").lower() == "false"
        if of_test or (id_, "test", SATELLITE) in files:
            raise SourceError(f"{fault}; a submission needs every test tile")
    for split in ("train", "test"):
        if not any(sample.split == split for sample in samples):
            raise SourceError(f"{source}: no usable {split} tile in {root}")
    return Scan(tuple(samples), tuple(rejected[id_] for id_ in sorted(rejected)))


def _find_layout(source: Path) -> tuple[Path, Mapping[tuple[str, str], str]]:
    inner = sorted(path for path in source.iterdir() if path.is_dir())
    # An archive often holds one folder that holds the data.
    for root in (source, *inner):
        for folders in _LAYOUTS:
            if all((root / folder).is_dir() for folder in folders.values()):
                return root, folders
    raise SourceError(
        f"{source}: not a kelp data set; expected the folders train_satellite,"
        " train_kelp and test_satellite, or train/images, train/masks and test/images"
    )


Listed = dict[tuple[str, str], Mapping[str, str]]


def _read_metadata(root: Path) -> tuple[Listed, dict[str, str]]:
    """Return rows by (tile, role), and tiles that are listed twice."""
    files = sorted(root.glob("metadata*.csv"))
    if not files:
        return {}, {}
    with files[0].open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    wanted_columns = {"tile_id", "filename", "md5_hash", "type", "in_train"}
    if rows and not wanted_columns <= set(rows[0]):
        lacking = ", ".join(sorted(wanted_columns - set(rows[0])))
        raise SourceError(f"{files[0]}: no column {lacking}")
    times = Counter((row["tile_id"], row["type"]) for row in rows)
    doubled = {id_: files[0].name for (id_, _), count in times.items() if count > 1}
    return {(row["tile_id"], row["type"]): row for row in rows}, doubled


def _missing_files(
    files: Files, listed: Listed, known: Mapping[str, Rejected]
) -> dict[str, Rejected]:
    """Name the tiles that the metadata lists and the folders lack."""
    there = {(id_, role) for id_, _, role in files}
    return {
        id_: Rejected(row["filename"], "listed in the metadata, but not there")
        for (id_, role), row in sorted(listed.items())
        if (id_, role) not in there and id_ not in known
    }


def _pair(
    files: Files, listed: Listed, rejected: dict[str, Rejected], root: Path
) -> list[SourceSample]:
    """Join each tile with its mask; what does not pair goes to `rejected`."""
    splits: dict[str, set[str]] = {}
    for id_, split, _ in files:
        splits.setdefault(id_, set()).add(split)
    samples = []
    for id_ in sorted(set(splits) - set(rejected)):
        by_role = {
            role: files[(id_, split, role)]
            for split in splits[id_]
            for role in (SATELLITE, KELP)
            if (id_, split, role) in files
        }
        first = next(iter(by_role.values()))
        name = first.relative_to(root).as_posix()
        if len(splits[id_]) > 1:
            rejected[id_] = Rejected(name, f"tile {id_} is in train and in test")
            continue
        (split,) = splits[id_]
        if SATELLITE not in by_role:
            rejected[id_] = Rejected(name, "a mask without its tile")
        elif split == "train" and KELP not in by_role:
            rejected[id_] = Rejected(name, "a train tile without its mask")
        else:
            md5 = {
                role: listed[(id_, role)]["md5_hash"]
                for role in by_role
                if (id_, role) in listed
            }
            samples.append(SourceSample(id_, split, by_role, md5))
    return samples


def pack(
    sample: SourceSample, channels: Channels | None, options: DataOptions
) -> Packed:
    """Read, check and pack one tile."""
    satellite = sample.files[SATELLITE]
    _check_md5(satellite, sample.md5.get(SATELLITE))
    raw = _read_tile(satellite)
    mask = None
    if KELP in sample.files:
        _check_md5(sample.files[KELP], sample.md5.get(KELP))
        mask = _read_mask(sample.files[KELP])
    partials = None if channels is None else reduce_tile(raw, channels)
    return Packed(pack_tile(raw, mask), _columns(raw, mask), partials)


def is_sample(folder: Path) -> bool:
    """Say no: samples are files."""
    return False


def single(path: Path) -> SourceSample:
    """Return a satellite tile that belongs to no data set as a test tile."""
    if path.is_dir():
        raise SourceError(f"{path}: a folder; name the files in it")
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file")
    return SourceSample(
        path.stem.removesuffix(f"_{SATELLITE}"), "test", {SATELLITE: path}
    )


def channels(recipe: Recipe) -> Channels | None:
    """Name the channels that the recipe's networks use, each under its masking.

    Trees take numbers as they are, so a recipe of trees alone needs no statistics.
    """
    members = cast(KelpRecipe, recipe).members
    networks = [m.input for m in members if isinstance(m, KelpMember)]
    if not networks:
        return None
    return wanted([(options.channels, options.masking) for options in networks])


def _check_md5(path: Path, expected: str | None) -> None:
    if not expected:
        return
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if found != expected:
        raise Rejected(path.name, f"checksum {found}, the metadata says {expected}")


def _read(path: Path) -> Any:
    """Read all bands, (bands, H, W), in the dtype of the file."""
    try:
        with warnings.catch_warnings():
            # The competition's tiles have no position either.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as file:
                return file.read()
    except (RasterioError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise Rejected(path.name, f"cannot be read: {reason}") from None


def _read_tile(path: Path) -> TileArray:
    raw = _read(path)
    if raw.shape[0] != len(BANDS):
        raise Rejected(path.name, f"{raw.shape[0]} bands instead of {len(BANDS)}")
    if raw.shape[1:] != (SIZE, SIZE):
        height, width = raw.shape[1:]
        raise Rejected(path.name, f"{height}×{width} pixels instead of {SIZE}×{SIZE}")
    if raw.dtype.kind != "i" or raw.dtype.itemsize < 4:
        raise Rejected(
            path.name,
            f"dtype {raw.dtype}; {MISSING} to {SPECTRAL_MAX} needs int32",
        )
    spectral = raw[: len(SPECTRAL)]
    bad = (spectral != MISSING) & ((spectral < 0) | (spectral > SPECTRAL_MAX))
    if bad.any():
        raise Rejected(path.name, f"spectral value {spectral[bad][0]} out of range")
    if not np.isin(raw[BAND_INDEX["QA"]], (0, 1)).all():
        raise Rejected(path.name, "QA holds values other than 0 and 1")
    dem = raw[BAND_INDEX["DEM"]]
    known = dem[dem != MISSING]
    if known.size and (known.min() < DEM_RANGE[0] or known.max() > DEM_RANGE[1]):
        raise Rejected(path.name, "elevation out of the range of 16 bits")
    return np.asarray(raw, np.int32)


def _read_mask(path: Path) -> ByteArray:
    mask = _read(path)
    if mask.shape != (1, SIZE, SIZE):
        shape = "×".join(str(side) for side in mask.shape)
        raise Rejected(path.name, f"mask of {shape} instead of 1×{SIZE}×{SIZE}")
    if not np.isin(mask, (0, 1)).all():
        raise Rejected(path.name, "mask holds values other than 0 and 1")
    return np.asarray(mask[0], np.uint8)


def _columns(raw: TileArray, mask: ByteArray | None) -> dict[str, Any]:
    """Return the published per-tile statistics, and a level of kelp to stratify by.

    What is called pct is a share of 0 … 1, as published.
    """
    pixels = SIZE * SIZE
    dem, qa = raw[BAND_INDEX["DEM"]], raw[BAND_INDEX["QA"]]
    kelp = None if mask is None else int(mask.sum())
    dem_nan, dem_zero = int((dem < 0).sum()), int((dem == 0).sum())
    water, corrupted = int((dem <= 0).sum()), int(qa.sum())
    return {
        "has_kelp": None if kelp is None else kelp > 0,
        "kelp_level": None if kelp is None else _kelp_level(kelp / pixels),
        "kelp_pixels": kelp,
        "non_kelp_pixels": None if kelp is None else pixels - kelp,
        "kelp_pixels_pct": None if kelp is None else kelp / pixels,
        "high_kelp_pixels_pct": None if kelp is None else kelp / pixels > _HIGH_SHARE,
        "dem_nan_pixels": dem_nan,
        "dem_has_nans": dem_nan > 0,
        "dem_nan_pixels_pct": dem_nan / pixels,
        "dem_zero_pixels": dem_zero,
        "dem_zero_pixels_pct": dem_zero / pixels,
        "water_pixels": water,
        "water_pixels_pct": water / pixels,
        "almost_all_water": water / pixels > _ALMOST_ALL,
        "qa_corrupted_pixels": corrupted,
        "qa_ok": corrupted == 0,
        "qa_corrupted_pixels_pct": corrupted / pixels,
        "high_corrupted_pixels_pct": corrupted / pixels > _HIGH_SHARE,
        "valid_pixels_pct": float(spectral_valid(raw).mean()),
    }


def _kelp_level(share: float) -> int:
    return sum(share > border for border in _KELP_LEVELS)
