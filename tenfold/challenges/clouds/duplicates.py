"""The view of an image by which near-duplicates are judged: its picture."""

from typing import NoReturn

import numpy as np
import polars as pl

from tenfold.data.arrays import Arrays, ByteArray
from tenfold.errors import RecipeError

#: All three colours of the gap between orbits are below it; JPEG leaves some noise.
_BLACK = 8


def lattice(arrays: Arrays) -> NoReturn:
    """Refuse: the numbers of a JPEG are not those of another picture of a scene.

    Raises:
        RecipeError: always, saying what to do instead.
    """
    del arrays
    raise RecipeError(
        "clouds pictures are JPEGs, which have no exact numbers that two pictures of"
        " one scene could share: set groups.overlap.enabled to false, and"
        " groups.embedding.enabled to true with groups.embedding.network thumbnail"
    )


def picture(arrays: Arrays) -> ByteArray:
    """Return the prepared picture, (H, W, 3), its orbit gap in the mean colour.

    The gap lies where the satellites' orbits do, whatever the clouds. Left black, it
    is the strongest contrast of a faint scene and makes strangers look alike.
    """
    shown = np.asarray(arrays["picture"])
    gap = (shown < _BLACK).all(axis=-1)
    if not gap.any() or gap.all():
        return shown
    filled = shown.copy()
    filled[gap] = np.rint(shown[~gap].mean(axis=0)).astype(np.uint8)
    return filled


def footprints(catalogue: pl.DataFrame) -> NoReturn:
    """Refuse: the source does not say where or when a picture was taken.

    Raises:
        RecipeError: always, saying what to do instead.
    """
    del catalogue
    raise RecipeError(
        "clouds pictures come without place and time: set groups.footprint.enabled to"
        " false, and groups.embedding.enabled to true with groups.embedding.network"
        " thumbnail"
    )
