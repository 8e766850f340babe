"""Examples are coded as TensorFlow codes them."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data.example_proto import decode_example, encode_example

FEATURES = st.dictionaries(st.text(max_size=12), st.binary(max_size=300), max_size=6)


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


def encoded(features):
    return b"".join(encode_example(features))


def decoded(data):
    found = decode_example(memoryview(data))
    return {name: content.tobytes() for name, content in found.items()}


def theirs(tf, features):
    """The same as TensorFlow's own message."""
    example = tf.train.Example()
    for name, content in features.items():
        example.features.feature[name].bytes_list.value.append(content)
    return example


@settings(max_examples=100, deadline=None)
@given(features=FEATURES)
def test_what_was_encoded_comes_back(features):
    assert decoded(encoded(features)) == features


@settings(max_examples=100, deadline=None)
@given(features=FEATURES)
def test_tensorflow_reads_and_writes_the_same(tf, features):
    example = theirs(tf, features)
    read = tf.train.Example.FromString(encoded(features))
    assert read.features.feature == example.features.feature
    assert decoded(example.SerializeToString()) == features


@settings(max_examples=50, deadline=None)
@given(name=st.text(max_size=12), content=st.binary(max_size=300))
def test_bytes_of_a_feature_are_those_of_tensorflow(tf, name, content):
    feature = {name: content}
    assert encoded(feature) == theirs(tf, feature).SerializeToString()


@pytest.mark.parametrize("size", [0, 127, 128, 16_383, 16_384, 1 << 21])
def test_sizes_about_the_borders_of_varints(tf, size):
    features = {"image": bytes(size)}
    data = encoded(features)
    assert data == theirs(tf, features).SerializeToString()
    assert decoded(data) == features


def test_order_does_not_matter_and_arrays_are_bytes():
    one = encoded({"b": b"12", "a": b"3"})
    assert one == encoded({"a": b"3", "b": np.frombuffer(b"12", np.uint8)})


def test_features_are_views_of_the_record():
    data = bytearray(encoded({"a": b"xyz"}))
    found = decode_example(memoryview(data))["a"]
    data[-1] = ord("!")
    assert found == b"xy!"


def test_features_of_other_kinds_are_refused(tf):
    example = theirs(tf, {"a": b"1"})
    example.features.feature["n"].int64_list.value.append(3)
    with pytest.raises(ValueError, match="field 3 in place of 1"):
        decode_example(memoryview(example.SerializeToString()))
    example = theirs(tf, {"a": b"1"})
    example.features.feature["a"].bytes_list.value.append(b"2")
    with pytest.raises(ValueError, match="feature a is 2 byte strings"):
        decode_example(memoryview(example.SerializeToString()))
    example.features.feature["a"].Clear()
    with pytest.raises(ValueError, match="feature a is 0 byte strings"):
        decode_example(memoryview(example.SerializeToString()))


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=60))
def test_anything_else_is_refused_or_decoded_but_never_fails_otherwise(data):
    with contextlib.suppress(ValueError):
        decode_example(memoryview(data))


def test_a_part_of_an_example_is_refused():
    data = encoded({"image": b"x" * 200, "id": b"17"})
    for end in range(1, len(data)):
        with pytest.raises(ValueError, match=r"behind its message|does not end"):
            decode_example(memoryview(data)[:end])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x08\x01", "field 1 is neither bytes nor a message"),
        (b"\x82\x01\x00", "field 16 is neither bytes nor a message"),
        (b"\x0a" + b"\xff" * 12, "a number does not end"),
        (b"\x0a\x02\x0a\x00", "other fields than a name and a feature"),
    ],
)
def test_what_is_wrong_is_said(data, said):
    with pytest.raises(ValueError, match=said):
        decode_example(memoryview(data))
