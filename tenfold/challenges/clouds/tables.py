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


def read_rows(path: Path, error: type[TenfoldError]) -> Rows:
    """Read a table that has all four classes of each of its images.

    Args:
        path: of the file.
        error: what to raise; its message names the row, counted from the header as
            1, and its key.

    Returns:
        Images in the order in which the table has them; codes are not looked into.
    """
    found: Rows = {}
    try:
        with path.open(encoding="utf-8") as lines:
            header = lines.readline().rstrip("\n")
            if header != HEADER:
                raise error(f"{path}: its header is {header!r} instead of {HEADER!r}")
            for number, line in enumerate(lines, 2):
                try:
                    _add(found, line.rstrip("\n"))
                except ValueError as fault:
                    raise error(f"{path}, row {number}: {fault}") from None
    except (OSError, UnicodeDecodeError) as fault:
        raise error(f"{path} cannot be read: {fault}") from None
    if not found:
        raise error(f"{path} has no rows")
    for id_, codes in found.items():
        for name in CLASSES:
            if name not in codes:
                key = key_of(id_, name)
                raise error(f"{path}: no row {key}; an image has a row for each class")
    return found


def _add(found: Rows, line: str) -> None:
    """Add one row.

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
