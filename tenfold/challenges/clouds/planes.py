"""Masks of the four classes in one byte a pixel: bit c is set where class c is."""

import numpy as np

from tenfold.challenges.clouds.classes import CLASSES
from tenfold.data.arrays import BoolArray, ByteArray

_BITS = np.array([[[1 << place]] for place in range(len(CLASSES))], np.uint8)


def pack_planes(masks: BoolArray) -> ByteArray:
    """Return the bits (H, W) of masks (4, H, W) in the order of the classes."""
    # Ten times as fast as numpy.packbits along this axis.
    packed: ByteArray = np.bitwise_or.reduce(masks * _BITS, axis=0)
    return packed


def add_plane(bits: ByteArray, mask: BoolArray, place: int) -> None:
    """Set the bit of a class in bits (H, W) where its mask (H, W) is set.

    Args:
        bits: change in place; fastest if they lie in memory as the mask does.
        mask: of the class.
        place: of the class in their order.
    """
    bits |= mask * np.uint8(1 << place)


def unpack_planes(bits: ByteArray) -> BoolArray:
    """Return the masks (4, H, W) of bits (H, W)."""
    masks: BoolArray = (bits & _BITS) != 0
    return masks
