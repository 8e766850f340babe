"""What is taken out of a prediction: gaps in the imagery, land, small patches."""

import numpy as np
from scipy import ndimage

from tenfold.challenges.kelp.tiles import unpack_valid
from tenfold.data.arrays import Arrays, BoolArray, Float32Array, IntArray

#: A patch goes on over a corner.
_NEIGHBOURS = np.ones((3, 3), np.bool_)


def settle(mean: Float32Array, arrays: Arrays, invalid: str, land: str) -> Float32Array:
    """Return the mean probability, 0 where no kelp may be.

    Args:
        mean: over members, (H, W).
        arrays: the tile.
        invalid: `background` if pixels without imagery hold none, or `keep`.
        land: `remove` if land holds none, or `keep`.
    """
    settled = mean
    if invalid == "background":
        settled = np.where(unpack_valid(arrays), settled, np.float32(0))
    if land == "remove":
        settled = np.where(on_land(arrays["dem"]), np.float32(0), settled)
    return settled


def on_land(dem: IntArray) -> BoolArray:
    """Return where land is, by the rule of the published third place.

    It keeps kelp where the sum of elevation in a box of 2×2 pixels is below 0.5.
    Elevation is in whole metres, so that is where none of the four lies above the
    sea. The box reaches one pixel up and to the left, as a box filter's of even side
    does; which way theirs reached is not known. Pixels without elevation are sea:
    the DEM ends a few hundred metres offshore.

    Args:
        dem: metres above the sea, (H, W); anything below 0 is unknown or sea.
    """
    high = dem > 0
    tall = high.copy()
    tall[1:] |= high[:-1]
    land = tall.copy()
    land[:, 1:] |= tall[:, :-1]
    return land


def without_small(kelp: BoolArray, least: int) -> BoolArray:
    """Return a mask without its patches of fewer than `least` pixels.

    Args:
        kelp: (H, W).
        least: pixels; pixels that touch at a side or a corner are one patch.
    """
    if least <= 1:
        return kelp
    patches, _ = ndimage.label(kelp, structure=_NEIGHBOURS)
    kept = np.bincount(patches.ravel()) >= least
    kept[0] = False
    large: BoolArray = kept[patches]
    return large


def counts_by_size(kelp: BoolArray, truth: BoolArray, sizes: IntArray) -> IntArray:
    """Return (tp, fp, fn, patches) left by each least size, (sizes, 4).

    Args:
        kelp: predicted, (H, W).
        truth: labelled, (H, W).
        sizes: least sizes to try, in pixels.
    """
    patches, found = ndimage.label(kelp, structure=_NEIGHBOURS)
    flat = patches.ravel()
    area = np.bincount(flat, minlength=found + 1)[1:]
    hits = np.bincount(flat[truth.ravel()], minlength=found + 1)[1:]
    kept = area[None, :] >= sizes[:, None]
    tp, predicted = (kept * hits).sum(axis=1), (kept * area).sum(axis=1)
    missed = int(truth.sum()) - tp
    return np.stack([tp, predicted - tp, missed, kept.sum(axis=1)], axis=1)
