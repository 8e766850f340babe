"""Arrays of .npy files: read whole or refused by name, and never unpickled."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from tenfold.errors import Rejected

_HEADERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


@dataclass(frozen=True)
class Header:
    """What a file says of its array.

    Attributes:
        begin: byte at which the values start.
        by_columns: whether the first axis varies fastest.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    begin: int
    by_columns: bool

    @property
    def values(self) -> int:
        """How many values there are."""
        return int(np.prod(self.shape, dtype=object))


def shown(path: Path) -> str:
    """Return how messages call a file of a record: part/record/file."""
    return "/".join(path.parts[-3:])


def sized(shape: Iterable[object]) -> str:
    """Return how messages say a shape: 256×256×8."""
    return "×".join(map(str, shape))


def read_header(path: Path) -> Header:
    """Read what a file says of its array, and nothing else.

    Raises:
        Rejected: it cannot be read, is no .npy file, or holds pickled objects.
    """
    try:
        with path.open("rb") as file:
            version = npy_format.read_magic(file)
            if version not in _HEADERS:
                raise ValueError(f"version {version} is for structures")
            shape, by_columns, dtype = _HEADERS[version](file)
            header = Header(shape, dtype, file.tell(), by_columns)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise Rejected(shown(path), reason) from None
    except ValueError as error:
        reason = f"is not a whole .npy file: {str(error).splitlines()[0]}"
        raise Rejected(shown(path), reason) from None
    if dtype.hasobject:
        raise Rejected(
            shown(path),
            "holds pickled objects, which are never loaded; save plain numbers",
        )
    return header


def read_array(path: Path, header: Header) -> NDArray[Any]:
    """Read a file's array.

    Raises:
        Rejected: it cannot be read, or has fewer or more bytes than its header says.
    """
    expected = header.begin + header.values * header.dtype.itemsize
    try:
        found = path.stat().st_size
        if found != expected:
            what = "is truncated" if found < expected else "is too long"
            raise Rejected(shown(path), f"{what}: {found} bytes instead of {expected}")
        flat = np.fromfile(path, header.dtype, header.values, offset=header.begin)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise Rejected(shown(path), reason) from None
    if header.by_columns:
        return flat.reshape(header.shape[::-1]).transpose()
    return flat.reshape(header.shape)
