"""The rule to beat against trying every constant on every channel."""

from itertools import product

import numpy as np
import pytest

from tenfold.challenges.contrails.brightness import BrightnessRule
from tenfold.challenges.contrails.options import ASH, BandRange
from tests.challenges.contrails.out_of_fold import OutOfFold, dice


def every_rule(source):
    """Yield the masks of every rule, those at least a value first."""
    for sign, channel in product((1, -1), range(3)):
        frame = source.image[:, 1, ..., channel].astype(int) * sign
        for value in range(256):
            yield frame >= (value if sign > 0 else value - 255)


def best_of(rules, truth, chosen):
    scores = [dice(rule[chosen], truth[chosen]) for rule in rules]
    return int(np.argmax(scores)), max(scores)


def found_by(source, dtype=np.uint8):
    rule = BrightnessRule(ASH, 1, len(source.folds))
    for i, fold in enumerate(source.fold_of):
        arrays = source.arrays(i)
        if dtype != np.uint8:
            arrays["image"] = (arrays["image"] / 255).astype(dtype)
        rule.add(source.folds.index(fold), arrays)
    return rule.result(np.arange(len(source.folds)))


@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
def test_the_rule_and_its_honest_score_are_those_of_a_full_search(dtype):
    source = OutOfFold()
    rules, folds = list(every_rule(source)), np.array(source.fold_of)
    everything = np.full(len(folds), True)
    place, score = best_of(rules, source.truth, everything)
    kept = np.zeros(source.truth.shape, bool)
    for fold in source.folds:
        choice, _ = best_of(rules, source.truth, folds != fold)
        kept[folds == fold] = rules[choice][folds == fold]
    found = found_by(source, dtype)
    assert found["naive"] == pytest.approx(score)
    assert found["honest"] == pytest.approx(dice(kept, source.truth))
    # Contrails were made dark in the second channel, band 14 less band 11.
    value = 255 - (place - 4 * 256)
    kelvin = -4 + 9 * value / 255
    assert found["name"] == f"band 14 less band 11 ≤ {kelvin:.1f} K"


@pytest.mark.parametrize(("bright", "sign"), [(True, "≥"), (False, "≤")])
def test_a_channel_that_says_all_is_found_in_either_direction(bright, sign):
    truth = np.zeros((4, 5), np.uint8)
    truth[1, 1:3] = 1
    frame = np.full((1, 4, 5, 1), 90, np.uint8)
    frame[0, ..., 0][truth == 1] = 100
    frame = frame if bright else 200 - frame
    rule = BrightnessRule((BandRange(band=14, low=200, high=260),), 0, 1)
    rule.add(0, {"image": frame, "label": truth})
    found = rule.result(np.array([0]))
    assert (found["honest"], found["naive"]) == (1, 1)
    # Of equals the first: the lowest from below, the highest from above.
    value = 91 if bright else 109
    assert found["name"] == f"band 14 {sign} {200 + value / 255 * 60:.1f} K"


def test_without_a_labelled_pixel_painting_anything_is_wrong():
    rule = BrightnessRule(ASH, 0, 2)
    frame = np.zeros((1, 4, 4, 3), np.uint8)
    rule.add(1, {"image": frame, "label": np.zeros((4, 4), np.uint8)})
    found = rule.result(np.array([1]))
    # From 1 on there is nothing to paint, and nothing of nothing is right.
    assert found["naive"] == found["honest"] == 1
    assert found["name"].endswith("≥ -4.0 K")
