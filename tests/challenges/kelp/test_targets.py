"""Soft boundaries are SciPy's Gaussian."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from tenfold.challenges.kelp.targets import soften


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0, 2.5])
def test_a_mask_is_blurred_like_scipys(sigma):
    mask = (np.random.default_rng(0).random((2, 30, 21)) < 0.2).astype(np.uint8)
    found = soften(torch.from_numpy(mask), sigma)
    expected = [
        gaussian_filter(m.astype(np.float64), sigma, mode="nearest") for m in mask
    ]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    assert found.dtype == torch.float32


def test_without_a_width_a_mask_is_itself():
    mask = torch.ones(1, 4, 4, dtype=torch.uint8)
    assert soften(mask, 0.0) is mask


def test_shares_stay_shares():
    mask = torch.ones(1, 9, 9)
    assert soften(mask, 1.3).max() <= 1
    assert soften(mask, 1.3).min() > 1 - 1e-6
