"""TFRecord files: records one after the other, each checked, any of them read alone.

A record is its length (uint64) and its data, little-endian, each followed by its masked
CRC-32C (tensorflow/core/lib/io/record_writer.h).
"""

import itertools
import mmap
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import google_crc32c
import numpy as np

from tenfold.data.arrays import ByteArray
from tenfold.errors import StoreError

_LENGTH, _CRC = struct.Struct("<Q"), struct.Struct("<I")
#: Before the data of a record: length and its CRC. Behind them: their CRC.
_HEAD, _FOOT = struct.Struct("<QI"), _CRC


def framed(data: Iterable[bytes | ByteArray]) -> list[bytes | ByteArray]:
    """Return the pieces of a record, as they follow each other in a file.

    Args:
        data: of the record, in pieces; arrays have one axis.
    """
    pieces = list(data)
    crc = 0
    for piece in pieces:
        crc = google_crc32c.extend(crc, piece)
    length = _LENGTH.pack(sum(map(len, pieces)))
    head = length + _CRC.pack(_masked(google_crc32c.value(length)))
    return [head, *pieces, _CRC.pack(_masked(crc))]


def _masked(crc: int) -> int:
    """Return a CRC-32C as these files hold it, rotated and moved.

    The CRC of data that hold their own CRC would be weak (tensorflow/core/lib/hash/
    crc32c.h).
    """
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


class RecordFile:
    """A TFRecord file through a memory map.

    All lengths are checked when it is opened, the data of a record when it is read.

    Args:
        path: of the file.
        cure: what to do about one that is damaged.

    Raises:
        StoreError: it is not there, or damaged.
    """

    def __init__(self, path: Path, cure: str) -> None:
        self._path, self._cure = path, cure
        self._bytes = self._map()
        self._spans = list(self._scan())

    def _map(self) -> memoryview:
        try:
            with self._path.open("rb") as file:
                # An empty file has nothing to map.
                if self._path.stat().st_size == 0:
                    return memoryview(b"")
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            raise StoreError(f"{self._path} is missing; {self._cure}") from None

    def _scan(self) -> Iterator[tuple[int, int]]:
        """Yield where each record's data begin and end."""
        place, size = 0, len(self._bytes)
        for number in itertools.count():
            if place == size:
                return
            start = place + _HEAD.size
            if start + _FOOT.size > size:
                raise self.damaged(number, "the file ends in it")
            length, crc = _HEAD.unpack_from(self._bytes, place)
            if _masked(google_crc32c.value(_LENGTH.pack(length))) != crc:
                raise self.damaged(number, "its length differs from its checksum")
            place = start + length + _FOOT.size
            if place > size:
                raise self.damaged(number, "the file ends in it")
            yield start, start + length

    def __len__(self) -> int:
        return len(self._spans)

    def record(self, number: int) -> memoryview:
        """Return the data of a record, counted from 0, as a view of the map.

        Raises:
            IndexError: there is no such record.
            StoreError: the data differ from their checksum.
        """
        start, end = self._spans[number]
        data = self._bytes[start:end]
        (crc,) = _FOOT.unpack_from(self._bytes, end)
        # The library takes an array of the bytes, but no view.
        if _masked(google_crc32c.value(np.frombuffer(data, np.uint8))) != crc:
            raise self.damaged(number, "its data differ from their checksum")
        return data

    def damaged(self, number: int, reason: str) -> StoreError:
        """Return the error that says what is wrong with a record."""
        return StoreError(f"{self._path}, record {number}: {reason}; {self._cure}")
