"""Kelp's submission: a flat tar of `<ID>_kelp.tif`, written, read back and scored."""

import io
import tarfile
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from tenfold.challenges.kelp.bands import PIXEL_M, SIZE
from tenfold.challenges.kelp.scoring import metrics
from tenfold.data.arrays import Arrays, ByteArray
from tenfold.data.files import atomic_path, is_hidden
from tenfold.errors import SubmissionError
from tenfold.metrics.confusion import Confusion, count

FILE = "submission.tar"
_SUFFIX = "_kelp.tif"
_MOST_NAMED = 5
#: The published profile: EPSG:4326 with a pixel of 30 m in degrees. It places
#: nothing, since tiles have no position, but it is what was accepted.
_DEGREES = PIXEL_M / 111_320
_PROFILE: Mapping[str, Any] = {
    "driver": "GTiff",
    "width": SIZE,
    "height": SIZE,
    "count": 1,
    "dtype": "int8",
    "crs": CRS.from_epsg(4326),
    "transform": Affine(_DEGREES, 0, 0, 0, -_DEGREES, 0),
}


def write(predictions: Iterable[tuple[str, Arrays]], directory: Path) -> None:
    """Write the tar, one tile in memory at a time; equal masks, equal bytes.

    Args:
        predictions: id and `kelp`, (350, 350) of 0 and 1, in order of id.
        directory: receives FILE.
    """
    with (
        atomic_path(directory / FILE) as temporary,
        tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for id_, prediction in predictions:
            data = encode_mask(np.asarray(prediction["kelp"], np.uint8))
            # No time, owner or mode of this machine gets into the bytes.
            member = tarfile.TarInfo(f"{id_}{_SUFFIX}")
            member.size = len(data)
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(data))


def export(id_: str, prediction: Arrays, directory: Path) -> Path:
    """Write one tile's mask as the file that a submission holds of it."""
    path = directory / f"{id_}{_SUFFIX}"
    with atomic_path(path) as temporary:
        temporary.write_bytes(encode_mask(np.asarray(prediction["kelp"], np.uint8)))
    return path


def encode_mask(mask: ByteArray) -> bytes:
    """Return a mask (350, 350) as the bytes of a GeoTIFF."""
    with MemoryFile() as memory:
        with memory.open(**_PROFILE) as file:
            file.write(mask.astype(np.int8), 1)
        return bytes(memory.read())


def read(path: Path) -> Iterator[tuple[str, Arrays]]:
    """Yield (id, mask) of a tar or a folder of masks, checking each.

    Raises:
        SubmissionError: for a member that is not `<ID>_kelp.tif`, comes twice, or
            is not one band of 350×350 zeros and ones.
    """
    for id_, mask in _masks(path, None):
        yield id_, {"kelp": mask}


def _masks(path: Path, threshold: float | None) -> Iterator[tuple[str, ByteArray]]:
    """Yield (id, mask) of a tar or a folder; probabilities need a threshold."""
    seen: set[str] = set()
    for name, data in _members(path):
        if "/" in name or not name.endswith(_SUFFIX):
            raise SubmissionError(f"{path}: {name!r} is not <ID>{_SUFFIX}")
        id_ = name.removesuffix(_SUFFIX)
        if id_ in seen:
            raise SubmissionError(f"{path}: {name} comes twice")
        seen.add(id_)
        yield id_, decode_mask(data, f"{path}: {name}", threshold)


def decode_mask(data: bytes, where: str, threshold: float | None = None) -> ByteArray:
    """Read a mask (350, 350) of 0 and 1 from the bytes of a GeoTIFF.

    Args:
        data: of the file.
        where: it lies, for errors.
        threshold: the file may hold probabilities; at or above this is kelp.
    """
    try:
        with warnings.catch_warnings():
            # The competition's masks have no position.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with MemoryFile(data) as memory, memory.open() as file:
                band = file.read()
    except (RasterioError, ValueError) as error:
        raise SubmissionError(f"{where} cannot be read: {error}") from None
    if band.shape != (1, SIZE, SIZE):
        raise SubmissionError(
            f"{where} has shape {band.shape}, not (1, {SIZE}, {SIZE})"
        )
    if threshold is not None:
        if not ((band >= 0) & (band <= 1)).all():
            raise SubmissionError(f"{where} holds values that are no probabilities")
        return np.asarray(band[0] >= threshold, np.uint8)
    if not np.isin(band, (0, 1)).all():
        soft = band.dtype.kind == "f"
        cure = "; for probabilities name a threshold (--threshold)" if soft else ""
        raise SubmissionError(f"{where} holds values other than 0 and 1{cure}")
    return np.asarray(band[0], np.uint8)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if is_hidden(file.name):
                continue
            if not file.is_file():
                raise SubmissionError(f"{path}: {file.name} is not a plain file")
            yield file.name, file.read_bytes()
        return
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.isfile() else None
                if stream is None:
                    raise SubmissionError(f"{path}: {member.name} is not a plain file")
                yield member.name, stream.read()
    except (tarfile.TarError, OSError) as error:
        raise SubmissionError(f"{path} is not a readable tar: {error}") from None


def score(path: Path, truth: Path) -> dict[str, float]:
    """Score a submission; see `SubmissionPart.score`."""
    total = Confusion()
    for _, counts in tallies(path, truth):
        total += counts
    return metrics(total)


def tallies(
    path: Path, truth: Path, threshold: float | None = None
) -> Iterator[tuple[str, Confusion]]:
    """Count a tar or folder against a folder of `<ID>_kelp.tif`, tile by tile.

    Args:
        path: the predictions; tiles are paired by their ids, never by position.
        truth: the masks' folder, or the `truth` folder that `synth` writes.
        threshold: predictions may be probabilities; at or above this is kelp.

    Raises:
        SubmissionError: naming tiles that are on one side only.
    """
    below = truth / "test_kelp"
    truth = below if below.is_dir() else truth
    names = {
        file.name.removesuffix(_SUFFIX): file for file in truth.glob(f"*{_SUFFIX}")
    }
    if not names:
        raise SubmissionError(f"{truth}: no *{_SUFFIX} to score against")
    left, extra = set(names), set()
    for id_, mask in _masks(path, threshold):
        if id_ not in names:
            extra.add(id_)
            continue
        left.discard(id_)
        true = decode_mask(names[id_].read_bytes(), str(names[id_]))
        yield id_, count(mask == 1, true == 1)
    if extra:
        raise SubmissionError(f"{path}: not in {truth}: {_listed(extra)}")
    if left:
        raise SubmissionError(f"{path}: missing of {truth}: {_listed(left)}")


def _listed(ids: Collection[str]) -> str:
    """Name some tiles, and say how many more there are."""
    more = len(ids) - _MOST_NAMED
    named = ", ".join(sorted(ids)[:_MOST_NAMED])
    return f"{named} and {more} more" if more > 0 else named
