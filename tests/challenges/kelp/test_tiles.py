"""A packed tile gives back every value it was made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tenfold.challenges.kelp.tiles import (
    pack_tile,
    unpack_mask,
    unpack_tile,
    unpack_valid,
)

GAP = -32768
# 350 is no multiple of 8, so the last byte of a row of bits is partly filled.
BLOCK = (5, 7)


def whole(block):
    """Tile a small block over 350 × 350."""
    return np.tile(block, (1, 70, 50))


spectral = hnp.arrays(
    np.int32,
    (5, *BLOCK),
    elements=st.one_of(st.sampled_from([GAP, 0, 32768, 65535]), st.integers(0, 65535)),
)
elevation = hnp.arrays(
    np.int32,
    (1, *BLOCK),
    elements=st.one_of(
        st.sampled_from([GAP, -32767, -1, 0, 706, 32767]), st.integers(-32768, 32767)
    ),
)
bits = hnp.arrays(np.int32, (1, *BLOCK), elements=st.integers(0, 1))


@settings(deadline=None, max_examples=25)
@given(bands=spectral, qa=bits, dem=elevation, kelp=bits)
def test_packing_loses_nothing(bands, qa, dem, kelp):
    raw = whole(np.concatenate([bands, qa, dem])).astype(np.int32)
    mask = whole(kelp)[0].astype(np.uint8)
    arrays = pack_tile(raw, mask)
    found = unpack_tile(arrays)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, raw)
    np.testing.assert_array_equal(unpack_mask(arrays), mask)
    np.testing.assert_array_equal(unpack_valid(arrays), (raw[:5] != GAP).all(axis=0))


def test_every_pixel_keeps_its_place(kelp):
    rng = np.random.default_rng(3)
    raw = kelp.make_tile(seed=3)
    raw[:5][rng.random((5, 350, 350)) < 0.1] = kelp.GAP
    raw[5] = rng.integers(0, 2, (350, 350))
    raw[6] = rng.integers(-50, 706, (350, 350))
    mask = rng.integers(0, 2, (350, 350)).astype(np.uint8)
    arrays = pack_tile(raw, mask)
    np.testing.assert_array_equal(unpack_tile(arrays), raw)
    np.testing.assert_array_equal(unpack_mask(arrays), mask)


def test_a_black_pixel_is_not_a_missing_one(kelp):
    raw = kelp.make_tile()
    raw[2, 0, 0], raw[2, 0, 1] = 0, kelp.GAP
    arrays = pack_tile(raw, None)
    assert unpack_tile(arrays)[2, 0, :2].tolist() == [0, kelp.GAP]
    assert unpack_valid(arrays)[0, :2].tolist() == [True, False]


def test_a_test_tile_has_no_mask_and_takes_half_the_room(kelp):
    raw = kelp.make_tile()
    arrays = pack_tile(raw, None)
    assert "kelp" not in arrays
    assert sum(a.nbytes for a in arrays.values()) < raw.nbytes / 2
    with pytest.raises(KeyError):
        unpack_mask(arrays)
