"""The views of a tile by which near-duplicates are judged: its terrain."""

from typing import NoReturn

import numpy as np
import polars as pl

from tenfold.challenges.kelp.bands import MISSING
from tenfold.data.arrays import Arrays, BoolArray, ByteArray, IntArray
from tenfold.errors import RecipeError


def lattice(arrays: Arrays) -> tuple[IntArray, BoolArray]:
    """Return the DEM's whole metres and where there is a DEM.

    Tiles are crops of one coast at other dates; where two overlap, their
    elevations are the same numbers.
    """
    dem = np.asarray(arrays["dem"]).astype(np.int64)
    return dem, dem != MISSING


def picture(arrays: Arrays) -> ByteArray:
    """Return the DEM in grey, (350, 350, 3).

    Missing elevation counts as sea and stays out of the scaling. (The published
    pictures took the minimum with -32768 in it, which left every tile with a
    gap in its DEM in one to six levels of grey.)
    """
    dem = np.asarray(arrays["dem"]).astype(np.float32)
    height = np.clip(dem, 0, None)
    grey = np.round(height / max(float(height.max()), 1.0) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def footprints(catalogue: pl.DataFrame) -> NoReturn:
    """Refuse: the source does not say where or when a tile was seen.

    Raises:
        RecipeError: always, saying what to do instead.
    """
    del catalogue
    raise RecipeError(
        "kelp tiles come without place and time: set groups.footprint.enabled to false;"
        " groups.overlap finds tiles of one place by their elevations"
    )
