"""A kelp member of boosted trees as a learning task: tiles as tables of pixels.

As the published system's pixel table: all kelp, a square ring around it, and a random
share of the rest. Unlike there, whole folds are held out, never single pixels, whose
neighbours in the same tile would give them away.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import ndimage

from tenfold.challenges.kelp.channels import planes
from tenfold.challenges.kelp.options import KelpInput, KelpTrees
from tenfold.challenges.kelp.outputs import encode
from tenfold.challenges.kelp.tiles import unpack_mask, unpack_tile, unpack_valid
from tenfold.data.arrays import Arrays, BoolArray, Float32Array, IntArray
from tenfold.recipe import Json


class PixelTask:
    """Pixels, labels and outputs of one member; a `TreesTask`.

    Args:
        member: of the recipe.
    """

    def __init__(self, member: KelpTrees) -> None:
        self.member = member

    @property
    def features(self) -> tuple[str, ...]:
        """The channels: bands, then indices."""
        return self.member.input.channels

    @property
    def most_rows(self) -> int:
        """Pixels that are learnt from at most."""
        return self.member.pixels.max_pixels

    def files(self) -> Mapping[str, Path]:
        """Return nothing; trees start from nothing."""
        return {}

    def describe(self) -> Json:
        """Return what is needed beside the trees, and for the record."""
        return {
            "input": self.member.input.model_dump(mode="json"),
            "pixels": self.member.pixels.model_dump(mode="json"),
            "channels": list(self.features),
            "classes": ["background", "kelp"],
        }

    def restore(self, description: Json) -> "PixelTask":
        """Return the task whose channels are those of a `model.json`."""
        options = KelpInput.model_validate(description["input"])
        return PixelTask(self.member.model_copy(update={"input": options}))

    def rows(self, arrays: Arrays) -> Float32Array:
        """Return the channels of all pixels of a tile, (122500, channels).

        NaN is what is missing, masked or not finite; XGBoost learns at each split
        where such pixels go.
        """
        raw, options = unpack_tile(arrays), self.member.input
        table = np.empty((raw[0].size, len(self.features)), np.float32)
        with np.errstate(all="ignore"):
            made = planes(
                raw,
                options.channels,
                options.masking,
                np,
                lambda plane: plane.astype(np.float32),
            )
            for column, (values, counts) in enumerate(made):
                known = np.where(counts & np.isfinite(values), values, np.nan)
                table[:, column] = known.ravel()
        return table

    def candidates(self, arrays: Arrays, rng: np.random.Generator) -> IntArray:
        """Return the pixels to learn from: kelp, its ring, and some of the rest."""
        options = self.member.pixels
        near = dilated(unpack_mask(arrays) == 1, options.ring)
        drawn = rng.random(near.shape) < options.random_share
        return np.flatnonzero((near | drawn) & unpack_valid(arrays))

    def truth(self, arrays: Arrays) -> tuple[BoolArray, BoolArray]:
        """Return where kelp is, and which pixels are valid; (122500,) both."""
        return (unpack_mask(arrays) == 1).ravel(), unpack_valid(arrays).ravel()

    def outputs(self, probability: Float32Array, arrays: Arrays) -> Arrays:
        """Return the probability of kelp in steps of 1/255, (350, 350).

        It is 0 where there is no imagery, of which nothing was learnt.
        """
        valid = unpack_valid(arrays)
        return {"prob": encode(np.where(valid, probability.reshape(valid.shape), 0))}


def dilated(mask: BoolArray, ring: int) -> BoolArray:
    """Return pixels within `ring` rows and columns of the mask, (H, W)."""
    near = mask.view(np.uint8)
    for axis in (0, 1):
        near = ndimage.maximum_filter1d(
            near, 2 * ring + 1, axis=axis, mode="constant", cval=0
        )
    inside: BoolArray = near == 1
    return inside
