"""Records come back from a TFRecord file, as TensorFlow writes and reads them, too."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data.tfrecord import RecordFile, framed
from tenfold.errors import StoreError

SOME = (b"first", b"", b"x" * 300)
#: A record's length and its CRC, and the CRC behind its data.
HEAD, FOOT = 12, 4


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


def written(path, contents=SOME):
    path.write_bytes(b"".join(b"".join(framed([data])) for data in contents))
    return path


def read(path):
    file = RecordFile(path, "cure it")
    return tuple(file.record(number).tobytes() for number in range(len(file)))


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)


def crc32c(data):
    """The Castagnoli CRC (RFC 3720), bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=50))
def test_a_record_is_length_and_data_with_their_masked_crcs(data):
    length = struct.pack("<Q", len(data))
    masked = [
        struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)
        for crc in (crc32c(length), crc32c(data))
    ]
    expected = length + masked[0] + data + masked[1]
    assert b"".join(framed([data])) == expected
    assert b"".join(framed([data[:7], b"", data[7:]])) == expected


@settings(max_examples=50, deadline=None)
@given(contents=st.lists(st.binary(max_size=200), max_size=6))
def test_what_was_written_comes_back(tmp_path_factory, contents):
    path = written(tmp_path_factory.mktemp("records") / "r.tfrecord", contents)
    assert read(path) == tuple(contents)


def test_records_are_read_in_any_order(tmp_path):
    file = RecordFile(written(tmp_path / "r"), "cure it")
    assert [file.record(n).tobytes() for n in (2, 0, 2)] == [SOME[2], SOME[0], SOME[2]]
    with pytest.raises(IndexError):
        file.record(3)


def test_tensorflow_reads_and_writes_the_same_files(tf, tmp_path):
    ours, theirs = written(tmp_path / "ours"), tmp_path / "theirs"
    assert tuple(tf.data.TFRecordDataset(str(ours)).as_numpy_iterator()) == SOME
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        for data in SOME:
            writer.write(data)
    assert theirs.read_bytes() == ours.read_bytes()
    assert read(theirs) == SOME


@pytest.mark.parametrize("place", range(HEAD))
def test_a_flipped_bit_in_a_length_is_found_at_opening(tmp_path, place):
    path = written(tmp_path / "r")
    flip(path, HEAD + len(SOME[0]) + FOOT + place)
    said = r"r, record 1: its length differs from its checksum; cure it$"
    with pytest.raises(StoreError, match=said):
        RecordFile(path, "cure it")


@pytest.mark.parametrize("place", range(len(SOME[0]) + FOOT))
def test_a_flipped_bit_in_data_is_found_when_they_are_read(tmp_path, place):
    path = written(tmp_path / "r")
    flip(path, HEAD + place)
    file = RecordFile(path, "cure it")
    assert file.record(2) == SOME[2]
    said = r"r, record 0: its data differ from their checksum; cure it$"
    with pytest.raises(StoreError, match=said):
        file.record(0)


def test_a_truncated_file_is_found_wherever_it_ends(tmp_path):
    path = written(tmp_path / "r", SOME[:2])
    whole = path.read_bytes()
    border = HEAD + len(SOME[0]) + FOOT
    for end in set(range(1, len(whole))) - {border}:
        path.write_bytes(whole[:end])
        with pytest.raises(StoreError, match=r"r, record [01]: the file ends in it"):
            RecordFile(path, "cure it")
    path.write_bytes(whole[:border])
    assert len(RecordFile(path, "cure it")) == 1


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"absent is missing; cure it"):
        RecordFile(tmp_path / "absent", "cure it")
