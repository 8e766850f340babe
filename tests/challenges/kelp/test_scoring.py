"""One global Dice of kelp over all pixels of all tiles."""

import json
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score

from tenfold.challenges.kelp import scoring
from tenfold.challenges.kelp.tiles import pack_tile


@pytest.fixture(scope="module")
def tiles(kelp):
    """Three tiles of very different amounts of kelp, one of them without imagery."""
    rng = np.random.default_rng(0)
    made = []
    for number, share in enumerate((0.3, 0.001, 0.0)):
        raw = kelp.make_tile(seed=number)
        if number == 1:
            raw[:5] = kelp.GAP
        mask = (rng.random((350, 350)) < share).astype(np.uint8)
        prob = rng.integers(0, 256, (350, 350)).astype(np.uint8)
        prob[(mask == 1) & (rng.random((350, 350)) < 0.6)] = 250
        made.append((pack_tile(raw, mask), prob, mask))
    return made


def total(tiles):
    tallies = [scoring.tally({"prob": prob}, arrays) for arrays, prob, _ in tiles]
    return sum(tallies[1:], tallies[0])


def flat(tiles):
    """All pixels in one row, invalid ones included, as the rules count them."""
    guess = np.concatenate([(p / 255 >= 0.5).ravel() for _, p, _ in tiles])
    truth = np.concatenate([m.ravel() for _, _, m in tiles])
    return torch.from_numpy(guess.astype(np.int64)), torch.from_numpy(truth).long()


def test_the_monitored_figure_is_the_dice_of_all_pixels_together(tiles):
    figures = scoring.metrics(total(tiles))
    guess, truth = flat(tiles)
    expected = f1_score(truth, guess)
    assert figures[scoring.MONITOR] == pytest.approx(expected, rel=1e-6)
    assert figures["iou_kelp"] == pytest.approx(jaccard_score(truth, guess), rel=1e-6)
    alone = [scoring.metrics(total([t]))[scoring.MONITOR] for t in tiles]
    assert abs(np.mean(alone) - expected) > 0.05
    assert all(math.isfinite(value) for value in figures.values())


def test_the_confusion_is_truth_by_prediction(tiles):
    names, counts = scoring.confusion(total(tiles))
    assert names == ("background", "kelp")
    guess, truth = flat(tiles)
    expected = confusion_matrix(truth, guess)
    np.testing.assert_array_equal(counts, expected)
    assert counts.sum() == 3 * 350 * 350


def test_one_half_is_kelp_and_less_is_not(kelp):
    arrays = pack_tile(kelp.make_tile(), np.ones((350, 350), np.uint8))
    prob = np.zeros((350, 350), np.uint8)
    prob[0, 0], prob[0, 1] = 128, 127
    assert scoring.tally({"prob": prob}, arrays).tp == 1


def test_counts_travel_as_json(tiles):
    tally = total(tiles)
    assert scoring.from_json(json.loads(json.dumps(tally.to_json()))) == tally


def test_tiles_without_any_kelp_score_finitely(tiles):
    arrays, _, mask = tiles[2]
    assert not mask.any()
    nothing = scoring.tally({"prob": np.zeros((350, 350), np.uint8)}, arrays)
    figures = scoring.metrics(nothing)
    assert figures["dice_kelp"] == 1
    assert all(math.isfinite(value) for value in figures.values())
    wrong = np.zeros((350, 350), np.uint8)
    wrong[4, 4] = 255
    assert scoring.metrics(scoring.tally({"prob": wrong}, arrays))["dice_kelp"] == 0


def test_the_published_confusion_gives_the_published_figures():
    # Facts, section 0: 0.844 is the mean over classes, kelp alone has 0.690.
    tally = scoring.from_json(
        {"tp": 253_522, "fp": 117_302, "fn": 110_226, "tn": 64_000_000}
    )
    figures = scoring.metrics(tally)
    assert figures["dice_kelp"] == pytest.approx(0.690, abs=5e-4)
    assert figures["dice"] == pytest.approx(0.844, abs=5e-4)
