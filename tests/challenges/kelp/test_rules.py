"""The rule to beat, against every rule of its kind applied to pixels."""

import re

import numpy as np
import pytest

from tenfold.challenges.kelp.rules import PixelRule

GAP = -32768
SHAPE = (350, 350)

NDVIS = (-0.12, 0.02, 0.11, 0.27, 0.41)
NIRS = (7000, 9000, 11_000, 15_000)


def spectral_tiles(seed):
    """Tiles of few NDVI and NIR values; kelp is likelier where both are high."""
    rng = np.random.default_rng(seed)
    for fold in (0, 1, 2, 2):
        ndvi = np.array(NDVIS)[rng.integers(0, 5, SHAPE)]
        nir = np.array(NIRS)[rng.integers(0, 4, SHAPE)]
        raw = np.full((7, *SHAPE), 8000, np.int32)
        raw[1], raw[2] = nir, np.rint(nir * (1 - ndvi) / (1 + ndvi))
        raw[5] = rng.random(SHAPE) < 0.1
        raw[6] = np.where(rng.random(SHAPE) < 0.2, 5, 0)
        raw[6, :9] = GAP
        raw[4][rng.random(SHAPE) < 0.05] = GAP
        odds = 0.02 + 0.5 * (ndvi > (0.1, 0.2, 0.0)[fold]) * (nir > 10_000)
        yield fold, raw, rng.random(SHAPE) < odds


def rule_counts(tiles):
    """Return (tp, predicted, kelp) by rule and fold, each rule applied to pixels."""
    rules = [(a, b) for a in (-9, *NDVIS) for b in (-9, *NIRS)]
    counts = np.zeros((len(rules), 3, 3))
    for fold, raw, truth in tiles:
        clear = (raw[:5] != GAP).all(axis=0) & (raw[5] == 0) & (raw[6] <= 0)
        nir, red = raw[1].astype(float), raw[2].astype(float)
        ndvi = (nir - red) / (nir + red)
        for r, (a, b) in enumerate(rules):
            # Half a percent: red was rounded to a whole number.
            kelp = clear & (ndvi >= a - 0.005) & (nir >= b)
            counts[r, fold] += (kelp & truth).sum(), kelp.sum(), truth.sum()
    return counts


def test_the_pixel_rule_is_the_best_of_all_rules_and_scored_honestly():
    tiles = list(spectral_tiles(5))
    rule = PixelRule(3)
    for fold, raw, truth in tiles:
        rule.add(fold, raw, truth)
    result = rule.result()
    counts = rule_counts(tiles)
    score = 2 * counts[..., 0] / (counts[..., 1] + counts[..., 2])
    total = counts.sum(axis=1)
    naive = (2 * total[:, 0] / (total[:, 1] + total[:, 2])).max()
    assert result["naive"] == pytest.approx(naive)
    sums = np.zeros(3)
    for fold in range(3):
        rest = total - counts[:, fold]
        chosen = int(np.argmax(2 * rest[:, 0] / (rest[:, 1] + rest[:, 2])))
        sums += counts[chosen, fold]
    assert result["honest"] == pytest.approx(2 * sums[0] / (sums[1] + sums[2]))
    # The folds disagree, or leaving one out would not have been tried.
    assert len(set(score.argmax(axis=0))) > 1
    assert result["honest"] < result["naive"]
    # What it says of itself is what it does.
    a, b = map(
        float, re.search(r"NDVI ≥ (\S+) and NIR ≥ (\d+)", result["name"]).groups()
    )
    said = np.zeros(3)
    for _, raw, truth in tiles:
        clear = (raw[:5] != GAP).all(axis=0) & (raw[5] == 0) & (raw[6] <= 0)
        ndvi = (raw[1] - raw[2]) / np.maximum(raw[1] + raw[2], 1)
        kelp = clear & (ndvi >= a) & (raw[1] >= b)
        said += (kelp & truth).sum(), kelp.sum(), truth.sum()
    assert 2 * said[0] / (said[1] + said[2]) == pytest.approx(naive)
