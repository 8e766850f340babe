"""From the competition's tables and JPEGs to prepared pictures and masks.

`train.csv` says what each training image shows, and `sample_submission.csv` which
images are the test. Pictures lie in `images/`, or in `train_images/` and
`test_images/`. Nothing goes by position: rows and files are paired by key.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.challenges import Packed, Scan, SourceSample
from tenfold.challenges.clouds.classes import (
    BAD_IMAGES,
    CLASSES,
    SOURCE,
    SUBMITTED,
)
from tenfold.challenges.clouds.masks import resize_runs
from tenfold.challenges.clouds.options import CloudsData
from tenfold.challenges.clouds.pictures import black_share, read_picture
from tenfold.challenges.clouds.planes import add_plane
from tenfold.challenges.clouds.tables import (
    PICTURE_SUFFIX,
    Rows,
    is_present,
    key_of,
    read_rows,
)
from tenfold.codecs.run_length import read_runs
from tenfold.data.arrays import ByteArray
from tenfold.data.statistics import Channels
from tenfold.errors import CodecError, Rejected, SourceError
from tenfold.recipe import Recipe

PICTURE = "picture"
TRAIN_TABLE, TEST_TABLE = "train.csv", "sample_submission.csv"
#: In `data.leave_out`, stands for the list that went round.
BAD = "bad"
_TABLES = {"train": TRAIN_TABLE, "test": TEST_TABLE}
#: Split → folder of its pictures, for each layout.
_LAYOUTS: tuple[Mapping[str, str], ...] = (
    {"train": "train_images", "test": "test_images"},
    {"train": "images", "test": "images"},
)
_ARCHIVES = ("train_images.zip", "test_images.zip")


def scan(source: Path, options: CloudsData) -> Scan:
    """List the images of a folder.

    Images that the recipe leaves out are set aside. Of the list that went round that
    is only training images, since a submission needs every test image.

    Raises:
        SourceError: if this is not the competition's data, a table breaks a rule, a
            test image is not there, or an image to leave out is unknown or a test
            image.
    """
    root = _find_root(source)
    folders = _find_folders(root)
    tables = {
        split: read_rows(root / table, SourceError, ordered=split == "test")
        for split, table in _TABLES.items()
    }
    both = sorted(tables["train"].keys() & tables["test"].keys())
    if both:
        raise SourceError(
            f"{root}: image {both[0]} is in {TRAIN_TABLE} and in {TEST_TABLE}"
        )
    left_out = _left_out(options.leave_out, tables)
    samples, rejected = [], list(_unlisted(folders, tables))
    for split, rows in tables.items():
        for id_, codes in sorted(rows.items()):
            file = folders[split] / f"{id_}{PICTURE_SUFFIX}"
            fault = _fault(file, split, left_out)
            if fault is None:
                labels = codes if split == "train" else {}
                samples.append(SourceSample(id_, split, {PICTURE: file}, {}, labels))
            elif split == "test":
                raise SourceError(f"{fault}; a submission needs every test image")
            else:
                rejected.append(fault)
    if not any(sample.split == "train" for sample in samples):
        raise SourceError(f"{root}: no usable image of {TRAIN_TABLE}")
    by_file = sorted(rejected, key=lambda fault: fault.file)
    return Scan(tuple(sorted(samples, key=lambda sample: sample.id)), tuple(by_file))


def _find_root(source: Path) -> Path:
    inner = sorted(path for path in source.iterdir() if path.is_dir())
    # An archive often holds one folder that holds the data.
    for root in (source, *inner):
        if all((root / table).is_file() for table in _TABLES.values()):
            return root
    raise SourceError(
        f"{source}: not a clouds data set; expected {TRAIN_TABLE},"
        f" {TEST_TABLE} and pictures in images, or in train_images and test_images"
    )


def _find_folders(root: Path) -> dict[str, Path]:
    """Return split → folder of its pictures."""
    found = [
        {split: root / name for split, name in layout.items()}
        for layout in _LAYOUTS
        if all((root / name).is_dir() for name in layout.values())
    ]
    if len(found) > 1:
        raise SourceError(
            f"{root}: pictures in images and in train_images and test_images; keep"
            " one of both"
        )
    if not found:
        packed = [name for name in _ARCHIVES if (root / name).is_file()]
        cure = (
            "; unpack train_images.zip into train_images and test_images.zip into"
            " test_images, or both into images"
            if packed
            else ""
        )
        raise SourceError(
            f"{root}: no folder images, and not both of train_images and"
            f" test_images{cure}"
        )
    return found[0]


def _left_out(names: Collection[str], tables: Mapping[str, Rows]) -> set[str]:
    """Return ids to set aside; those of the list that went round need not be there."""
    asked = set(names) - {BAD}
    unknown = sorted(asked - tables["train"].keys() - tables["test"].keys())
    if unknown:
        raise SourceError(
            f"data.leave_out: there is no image {unknown[0]!r}; give ids such as"
            f" 046586a, or {BAD}"
        )
    needed = sorted(asked & tables["test"].keys())
    if needed:
        raise SourceError(
            f"data.leave_out: {needed[0]} is a test image, and a submission needs every"
            " test image; take it off the list"
        )
    return asked | (set(BAD_IMAGES) if BAD in names else set())


def _unlisted(
    folders: Mapping[str, Path], tables: Mapping[str, Rows]
) -> Iterator[Rejected]:
    """Name the pictures that the tables of their folder do not list."""
    for folder in sorted(set(folders.values())):
        splits = [split for split in tables if folders[split] == folder]
        where = " or ".join(_TABLES[split] for split in splits)
        for file in sorted(folder.glob(f"[!.]*{PICTURE_SUFFIX}")):
            if not any(file.stem in tables[split] for split in splits):
                yield Rejected(f"{folder.name}/{file.name}", f"no rows in {where}")


def _fault(file: Path, split: str, left_out: Collection[str]) -> Rejected | None:
    """Say why a listed image cannot be a sample."""
    name = f"{file.parent.name}/{file.name}"
    if split == "train" and file.stem in left_out:
        return Rejected(name, "left out by the recipe (data.leave_out)", meant=True)
    if not file.is_file():
        return Rejected(name, f"listed in {_TABLES[split]}, but not there")
    return None


def pack(
    sample: SourceSample,
    channels: Channels | None,
    options: CloudsData,
) -> Packed:
    """Read, check and prepare one image and its masks.

    Raises:
        Rejected: the picture or a code is not what the competition has.
    """
    picture = read_picture(sample.files[PICTURE], options.size, options.resample)
    prepared, truth, shares = _masks(sample, options)
    arrays = {"picture": picture, "classes": prepared, "truth": truth}
    said = _columns(sample.labels, shares)
    if sample.split == "test":
        said = dict.fromkeys(said)
    return Packed(arrays, said | {"black_share": black_share(picture)}, None)


def is_sample(folder: Path) -> bool:
    """Say no: samples are files."""
    return False


def single(path: Path) -> SourceSample:
    """Return a picture that belongs to no data set as a test image."""
    if path.is_dir():
        raise SourceError(f"{path}: a folder; name the files in it")
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file")
    return SourceSample(path.stem, "test", {PICTURE: path})


def channels(recipe: Recipe) -> None:
    """Say that no statistics are needed: pictures are normalised by fixed figures."""
    return


def _masks(
    sample: SourceSample, options: CloudsData
) -> tuple[ByteArray, ByteArray, list[float]]:
    """Return the bits (H, W) of the masks, and the share of each that is set.

    Bits are at the prepared and at the scored size, shares at the scored.
    """
    # The masks lie in Fortran's order, and bits of one order are set fast.
    prepared = np.zeros(options.size, np.uint8, "F")
    truth = np.zeros(SUBMITTED, np.uint8, "F")
    shares = [0.0] * len(CLASSES)
    for place, name in enumerate(CLASSES):
        if not is_present(sample.labels, name):
            continue
        try:
            runs = read_runs(sample.labels[name])
            mask = resize_runs(runs, SOURCE, options.size, options.masks)
            scored = resize_runs(runs, SOURCE, SUBMITTED)
        except CodecError as error:
            said = f"{key_of(sample.id, name)}: {error}"
            raise Rejected(TRAIN_TABLE, said) from None
        add_plane(prepared, mask, place)
        add_plane(truth, scored, place)
        shares[place] = np.count_nonzero(scored) / scored.size
    return np.ascontiguousarray(prepared), np.ascontiguousarray(truth), shares


def _columns(labels: Mapping[str, str], shares: Sequence[float]) -> dict[str, Any]:
    """Return what the table says of a training image."""
    present = {name: is_present(labels, name) for name in CLASSES}
    return {
        **{name.lower(): there for name, there in present.items()},
        **{
            f"{name.lower()}_share": share
            for name, share in zip(CLASSES, shares, strict=True)
        },
        "classes": " ".join(name for name, there in present.items() if there),
    }
