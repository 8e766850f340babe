"""Contrails' submission: a table of run-length codes, written, read back and scored.

A code does not say how large its mask is. The competition's are 256 × 256; a table of
masks of another size, as synthetic records may have, has a file beside it that says so.
"""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tenfold.challenges.contrails.scoring import metrics
from tenfold.challenges.contrails.thresholds import first_above
from tenfold.codecs import run_length
from tenfold.data.arrays import Arrays, ByteArray
from tenfold.data.files import atomic_path, is_hidden, read_json, write_json
from tenfold.errors import CodecError, StoreError, SubmissionError
from tenfold.metrics.confusion import Confusion, count

FILE, SIZE_FILE = "submission.csv", "submission-size.json"
SHAPE = (256, 256)
HEADER = "record_id,encoded_pixels"
EMPTY = "-"
_TEST, _TRUTH, _MASK = "test", ".npy", ".png"
#: Of a set pixel in a picture, so that a person sees it.
_WHITE = 255
_MOST_NAMED = 5


def write(predictions: Iterable[tuple[str, Arrays]], directory: Path) -> None:
    """Write the table, one mask in memory at a time; equal masks, equal bytes.

    Args:
        predictions: id and `contrail`, (H, W) of 0 and 1, in order of id.
        directory: receives FILE, and SIZE_FILE if masks are not 256 × 256.

    Raises:
        SubmissionError: masks differ in size, or are no masks.
    """
    shape: tuple[int, ...] | None = None
    with (
        atomic_path(directory / FILE) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write(f"{HEADER}\n")
        for id_, prediction in predictions:
            mask = _checked(np.asarray(prediction["contrail"]), id_)
            shape = shape or mask.shape
            if mask.shape != shape:
                raise SubmissionError(
                    f"{id_} is {_sized(mask.shape)} pixels and the first is"
                    f" {_sized(shape)}; predict records of one size"
                )
            file.write(f"{id_},{run_length.encode(mask, empty=EMPTY)}\n")
    size_file = directory / SIZE_FILE
    size_file.unlink(missing_ok=True)
    if shape not in (None, SHAPE):
        write_json(size_file, dict(zip(("height", "width"), shape, strict=True)))


def export(id_: str, prediction: Arrays, directory: Path) -> Path:
    """Write one mask as a grey PNG, 255 where there is contrail and 0 elsewhere."""
    path = directory / f"{id_}{_MASK}"
    mask = _checked(np.asarray(prediction["contrail"]), id_)
    with atomic_path(path) as temporary:
        Image.fromarray(mask * np.uint8(_WHITE)).save(temporary)
    return path


def read(path: Path) -> Iterator[tuple[str, Arrays]]:
    """Yield (id, mask) of a table or of a folder of exported masks, checking each.

    Raises:
        SubmissionError: for another header, a row that is not an id and a code, an id
            that comes twice, a malformed code, or a file that `export` did not write.
    """
    if path.is_dir():
        for id_, picture in _pictures(path):
            yield id_, {"contrail": _cut(picture, None, f"{path / id_}{_MASK}")}
        return
    shape = _shape_of(path)
    for id_, code in _rows(path):
        yield id_, {"contrail": _decoded(code, shape, path, id_)}


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    """Yield id and code of each row."""
    seen: set[str] = set()
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header = file.readline().rstrip("\r\n")
            if header != HEADER:
                raise SubmissionError(
                    f"{path}: its header is {header[:80]!r} instead of {HEADER!r}"
                )
            for number, line in enumerate(file, 2):
                id_, comma, code = line.rstrip("\r\n").partition(",")
                if not comma or not id_:
                    raise SubmissionError(
                        f"{path}, row {number}: {line[:80].rstrip()!r} is not an id, a"
                        " comma and a code"
                    )
                if id_ in seen:
                    raise SubmissionError(
                        f"{path}, row {number}: {id_} comes twice; keep one row a"
                        " record"
                    )
                seen.add(id_)
                yield id_, code
    except (OSError, UnicodeDecodeError) as error:
        raise SubmissionError(f"{path} cannot be read: {error}") from None


def _decoded(code: str, shape: tuple[int, int], path: Path, id_: str) -> ByteArray:
    try:
        mask = run_length.decode(code, shape, empty=EMPTY)
    except CodecError as error:
        raise SubmissionError(f"{path}: {id_}: {error}") from None
    return np.asarray(mask, np.uint8)


def _shape_of(path: Path) -> tuple[int, int]:
    """Return the size of a table's masks."""
    beside = path.with_name(SIZE_FILE)
    if not beside.exists():
        return SHAPE
    try:
        size = read_json(beside)
        return int(size["height"]), int(size["width"])
    except (StoreError, KeyError, TypeError, ValueError) as error:
        raise SubmissionError(
            f"{beside} is not a height and a width: {error!r}; write the submission"
            " again"
        ) from None


def _pictures(folder: Path) -> Iterator[tuple[str, ByteArray]]:
    for file in sorted(folder.iterdir()):
        if is_hidden(file.name):
            continue
        if file.suffix != _MASK or not file.is_file():
            raise SubmissionError(f"{folder}: {file.name!r} is not <id>{_MASK}")
        try:
            with Image.open(file, formats=["PNG"]) as image:
                mode, picture = image.mode, np.asarray(image)
        except OSError as error:
            raise SubmissionError(f"{file} cannot be read: {error}") from None
        if mode != "L":
            raise SubmissionError(f"{file} is of mode {mode}, not grey bytes (L)")
        yield file.stem, picture


def _cut(picture: ByteArray, threshold: float | None, where: str) -> ByteArray:
    """Return the mask of a grey picture, which may be one of probabilities."""
    if threshold is not None:
        return np.asarray(picture >= first_above(threshold), np.uint8)
    if not np.isin(picture, (0, _WHITE)).all():
        raise SubmissionError(
            f"{where} holds values other than 0 and {_WHITE}; for probabilities, 0 to"
            f" {_WHITE}, name a threshold (--threshold)"
        )
    return np.asarray(picture == _WHITE, np.uint8)


def _checked(
    mask: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], id_: str
) -> ByteArray:
    """Return a mask (H, W) of 0 and 1.

    Raises:
        SubmissionError: it is something else.
    """
    if mask.ndim != len(SHAPE) or mask.dtype.kind not in "bui":
        raise SubmissionError(
            f"{id_}: {mask.dtype} of shape {mask.shape} is no mask (height, width)"
        )
    if not np.isin(mask, (0, 1)).all():
        raise SubmissionError(f"{id_} holds values other than 0 and 1")
    return mask.astype(np.uint8)


def score(path: Path, truth: Path) -> dict[str, float]:
    """Score a submission; see `SubmissionPart.score`."""
    total = Confusion()
    for _, counts in tallies(path, truth):
        total += counts
    return metrics(total)


def tallies(
    path: Path, truth: Path, threshold: float | None = None
) -> Iterator[tuple[str, Confusion]]:
    """Count a table or a folder of exported masks against the truth, by record.

    Args:
        path: the predictions; records are paired by their ids, never by position.
        truth: folder of `<record_id>.npy`, (H, W) of 0 and 1, or the `truth` folder
            that `synth` writes, with such a folder `test`.
        threshold: pictures of a folder may be of probabilities, 0 to 255 for 0 to 1;
            what is above it is contrail.

    Raises:
        SubmissionError: naming records that are on one side only.
    """
    below = truth / _TEST
    truth = below if below.is_dir() else truth
    files = {file.stem: file for file in truth.glob(f"*{_TRUTH}")}
    if not files:
        raise SubmissionError(f"{truth}: no <record_id>{_TRUTH} to score against")
    if threshold is not None and not path.is_dir():
        raise SubmissionError(
            f"{path}: a table holds masks, which no threshold cuts; leave --threshold"
            " out"
        )
    left, extra = set(files), set()
    for id_, said in _said(path):
        if id_ not in files:
            extra.add(id_)
            continue
        left.discard(id_)
        true = _truth(files[id_])
        yield id_, count(_mask(said, true, threshold, path, id_) == 1, true == 1)
    if extra:
        raise SubmissionError(f"{path}: not in {truth}: {_listed(extra)}")
    if left:
        raise SubmissionError(f"{path}: missing of {truth}: {_listed(left)}")


def _said(path: Path) -> Iterator[tuple[str, str | ByteArray]]:
    yield from _pictures(path) if path.is_dir() else _rows(path)


def _mask(
    said: str | ByteArray,
    true: ByteArray,
    threshold: float | None,
    path: Path,
    id_: str,
) -> ByteArray:
    """Return what is predicted of a record, of the size of its truth."""
    height, width = true.shape
    if isinstance(said, str):
        return _decoded(said, (height, width), path, id_)
    if said.shape != true.shape:
        raise SubmissionError(
            f"{path}: {id_}{_MASK} is {_sized(said.shape)} pixels and its truth is"
            f" {_sized(true.shape)}"
        )
    return _cut(said, threshold, f"{path / id_}{_MASK}")


def _truth(file: Path) -> ByteArray:
    try:
        true = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SubmissionError(f"{file} cannot be read: {error}") from None
    return _checked(true, str(file))


def _sized(shape: tuple[int, ...]) -> str:
    return " × ".join(str(side) for side in shape)


def _listed(ids: Collection[str]) -> str:
    """Name some records, and say how many more there are."""
    more = len(ids) - _MOST_NAMED
    named = ", ".join(sorted(ids)[:_MOST_NAMED])
    return f"{named} and {more} more" if more > 0 else named
