"""Four masks in a byte a pixel, and back."""

import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as npst

from tenfold.challenges.clouds.classes import CLASSES
from tenfold.challenges.clouds.planes import add_plane, pack_planes, unpack_planes

SIDES = npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7)


def test_a_class_has_the_bit_of_its_place():
    for place, name in enumerate(("Fish", "Flower", "Gravel", "Sugar")):
        masks = np.zeros((4, 2, 3), bool)
        masks[CLASSES.index(name), 1, 2] = True
        bits = pack_planes(masks)
        assert bits.dtype == np.uint8
        assert bits.tolist() == [[0, 0, 0], [0, 0, 2**place]]


def test_all_sixteen_sets_of_classes():
    masks = unpack_planes(np.arange(16, dtype=np.uint8).reshape(1, 16))
    assert masks.dtype == bool
    for n in range(16):
        sugar, gravel, flower, fish = f"{n:04b}"
        expected = [bit == "1" for bit in (fish, flower, gravel, sugar)]
        assert masks[:, 0, n].tolist() == expected


@given(npst.arrays(bool, SIDES.map(lambda sides: (4, *sides))))
def test_a_round_trip_changes_nothing(masks):
    np.testing.assert_array_equal(unpack_planes(pack_planes(masks)), masks)


@given(npst.arrays(bool, SIDES.map(lambda sides: (4, *sides))))
def test_planes_may_come_one_by_one_in_any_order_of_memory(masks):
    bits = np.zeros(masks.shape[1:], np.uint8, "F")
    for place in (2, 0, 3, 1):
        add_plane(bits, masks[place], place)
    np.testing.assert_array_equal(bits, pack_planes(masks))
