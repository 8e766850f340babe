"""From the competition's folders of .npy files to packed frames and labels.

Each record has a file for each of nine bands, (H, W, 8) with time last, and, where it
is labelled, masks of the fifth frame. Only the bands and frames that the recipe uses
are read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.challenges import Packed, Scan, SourceSample
from tenfold.challenges.contrails.annotators import agreement, count_votes, majority
from tenfold.challenges.contrails.bands import pack_channels, select_frames
from tenfold.challenges.contrails.listing import (
    INDIVIDUAL_MASKS,
    PIXEL_MASKS,
    TEST,
    TRAIN,
    Record,
    band_header,
    file_of,
    find_labelled,
    find_root,
    find_test,
    keep_ids_apart,
    keep_one_size,
    role_of,
)
from tenfold.challenges.contrails.metadata import Listed, locate
from tenfold.challenges.contrails.npy import read_array, read_header, shown, sized
from tenfold.challenges.contrails.options import BANDS, ContrailsData
from tenfold.data.arrays import Arrays, ByteArray, Float32Array
from tenfold.data.statistics import Channels
from tenfold.errors import Rejected, SourceError
from tenfold.recipe import Recipe

_PART = "part"
#: Votes are bytes.
_MOST_ANNOTATORS = 255
#: Of what a weather satellite sees, kelvin, with much to spare.
_COLDEST, _HOTTEST = 100.0, 400.0
_UNKNOWN: Mapping[str, Any] = dict.fromkeys(
    (
        *("part", "timestamp", "longitude", "latitude"),
        *("west", "south", "east", "north"),
        *("pixels", "contrail", "annotators", "agreement", "differing"),
    )
)


def scan(source: Path, options: ContrailsData) -> Scan:
    """List the records of a folder.

    Records of train/ and of validation/ both have labels, and are both split train;
    the column `part` tells them apart.

    Raises:
        SourceError: this is not the competition's data, metadata or the sample
            submission are not there or malformed, the test records are not those of
            the sample submission, or one of them cannot be used.
    """
    root = find_root(source)
    test = find_test(root, options.bands)
    found = find_labelled(root, options.bands)
    keep_ids_apart(found, test)
    keep_one_size(found, test)
    if not found.records:
        first = f"; the first fault: {found.rejected[0]}" if found.rejected else ""
        raise SourceError(f"{root}: no usable record in train{first}")
    samples = [_sample(record) for record in (*found.records, *test)]
    return Scan(
        tuple(sorted(samples, key=lambda sample: sample.id)),
        tuple(sorted(found.rejected, key=lambda fault: fault.file)),
    )


def _sample(record: Record) -> SourceSample:
    origin = f"{record.part}/{record.id}"
    if record.listed is None:
        return SourceSample(record.id, TEST, record.files, origin=origin)
    labels = {_PART: record.part, **record.listed.to_labels()}
    return SourceSample(record.id, TRAIN, record.files, {}, labels, origin)


def pack(
    sample: SourceSample, channels: Channels | None, options: ContrailsData
) -> Packed:
    """Read, check and pack one record.

    Raises:
        Rejected: a file is not what the competition has.
    """
    frames = _read_frames(sample.files, options)
    arrays: dict[str, NDArray[Any]] = {
        "image": pack_channels(frames, options.channels, options.dtype),
        "labelled": np.asarray(options.labelled, np.uint8),
    }
    columns = dict(_UNKNOWN)
    if sample.split == TRAIN:
        shape = next(iter(frames.values())).shape[1:]
        labels, said = _read_labels(sample.files, shape)
        arrays |= labels
        columns |= _where_and_when(sample.labels, shape) | said
    return Packed(arrays, columns, None)


def channels(recipe: Recipe) -> None:
    """Say that no statistics are needed: channels have fixed ranges."""
    return


def single(path: Path) -> SourceSample:
    """Return a record of its own as a test sample.

    Args:
        path: folder of a record, or a band in it, which stands for the folder.
    """
    if not path.exists():
        raise SourceError(f"{path}: there is no such file")
    folder = path.absolute() if path.is_dir() else path.absolute().parent
    files = {role_of(band): folder / file_of(role_of(band)) for band in BANDS}
    there = {role: file for role, file in files.items() if file.is_file()}
    if not there or not (path.is_dir() or path.absolute() in there.values()):
        raise SourceError(
            f"{path}: a record is a folder of band_08.npy to band_16.npy; name it or"
            " one of them"
        )
    return SourceSample(folder.name, TEST, there)


def is_sample(folder: Path) -> bool:
    """Tell whether a folder is a record, and no folder of records."""
    return any((folder / file_of(role_of(band))).is_file() for band in BANDS)


def _read_frames(
    files: Mapping[str, Path], options: ContrailsData
) -> dict[int, Float32Array]:
    """Read the wanted frames of the wanted bands: band → (T, H, W), kelvin."""
    found: dict[int, Float32Array] = {}
    first: tuple[int, ...] | None = None
    for band in options.bands:
        path = files.get(role_of(band))
        if path is None:
            where = next(iter(files.values())).parent.name
            name = f"{where}/{file_of(role_of(band))}"
            raise Rejected(name, f"is not there, and the recipe uses band {band}")
        header = band_header(path)
        shape = header.shape[:2]
        if first is None and shape != (options.side, options.side):
            raise Rejected(
                shown(path),
                f"has {sized(shape)} pixels, and data.side is {options.side}; set it to"
                " the side of the data's frames",
            )
        first = first or shape
        if shape != first:
            raise Rejected(
                shown(path),
                f"has {sized(shape)} pixels, and band {options.bands[0]} has"
                f" {sized(first)}",
            )
        frames = select_frames(read_array(path, header), options.times)
        found[band] = _finite(frames, path, options)
    return found


def _finite(frames: Float32Array, path: Path, options: ContrailsData) -> Float32Array:
    """Return frames (T, H, W) as they are.

    Raises:
        Rejected: naming the frame that has NaN or infinity; or it is not in kelvin.
    """
    if not np.isfinite(frames).all():
        bad = ~np.isfinite(frames)
        first = int(np.flatnonzero(bad.any(axis=(1, 2)))[0])
        raise Rejected(
            shown(path),
            f"frame {options.times[first]} has {np.count_nonzero(bad[first])} pixels"
            " that are not finite",
        )
    if frames.min() < _COLDEST or frames.max() > _HOTTEST:
        raise Rejected(
            shown(path),
            f"holds {frames.min():g} to {frames.max():g}, which is no brightness"
            " temperature in kelvin",
        )
    return frames


def _read_labels(
    files: Mapping[str, Path], shape: tuple[int, ...]
) -> tuple[Arrays, dict[str, Any]]:
    """Read masks: the arrays of a labelled record, and what the catalogue says."""
    label = _read_mask(files[PIXEL_MASKS], (*shape, 1))[..., 0]
    votes, annotators, agreed, differing = label, 1, None, None
    if INDIVIDUAL_MASKS in files:
        path = files[INDIVIDUAL_MASKS]
        individual = _read_mask(path, (*shape, 1, None))[..., 0, :]
        votes, annotators = count_votes(individual), individual.shape[-1]
        agree = majority(votes, annotators) == label.astype(bool)
        differing = int(agree.size - np.count_nonzero(agree))
        agreed = agreement(individual, label.astype(bool))
    arrays = {"label": label, "votes": votes, "annotators": np.uint8(annotators)}
    pixels = int(np.count_nonzero(label))
    said = {
        "pixels": pixels,
        "contrail": pixels > 0,
        "annotators": annotators if INDIVIDUAL_MASKS in files else None,
        "agreement": agreed,
        "differing": differing,
    }
    return {name: np.asarray(value) for name, value in arrays.items()}, said


def _read_mask(path: Path, shape: tuple[int | None, ...]) -> ByteArray:
    """Read a mask of zeros and ones as bytes.

    Args:
        path: of the file.
        shape: that it must have; None is any from 1 to the most annotators.
    """
    header = read_header(path)
    fits = len(header.shape) == len(shape) and all(
        1 <= side <= _MOST_ANNOTATORS if wanted is None else side == wanted
        for side, wanted in zip(header.shape, shape, strict=True)
    )
    if not fits:
        wanted = sized("R" if side is None else side for side in shape)
        raise Rejected(
            shown(path), f"has shape {sized(header.shape)} instead of {wanted}"
        )
    if header.dtype.kind not in "biu":
        raise Rejected(shown(path), f"has dtype {header.dtype} instead of integers")
    mask = read_array(path, header)
    if mask.min() < 0 or mask.max() > 1:
        value = mask.max() if mask.max() > 1 else mask.min()
        raise Rejected(shown(path), f"holds {value}; expected 0 and 1 only")
    return np.ascontiguousarray(mask, np.uint8)


def _where_and_when(
    labels: Mapping[str, str], shape: tuple[int, ...]
) -> dict[str, Any]:
    """Return part, time and place as columns."""
    listed = Listed.from_labels(labels)
    place = locate(listed, (shape[0], shape[1]))
    return {_PART: labels[_PART], "timestamp": listed.timestamp, **vars(place)}
