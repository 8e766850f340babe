"""The views of a record by which near-duplicates are judged: its place and time."""

from typing import NoReturn

import numpy as np
import polars as pl

from tenfold.data.arrays import Arrays, ByteArray
from tenfold.errors import RecipeError

_SCENE = ("west", "south", "east", "north")


def footprints(catalogue: pl.DataFrame) -> pl.DataFrame:
    """Return where and when the records with metadata were seen.

    The box around a scene is larger than the scene, which is no rectangle in longitude
    and latitude: records that overlap are never missed, and some that are near count,
    too. Records of test come without metadata.

    Args:
        catalogue: columns id, timestamp (s), and west, south, east, north (degrees).

    Returns:
        id, time and the same four; none of them null.
    """
    scenes = catalogue.select("id", pl.col("timestamp").alias("time"), *_SCENE)
    return scenes.drop_nulls()


def lattice(arrays: Arrays) -> NoReturn:
    """Refuse: scenes are resampled, and two of one place share no exact numbers.

    Raises:
        RecipeError: always, saying what to do instead.
    """
    del arrays
    raise RecipeError(
        "contrails scenes are resampled, which leaves no exact numbers that two scenes"
        " of one place could share: set groups.overlap.enabled to false, and"
        " groups.footprint.enabled to true"
    )


def picture(arrays: Arrays) -> ByteArray:
    """Return the last frame's first three channels, (H, W, 3).

    Frames are ten minutes apart, and any of them tells whether scenes look alike; the
    last is there however many were packed. Fewer channels than three are repeated.
    """
    frame = np.asarray(arrays["image"])[-1]
    shown = frame[..., [min(channel, frame.shape[-1] - 1) for channel in range(3)]]
    if shown.dtype != np.uint8:
        # Packed as floats from 0 to 1.
        shown = np.rint(shown.astype(np.float32) * 255)
    found: ByteArray = shown.astype(np.uint8)
    return found
