"""The competition's tables: one row for each pair of image and class, found by key."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tenfold.challenges.clouds.classes import CLASSES
from tenfold.codecs import run_length
from tenfold.data.arrays import BoolArray
from tenfold.errors import CodecError, TenfoldError

HEADER = "Image_Label,EncodedPixels"
PICTURE_SUFFIX = ".jpg"

#: id → class → run-length code; blank where the class is absent.
Rows = dict[str, dict[str, str]]


def key_of(id_: str, name: str) -> str:
    """Return the key of an image's row for a class, e.g. `0011165.jpg_Fish`."""
    return f"{id_}{PICTURE_SUFFIX}_{name}"


def read_rows(path: Path, error: type[TenfoldError], ordered: bool = False) -> Rows:
    """Read a table that has all four classes of each of its images.

    Args:
        path: of the file.
        error: what to raise; its message names the row, counted from the header as
            1, and its key.
        ordered: rows must be in the order in which a submission is written: images
            by id, and an image's rows in the order of the classes.

    Returns:
        Images in the order in which the table has them; codes are not looked into.
    """
    found: Rows = {}
    last = ("", 0)
    try:
        with path.open(encoding="utf-8") as lines:
            header = lines.readline().rstrip("\n")
            if header != HEADER:
                raise error(f"{path}: its header is {header!r} instead of {HEADER!r}")
            for number, line in enumerate(lines, 2):
                try:
                    here = _add(found, line.rstrip("\n"))
                    if ordered:
                        _check_order(last, here)
                    last = here
                except ValueError as fault:
                    raise error(f"{path}, row {number}: {fault}") from None
    except (OSError, UnicodeDecodeError) as fault:
        raise error(f"{path} cannot be read: {fault}") from None
    if not found:
        raise error(f"{path} has no rows")
    lacking = next(_lacking(found), None)
    if lacking is not None:
        raise error(f"{path}: no row {lacking}; an image has a row for each class")
    return found


def _lacking(found: Rows) -> Iterator[str]:
    """Yield the keys of rows that are not there."""
    for id_, codes in found.items():
        yield from (key_of(id_, name) for name in CLASSES if name not in codes)


def _add(found: Rows, line: str) -> tuple[str, int]:
    """Add one row; return its id and the place of its class.

    Raises:
        ValueError: saying what is wrong with it.
    """
    key, comma, code = line.partition(",")
    if not comma:
        raise ValueError(f"{line[:80]!r} has no comma; expected {HEADER}")
    image, _, name = key.rpartition("_")
    id_ = image.removesuffix(PICTURE_SUFFIX)
    if id_ in ("", image) or "/" in id_:
        raise ValueError(f"key {key!r} is not <id>{PICTURE_SUFFIX}_<class>")
    if name not in CLASSES:
        known = ", ".join(CLASSES)
        raise ValueError(f"key {key!r} has the class {name!r}; there is {known}")
    codes = found.setdefault(id_, {})
    if name in codes:
        raise ValueError(f"key {key!r} comes twice")
    codes[name] = code
    return id_, CLASSES.index(name)


def _check_order(last: tuple[str, int], here: tuple[str, int]) -> None:
    """Compare two neighbours, each an id and the place of its class.

    Raises:
        ValueError: the second one should be before the first.
    """
    if here < last:
        first, second = (key_of(id_, CLASSES[place]) for id_, place in (last, here))
        raise ValueError(
            f"key {second!r} comes after {first!r}, but images go by id and their rows"
            f" as {', '.join(CLASSES)}, since the submission is written in that order;"
            " sort the rows"
        )


def decode_rows(
    id_: str, codes: Mapping[str, str], shape: tuple[int, int]
) -> Iterator[tuple[int, BoolArray]]:
    """Yield place in the order of classes and mask of each class that is present.

    Args:
        id_: of the image, for errors.
        codes: class → code.
        shape: height and width of the masks, px.

    Raises:
        CodecError: naming the key and what is wrong with its code.
    """
    for place, name in enumerate(CLASSES):
        if not is_present(codes, name):
            continue
        try:
            yield place, run_length.decode(codes[name], shape)
        except CodecError as error:
            raise CodecError(f"{key_of(id_, name)}: {error}") from None


def is_present(codes: Mapping[str, str], name: str) -> bool:
    """Tell whether an image's rows have a code for a class."""
    return bool(codes.get(name, "").strip())
