"""The wire format of `tf.train.Example`, for features of one byte string each.

An Example is a message in messages (tensorflow/core/example: example.proto and
feature.proto), and all fields on the way to a byte string are length-delimited:
Example 1 is Features; Features 1, repeated, is an entry; entry 1 is a name and 2 a
Feature; Feature 1 is a BytesList; BytesList 1 is the byte string.
"""

from collections.abc import Mapping

from tenfold.data.arrays import ByteArray

_ONLY, _KEY, _VALUE = 1, 1, 2
#: Wire type of strings, bytes and messages.
_DELIMITED = 2
#: Highest number of a field whose tag is one byte.
_LAST = 15
#: Bytes of a varint, which has seven bits a byte, and at most 64 in all.
_LONGEST = 10


def encode_example(
    features: Mapping[str, bytes | ByteArray],
) -> list[bytes | ByteArray]:
    """Return the pieces of an Example; equal features give equal bytes.

    Args:
        features: name → content, written in order of the names; arrays have one axis.
            Each is a piece of its own, and not copied.
    """
    pieces: list[bytes | ByteArray] = []
    for name in sorted(features):
        pieces += _entry(name, features[name])
    return [_head(_ONLY, sum(map(len, pieces))), *pieces]


def _entry(name: str, content: bytes | ByteArray) -> list[bytes | ByteArray]:
    """Return the pieces of a feature's entry."""
    value = _head(_ONLY, len(content))
    values = _head(_ONLY, len(value) + len(content)) + value
    feature = _head(_VALUE, len(values) + len(content)) + values
    key = name.encode()
    before = _head(_KEY, len(key)) + key + feature
    return [_head(_ONLY, len(before) + len(content)), before, content]


def _head(field: int, size: int) -> bytes:
    """Return the tag and length of a delimited field."""
    head = bytearray([field << 3 | _DELIMITED])
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head)


def decode_example(record: memoryview) -> dict[str, memoryview]:
    """Return the features of an Example, as views of it.

    Raises:
        ValueError: it is no Example, or a feature is not one byte string.
    """
    features = {}
    for message in _repeated(record):
        for entry in _repeated(message):
            fields = dict(_fields(entry))
            if set(fields) != {_KEY, _VALUE}:
                raise ValueError("an entry has other fields than a name and a feature")
            name = str(fields[_KEY], "utf-8")
            values = [v for each in _repeated(fields[_VALUE]) for v in _repeated(each)]
            if len(values) != 1:
                raise ValueError(f"feature {name} is {len(values)} byte strings")
            features[name] = values[0]
    return features


def _repeated(message: memoryview) -> list[memoryview]:
    """Return the fields of a message that has one kind of them."""
    fields = _fields(message)
    for number, _ in fields:
        if number != _ONLY:
            raise ValueError(f"a message has field {number} in place of {_ONLY}")
    return [content for _, content in fields]


def _fields(message: memoryview) -> list[tuple[int, memoryview]]:
    """Return number and content of each field of a message."""
    fields, place, end = [], 0, len(message)
    while place < end:
        number, kind = divmod(message[place], 8)
        # Of a number above 15, which no message here has, the tag is longer.
        if kind != _DELIMITED or number > _LAST:
            raise ValueError(f"field {number} is neither bytes nor a message")
        size, place = _varint(message, place + 1)
        if size > end - place:
            raise ValueError(f"field {number} ends behind its message")
        fields.append((number, message[place : place + size]))
        place += size
    return fields


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return a number of variable length, and the place behind it."""
    number = shift = 0
    for at in range(place, min(place + _LONGEST, len(message))):
        byte = message[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at + 1
        shift += 7
    raise ValueError("a number does not end")
