"""Clouds' submission: a table of run-length codes, written, read back and scored."""

from collections.abc import Collection, Iterable, Iterator
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tenfold.challenges.clouds import scoring
from tenfold.challenges.clouds.classes import CLASSES, SOURCE, SUBMITTED
from tenfold.challenges.clouds.masks import resize_labels
from tenfold.challenges.clouds.planes import pack_planes, unpack_planes
from tenfold.challenges.clouds.tables import HEADER, decode_rows, key_of, read_rows
from tenfold.codecs import run_length
from tenfold.data.arrays import Arrays, ByteArray
from tenfold.data.files import atomic_path, is_hidden
from tenfold.errors import CodecError, SubmissionError

FILE = "submission.csv"
#: In a folder of truth: what the test images show, in the format of train.csv.
TRUTH = "truth.csv"
_SUFFIX = ".png"
_MOST_NAMED = 5
_ALL_BITS = (1 << len(CLASSES)) - 1


def write(predictions: Iterable[tuple[str, Arrays]], directory: Path) -> None:
    """Write the table, one image in memory at a time; equal masks, equal bytes.

    Args:
        predictions: id and `classes`, (350, 525) of bits, in order of id.
        directory: receives FILE.
    """
    with (
        atomic_path(directory / FILE) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write(f"{HEADER}\n")
        for id_, prediction in predictions:
            masks = unpack_planes(_checked(prediction["classes"], id_))
            for name, mask in zip(CLASSES, masks, strict=True):
                file.write(f"{key_of(id_, name)},{run_length.encode(mask)}\n")


def export(id_: str, prediction: Arrays, directory: Path) -> Path:
    """Write one image's masks as a file of its own.

    It is a grey PNG of 350 × 525 px; bit c of a pixel is set where class c is, in
    the order of the classes.
    """
    path = directory / f"{id_}{_SUFFIX}"
    with atomic_path(path) as temporary:
        Image.fromarray(_checked(prediction["classes"], id_)).save(temporary)
    return path


def read(path: Path) -> Iterator[tuple[str, Arrays]]:
    """Yield (id, masks) of a table or of a folder of exported files, checking each.

    Raises:
        SubmissionError: for a table without exactly one row for each class of each
            of its images, a malformed code, or a file that `export` did not write.
    """
    for id_, bits in _exported(path) if path.is_dir() else _tabulated(path):
        yield id_, {"classes": bits}


def _tabulated(path: Path) -> Iterator[tuple[str, ByteArray]]:
    for id_, codes in read_rows(path, SubmissionError).items():
        masks = np.zeros((len(CLASSES), *SUBMITTED), bool)
        try:
            for place, mask in decode_rows(id_, codes, SUBMITTED):
                masks[place] = mask
        except CodecError as error:
            raise SubmissionError(f"{path}: {error}") from None
        yield id_, pack_planes(masks)


def _exported(folder: Path) -> Iterator[tuple[str, ByteArray]]:
    for file in sorted(folder.iterdir()):
        if is_hidden(file.name):
            continue
        if file.suffix != _SUFFIX or not file.is_file():
            raise SubmissionError(f"{folder}: {file.name!r} is not <id>{_SUFFIX}")
        try:
            with Image.open(file, formats=["PNG"]) as image:
                bits = np.asarray(image)
        except OSError as error:
            raise SubmissionError(f"{file} cannot be read: {error}") from None
        yield file.stem, _checked(bits, str(file))


def _checked(bits: Any, where: str) -> ByteArray:
    """Return bits of the four classes at the size that is scored.

    Raises:
        SubmissionError: they are something else.
    """
    found = np.asarray(bits)
    if found.shape != SUBMITTED or found.dtype != np.uint8:
        raise SubmissionError(
            f"{where}: {found.dtype} of shape {found.shape}, not bytes of {SUBMITTED}"
        )
    if found.max() > _ALL_BITS:
        raise SubmissionError(f"{where}: {found.max()} is no set of four classes' bits")
    return found


def score(path: Path, truth: Path) -> dict[str, float]:
    """Score a submission; see `SubmissionPart.score`."""
    return scoring.metrics(reduce(add, (tally for _, tally in tallies(path, truth))))


def tallies(
    path: Path, truth: Path, threshold: float | None = None
) -> Iterator[tuple[str, Any]]:
    """Count a table or a folder of exported files against the truth, by image.

    Args:
        path: the predictions; images are paired by their ids, never by position.
        truth: a folder with TRUTH, whose masks have the size of the pictures.
        threshold: must be none, since masks have no probabilities.

    Raises:
        SubmissionError: naming images that are on one side only.
    """
    if threshold is not None:
        raise SubmissionError(
            f"{path}: clouds' predictions are masks, which no threshold cuts; leave"
            " --threshold out"
        )
    rows = read_rows(truth / TRUTH, SubmissionError)
    left, extra = set(rows), set()
    for id_, prediction in read(path):
        if id_ not in rows:
            extra.add(id_)
            continue
        left.discard(id_)
        true = _truth(id_, rows[id_], truth / TRUTH)
        yield id_, scoring.tally(prediction, {"truth": true})
    if extra:
        raise SubmissionError(f"{path}: not in {truth / TRUTH}: {_listed(extra)}")
    if left:
        raise SubmissionError(f"{path}: missing of {truth / TRUTH}: {_listed(left)}")


def _truth(id_: str, codes: dict[str, str], path: Path) -> ByteArray:
    """Return an image's true masks at the size that is scored."""
    masks = np.zeros((len(CLASSES), *SUBMITTED), bool)
    try:
        for place, mask in decode_rows(id_, codes, SOURCE):
            masks[place] = resize_labels(mask, SUBMITTED)
    except CodecError as error:
        raise SubmissionError(f"{path}: {error}") from None
    return pack_planes(masks)


def _listed(ids: Collection[str]) -> str:
    """Name some images, and say how many more there are."""
    more = len(ids) - _MOST_NAMED
    named = ", ".join(sorted(ids)[:_MOST_NAMED])
    return f"{named} and {more} more" if more > 0 else named
