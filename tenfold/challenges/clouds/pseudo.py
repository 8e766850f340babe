"""Which predicted test images become training images, and their labels."""

from typing import Any

import numpy as np

from tenfold.challenges.clouds.labels import columns_of
from tenfold.challenges.clouds.masks import resize_labels
from tenfold.challenges.clouds.options import CloudsPseudo
from tenfold.challenges.clouds.pictures import black_share
from tenfold.challenges.clouds.planes import pack_planes, unpack_planes
from tenfold.challenges.clouds.row_dice import anywhere
from tenfold.data.arrays import Arrays


def select(prediction: Arrays, arrays: Arrays, options: CloudsPseudo) -> Arrays | None:
    """Return an image with its prediction as its label, if all four rows qualify.

    A row does if the classifier is sure of what was decided: below `low` that an
    empty one is empty, above `high` that a painted one is there; both strictly, as
    published.

    Args:
        prediction: `classes` (350, 525) in bits, `presence` (4,).
        arrays: of a test image; only its labels are replaced. Those at the prepared
            size grow by the published rule, whatever the recipe's own is.
        options: the recipe's `pseudo` section.
    """
    bits = np.asarray(prediction["classes"])
    presence = np.asarray(prediction["presence"], np.float32)
    masks = unpack_planes(bits)
    painted = anywhere(masks)
    low, high = np.float32(options.low), np.float32(options.high)
    if not np.where(painted, presence > high, presence < low).all():
        return None
    size = arrays["classes"].shape
    prepared = pack_planes(resize_labels(masks, (size[0], size[1])))
    return {**arrays, "classes": prepared, "truth": bits}


def columns(arrays: Arrays) -> dict[str, Any]:
    """Return the catalogue's columns of a selected image."""
    black = {"black_share": black_share(np.asarray(arrays["picture"]))}
    return columns_of(np.asarray(arrays["truth"])) | black
