"""Scaling by each tile's own values, against NumPy."""

import numpy as np
import pytest
import torch

from tenfold.challenges.kelp.scaling import scale_by_tile


def channel(seed=0, shape=(3, 40, 31)):
    """Tiles of other ranges and gaps; the last one is nothing but gaps."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, shape) ** 3 * np.array([1, 1000, 1])[:, None, None] + 7
    values[rng.random(shape) < 0.3] = np.nan
    values[0, 0, :3] = np.inf, -np.inf, np.nan
    values[-1] = np.nan
    return values.astype(np.float32)


def by_numpy(values, share):
    scaled = np.zeros_like(values)
    for tile, made in zip(values, scaled, strict=True):
        known = tile[np.isfinite(tile)]
        if known.size:
            low, high = np.quantile(known.astype(np.float64), (share, 1 - share))
            span = high - low if high > low else 1
            made[:] = np.nan_to_num((tile - low) / span, nan=0, posinf=1, neginf=0)
    return scaled.clip(0, 1)


@pytest.mark.parametrize(
    ("by", "share"), [("tile-min-max", 0), ("tile-quantile", 0.01)]
)
@pytest.mark.parametrize("shape", [(3, 40, 31), (3, 2, 3), (3, 350, 350)])
def test_limits_are_of_each_tiles_finite_values(by, share, shape):
    values = channel(shape=shape)
    found = scale_by_tile(torch.from_numpy(values), by).numpy()
    np.testing.assert_allclose(found, by_numpy(values, share), atol=2e-5)
    assert found[-1].max() == 0


@pytest.mark.parametrize("by", ["tile-min-max", "tile-quantile"])
def test_a_tile_that_does_not_vary_is_0(by):
    flat = torch.full((2, 5, 5), 8000.0)
    flat[0, 0, 0] = float("nan")
    assert not scale_by_tile(flat, by).any()


@pytest.mark.parametrize("by", ["tile-min-max", "tile-quantile"])
def test_other_tiles_of_a_batch_change_nothing(by):
    values = torch.from_numpy(channel(1))
    together = scale_by_tile(values, by)
    for tile, found in zip(values, together, strict=True):
        torch.testing.assert_close(
            scale_by_tile(tile[None], by)[0], found, rtol=0, atol=0
        )
