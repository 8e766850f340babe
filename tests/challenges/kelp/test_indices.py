"""The published registry of 59 spectral indices, formula by formula."""

import math

import numpy as np
import pytest
import torch

from tenfold.challenges.kelp.indices import (
    FORMULAS,
    PUBLISHED_SLIPS,
    WINNING,
    Planes,
)
from tenfold.challenges.kelp.options import KelpInput

# Water, canopy, land, cloud, a dark and a saturated pixel: S, N, R, G, B, DEM.
PIXELS = (
    (7350, 7450, 7600, 7900, 7950, 0),
    (7400, 11200, 7350, 8000, 7700, -3),
    (12800, 17200, 8900, 9400, 8500, 131),
    (24310, 30110, 29050, 28120, 27333, 706),
    (902, 1210, 731, 640, 517, 12),
    (60001, 65535, 50321, 48000, 44444, 1),
)
#: A difference of nearly equal numbers near 1e4; single precision has 1e-3 of it.
ILL_CONDITIONED = {"MSAVI": 0.05}


def planes(xp, dtype):
    columns = np.array(PIXELS, np.float64).T.reshape(6, 2, 3)
    if xp is torch:
        return Planes(*(torch.from_numpy(c.astype(dtype)) for c in columns), xp)
    return Planes(*(c.astype(dtype) for c in columns), xp)


def test_the_registry_is_the_published_one(published):
    assert len(FORMULAS) == 59
    assert set(FORMULAS) == set(published(*map(float, PIXELS[0])))


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_formula_is_the_published_one(name, published):
    expected = [published(*map(float, pixel))[name] for pixel in PIXELS]
    assert all(math.isfinite(value) for value in expected)
    found = FORMULAS[name](planes(np, np.float64))
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-9)


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_numpy_and_torch_agree_in_single_precision(name, published):
    slack = ILL_CONDITIONED.get(name, 0.0)
    exact = [published(*map(float, pixel))[name] for pixel in PIXELS]
    by_numpy = FORMULAS[name](planes(np, np.float32))
    by_torch = FORMULAS[name](planes(torch, np.float32))
    assert by_numpy.dtype == np.float32
    assert by_torch.dtype == torch.float32
    for found in (by_numpy.ravel(), by_torch.numpy().ravel()):
        # atol: cancelling differences of numbers near 1e4, e.g. 1/B - 1/G.
        np.testing.assert_allclose(found, exact, rtol=2e-4, atol=1e-5 + slack)


def test_evi_is_clamped_on_both_sides():
    n, r = 20000.0, 100.0
    # N + 6R - 7.5B + 1 = ±0.25, so that 2.5 (N - R) / it is about ±199000.
    blue = [(n + 6 * r + 1 - d) / 7.5 for d in (0.25, -0.25)]
    p = np.array([[n, r, b] for b in blue]).T
    evi = FORMULAS["EVI"](Planes(p[0], p[0], p[1], p[1], p[2], p[0], np))
    assert evi.tolist() == [20000.0, -20000.0]


def test_a_dark_blue_pixel_makes_mcrig_infinite_not_an_error():
    p = Planes(*(np.array([v], np.float32) for v in (5, 5, 5, 5, 0, 0)), np)
    with np.errstate(all="ignore"):
        assert np.isposinf(FORMULAS["mCRIG"](p)).all()


def test_the_winning_seventeen_are_channels_7_to_23():
    order = (
        *("DEMWM", "NDVI", "ATSAVI", "AVI", "CI", "ClGreen", "GBNDVI", "GVMI"),
        *("IPVI", "KIVU", "MCARI", "MVI", "NormNIR", "PNDVI", "SABI", "WDRVI"),
        "mCRIG",
    )
    assert order == WINNING
    channels = KelpInput(indices=WINNING).channels
    assert channels[:7] == ("R", "G", "B", "SWIR", "NIR", "QA", "DEM")
    assert channels[7:24] == order
    assert len(channels) == 24


def test_ipvi_keeps_the_slipped_bracket_and_says_so():
    n, r, g = map(float, PIXELS[1][1:4])
    textbook = n / (n + r) / 2 * ((r - g) / (r + g) + 1)
    slipped = FORMULAS["IPVI"](planes(np, np.float64)).ravel()[1]
    assert slipped == pytest.approx(n * g / (2 * (n + r)), rel=1e-3)
    assert slipped > 1000 * textbook
    assert "unscaled" in PUBLISHED_SLIPS["IPVI"]
    assert set(PUBLISHED_SLIPS) <= set(FORMULAS)


def test_demwm_is_metres_not_a_mask():
    p = planes(np, np.float64)
    assert FORMULAS["DEMWM"](p).ravel().tolist() == [0, 0, 131, 706, 12, 1]
