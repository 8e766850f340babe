"""Specks: pieces of a mask too small to be a contrail, taken out or only counted."""

import numpy as np
from scipy import ndimage

from tenfold.data.arrays import BoolArray, IntArray

#: A piece goes on over a corner.
_NEIGHBOURS = np.ones((3, 3), np.bool_)


def without_specks(mask: BoolArray, least: int) -> BoolArray:
    """Return a mask without its pieces of fewer than `least` pixels.

    Args:
        mask: (H, W).
        least: pixels; those that touch at a side or a corner are one piece.
    """
    if least <= 1 or not mask.any():
        return mask
    pieces, _ = ndimage.label(mask, structure=_NEIGHBOURS)
    kept = np.bincount(pieces.ravel()) >= least
    kept[0] = False
    large: BoolArray = kept[pieces]
    return large


def pieces_of(mask: BoolArray) -> int:
    """Return how many pieces a mask (H, W) has."""
    _, found = ndimage.label(mask, structure=_NEIGHBOURS)
    return int(found)


def counts_by_least(mask: BoolArray, truth: BoolArray, least: IntArray) -> IntArray:
    """Return (tp, predicted, pieces) that each least size leaves, (sizes, 3).

    Args:
        mask: predicted, (H, W).
        truth: labelled, (H, W).
        least: sizes to try, in pixels.
    """
    if not mask.any():
        return np.zeros((len(least), 3), np.int64)
    pieces, found = ndimage.label(mask, structure=_NEIGHBOURS)
    area = np.bincount(pieces[mask], minlength=found + 1)[1:]
    hits = np.bincount(pieces[mask & truth], minlength=found + 1)[1:]
    kept = area[None, :] >= least[:, None]
    sums = (kept * hits, kept * area, kept)
    return np.stack([part.sum(axis=1) for part in sums], axis=1)
