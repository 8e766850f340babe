"""The plain way of the contrails challenge: float32 tensors in records, 16 a file.

Written after what is known of the published system, and no slower than that needs:
bands are read and all eight frames of a record converted, a batch is filled and written
as one file, and an Example holds two tensors, each with its shape and dtype. It has no
ids, and checks nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tenfold.data.arrays import ByteArray, Float32Array

BATCH = 16
#: Place of the labelled frame among a record's eight.
LABELLED = 4

Files = Mapping[str, Path]


def ash_of(files: Files) -> Float32Array:
    """Return the ash false colour of all frames: (H, W, 3, 8), 0 to 1."""
    t11, t14, t15 = (np.load(files[f"band_{band}"]) for band in (11, 14, 15))
    bounds = ((t15 - t14, -4, 2), (t14 - t11, -4, 5), (t14, 243, 303))
    colours = [(value - low) / (high - low) for value, low, high in bounds]
    return np.clip(np.stack(colours, axis=2), 0, 1)


def batch_of(records: Sequence[Files], frames: int) -> tuple[Float32Array, ByteArray]:
    """Return frames (N, T, H, W, 3) and masks (N, H, W, 1) of some records."""
    first = LABELLED - (frames - 1) // 2
    x = np.zeros((len(records), frames, 256, 256, 3), np.float32)
    y = np.zeros((len(records), 256, 256, 1), np.uint8)
    for place, files in enumerate(records):
        ash = ash_of(files)
        for frame in range(frames):
            x[place, frame] = ash[..., first + frame]
        y[place] = np.load(files["human_pixel_masks"])
    return x, y


def write(records: Sequence[Files], frames: int, folder: Path) -> list[Path]:
    """Write the files of some records, and return them."""
    paths = []
    for number in range(0, len(records), BATCH):
        paths.append(folder / f"batch_{number // BATCH:04d}.tfrec")
        batch = batch_of(records[number : number + BATCH], frames)
        with tf.io.TFRecordWriter(str(paths[-1])) as writer:
            for x, y in zip(*batch, strict=True):
                writer.write(_example(x, y))
    return paths


def _example(x: Float32Array, y: ByteArray) -> bytes:
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[_tensor(value)]))
        for name, value in (("x", x), ("y", y))
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString())


def _tensor(value: np.ndarray[Any, Any]) -> bytes:
    return bytes(tf.io.serialize_tensor(value).numpy())


def read(paths: Sequence[Path]) -> tf.data.Dataset:
    """Return the batches of some files, neither shuffled nor augmented."""
    names = list(map(str, paths))
    return (
        tf.data.TFRecordDataset(names, num_parallel_reads=tf.data.AUTOTUNE)
        .map(_parse, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(BATCH)
        .prefetch(tf.data.AUTOTUNE)
    )


def _parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in ("x", "y")}
    found = tf.io.parse_single_example(record, features)
    x = tf.io.parse_tensor(found["x"], tf.float32)
    y = tf.io.parse_tensor(found["y"], tf.uint8)
    return tf.ensure_shape(x, (None, 256, 256, 3)), tf.ensure_shape(y, (256, 256, 1))
