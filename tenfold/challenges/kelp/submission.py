"""Kelp's submission: a flat tar of `<ID>_kelp.tif`, written and read back."""

import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from tenfold.challenges.kelp.bands import PIXEL_M, SIZE
from tenfold.data.arrays import Arrays, ByteArray
from tenfold.data.files import atomic_path
from tenfold.errors import SubmissionError
from tenfold.metrics.confusion import Confusion, count, dice, figures

FILE = "submission.tar"
_SUFFIX = "_kelp.tif"
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
    seen: set[str] = set()
    for name, data in _members(path):
        if "/" in name or not name.endswith(_SUFFIX):
            raise SubmissionError(f"{path}: {name!r} is not <ID>{_SUFFIX}")
        id_ = name.removesuffix(_SUFFIX)
        if id_ in seen:
            raise SubmissionError(f"{path}: {name} comes twice")
        seen.add(id_)
        yield id_, {"kelp": decode_mask(data, f"{path}: {name}")}


def decode_mask(data: bytes, where: str) -> ByteArray:
    """Read a mask (350, 350) of 0 and 1 from the bytes of a GeoTIFF."""
    try:
        with MemoryFile(data) as memory, memory.open() as file:
            mask = file.read()
    except (RasterioError, ValueError) as error:
        raise SubmissionError(f"{where} cannot be read: {error}") from None
    if mask.shape != (1, SIZE, SIZE):
        raise SubmissionError(
            f"{where} has shape {mask.shape}, not (1, {SIZE}, {SIZE})"
        )
    if not np.isin(mask, (0, 1)).all():
        raise SubmissionError(f"{where} holds values other than 0 and 1")
    return np.asarray(mask[0], np.uint8)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.iterdir()):
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
    """Score a tar or folder against a folder of `<ID>_kelp.tif`.

    Args:
        path: the submission.
        truth: the masks' folder, or the `truth` folder that `synth` writes.

    Raises:
        SubmissionError: if the ids differ.
    """
    below = truth / "test_kelp"
    truth = below if below.is_dir() else truth
    names = {
        file.name.removesuffix(_SUFFIX): file for file in truth.glob(f"*{_SUFFIX}")
    }
    if not names:
        raise SubmissionError(f"{truth}: no *{_SUFFIX} to score against")
    total = Confusion()
    left = set(names)
    for id_, prediction in read(path):
        if id_ not in names:
            raise SubmissionError(f"{path}: {id_} is not in {truth}")
        left.discard(id_)
        true = decode_mask(names[id_].read_bytes(), str(names[id_]))
        total += count(np.asarray(prediction["kelp"]) == 1, true == 1)
    if left:
        raise SubmissionError(
            f"{path}: {len(left)} tiles are missing, e.g. {min(left)}"
        )
    return {"dice_kelp": dice(total), **figures(total)}
