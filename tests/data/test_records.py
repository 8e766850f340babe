"""Shards of records give back what was packed, and say what is wrong with them."""

import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tenfold.challenges import load_recipe
from tenfold.challenges.contrails.options import ContrailsSynth
from tenfold.challenges.contrails.synth import synthesise
from tenfold.data.dataset import SHARDS, Dataset
from tenfold.data.example_proto import encode_example
from tenfold.data.records import LAYOUT, RECORDS, RecordOptions
from tenfold.data.shards import ROWS, Shard, write_shard
from tenfold.data.tfrecord import framed
from tenfold.errors import StoreError
from tenfold.stages import ingest
from tenfold.stages.context import Context
from tenfold.store import Store

DTYPES = (np.uint8, np.int32, np.int64, np.float16, np.float32)
IDS = ("1000834164244036115", "b", "ö")
CURE = "; run ingest again$"


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


def scene(value):
    rng = np.random.default_rng(value)
    return {
        "image": rng.integers(0, 255, (2, 6, 5, 3), np.uint8),
        "label": np.eye(6, 5, value % 3, np.uint8),
        "annotators": np.array(value, np.uint8),
        "kelvin": rng.normal(250, 9, (3, 3)).astype(np.float32),
    }


def packed(folder, ids=IDS, deflated=("label", "kelvin", "votes")):
    samples = [scene(number) for number in range(len(ids))]
    write_shard(folder, samples, {}, None, RecordOptions(ids, deflated))
    return folder


def check(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values, strict=True)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), count=st.integers(1, 3), deflated=st.sets(st.sampled_from("ab")))
def test_what_was_packed_comes_back(tmp_path_factory, data, count, deflated):
    kinds = {
        name: (
            data.draw(st.sampled_from(DTYPES)),
            data.draw(npst.array_shapes(min_dims=0, max_dims=4, min_side=0)),
        )
        for name in "abc"
    }
    samples = [
        {name: data.draw(npst.arrays(*kind)) for name, kind in kinds.items()}
        for _ in range(count)
    ]
    folder = tmp_path_factory.mktemp("shard") / "train-00000"
    options = RecordOptions(IDS[:count], tuple(deflated))
    write_shard(folder, samples, {}, None, options)
    shard = Shard(folder)
    for row, (id_, expected) in enumerate(zip(options.ids, samples, strict=True)):
        check(shard.sample(row, id_), expected)


def test_a_shard_holds_records_a_layout_and_rows(tmp_path):
    folder = packed(tmp_path / "s")
    assert sorted(p.name for p in folder.iterdir()) == [LAYOUT, ROWS, RECORDS]
    layout = json.loads((folder / LAYOUT).read_text())
    assert layout["samples"] == 3
    assert layout["schema"] == 1
    assert layout["arrays"]["kelvin"] == {
        "dtype": "float32",
        "shape": [3, 3],
        "deflated": True,
    }
    assert layout["arrays"]["annotators"]["shape"] == []


def test_equal_samples_make_equal_files(tmp_path):
    one, other = packed(tmp_path / "one"), tmp_path / "other"
    samples = [
        # Another order of names, another order in memory, another order of bytes.
        {
            "kelvin": np.asfortranarray(arrays["kelvin"]).astype(">f4"),
            **{name: arrays[name] for name in ("annotators", "label", "image")},
        }
        for arrays in map(scene, range(3))
    ]
    options = RecordOptions(IDS, ("kelvin", "label"))
    write_shard(other, samples, {}, None, options)
    for name in (RECORDS, LAYOUT):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_tensorflow_reads_the_shards(tf, tmp_path):
    folder = packed(tmp_path / "s")
    arrays = json.loads((folder / LAYOUT).read_text())["arrays"]
    names = {name: tf.io.FixedLenFeature([], tf.string) for name in ("id", *arrays)}
    records = list(tf.data.TFRecordDataset(str(folder / RECORDS)))
    assert len(records) == 3
    for number, record in enumerate(records):
        features = tf.io.parse_single_example(record, names)
        assert features["id"].numpy().decode() == IDS[number]
        found = {}
        for name, each in arrays.items():
            raw = features[name]
            if each["deflated"]:
                raw = tf.io.decode_compressed(raw, "ZLIB")
            flat = tf.io.decode_raw(raw, tf.as_dtype(each["dtype"]))
            found[name] = tf.reshape(flat, each["shape"]).numpy()
        check(found, scene(number))


def test_shards_of_tensorflows_records_are_read(tf, tmp_path):
    folder = packed(tmp_path / "s")
    with tf.io.TFRecordWriter(str(folder / RECORDS)) as writer:
        for number, id_ in enumerate(IDS):
            example = tf.train.Example()
            raw = {name: values.tobytes() for name, values in scene(number).items()}
            for name in ("label", "kelvin"):
                raw[name] = zlib.compress(raw[name], 9)
            for name, content in (raw | {"id": id_.encode()}).items():
                example.features.feature[name].bytes_list.value.append(content)
            writer.write(example.SerializeToString())
    for number, id_ in enumerate(IDS):
        check(Shard(folder).sample(number, id_), scene(number))


def test_samples_cannot_be_changed_through_what_is_read(tmp_path):
    for values in Shard(packed(tmp_path / "s")).sample(0).values():
        with pytest.raises(ValueError, match="read-only"):
            values[...] = 5


def test_numbers_lie_where_libraries_want_them(tmp_path):
    # Whatever the lengths of ids, of which some would shift them.
    for length in range(1, 9):
        ids = ["i" * length]
        sample = {"x": np.arange(3.0), "y": np.arange(5, dtype=np.int32)}
        write_shard(tmp_path / "s", [sample], {}, None, RecordOptions(ids))
        found = Shard(tmp_path / "s").sample(0, *ids)
        assert all(values.flags.aligned for values in found.values())
        check(found, sample)


def test_a_record_of_another_sample_is_refused(tmp_path):
    shard = Shard(packed(tmp_path / "s"))
    said = rf"{RECORDS}, record 1: is of sample 'b', not 'c'{CURE}"
    with pytest.raises(StoreError, match=said):
        shard.sample(1, "c")
    check(shard.sample(1), scene(1))
    with pytest.raises(IndexError):
        shard.sample(3)


def test_a_damaged_record_is_named(tmp_path):
    folder = packed(tmp_path / "s")
    content = bytearray((folder / RECORDS).read_bytes())
    content[-10] ^= 1
    (folder / RECORDS).write_bytes(content)
    shard = Shard(folder)
    check(shard.sample(1, "b"), scene(1))
    said = rf"s/{RECORDS}, record 2: its data differ from their checksum{CURE}"
    with pytest.raises(StoreError, match=said):
        shard.sample(2, IDS[2])


@pytest.mark.parametrize("name", [RECORDS, LAYOUT])
def test_a_missing_file_is_named(tmp_path, name):
    folder = packed(tmp_path / "s")
    (folder / name).unlink()
    with pytest.raises(StoreError, match=rf"s/{name} is missing{CURE}"):
        Shard(folder)


def test_a_file_that_ends_between_two_records_is_truncated_too(tmp_path):
    folder = packed(tmp_path / "s")
    shorter = packed(tmp_path / "t", IDS[:2])
    (folder / RECORDS).write_bytes((shorter / RECORDS).read_bytes())
    with pytest.raises(StoreError, match=rf"has 2 records, .* says 3{CURE}"):
        Shard(folder)
    (folder / RECORDS).write_bytes(b"")
    with pytest.raises(StoreError, match=rf"has 0 records, .* says 3{CURE}"):
        Shard(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not valid JSON"),
        ("[]", "is no layout of records"),
        ('{"schema": 2}', "schema 2 is not 1"),
        ('{"schema": 1, "samples": 3}', "no layout of records .'arrays'."),
        (
            '{"schema": 1, "samples": 3, "arrays": {"x": {"dtype": "cat"}}}',
            "no layout of records .*cat",
        ),
    ],
)
def test_a_layout_that_says_something_else_is_refused(tmp_path, text, said):
    folder = packed(tmp_path / "s")
    (folder / LAYOUT).write_text(text)
    with pytest.raises(StoreError, match=f"{LAYOUT}.*{said}.*{CURE}"):
        Shard(folder)


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ({"id": b"a", "y": b"12"}, r"holds \['y'\], not \['x'\]"),
        ({"id": b"a", "x": b"1"}, "has 1 bytes in place of 2"),
        ({"x": b"12"}, "is of sample '', not 'a'"),
        (None, "is neither bytes nor a message"),
    ],
)
def test_a_record_unlike_the_layout_is_refused(tmp_path, features, said):
    sample, folder = {"x": np.zeros(2, np.uint8)}, tmp_path / "s"
    write_shard(folder, [sample], {}, None, RecordOptions(["a"]))
    data = [b"\x08\x01"] if features is None else encode_example(features)
    (folder / RECORDS).write_bytes(b"".join(framed(data)))
    with pytest.raises(StoreError, match=f"record 0: .*{said}{CURE}"):
        Shard(folder).sample(0, "a")


def test_what_should_be_deflated_and_is_not_is_refused(tmp_path):
    sample, folder = {"x": np.zeros(2, np.uint8)}, tmp_path / "s"
    write_shard(folder, [sample], {}, None, RecordOptions(["a"], ("x",)))
    data = encode_example({"id": b"a", "x": b"12"})
    (folder / RECORDS).write_bytes(b"".join(framed(data)))
    with pytest.raises(StoreError, match=f"record 0: Error -3 .*{CURE}"):
        Shard(folder).sample(0, "a")


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ({"x": np.zeros(3, np.uint8)}, "array x of sample b has .* shape"),
        ({"x": np.zeros(2, np.int8)}, "array x of sample b has dtype int8"),
        ({"y": np.zeros(2, np.uint8)}, r"sample b has arrays \['y'\], unlike the"),
    ],
)
def test_samples_that_differ_are_refused(tmp_path, sample, said):
    samples = [{"x": np.zeros(2, np.uint8)}, sample]
    with pytest.raises(ValueError, match=said):
        write_shard(tmp_path / "s", samples, {}, None, RecordOptions(IDS[:2]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "array", [np.array([{}], object), np.array(["a"]), np.zeros(1, complex)]
)
def test_what_is_no_number_is_refused(tmp_path, array):
    options = RecordOptions(["a"])
    with pytest.raises(ValueError, match=r"array x is of .*; records hold numbers"):
        write_shard(tmp_path / "s", [{"x": array}], {}, None, options)
    with pytest.raises(ValueError, match="cannot be called id"):
        write_shard(tmp_path / "s", [{"id": np.zeros(1)}], {}, None, options)
    assert list(tmp_path.iterdir()) == []


def test_a_shard_without_samples_has_no_records(tmp_path):
    rows = {"rows": [], "faults": [{"file": "a", "reason": "b"}]}
    write_shard(tmp_path / "s", [], rows, None, RecordOptions([]))
    assert json.loads((tmp_path / "s" / ROWS).read_text()) == rows
    with pytest.raises(IndexError):
        Shard(tmp_path / "s").sample(0)


def test_ingest_packs_records_where_the_challenge_has_them(tmp_path):
    few = ContrailsSynth(train=4, validation=2, test=1, revisits=0, side=32)
    synthesise(tmp_path / "set", few)
    recipe = load_recipe("contrails", "smoke", ["data.shard_samples=4", "data.side=32"])
    context = Context(recipe, Store(tmp_path / "store"))
    entry = context.entry(ingest.run(context, str(tmp_path / "set" / "data")))
    shards = sorted((entry.path / SHARDS).iterdir())
    assert [s.name for s in shards] == ["test-00000", "train-00000", "train-00001"]
    for shard in shards:
        assert sorted(p.name for p in shard.iterdir()) == [LAYOUT, ROWS, RECORDS]
        arrays = json.loads((shard / LAYOUT).read_text())["arrays"]
        deflated = {name for name, each in arrays.items() if each["deflated"]}
        assert deflated == set(recipe.data.deflated) & set(arrays)
    dataset = Dataset(entry.path)
    ids = dataset.rows("train")["id"].to_list()
    assert [dataset.sample(id_)["label"].shape for id_ in ids] == [(32, 32)] * 6
