"""Shards of records: a TFRecord file with one Example a sample, read by its row.

`layout.json` says what the features of an Example in `samples.tfrecord` hold: the
sample's id, and each array's bytes in C order, little-endian, as they are or deflated
(zlib, RFC 1950). TensorFlow reads them without Tenfold: `tf.data.TFRecordDataset`,
`tf.io.parse_single_example`, `tf.io.decode_compressed` of "ZLIB", `tf.io.decode_raw`.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.data.arrays import Arrays, ByteArray
from tenfold.data.example_proto import decode_example, encode_example
from tenfold.data.files import read_json, write_json
from tenfold.data.tfrecord import RecordFile, framed
from tenfold.errors import StoreError
from tenfold.recipe import Json

RECORDS, LAYOUT = "samples.tfrecord", "layout.json"
SCHEMA = 1
ID = "id"
_CURE = "run ingest again"
#: For labels, which are nearly all zeros, higher levels take longer and save nothing
#: to speak of.
_LEVEL = 1
#: Booleans and numbers, which TensorFlow's `decode_raw` knows up to eight bytes each.
_KINDS, _LARGEST = "biuf", 8


@dataclass(frozen=True)
class RecordOptions:
    """How samples become records.

    Attributes:
        ids: of the samples, in their order.
        deflated: names of the arrays that are compressed, where samples have them.
    """

    ids: Sequence[str]
    deflated: Sequence[str] = ()


@dataclass(frozen=True)
class _Feature:
    """What the bytes of a feature are."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    deflated: bool

    @classmethod
    def of(cls, name: str, array: NDArray[Any], deflated: bool) -> "_Feature":
        if array.dtype.kind not in _KINDS or array.dtype.itemsize > _LARGEST:
            raise ValueError(f"array {name} is of {array.dtype}; records hold numbers")
        if name == ID:
            raise ValueError(f"an array cannot be called {ID}, as the sample's id is")
        return cls(array.dtype.newbyteorder("<"), array.shape, deflated)

    @classmethod
    def from_json(cls, value: Json) -> "_Feature":
        dtype = np.dtype(value["dtype"]).newbyteorder("<")
        return cls(dtype, tuple(value["shape"]), bool(value["deflated"]))

    def to_json(self) -> Json:
        shape = list(self.shape)
        return {"dtype": self.dtype.name, "shape": shape, "deflated": self.deflated}

    def encode(self, array: NDArray[Any]) -> bytes | ByteArray:
        raw = np.asarray(array, self.dtype, order="C").reshape(-1).view(np.uint8)
        return zlib.compress(raw.data, _LEVEL) if self.deflated else raw

    def decode(self, content: memoryview) -> NDArray[Any]:
        size = self.dtype.itemsize * math.prod(self.shape)
        raw = zlib.decompress(content, bufsize=size or 1) if self.deflated else content
        if len(raw) != size:
            raise ValueError(f"has {len(raw)} bytes in place of {size}")
        array = np.frombuffer(raw, self.dtype).reshape(self.shape)
        if not array.flags.aligned:
            # Records begin anywhere, and not every library takes such numbers.
            array = array.copy()
        array.flags.writeable = False
        return array


def write_records(
    folder: Path, samples: Sequence[Arrays], options: RecordOptions
) -> None:
    """Write the files of a shard; equal samples give equal files (of one zlib).

    Args:
        folder: that gets them.
        samples: equal names, shapes and dtypes; may be empty.
        options: what a record has besides.

    Raises:
        ValueError: samples differ in more than their values, or a record cannot hold
            an array.
    """
    first = samples[0] if samples else {}
    features = {
        name: _Feature.of(name, array, name in options.deflated)
        for name, array in first.items()
    }
    with (folder / RECORDS).open("wb") as stream:
        for id_, sample in zip(options.ids, samples, strict=True):
            _check(id_, sample, features)
            content = {n: each.encode(sample[n]) for n, each in features.items()}
            for piece in framed(encode_example({ID: id_.encode()} | content)):
                stream.write(piece if isinstance(piece, bytes) else piece.data)
    arrays = {name: feature.to_json() for name, feature in features.items()}
    layout = {"schema": SCHEMA, "samples": len(samples), "arrays": arrays}
    write_json(folder / LAYOUT, layout)


def _check(id_: str, sample: Arrays, features: Mapping[str, _Feature]) -> None:
    """Refuse a sample that is unlike the first."""
    if set(sample) != set(features):
        raise ValueError(f"sample {id_} has arrays {sorted(sample)}, unlike the first")
    for name, feature in features.items():
        dtype, shape = sample[name].dtype.newbyteorder("<"), sample[name].shape
        if (dtype, shape) != (feature.dtype, feature.shape):
            raise ValueError(
                f"array {name} of sample {id_} has dtype {dtype} and shape {shape}; the"
                f" first has {feature.dtype} and {feature.shape}"
            )


def holds_records(folder: Path) -> bool:
    """Tell whether the samples of a shard are records."""
    return (folder / RECORDS).exists() or (folder / LAYOUT).exists()


class RecordShard:
    """The records of a shard.

    Args:
        folder: of the shard.

    Raises:
        StoreError: a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORDS
        samples, self._features = _read_layout(folder / LAYOUT)
        self._file = RecordFile(self._path, _CURE)
        if len(self._file) != samples:
            raise StoreError(
                f"{self._path} has {len(self._file)} records, and {LAYOUT} beside it"
                f" says {samples}; {_CURE}"
            )

    def sample(self, row: int, id_: str | None) -> dict[str, NDArray[Any]]:
        """Return one sample's arrays, which cannot be written to.

        Args:
            row: number of the record, from 0.
            id_: whose it must be; none: anyone's.

        Raises:
            StoreError: the record is damaged, or of another sample.
        """
        record = self._file.record(row)
        try:
            features = decode_example(record)
            found = str(features.pop(ID, b""), "utf-8")
            if id_ is not None and found != id_:
                raise ValueError(f"is of sample {found!r}, not {id_!r}")
            return self._arrays(features)
        except (ValueError, zlib.error) as error:
            raise self._file.damaged(row, str(error)) from None

    def _arrays(self, features: Mapping[str, memoryview]) -> dict[str, NDArray[Any]]:
        if set(features) != set(self._features):
            raise ValueError(f"holds {sorted(features)}, not {sorted(self._features)}")
        return {n: each.decode(features[n]) for n, each in self._features.items()}


def _read_layout(path: Path) -> tuple[int, dict[str, _Feature]]:
    """Return the number of samples, and the features by name."""
    try:
        layout = read_json(path, _CURE)
        if layout["schema"] != SCHEMA:
            raise ValueError(f"schema {layout['schema']} is not {SCHEMA}")
        arrays = layout["arrays"].items()
        features = {name: _Feature.from_json(value) for name, value in arrays}
        return int(layout["samples"]), features
    except FileNotFoundError:
        raise StoreError(f"{path} is missing; {_CURE}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is no layout of records ({error}); {_CURE}") from None
